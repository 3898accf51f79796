//! What can go wrong with a server, told apart by what its programs print, each with what to do about it.

use crate::error::ResourceError;
use guard_model::text::{sanitised, shortened};
use guard_system::docker::DockerError;
use guard_system::processes::CallError;

/// Kinds of failure, in the order in which they are looked for: (what is printed, what is wrong, what to do).
const SIGNS: &[(&[&str], &str, &str)] = &[
    (
        &["error 1045", "error: 1045", "error 1698", "error: 1698"],
        "the server refuses the user or the password",
        "correct `user`, and the password in `url` or `password_env`",
    ),
    (
        &[
            "error 2005",
            "error: 2005",
            "unknown mysql server host",
            "unknown server host",
        ],
        "the server's host name is not known",
        "correct the host in `url`",
    ),
    (
        &[
            "error 2002",
            "error 2003",
            "error: 2002",
            "error: 2003",
            "can't connect to",
        ],
        "the server does not answer",
        "start it, or correct the host, port or socket",
    ),
    (
        &[
            "error 2006",
            "error 2013",
            "error: 2006",
            "error: 2013",
            "lost connection",
            "server has gone away",
        ],
        "the server ended the connection in the middle",
        "look into the server's log, then run the same command again",
    ),
    (
        &["error 1205", "error: 1205", "lock wait timeout"],
        "somebody holds a lock on a table",
        "end that session (`SHOW PROCESSLIST`), or raise `lock_wait`",
    ),
    (
        &["error 1227", "error: 1227", "access denied; you need"],
        "the user may not make what belongs to another definer",
        "`GRANT SET USER ON *.* TO` the user (MySQL: `SET_USER_ID`), or let guard use an account that has it",
    ),
    (
        &["insufficient privileges to show create"],
        "the user may not read a routine of another definer",
        "`GRANT SELECT ON mysql.proc TO` the user (from 11.3 on: `GRANT SHOW CREATE ROUTINE ON *.* TO`), or let guard use an \
         account that may",
    ),
    (
        &["error 1418", "error 1419"],
        "the server writes a binary log, and then only an administrator may make functions and triggers",
        "`SET GLOBAL log_bin_trust_function_creators = 1`, or let guard use an administrator's account",
    ),
    (
        &[
            "got a packet bigger",
            "error 1153",
            "error: 1153",
            "error 2020",
            "error: 2020",
        ],
        "a row is larger than the server takes in one statement",
        "raise max_allowed_packet of the server",
    ),
    (
        &["error 1356", "error: 1356", "references invalid table"],
        "a view refers to what is not there any more",
        "drop or mend that view",
    ),
    (
        &["error 1044", "error 1142", "error 1370", "command denied"],
        "the user may not do that",
        "use a user with all rights on the database and on those beside it: `GRANT ALL ON *.*`",
    ),
    (
        &["no space left on device", "errno: 28", "error 1021", "disk full"],
        "the server's disk is full",
        "free some space there, then run the same command again",
    ),
];

/// What a program printed, in small letters.
fn printed(error: &CallError) -> String {
    if let CallError::Exit { stderr, .. } = error {
        stderr.to_lowercase()
    } else {
        String::new()
    }
}

/// Tells what is behind a program's failure.
pub(super) fn explained(error: CallError, database: &str) -> ResourceError {
    let text = printed(&error);
    if let CallError::NotFound { program } = &error {
        let hint = format!("install the client programs, or use `service` to run the container's own {program}");
        return ResourceError::because(format!("{program} is not installed here"), error).with_hint(hint);
    }
    let found = SIGNS
        .iter()
        .find(|(signs, ..)| signs.iter().any(|sign| text.contains(sign)));
    match found {
        Some((_, what, hint)) => {
            ResourceError::because(format!("{what} (database {database:?})"), error).with_hint(*hint)
        }
        None => ResourceError::because(format!("could not work on the database {database:?}"), error),
    }
}

/// Whether an error says that somebody holds a lock, which trying again may cure.
pub(super) fn is_locked_out(error: &ResourceError) -> bool {
    let cause = error.source.as_deref().and_then(|source| source.downcast_ref());
    cause.is_some_and(|error| printed(error).contains("lock wait timeout"))
}

/// Whether an error says that the user may not make what belongs to another definer.
pub(super) fn is_of_others(error: &ResourceError) -> bool {
    let cause = error.source.as_deref().and_then(|source| source.downcast_ref());
    cause.is_some_and(|error| printed(error).contains("1227"))
}

/// The database is not there.
pub(super) fn no_database(database: &str) -> ResourceError {
    ResourceError::new(format!("there is no database {database:?}"))
        .with_hint("correct `database`, or the end of the `url`")
}

/// The container could not be asked.
pub(super) fn engine(error: DockerError) -> ResourceError {
    ResourceError::because("could not reach the database's container", error)
        .with_hint("`docker ps` shows whether the engine answers")
}

/// What the server said makes no sense.
pub(super) fn unread(line: &str, error: serde_json::Error) -> ResourceError {
    let line = sanitised(&shortened(line, 200));
    ResourceError::because(format!("could not read what the server answered: {line}"), error)
}

/// An error with its cause in one sentence.
pub(super) fn whole(error: &ResourceError) -> String {
    let cause = error.source.as_ref().map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}
