//! What can go wrong with a server, told apart by what its programs print, each with what to do about it.

use crate::error::ResourceError;
use guard_model::text::{sanitised, shortened};
use guard_system::docker::{Container, DockerError, not_running};
use guard_system::processes::CallError;

/// Where the errors of this kind are made, so that each is worded once.
pub(super) struct Trouble;

impl Trouble {
    pub(super) fn engine(error: DockerError) -> ResourceError {
        ResourceError::because("could not reach the database's container", error)
            .with_hint("`docker ps` shows whether the engine answers")
    }

    pub(super) fn no_container(found: Option<&Container>, project: &str, service: &str) -> ResourceError {
        let (what, hint) = not_running(found, project, service);
        ResourceError::new(what).with_hint(hint)
    }

    pub(super) fn bad_url(why: &str) -> ResourceError {
        ResourceError::new(format!("could not read the `url`: {why}"))
    }

    pub(super) fn no_database_named() -> ResourceError {
        ResourceError::new("no database is named").with_hint("set `database`, or end the `url` with /DATABASE")
    }

    pub(super) fn unread(line: &str, error: serde_json::Error) -> ResourceError {
        let line = sanitised(&shortened(line, 200));
        ResourceError::because(format!("could not read what the server answered: {line}"), error)
    }
}

/// What the server prints of a database into which nobody is let.
const SHUT: &str = "is not currently accepting connections";

/// What the server prints of a session that waited for a lock for longer than `lock_timeout`, in small letters.
const LOCK_TIMEOUT: &str = "lock timeout";

/// Kinds of failure, in the order in which they are looked for: (what is printed, what is wrong, what to do).
const SIGNS: &[(&[&str], &str, &str)] = &[
    (
        &["password authentication failed", "no password supplied", "fe_sendauth"],
        "the server refuses the user or the password",
        "correct `user`, and the password in `url`, `password_env` or PGPASSFILE",
    ),
    (
        &[
            "no pg_hba.conf entry",
            "pg_hba.conf rejects",
            "peer authentication failed",
        ],
        "the server does not let this user in from here",
        "let the user in by pg_hba.conf, or use `service` to go through the container",
    ),
    (
        &["could not translate host name"],
        "the server's host name is not known",
        "correct the host in `url`",
    ),
    (
        &[SHUT],
        "the database takes no connections",
        "a way back that was cut off leaves it so: `guard resume` goes on, and lets clients in",
    ),
    (
        &[
            "connection refused",
            "timeout expired",
            "no route to host",
            "is the server running",
            "starting up",
            "shutting down",
        ],
        "the server does not answer",
        "start it, or correct the host and port",
    ),
    (
        &[
            "server closed the connection",
            "terminating connection",
            "connection to server was lost",
            "could not receive data",
        ],
        "the server ended the connection in the middle",
        "look into the server's log, then run the same command again",
    ),
    (
        &[LOCK_TIMEOUT],
        "somebody holds a lock on a table",
        "end that session, or raise `lock_wait`",
    ),
    (
        &["server version mismatch"],
        "pg_dump is older than the server",
        "install the client programs of the server's version, or use `service` to run the container's own",
    ),
    (
        &["prepared transaction"],
        "a prepared transaction is open in the database",
        "commit or roll it back; `SELECT gid FROM pg_prepared_xacts` names it",
    ),
    (
        &["permission denied to create extension"],
        "an extension belongs to a superuser, and this user may not make it anew",
        "use a superuser for guard; or, where the application does not use it, drop the extension",
    ),
    (
        &["can only create extension in database"],
        "an extension can be in one database of the server only, so it cannot be in a copy beside the live one",
        "move pg_cron into `postgres`: cron.database_name = 'postgres', and cron.schedule_in_database() for its jobs",
    ),
    (
        &["violates foreign key constraint"],
        "rows break a foreign key, as an import with triggers off leaves them, so the key cannot be made anew",
        "delete or complete those rows, or declare the key NOT VALID; as a superuser guard brings them back as they are",
    ),
    (
        &["could not create unique index"],
        "rows appear twice under a unique index, so it cannot be made anew",
        "delete the surplus rows, then REINDEX; a newer collation of the system is the usual cause",
    ),
    (
        &["violates check constraint", "violates not-null constraint"],
        "rows break a check of their own table, so they cannot be loaded again",
        "correct those rows, or declare the check NOT VALID",
    ),
    (
        &["row-level security policy", "row security policy"],
        "row security hides rows from this user, so a copy would not have them",
        "use a superuser, a role with BYPASSRLS, or the owner of tables without FORCE ROW LEVEL SECURITY",
    ),
    (
        &[
            "must be able to set role",
            "must be member of role",
            "must be a member of",
        ],
        "something belongs to a role that this user is no member of, so it cannot be made anew",
        "GRANT that role to the user, or use a superuser",
    ),
    (
        &[
            "permission denied",
            "must be owner",
            "must be superuser",
            "must be member",
            "must be a member",
        ],
        "the user may not do that",
        "use the database's owner with CREATEDB, or a superuser",
    ),
    (
        &["no space left on device", "could not extend file", "disk full"],
        "the server's disk is full",
        "free some space there, then run the same command again",
    ),
];

