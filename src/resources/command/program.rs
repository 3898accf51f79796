//! A program of the user's, called for one act: what it is given, how long it may take, and what is made of its answer.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::protocol::{Act, Answer, Asked, BAD_COPY, Description, PROTOCOL, Parts, Question, line, print_of};
use crate::error::{ResourceError, Result};
use guard_model::event::Level;
use guard_model::fingerprint::Fingerprint;
use guard_model::name::ResourceName;
use guard_model::text;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::leftovers;
use guard_system::processes::CallError;

/// The name of the resource, for the program and all that it starts.
const RESOURCE: &str = "GUARD_RESOURCE";
/// The token of the act, for the program and all that it starts.
const TOKEN: &str = "GUARD_TOKEN";
/// A file of the project that is called is kept with the copy up to this size.
const LARGEST_PROGRAM: u64 = 16 << 20;

/// A program and its limits.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) name: ResourceName,
    /// The program and its arguments; the act comes behind them.
    pub(super) words: Vec<String>,
    /// How long one act may take.
    pub(super) timeout: Duration,
    /// How many bytes an answer may have.
    pub(super) limit: usize,
    /// What it acts on; `None`: production.
    pub(super) target: Option<Value>,
    /// The act that is killed after this time, to see what a second call makes of it.
    pub(super) cut: Option<(Act, Duration)>,
}

/// The file of the project that was called when a copy was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OwnFile {
    /// Which of the words it is.
    pub(super) place: usize,
    /// The word.
    pub(super) word: String,
    /// Its digest.
    pub(super) sha256: String,
}

impl OwnFile {
    /// Whether the file is there as it was when the copy was taken.
    pub(super) fn is_as_it_was(&self, cx: &Context) -> bool {
        let now = disk::sha256_file(&cx.resolve(&self.word));
        now.is_ok_and(|(_, sha256)| sha256 == self.sha256)
    }
}

impl Program {
    /// Calls the program for an act.
    ///
    /// # Errors
    /// It could not be started, ended badly or too late, or its answer is not one.
    pub(super) fn ask<T: Answer>(&self, act: Act, asked: &Asked<'_>, token: &str, cx: &Context) -> Result<T> {
        let question = Question {
            protocol: PROTOCOL,
            act: act.word(),
            resource: self.name.as_str(),
            token,
            target: self.target.as_ref(),
            asked,
        };
        let question = serde_json::to_vec(&question)
            .map_err(|error| ResourceError::because("could not write down what is asked", error))?;
        let call = self.call(act, token).input(question);
        let (mut said, mut is_too_much) = (Vec::new(), false);
        let mut keep = |bytes: &[u8]| {
            if said.len() + bytes.len() > self.limit {
                is_too_much = true;
                return Err(io::Error::other("too much"));
            }
            said.extend_from_slice(bytes);
            Ok(())
        };
        let ended = cx.stream(&call, &mut keep);
        if is_too_much {
            let limit = text::bytes(u64::try_from(self.limit).unwrap_or(u64::MAX));
            return Err(ResourceError::new(format!(
                "{} wrote more than {limit} to standard output and was ended: an answer is one JSON object",
                self.shown(act)
            ))
            .with_hint("write content into files of `directory`, and words for people to standard error"));
        }
        let output = ended.map_err(|error| self.not_done(act, error))?;
        if !output.stderr.trim().is_empty() {
            let told = format!("{}: {}", self.shown(act), line(&output.stderr, cx));
            cx.note(Level::Detail, told);
        }
        if !output.status.success() {
            let error = CallError::Exit {
                call: format!("{} {}", self.program(), act.word()),
                exit: output.exit(),
                stderr: last_lines(&output.stderr),
            };
            return Err(ResourceError {
                copy_is_bad: output.status.code() == Some(BAD_COPY),
                ..ResourceError::because(format!("could not {} {}", act.word(), self.name), error)
            });
        }
        self.tell_leftovers(act, token, cx);
        let answer: T = read(&said).map_err(|why| self.no_answer(act, &said, &why, cx))?;
        for (key, value) in answer.kept() {
            let text = value.to_string();
            if cx.redaction.clean(&text) != text {
                return Err(ResourceError::new(format!(
                    "{} answered with a secret in `{key}`, which guard would have to keep in its journal",
                    self.shown(act)
                ))
                .with_hint("keep it in a file of `directory`, or read it again where it is needed"));
            }
        }
        Ok(answer)
    }

