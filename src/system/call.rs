//! A program to run, as data: words, never a line for a shell.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::environment::Environment;
use guard_model::secret::Redaction;

/// Carried by every program that guard starts for a run, but for the user's own: the run's directory. A resume finds by it
/// what a killed guard had begun.
pub(super) const ACT: &str = "GUARD_ACT";

/// Carried beside [`ACT`] by the programs of an act that is aside of the run's steps: a resume ends them at once.
pub(super) const ASIDE: &str = "GUARD_ASIDE";

/// A program with its arguments and surroundings. Nothing runs until [`super::context::Context`] is asked to run it.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) removed: Vec<OsString>,
    pub(super) directory: Option<PathBuf>,
    pub(super) input: Input,
    pub(super) timeout: Option<Duration>,
    pub(super) grace: Option<Duration>,
    pub(super) shares_group: bool,
    pub(super) merges: bool,
    pub(super) is_foreign: bool,
    pub(super) user: Option<(u32, u32)>,
    pub(super) within: Option<Within>,
}

/// That a call of `docker` runs a program in a container, and how.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Within {
    pub(super) container: String,
    /// The names of variables that are handed on.
    pub(super) variables: Vec<String>,
    /// Whether the program reads what it is given.
    pub(super) reads: bool,
    /// Which argument is the first of the program's own words.
    pub(super) words_from: usize,
}

/// What the program reads.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) enum Input {
    #[default]
    Nothing,
    Bytes(Vec<u8>),
    Inherited,
}

impl Call {
    /// The program as it is started in a directory: `./deploy.sh` is the one there, wherever guard itself was started.
    pub(super) fn program_in(&self, directory: &Path) -> OsString {
        let path = Path::new(&self.program);
        if path.components().count() > 1 {
            directory.join(path).into_os_string()
        } else {
            self.on_path()
                .map_or_else(|| self.program.clone(), PathBuf::into_os_string)
        }
    }

    /// Where `PATH` has the program. With its path, it is started without a copy of this process's memory, which the
    /// standard library takes where the program is to be looked for in an environment of its own.
    fn on_path(&self) -> Option<PathBuf> {
        let is_path = |name: &OsString| name == "PATH";
        if self.removed.iter().any(is_path) || self.env.iter().any(|(name, _)| is_path(name)) {
            return None;
        }
        let path = Environment::of_this_process().path("PATH")?;
        for directory in std::env::split_paths(&path) {
            // Relative to where the program will run: for the system to find.
            if directory.is_relative() {
                return None;
            }
            let candidate = directory.join(&self.program);
            let found = std::fs::metadata(&candidate);
            if found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0) {
                return Some(candidate);
            }
        }
        None
    }

    /// A call of this program, found on `PATH` unless it has a `/`.
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            removed: Vec::new(),
            directory: None,
            input: Input::Nothing,
            timeout: None,
            grace: None,
            shares_group: false,
            merges: false,
            is_foreign: false,
            user: None,
            within: None,
        }
    }

    /// The call of a list of words, the program first; `None` for an empty list. Such a list is the user's own: what the
    /// command starts may outlive guard, and is not taken for one of guard's acts.
    #[must_use]
    pub fn of_words<W: AsRef<OsStr>>(words: &[W]) -> Option<Self> {
        let (program, args) = words.split_first()?;
        Some(Self {
            is_foreign: true,
            ..Self::new(program).args(args)
        })
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Says that the arguments that follow are a program and its own, in this container.
    #[must_use]
    pub(super) fn within(mut self, container: &str, variables: &[&str], reads: bool) -> Self {
        self.within = Some(Within {
            container: container.to_owned(),
            variables: variables.iter().map(|&name| name.to_owned()).collect(),
            reads,
            words_from: self.args.len(),
        });
        self
    }

    /// The call as a process of this host in any case. What runs in a container through the engine's socket is waited for by
    /// whoever takes a run over; what may go on for long is better cut off with its own process.
    #[must_use]
    pub fn by_program(mut self) -> Self {
        self.within = None;
        self
    }

    /// Sets a variable for the program; the last word on a name counts, here and in `without_env`. This is how a secret is handed on: it never shows in `ps`.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self = self.forgetting(name.as_ref());
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Takes a variable of guard's own environment away from the program.
    #[must_use]
    pub fn without_env(mut self, name: impl AsRef<OsStr>) -> Self {
        self = self.forgetting(name.as_ref());
        self.removed.push(name.as_ref().to_owned());
        self
    }

    /// Whatever was said of a variable before: duct would let the first word count, and a removal over any value.
    fn forgetting(mut self, name: &OsStr) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.removed.retain(|known| known != name);
        self
    }

    /// Runs the program as this user and group, without further groups; only root can.
    #[must_use]
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        self.user = Some((uid, gid));
        self
    }

    /// Runs the program in this directory.
    #[must_use]
    pub fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Gives the program these bytes to read.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// Lets the program take at most this long, in all.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Gives the program this long between SIGTERM and SIGKILL, instead of the usual grace, when it has to be ended.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Lets the program share guard's process group and standard input, as the user's own command must: in a group of
    /// its own the kernel would stop it as soon as it read the terminal.
    #[must_use]
    pub fn in_our_group(mut self) -> Self {
        self.shares_group = true;
        self.input = Input::Inherited;
        self
    }

    /// Sends what the program writes to standard error the way of its standard output.
    #[must_use]
    pub fn merged(mut self) -> Self {
        self.merges = true;
        self
    }

    /// The program's name, for messages.
    #[must_use]
    pub fn program(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }
}

impl Call {
    /// The call as it may be shown: as [`Display`](fmt::Display), without secrets. They are taken out of the words, which the
    /// quotes around a part of one would hide.
    #[must_use]
    pub fn shown(&self, redaction: &Redaction) -> String {
        redaction.clean(&self.line(|word| redaction.clean(word)))
    }

    fn line(&self, shown: impl Fn(&str) -> String) -> String {
        let words: Vec<String> = std::iter::once(&self.program)
            .chain(&self.args)
            .map(|word| shown(&word.to_string_lossy()))
            .collect();
        shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
    }
}

impl fmt::Display for Call {
    /// The words of the call, quoted as for a shell. The environment is not shown: secrets travel there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line(str::to_owned))
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::Call;

    #[test]
    fn the_last_word_on_a_variable_counts() {
        let call = Call::new("git")
            .without_env("GIT_INDEX_FILE")
            .env("GIT_INDEX_FILE", "one")
            .env("GIT_INDEX_FILE", "two");
        assert!(call.removed.is_empty());
        assert_eq!(call.env, [("GIT_INDEX_FILE".into(), "two".into())]);
        let call = call.without_env("GIT_INDEX_FILE");
        assert!(call.env.is_empty() && call.removed.len() == 1);
    }
}
