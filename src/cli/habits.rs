//! Words that people bring along from other tools: each means what it says there, or is answered with the word to type.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Error};

use guard_run::request::{Backup, Request, Rollback};

/// Options by which a person agrees to something, or does without a safeguard. None is ever suggested for a word that was
/// mistyped: what is pasted from an error message must not agree to anything.
const ASSENTS: &[&str] = &[
    "--yes",
    "--force",
    "--again",
    "--trust-foreign",
    "--auto-confirm",
    "--allow-unhealthy-baseline",
    "--no-rollback",
    "--no-watcher",
];

/// A request in guard's own words: `undo` is `rollback --undo`, and `rollback TS` is `rollback --backup-timestamp=TS`.
///
/// # Errors
/// Two backups are named, and they are not the same.
pub(super) fn translated(request: Request, matches: &ArgMatches) -> Result<Request, Error> {
    match without_blanks(request) {
        Request::Undo(asked) => Ok(Request::Rollback(Rollback { undo: true, ..asked })),
        Request::Rollback(asked) => {
            let Some(named) = asked.backup.clone() else {
                return Ok(Request::Rollback(asked));
            };
            let flag = matches
                .subcommand_matches("rollback")
                .filter(|matches| matches.value_source("backup_timestamp") == Some(ValueSource::CommandLine))
                .and(asked.backup_timestamp.as_ref());
            if let Some(flag) = flag.filter(|flag| **flag != named) {
                let what = format!("two backups are named, {named} and {flag}: to which is it to go back?\n");
                return Err(Error::raw(ErrorKind::ArgumentConflict, what));
            }
            Ok(Request::Rollback(Rollback {
                backup_timestamp: Some(named),
                ..asked
            }))
        }
        other => Ok(other),
    }
}

/// A request without names that are empty: a variable that is set to nothing names nothing.
fn without_blanks(mut request: Request) -> Request {
    let named = |names: &mut Vec<String>| names.retain(|name| !name.is_empty());
    match &mut request {
        Request::Backup(Backup { selection, .. }) => [&mut selection.only, &mut selection.skip].map(named),
        Request::Deploy(asked) => [&mut asked.selection.only, &mut asked.selection.skip].map(named),
        Request::Rollback(asked) | Request::Undo(asked) => [&mut asked.only, &mut asked.service].map(named),
        _ => return request,
    };
    request
}

/// The error without a suggestion of one of [`ASSENTS`].
pub(super) fn without_assent(mut error: Error) -> Error {
    let suggests = |value: &ContextValue| match value {
        ContextValue::String(word) => ASSENTS.contains(&word.as_str()),
        ContextValue::Strings(words) => words.iter().any(|word| ASSENTS.contains(&word.as_str())),
        _ => false,
    };
    if error.get(ContextKind::SuggestedArg).is_some_and(suggests) {
        error.remove(ContextKind::SuggestedArg);
    }
    error
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Arguments;

    #[test]
    fn every_assent_is_an_option_that_there_is_or_will_be() {
        let command = Arguments::command();
        let all: Vec<String> = command
            .get_subcommands()
            .flat_map(clap::Command::get_arguments)
            .flat_map(|argument| {
                let aliases = argument.get_all_aliases().unwrap_or_default();
                argument
                    .get_long()
                    .into_iter()
                    .chain(aliases)
                    .map(|long| format!("--{long}"))
                    .collect::<Vec<_>>()
            })
            .collect();
        // A deployment that failed before is let through by a flag of that name.
        let missing: Vec<&&str> = ASSENTS
            .iter()
            .filter(|assent| !all.iter().any(|known| known == **assent))
            .collect();
        assert!(missing.iter().all(|assent| **assent == "--again"), "{missing:?}");
    }

    #[test]
    fn a_mistyped_word_is_never_answered_with_an_assent() {
        for words in [
            ["guard", "rollback", "--ye"],
            ["guard", "rollback", "--forc"],
            ["guard", "rollback", "--trust-foreing"],
            ["guard", "delete", "--yess"],
        ] {
            let error = Arguments::command().try_get_matches_from(words).unwrap_err();
            let text = without_assent(error).to_string();
            let tip = text.split("tip:").nth(1).unwrap_or_default();
            assert!(
                text.contains(words[2]) && !ASSENTS.iter().any(|assent| tip.contains(assent)),
                "{text}"
            );
        }
        let error = Arguments::command()
            .try_get_matches_from(["guard", "rollback", "--backup-timestam=1"])
            .unwrap_err();
        assert!(without_assent(error).to_string().contains("--backup-timestamp"));
    }
}