fn printed(error: &CallError) -> &str {
    if let CallError::Exit { stderr, .. } = error {
        stderr
    } else {
        ""
    }
}

/// Whether a program gave up on a lock. `psql` runs into `lock_timeout`; `pg_dump --lock-wait-timeout` sets
/// `statement_timeout` around its `LOCK TABLE` instead, so what the server says of it names no lock.
fn waited_for_a_lock(lower_case: &str) -> bool {
    lower_case.contains(LOCK_TIMEOUT) || (lower_case.contains("statement timeout") && lower_case.contains("lock table"))
}

fn lacks_database(text: &str) -> bool {
    text.contains("FATAL") && text.contains("database \"") && text.contains("does not exist")
}

/// Tells what is behind a program's failure.
pub(super) fn explained(error: CallError, database: &str) -> ResourceError {
    let text = printed(&error).to_lowercase();
    if let CallError::NotFound { program } = &error {
        let hint =
            format!("install the Postgres client programs, or use `service` to run the container's own {program}");
        return ResourceError::because(format!("{program} is not installed here"), error).with_hint(hint);
    }
    if lacks_database(printed(&error)) {
        return ResourceError::because(format!("there is no database {database:?}"), error)
            .with_hint("correct `database`, or the end of the `url`");
    }
    // In guard's own words for it, whichever way the program was told so.
    let text = if waited_for_a_lock(&text) {
        LOCK_TIMEOUT.to_owned()
    } else {
        text
    };
    let sign = SIGNS
        .iter()
        .find(|(signs, ..)| signs.iter().any(|sign| text.contains(sign)));
    match sign {
        Some((_, what, hint)) => {
            ResourceError::because(format!("{what} (database {database:?})"), error).with_hint(*hint)
        }
        None => ResourceError::because(format!("could not work on the database {database:?}"), error),
    }
}

/// The call's failure inside an error, where there is one.
fn call_of(error: &ResourceError) -> Option<&CallError> {
    error.source.as_deref().and_then(|source| source.downcast_ref())
}

/// Whether an error says that the database is not there.
pub(super) fn is_no_database(error: &ResourceError) -> bool {
    call_of(error).is_some_and(|error| lacks_database(printed(error)))
}

/// Whether an error says that nobody is let into the database.
pub(super) fn is_shut_out(error: &ResourceError) -> bool {
    call_of(error).is_some_and(|error| printed(error).contains(SHUT))
}

/// Whether an error says that somebody holds a lock.
pub(super) fn is_locked_out(error: &ResourceError) -> bool {
    call_of(error).is_some_and(|error| waited_for_a_lock(&printed(error).to_lowercase()))
}

/// Whether an error says that the user may not do something.
pub(super) fn is_denied(error: &ResourceError) -> bool {
    call_of(error).is_some_and(|error| printed(error).contains("permission denied"))
}

/// What a program printed of its failure; empty where it is another one.
pub(super) fn said(error: &ResourceError) -> &str {
    call_of(error).map_or("", printed)
}

/// Whether an error says that sessions are in the way of a rename, which trying again may cure.
pub(super) fn is_in_use(error: &ResourceError) -> bool {
    call_of(error).is_some_and(|error| printed(error).contains("being accessed by other users"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the two gives up first is chance, so both are held here in the words of versions 15 to 17.
    #[test]
    fn a_lock_is_told_by_psql_and_by_pg_dump() {
        for (printed, waited) in [
            ("ERROR:  canceling statement due to lock timeout", true),
            (
                "pg_dump: error: query failed: ERROR:  canceling statement due to statement timeout\n\
                 pg_dump: detail: Query was: LOCK TABLE public.users IN ACCESS SHARE MODE\n",
                true,
            ),
            ("ERROR:  canceling statement due to statement timeout", false),
        ] {
            let error = CallError::Exit {
                call: "pg_dump".to_owned(),
                exit: "exit code 1".to_owned(),
                stderr: printed.to_owned(),
            };
            let error = explained(error, "shop");
            assert_eq!(is_locked_out(&error), waited, "{printed}");
            assert_eq!(error.to_string().contains("holds a lock"), waited, "{error:?}");
        }
    }
}
