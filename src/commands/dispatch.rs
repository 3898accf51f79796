//! A request is answered: by the command that it names, over the settings of its place.

use std::io::Write as _;

use crate::commands::{
    abort, all_projects, attach, backup, check, decide, delete, demo, deploy, drill, freeze, init, inside, list, logs,
    mark, notify, offsite, packaging, report, resume, rollback, salvage, schema, status, undo, verify, watch,
};
use guard_model::exit::ExitCode;
use guard_report::bug;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::request::{GlobalArgs, Request, flags};
use guard_run::session::Session;
use guard_run::{registry, takeover};
use guard_system::environment::Environment;

/// Does what was asked, says what there is to say, and returns the exit code.
#[must_use]
pub fn run(request: Request, global: &GlobalArgs, environment: Environment, command: &clap::Command) -> ExitCode {
    if let Request::Demo(asked) = &request {
        return demo::tour(asked, global, &environment, (run, command));
    }
    let session = match bug::caught(|| Session::open(global, environment)) {
        Ok(Ok(session)) => session,
        Ok(Err(exit)) => {
            // There is nobody yet to say it by.
            let line =
                "[ERROR] the kernel gives guard no thread or no signal handler (see `ulimit -u`); nothing was begun";
            let _lost = writeln!(std::io::stderr(), "{line}");
            return exit;
        }
        Err(_) => return ExitCode::BUG,
    };
    let outcome = bug::caught(|| answer(request, global, &session, command));
    let outcome = outcome.unwrap_or_else(|message| Err(Refusal::of_bug(&message, &session.style.program)));
    let exit = outcome.unwrap_or_else(|refusal| session.told(refusal));
    session.conclude(exit);
    session.close();
    exit
}

fn answer(request: Request, global: &GlobalArgs, session: &Session, command: &clap::Command) -> Outcome {
    match &request {
        Request::Completions(asked) => return Ok(packaging::completions(asked, &session.reporter, command)),
        Request::Schema(asked) => return schema::print(asked, session),
        Request::Man(asked) => return packaging::man(asked, session, command),
        Request::Version => {
            session.reporter.data(command.render_version());
            return Ok(ExitCode::DONE);
        }
        Request::Inside(asked) => return inside::inside(asked, session),
        Request::DemoPart(asked) => return demo::part(asked, session),
        Request::DrillPart(asked) if !drill::needs_project(asked) => return drill::agent(asked, session),
        Request::Init(asked) => return init::init(asked, global, session),
        _ => {}
    }
    if let Request::Resume(asked) = &request
        && asked.all
    {
        return all_projects::resume_all(&flags::of(&request, global), global, session);
    }
    let mut project = match session.project(&request, global) {
        Ok(project) => project,
        // The settings that a bad release has broken are not those that its run is finished by.
        Err(refusal) if matches!(request, Request::Resume(_)) => {
            let found = registry::here(global)
                .and_then(|directory| takeover::resume_of(&directory, &flags::of(&request, global), session));
            return found.unwrap_or(Err(refusal));
        }
        Err(refusal) => return Err(refusal),
    };
    match request {
        Request::Check(asked) => check::check(&asked, &project, session),
        Request::Backup(asked) => backup::backup(&asked, &project, session),
        Request::Deploy(asked) => deploy::deploy(&asked, &project, session),
        Request::Drill(asked) => drill::drill(&asked, project, session),
        Request::DrillPart(asked) => drill::inject(&asked, &project),
        Request::Rollback(asked) if asked.undo => undo::undo(&asked, &project, session),
        Request::Rollback(asked) => {
            project.narrowing = rollback::narrowing(&asked);
            rollback::rollback(&asked, &project, session)
        }
        Request::Resume(asked) => resume::resume(&asked, project, session),
        Request::Abort(asked) => abort::abort(&asked, project, session),
        Request::Decide(asked) => decide::decide(&asked, &project, &session.style.program),
        Request::List(asked) => list::list(&asked, &project, session),
        Request::Show(asked) => list::show(&asked, &project, session),
        Request::Verify(asked) => verify::verify(&asked, &project, session),
        Request::Copy(asked) => offsite::copy(&asked, &project, session),
        Request::Fetch(asked) => offsite::fetch(&asked, &project, session),
        Request::Delete(asked) => delete::delete(&asked, &project, session),
        Request::Mark(asked) => mark::mark(&asked, &project, &session.style.program),
        Request::Prune(asked) => delete::prune(&asked, &project, session),
        Request::Salvage(asked) => salvage::salvage(&asked, &project, session),
        Request::Status => status::status(&project, session),
        Request::History(asked) => status::history(&asked, &project, session),
        Request::Attach(asked) => attach::attach(&asked, &project, session),
        Request::Logs(asked) => logs::logs(&asked, &project.runs, session),
        Request::Report(asked) => report::report(&asked, &project, session),
        Request::Watch(asked) => watch::watch(&asked, &project, session),
        Request::Notify(asked) => notify::test(&asked, &project),
        Request::Lock(asked) => freeze::freeze(&project, &asked),
        Request::Unlock => freeze::unfreeze(&project),
        Request::Completions(_)
        | Request::Man(_)
        | Request::Schema(_)
        | Request::Version
        | Request::Undo(_)
        | Request::Demo(_)
        | Request::DemoPart(_)
        | Request::Init(_)
        | Request::Inside(_) => Err(Refusal::new(ExitCode::BUG, "answered before")),
    }
}
