//! A request is answered: by the command that it names, over the settings of its place.

use std::io::Write as _;

use crate::commands::{
    abort, all_projects, backup, check, decide, delete, deploy, freeze, init, inside, list, logs, mark, notify,
    offsite, packaging, resume, rollback, salvage, status, undo, verify, watch,
};
use guard_model::exit::ExitCode;
use guard_report::bug;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::request::flags;
use guard_run::request::{Everywhere, Request};
use guard_run::session::Desk;
use guard_run::{registry, takeover};
use guard_system::environment::Environment;

/// Does what was asked, says what there is to say, and returns the exit code.
#[must_use]
pub fn run(request: Request, everywhere: &Everywhere, environment: Environment, command: &clap::Command) -> ExitCode {
    let desk = match bug::caught(|| Desk::open(everywhere, environment)) {
        Ok(Ok(desk)) => desk,
        Ok(Err(exit)) => {
            // There is nobody yet to say it by.
            let line =
                "[ERROR] the kernel gives guard no thread or no signal handler (see `ulimit -u`); nothing was begun";
            let _lost = writeln!(std::io::stderr(), "{line}");
            return exit;
        }
        Err(_) => return ExitCode::BUG,
    };
    let outcome = bug::caught(|| answer(request, everywhere, &desk, command));
    let outcome = outcome.unwrap_or_else(|message| Err(Refusal::of_bug(&message, &desk.style.program)));
    let exit = match outcome {
        Ok(exit) => exit,
        Err(mut refusal) => {
            desk.place_next(&mut refusal);
            desk.reporter.account(&refusal.account);
            desk.tell_refusal(&refusal);
            refusal.exit
        }
    };
    desk.conclude(exit);
    desk.close();
    exit
}

fn answer(request: Request, everywhere: &Everywhere, desk: &Desk, command: &clap::Command) -> Outcome {
    match &request {
        Request::Completions(asked) => return Ok(packaging::completions(asked, desk, command)),
        Request::Man => return packaging::man(desk, command),
        Request::Version => {
            desk.reporter.data(command.render_version());
            return Ok(ExitCode::DONE);
        }
        Request::Inside(asked) => return inside::inside(asked, desk),
        Request::Init(asked) => return init::init(asked, everywhere, desk),
        _ => {}
    }
    if let Request::Resume(asked) = &request
        && asked.all
    {
        return all_projects::resume_all(&flags::of(&request, everywhere), everywhere, desk);
    }
    let bench = match desk.bench(&request, everywhere) {
        Ok(bench) => bench,
        // The settings that a bad release has broken are not those that its run is finished by.
        Err(refusal) if matches!(request, Request::Resume(_)) => {
            let found = registry::here(everywhere)
                .and_then(|directory| takeover::resume_of(&directory, &flags::of(&request, everywhere), desk));
            return found.unwrap_or(Err(refusal));
        }
        Err(refusal) => return Err(refusal),
    };
    match request {
        Request::Check(asked) => check::check(&asked, &bench, desk),
        Request::Backup(asked) => backup::backup(&asked, &bench, desk),
        Request::Deploy(asked) => deploy::deploy(&asked, &bench, desk),
        Request::Rollback(asked) if asked.undo => undo::undo(&asked, &bench, desk),
        Request::Rollback(asked) => rollback::rollback(&asked, &bench, desk),
        Request::Resume(asked) => resume::resume(&asked, bench, desk),
        Request::Abort(asked) => abort::abort(&asked, bench, desk),
        Request::Decide(asked) => decide::decide(&asked, &bench, desk),
        Request::List(asked) => list::list(&asked, &bench, desk),
        Request::Show(asked) => list::show(&asked, &bench, desk),
        Request::Verify(asked) => verify::verify(&asked, &bench, desk),
        Request::Copy(asked) => offsite::copy(&asked, &bench, desk),
        Request::Fetch(asked) => offsite::fetch(&asked, &bench, desk),
        Request::Delete(asked) => delete::delete(&asked, &bench, desk),
        Request::Mark(asked) => mark::mark(&asked, &bench, desk),
        Request::Prune(asked) => delete::prune(&asked, &bench, desk),
        Request::Salvage(asked) => salvage::salvage(&asked, &bench, desk),
        Request::Status => status::status(&bench, desk),
        Request::History(asked) => status::history(&asked, &bench, desk),
        Request::Logs(asked) => logs::logs(&asked, &bench, desk),
        Request::Watch(asked) => watch::watch(&asked, &bench, desk),
        Request::Notify(asked) => notify::test(&asked, &bench, desk),
        Request::Lock(asked) => freeze::freeze(&bench, &asked),
        Request::Unlock => freeze::unfreeze(&bench),
        Request::Completions(_)
        | Request::Man
        | Request::Version
        | Request::Undo(_)
        | Request::Init(_)
        | Request::Inside(_) => Err(Refusal::new(ExitCode::BUG, "answered before")),
    }
}