    fn call(&self, act: Act, token: &str) -> Call {
        let (program, args) = self
            .words
            .split_first()
            .map_or(("", [].as_slice()), |(program, args)| (program.as_str(), args));
        let call = Call::new(program)
            .args(args)
            .arg(act.word())
            .env(RESOURCE, self.name.as_str())
            .env(TOKEN, token)
            .timeout(self.timeout);
        match self.cut {
            Some((cut, after)) if cut == act => call.timeout(after).grace(Duration::ZERO),
            _ => call,
        }
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// It says nothing, or speaks another protocol.
    pub(super) fn describe(&self, token: &str, cx: &Context) -> Result<Description> {
        let description: Description = self.ask(Act::Describe, &Asked::default(), token, cx)?;
        if description.protocol == PROTOCOL {
            return Ok(description);
        }
        Err(ResourceError::new(format!(
            "{} speaks protocol {}, and this guard speaks {PROTOCOL}",
            self.program(),
            description.protocol
        ))
        .with_hint("docs/command.md has the protocol"))
    }

    /// What is live, in parts.
    ///
    /// # Errors
    /// It cannot be read, or has no part.
    pub(super) fn fingerprint(&self, token: &str, cx: &Context) -> Result<Fingerprint> {
        let answer: Parts = self.ask(Act::Fingerprint, &Asked::default(), token, cx)?;
        if answer.parts.is_empty() {
            return Err(ResourceError::new(format!(
                "{} named no part: nothing could ever be seen to differ",
                self.shown(Act::Fingerprint)
            )));
        }
        Ok(print_of(&answer.parts, cx))
    }

    /// The program, for people. Its arguments may hold secrets.
    pub(super) fn program(&self) -> &str {
        self.words.first().map(String::as_str).unwrap_or_default()
    }

    /// An act of it, for people: `` `exchange` by ./guard-etcd ``.
    pub(super) fn shown(&self, act: Act) -> String {
        format!("`{}` by {}", act.word(), self.program())
    }

    /// The same program, acting on a scratch copy.
    pub(super) fn on(&self, target: Value) -> Self {
        Self {
            target: Some(target),
            ..self.clone()
        }
    }

    /// The same program, killed in the middle of this act.
    pub(super) fn killed_at(&self, act: Act, after: Duration) -> Self {
        Self {
            cut: Some((act, after)),
            ..self.clone()
        }
    }

    /// A server that an act has started as its own child would be ended by the guard that takes over from a killed one.
    fn tell_leftovers(&self, act: Act, token: &str, cx: &Context) {
        if !matches!(
            act,
            Act::Capture | Act::Stage | Act::Exchange | Act::Undo | Act::Scratch
        ) {
            return;
        }
        let marks = [
            (RESOURCE.to_owned(), self.name.to_string()),
            (TOKEN.to_owned(), token.to_owned()),
        ];
        let left = leftovers::running(&marks);
        if !left.is_empty() {
            let what = format!(
                "{} left processes behind that `guard resume` would take for a part of it: {}; start servers by their \
                 service manager, or by `env -u GUARD_ACT -u GUARD_TOKEN`",
                self.shown(act),
                left.join(", ")
            );
            cx.note(Level::Warn, what);
        }
    }

    fn not_done(&self, act: Act, error: CallError) -> ResourceError {
        let hint = match &error {
            CallError::NotFound { .. } => Some(format!(
                "write its path from the directory of guard.toml, as in `./{}`, or correct `command`",
                self.program().trim_start_matches("./")
            )),
            CallError::Start { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some(format!("chmod +x {}", text::typed(self.program())))
            }
            // The kernel takes neither a script without its first line nor a program for another machine.
            CallError::Start { source, .. } if source.raw_os_error() == Some(8) => {
                Some("begin a script with the line `#!/bin/sh`".to_owned())
            }
            CallError::TimedOut { .. } => Some(format!("see why it hangs, or raise `resources.{}.timeout`", self.name)),
            _ => None,
        };
        let what = format!("could not {} {}", act.word(), self.name);
        ResourceError {
            hint,
            ..ResourceError::because(what, error)
        }
    }

    fn no_answer(&self, act: Act, said: &[u8], why: &serde_json::Error, cx: &Context) -> ResourceError {
        if said.iter().all(u8::is_ascii_whitespace) {
            return ResourceError::new(format!(
                "{} ended with 0 and answered nothing: an answer is one JSON object, `{{}}` at least",
                self.shown(act)
            ));
        }
        let begins = String::from_utf8_lossy(said.get(..said.len().min(60)).unwrap_or_default()).into_owned();
        ResourceError::new(format!(
            "{} answered what is not understood, at line {}, byte {} ({} from its beginning): {}; it begins: {}",
            self.shown(act),
            why.line(),
            why.column(),
            offset(said, why),
            line(&reason(why), cx),
            line(&begins, cx)
        ))
        .with_hint("standard output holds one JSON object and nothing else; words for people go to standard error")
    }

    /// The first word that names a file below the project's directory, which a release may replace.
    pub(super) fn own_file(&self, cx: &Context) -> Result<Option<(OwnFile, Vec<u8>)>> {
        for (place, word) in self.words.iter().enumerate() {
            let path = cx.resolve(word);
            let is_own = disk::real_path(&path).starts_with(disk::real_path(&cx.directory));
            let size = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file);
            if !is_own || size.is_none_or(|found| found.len() > LARGEST_PROGRAM) {
                continue;
            }
            let Some(bytes) = disk::read_optional(&path)? else {
                continue;
            };
            let file = OwnFile {
                place,
                word: word.clone(),
                sha256: disk::sha256_hex(&bytes),
            };
            return Ok(Some((file, bytes)));
        }
        Ok(None)
    }

