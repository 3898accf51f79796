//! guard from Rust: create, list, roll back and delete, by the same acts as the commands of these names.

use std::path::PathBuf;

use crate::commands::{backup, delete, rollback};
use guard_journal::Runs;
use guard_model::exit::ExitCode;
use guard_report::failure::Account;
use guard_report::result::Outcome as Told;
use guard_run::choosing;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::{Backup as Create, Delete, GlobalArgs, List, Request, Rollback};
use guard_run::session::Session;
use guard_store::{Backup, Listed, newest};
use guard_system::environment::Environment;

/// A project that guard looks after.
///
/// Nothing is printed, no signal handler is installed, and nothing is asked: whoever calls has decided. The calls block,
/// and have a small runtime of their own; from async code, call them on a thread that may block.
#[derive(Clone)]
pub struct Guard {
    global: GlobalArgs,
    environment: Environment,
}

/// What kept a call from its goal, with the exit code that the command would have ended with: it says in which state
/// production is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", sentence(.account))]
pub struct Error {
    /// The exit code.
    pub exit: ExitCode,
    /// What failed, why, what guard did about it, and what can be done now.
    pub account: Box<Account>,
}

fn sentence(account: &Account) -> String {
    let parts = std::iter::once(&account.failed).chain(&account.why);
    parts.map(String::as_str).collect::<Vec<_>>().join(": ")
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self {
            exit: refusal.exit,
            account: refusal.account,
        }
    }
}

impl Guard {
    /// The project in this directory, with its `guard.toml`, in the environment of this process.
    ///
    /// # Errors
    /// The settings are wrong, or the state or backup directory cannot be used.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::open_in(directory, Environment::of_this_process())
    }

    /// The same, in another environment: `GUARD_*`, `PATH`, `HOME` and all else is taken from there.
    ///
    /// # Errors
    /// As [`Guard::open`].
    pub fn open_in(directory: impl Into<PathBuf>, environment: Environment) -> Result<Self, Error> {
        let global = GlobalArgs {
            directory: Some(directory.into()),
            ..GlobalArgs::default()
        };
        let guard = Self { global, environment };
        guard.with_project(&Request::List(List::default()), |_, _| Ok(()))?;
        Ok(guard)
    }

    /// Takes a backup of all declared resources, and returns it. It is known good if the probes passed.
    ///
    /// # Errors
    /// Another run holds the lock, a run is unfinished, something is in the way, or a copy could not be made or proven.
    /// Production is untouched.
    pub fn create(&self, description: &str) -> Result<Backup, Error> {
        let asked = Create {
            description: Some(description.to_owned()),
            ..Create::default()
        };
        self.with_project(&Request::Backup(asked.clone()), |project, session| {
            reached(backup::backup(&asked, project, session), &project.runs)?;
            let listed = listed(project)?;
            newest(&listed)
                .cloned()
                .ok_or_else(|| Refusal::new(ExitCode::BUG, "the backup that was just made is not there"))
        })
    }

    /// The backups, the newest first; also what is in the directory and cannot be used.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        self.with_project(&Request::List(List::default()), |project, _| listed(project))
    }

    /// Puts everything back that differs from a backup: a timestamp, `latest` (the newest known-good one) or `previous`.
    /// What was there is kept. Returns when the old state is there and proven.
    ///
    /// # Errors
    /// The exit code says how far it came; for 30 and 33, `guard resume` continues.
    pub fn rollback(&self, backup: &str) -> Result<(), Error> {
        let asked = Rollback {
            backup_timestamp: Some(backup.to_owned()),
            yes: true,
            force: true,
            keeps_to_own: true,
            ..Rollback::default()
        };
        self.with_project(&Request::Rollback(asked.clone()), |project, session| {
            reached(rollback::rollback(&asked, project, session), &project.runs)
        })
    }

    /// Deletes a backup.
    ///
    /// # Errors
    /// It is not there, it is the last known-good one, or an unfinished run needs it.
    pub fn delete(&self, backup: &str) -> Result<(), Error> {
        let asked = Delete {
            timestamps: vec![backup.to_owned()],
            force: false,
            yes: true,
        };
        self.with_project(&Request::Delete(asked.clone()), |project, session| {
            delete::delete(&asked, project, session).map(|_| ())
        })
    }

    fn with_project<T>(
        &self,
        request: &Request,
        act: impl FnOnce(&Project, &Session) -> Result<T, Refusal>,
    ) -> Result<T, Error> {
        let session = Session::silent(self.environment.clone())
            .map_err(|exit| Refusal::new(exit, "the kernel gives no threads to guard"))?;
        let result = session
            .project(request, &self.global)
            .and_then(|project| act(&project, &session));
        session.close();
        Ok(result?)
    }
}

fn listed(project: &Project) -> Result<Vec<Listed>, Refusal> {
    let listed = project.store.list();
    let mut listed = listed.map_err(|error| choosing::store_refusal(&error, "guard"))?;
    let scope = project.own_scope();
    listed.retain(|entry| match entry {
        Listed::Backup(backup) => scope.objection(backup).is_none(),
        _ => true,
    });
    Ok(listed)
}

/// A run that ended in another way than it was to is an error here, explained as its last lines would.
fn reached(outcome: Outcome, runs: &Runs) -> Result<(), Refusal> {
    let exit = outcome?;
    if exit == ExitCode::DONE {
        return Ok(());
    }
    let newest = runs.newest().ok().flatten();
    let Some((run, records)) = newest.and_then(|run| Some((run.clone(), run.read().ok()?))) else {
        return Err(Refusal::new(
            exit,
            "the run did not end well, and its journal cannot be read",
        ));
    };
    let told = Told::of(&records, None, "guard");
    let mut refusal = Refusal::new(exit, format!("the run {} ended as {}", run.id, told.outcome));
    let causes = told.obstacle.iter().chain(&told.failure);
    refusal
        .account
        .why
        .extend(causes.flat_map(|failure| failure.chain.clone()));
    refusal.account.next = told.next;
    Err(refusal)
}
