//! One file per thing a person can ask; `workbench` is the one place where the parts meet.

mod adopting;
mod backup;
mod check;
mod choosing;
mod delete;
mod deploy;
pub mod flags;
mod freeze;
mod init;
mod inspection;
mod journey;
pub mod library;
mod list;
mod luggage;
mod notices;
mod packaging;
pub mod plan;
mod prompt;
pub mod refusal;
pub mod request;
mod resume;
mod retention;
mod rollback;
mod salvage;
mod secrets;
mod session;
mod setup;
mod standby;
mod status;
mod undo;
mod verify;
pub mod watcher;
pub mod workbench;

use crate::model::exit::ExitCode;
use crate::system::environment::Environment;
use refusal::{Outcome, Refusal};
use request::{Everywhere, Request};
use setup::Desk;

/// Does what was asked, says what there is to say, and returns the exit code.
#[must_use]
pub fn run(request: Request, everywhere: &Everywhere, environment: Environment, command: &clap::Command) -> ExitCode {
    let desk = match Desk::open(everywhere, environment) {
        Ok(desk) => desk,
        Err(exit) => return exit,
    };
    let outcome = answer(request, everywhere, &desk, command);
    let exit = match outcome {
        Ok(exit) => exit,
        Err(refusal) => {
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
        Request::Init(asked) => return init::init(asked, everywhere, desk),
        _ => {}
    }
    let bench = desk.bench(&request, everywhere)?;
    match request {
        Request::Check(asked) => check::check(&asked, &bench, desk),
        Request::Backup(asked) => backup::backup(&asked, &bench, desk),
        Request::Deploy(asked) => deploy::deploy(&asked, &bench, desk),
        Request::Rollback(asked) if asked.undo => undo::undo(&asked, &bench, desk),
        Request::Rollback(asked) => rollback::rollback(&asked, &bench, desk),
        Request::Resume(_) => resume::resume(bench, desk),
        Request::List(_) => list::list(&bench, desk),
        Request::Show(asked) => list::show(&asked, &bench, desk),
        Request::Verify(asked) => verify::verify(&asked, &bench, desk),
        Request::Delete(asked) => delete::delete(&asked, &bench, desk),
        Request::Prune(asked) => delete::prune(&asked, &bench),
        Request::Salvage(asked) => salvage::salvage(&asked, &bench, desk),
        Request::Status => status::status(&bench, desk),
        Request::History(asked) => status::history(&asked, &bench, desk),
        Request::Notify(asked) => notices::test(&asked, &bench, desk),
        Request::Lock(asked) => freeze::freeze(&bench, &asked),
        Request::Unlock => freeze::unfreeze(&bench),
        Request::Completions(_) | Request::Man | Request::Init(_) => {
            Err(Refusal::new(ExitCode::BUG, "answered before"))
        }
    }
}