    /// The same program by another file.
    pub(super) fn by(&self, file: &OwnFile, path: &Path) -> Self {
        let mut other = self.clone();
        // Settings that name another program by now mean that one.
        if let Some(word) = other.words.get_mut(file.place).filter(|word| **word == file.word) {
            *word = path.display().to_string();
        }
        other
    }
}

/// Where a file that was kept with a copy lies in a run's directory, to be called from there.
pub(super) fn kept_program(name: &ResourceName, sha256: &str, cx: &Context) -> PathBuf {
    let digest = sha256.get(..12).unwrap_or(sha256);
    cx.scratch.join(format!("{name}-program-{digest}"))
}

/// Whether a program has said that it cannot do it, or took too long: then what it acts on may be broken, and is put back
/// all the same. A program that is not there, or not understood, is another thing.
pub(super) fn is_broken(error: &ResourceError) -> bool {
    let cause = error
        .source
        .as_ref()
        .and_then(|cause| cause.downcast_ref::<CallError>());
    matches!(cause, Some(CallError::Exit { .. } | CallError::TimedOut { .. }))
}

/// The end of what a program said: what it died of comes last.
fn last_lines(said: &str) -> String {
    const MOST: usize = 3;
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines
        .get(lines.len().saturating_sub(MOST)..)
        .unwrap_or_default()
        .join("\n")
}

fn read<T: Answer>(said: &[u8]) -> std::result::Result<T, serde_json::Error> {
    serde_json::from_slice(said)
}

/// Where an answer goes wrong, in bytes from its beginning.
fn offset(said: &[u8], error: &serde_json::Error) -> usize {
    let lines = said.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    before + error.column()
}

/// The reason without its place, which is told before it.
fn reason(error: &serde_json::Error) -> String {
    let whole = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    whole.strip_suffix(&place).unwrap_or(&whole).to_owned()
}
