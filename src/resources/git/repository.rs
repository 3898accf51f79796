//! Calls of git with everything switched off that would run code of the repository's choice, fetch, or convert content.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{ResourceError, Result};
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::disk::{self, At};
use guard_system::privilege;
use guard_system::processes::{CallError, Output};

/// Settings that no repository may override.
const FIXED: [&str; 14] = [
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.splitIndex=false",
    "core.autocrlf=false",
    "core.safecrlf=false",
    "core.pager=cat",
    "core.quotePath=true",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
    "submodule.recurse=false",
    "advice.detachedHead=false",
];

/// Variables that would lead git to another repository, index or store than the one in the directory.
const REMOVED: [&str; 12] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_EXTERNAL_DIFF",
    "GIT_ATTR_SOURCE",
];

/// What is asked for in a repository's own directory, by git's names.
const INNER: [&str; 14] = [
    "objects",
    "index",
    "index.lock",
    "refs",
    "guard",
    "guard-check",
    "rebase-merge",
    "rebase-apply",
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "BISECT_LOG",
    "info/sparse-checkout",
    ATTRIBUTES,
];
/// Where a repository names files' attributes for itself alone.
const ATTRIBUTES: &str = "info/attributes";

/// The ids of a tree without entries, by what ids are made with.
const EMPTY_SHA1: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
const EMPTY_SHA256: &str = "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321";

/// A repository's work tree.
pub(super) struct Repository<'c> {
    /// The root of the work tree.
    pub(super) top: PathBuf,
    cx: &'c Context,
    user: Option<User>,
    filters: Vec<String>,
    empty_tree: String,
    /// Where git has what has these names in its own directory.
    inner: BTreeMap<&'static str, PathBuf>,
    /// Checkouts inside that are resources of their own.
    elsewhere: Vec<PathBuf>,
}

/// Who a repository belongs to, where guard is root and that is somebody else: git runs as they do, so that nothing in the
/// repository becomes root's, and nothing that it names could run as root.
#[derive(Debug, Clone, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
    home: PathBuf,
}

impl User {
    /// The owner of the repository around a directory.
    fn of(directory: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        if !privilege::is_root() {
            return None;
        }
        let owner = directory
            .ancestors()
            .find_map(|above| std::fs::metadata(above.join(".git")).ok());
        let owner = owner.or_else(|| std::fs::metadata(directory).ok())?;
        if owner.uid() == 0 {
            return None;
        }
        let home = privilege::home_of(owner.uid()).unwrap_or_else(|| PathBuf::from("/nonexistent"));
        let (uid, gid) = (owner.uid(), owner.gid());
        Some(Self { uid, gid, home })
    }
}

fn plain(directory: &Path, user: Option<&User>) -> Call {
    let mut call = Call::new("git");
    if let Some(user) = user {
        call = call
            .user(user.uid, user.gid)
            .env("HOME", &user.home)
            .without_env("XDG_CONFIG_HOME");
    }
    for setting in FIXED {
        call = call.args(["-c", setting]);
    }
    for name in REMOVED {
        call = call.without_env(name);
    }
    call.env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("LC_ALL", "C")
        .directory(directory)
}

/// What git said, with what to do about it where that is known.
pub(super) fn explained(what: impl Into<String>, error: CallError) -> ResourceError {
    let said = match &error {
        CallError::Exit { stderr, .. } => stderr.clone(),
        _ => String::new(),
    };
    let hint = if said.contains("dubious ownership") {
        Some(
            "the repository belongs to another user: run guard as that user, or let its owner add it to `safe.directory`",
        )
    } else if said.contains("not a git repository") {
        Some("run guard in a git work tree, name it with `path`, or take this resource out")
    } else if said.contains("index.lock") {
        Some("another git is at work, or one was killed: see that none runs, then remove index.lock")
    } else {
        None
    };
    let error = ResourceError::because(what, error);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// What a repository tells of itself in one answer.
struct Told {
    /// By what its ids are made: `sha1`.
    format: String,
    inner: BTreeMap<&'static str, PathBuf>,
}

impl Told {
    /// How many lines that is.
    const LINES: usize = 1 + INNER.len();

    /// One question for what else would be dozens.
    fn words() -> impl Iterator<Item = &'static str> {
        let names = INNER.iter().flat_map(|name| ["--git-path", name]);
        std::iter::once("--show-object-format").chain(names)
    }

    /// What these lines tell, from this directory; `None`: they cannot be told apart.
    fn of(lines: &[&str], directory: &Path) -> Option<Self> {
        let (format, places) = lines.split_first()?;
        let places = (lines.len() == Self::LINES).then_some(places)?;
        let inner = INNER.into_iter().zip(places.iter().map(|place| directory.join(place)));
        Some(Self {
            format: (*format).to_owned(),
            inner: inner.collect(),
        })
    }
}

impl<'c> Repository<'c> {
    /// The repository that this directory belongs to.
    ///
    /// # Errors
    /// There is none, it has no work tree, it belongs to somebody else, or git is not installed.
    pub(super) fn open(directory: &Path, cx: &'c Context) -> Result<Self> {
        let failed = |error| {
            explained(
                format!("could not open a git work tree at {}", directory.display()),
                error,
            )
        };
        let asked = |user: Option<&User>| {
            let call = plain(directory, user).args(["rev-parse", "--show-toplevel"]);
            cx.output(&call.args(Told::words()))
        };
        let mut user = User::of(directory);
        let mut answer = asked(user.as_ref());
        // A directory that its owner does not come to from above: then root's git says whether it may.
        if matches!(answer, Err(CallError::Start { .. } | CallError::NotFound { .. })) && user.take().is_some() {
            answer = asked(None);
        }
        let told = answer.map_err(failed)?.text();
        let mut told: Vec<&str> = told.lines().collect();
        // A path with a line break in it is more lines than one: then each thing is asked for by itself.
        let (top, told) = if told.len() == Told::LINES + 1 {
            let top = PathBuf::from(told.remove(0));
            // From the real place, to which a link on the way there may not lead for long.
            let told = Told::of(&told, &top);
            (top, told)
        } else {
            let call = plain(directory, user.as_ref()).args(["rev-parse", "--show-toplevel"]);
            (PathBuf::from(cx.output(&call).map_err(failed)?.text()), None)
        };
        let real = std::fs::canonicalize(directory)
            .map_err(|error| ResourceError::because(format!("could not look at {}", directory.display()), error))?;
        if !real.starts_with(&top) {
            // A repository's own settings can name any directory of the host as its work tree.
            let what = format!(
                "{} belongs to a repository whose work tree is elsewhere, at {}",
                directory.display(),
                top.display()
            );
            return Err(ResourceError::new(what).with_hint("look at `git config core.worktree`"));
        }
        // What was told is told from the directory that was asked in.
        let told = told.filter(|_| real == top);
        Self::at(top, user, told, cx)
    }

    /// The same, which leaves these checkouts inside to others.
    pub(super) fn beside(mut self, checkouts: &[PathBuf]) -> Self {
        let real = checkouts
            .iter()
            .map(|path| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone()));
        self.elsewhere = real
            .filter(|path| path.starts_with(&self.top) && *path != self.top)
            .collect();
        self
    }

    /// Those checkouts, below the top.
    pub(super) fn owned_elsewhere(&self) -> impl Iterator<Item = Vec<u8>> {
        let below = self
            .elsewhere
            .iter()
            .filter_map(|path| path.strip_prefix(&self.top).ok());
        below.map(super::ground::bytes)
    }

    /// Makes an empty repository whose work tree is this directory, which belongs to none yet.
    ///
    /// # Errors
    /// git refuses.
    pub(super) fn init(directory: &Path, is_sha256: bool, cx: &'c Context) -> Result<Self> {
        Self::made(&["init", "--quiet"], is_sha256, directory, cx)
    }

    /// Makes an empty repository without a work tree in this directory.
    ///
    /// # Errors
    /// git refuses.
    pub(super) fn bare(directory: &Path, is_sha256: bool, cx: &'c Context) -> Result<Self> {
        Self::made(&["init", "--quiet", "--bare"], is_sha256, directory, cx)
    }

    /// The repository whose work tree is this directory itself.
    ///
    /// # Errors
    /// As for [`Repository::open`]; or the directory belongs to another one.
    pub(super) fn inside(directory: &Path, cx: &'c Context) -> Result<Self> {
        let found = Self::open(directory, cx)?;
        let real = std::fs::canonicalize(directory)
            .map_err(|error| ResourceError::because(format!("could not look at {}", directory.display()), error))?;
        if found.top == real {
            return Ok(found);
        }
        let what = format!("{} is no work tree of its own", directory.display());
        Err(ResourceError::new(what))
    }

    fn made(words: &[&str], is_sha256: bool, directory: &Path, cx: &'c Context) -> Result<Self> {
        // Without a template: hooks of this machine are no part of it.
        let user = User::of(directory);
        let mut call = plain(directory, user.as_ref()).args(words).args(["--template", ""]);
        if is_sha256 {
            call = call.arg("--object-format=sha256");
        }
        cx.output(&call)
            .map_err(|error| explained(format!("could not make a repository in {}", directory.display()), error))?;
        Self::at(directory.to_owned(), user, None, cx)
    }

    /// Whether this directory belongs to no repository at all.
    pub(super) fn is_missing(directory: &Path, cx: &Context) -> bool {
        let asked = cx.outcome(&plain(directory, User::of(directory).as_ref()).args(["rev-parse", "--git-dir"]));
        asked.is_ok_and(|outcome| {
            !outcome.status.success() && outcome.stderr.to_lowercase().contains("not a git repository")
        })
    }

    fn at(top: PathBuf, user: Option<User>, told: Option<Told>, cx: &'c Context) -> Result<Self> {
        let failed = |error| explained(format!("could not open the repository at {}", top.display()), error);
        let told = if let Some(told) = told {
            told
        } else {
            let call = plain(&top, user.as_ref()).arg("rev-parse").args(Told::words());
            let told = cx.output(&call).map_err(failed)?.text();
            let lines: Vec<&str> = told.lines().collect();
            Told::of(&lines, &top).unwrap_or_else(|| Told {
                format: lines.first().copied().unwrap_or_default().to_owned(),
                inner: BTreeMap::new(),
            })
        };
        let empty_tree = match told.format.as_str() {
            "sha1" => EMPTY_SHA1.to_owned(),
            "sha256" => EMPTY_SHA256.to_owned(),
            _ => {
                let empty = plain(&top, user.as_ref()).args(["hash-object", "-t", "tree", "--stdin"]);
                cx.output(&empty).map_err(failed)?.text()
            }
        };
        // A filter could only be reached through the repository's own attributes, which nearly none has.
        let has_none = match told.inner.get(ATTRIBUTES) {
            Some(place) => !disk::exists(place)?,
            None => false,
        };
        let filters = if has_none {
            Vec::new()
        } else {
            let listed = plain(&top, user.as_ref()).args(["config", "--name-only", "--get-regexp", r"^filter\."]);
            let listed = cx.outcome(&listed).map_err(failed)?.text();
            let drivers = listed.lines().filter_map(|key| key.rsplit_once('.'));
            drivers.map(|(driver, _)| driver.to_owned()).collect()
        };
        Ok(Self {
            cx,
            filters,
            empty_tree,
            inner: told.inner,
            top,
            user,
            elsewhere: Vec::new(),
        })
    }

    /// A call of git that takes files as the bytes that they are: no attribute of the work tree applies.
    pub(super) fn git<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Call {
        let mut call = plain(&self.top, self.user.as_ref());
        for driver in &self.filters {
            for key in ["clean", "smudge", "process"] {
                call = call.arg("-c").arg(format!("{driver}.{key}="));
            }
            call = call.arg("-c").arg(format!("{driver}.required=false"));
        }
        // Nor does one of the machine.
        call.env("GIT_ATTR_SOURCE", &self.empty_tree)
            .env("GIT_ATTR_NOSYSTEM", "1")
            .args(args)
    }

    /// The same with an index of guard's own.
    pub(super) fn with_index<'a>(&self, index: &Path, args: impl IntoIterator<Item = &'a str>) -> Call {
        self.git(args).env("GIT_INDEX_FILE", index)
    }

    /// Runs a call that must succeed.
    pub(super) fn run(&self, call: &Call, what: &str) -> Result<Output> {
        self.cx
            .output(call)
            .map_err(|error| explained(format!("could not {what} in {}", self.top.display()), error))
    }

    /// What a call that must succeed printed, as text.
    pub(super) fn ask<'a>(&self, args: impl IntoIterator<Item = &'a str>, what: &str) -> Result<String> {
        Ok(self.run(&self.git(args), what)?.text())
    }

    /// What a call printed; `None` where it ended with an exit code, which means that there is no such thing.
    pub(super) fn find<'a>(&self, args: impl IntoIterator<Item = &'a str>, what: &str) -> Result<Option<String>> {
        let outcome = self.cx.outcome(&self.git(args));
        let outcome =
            outcome.map_err(|error| explained(format!("could not {what} in {}", self.top.display()), error))?;
        Ok((outcome.status.code() == Some(0)).then(|| outcome.text()))
    }

    /// The commit that a name means.
    pub(super) fn commit(&self, name: &str) -> Result<Option<String>> {
        self.find(
            [
                "rev-parse",
                "--verify",
                "--quiet",
                "--end-of-options",
                &format!("{name}^{{commit}}"),
            ],
            "look for a commit",
        )
    }

    /// A path inside the repository's own directory.
    pub(super) fn inner(&self, name: &str) -> Result<PathBuf> {
        if let Some(known) = self.inner.get(name) {
            return Ok(known.clone());
        }
        let path = self.ask(["rev-parse", "--git-path", name], "ask for a path")?;
        Ok(self.top.join(path))
    }

    /// The output of a call of this repository's; `None` where it ended with an exit code.
    pub(super) fn found(&self, call: &Call, what: &str) -> Result<Option<Vec<u8>>> {
        let outcome = self.cx.outcome(call);
        let outcome =
            outcome.map_err(|error| explained(format!("could not {what} in {}", self.top.display()), error))?;
        Ok((outcome.status.code() == Some(0)).then_some(outcome.stdout))
    }

    /// A private directory of its own, gone when it is dropped.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn workplace(&self) -> Result<tempfile::TempDir> {
        let mut builder = tempfile::Builder::new();
        let builder = builder
            .prefix("guard-git-")
            .permissions(std::fs::Permissions::from_mode(0o700));
        // Outside of a run there is no scratch, and the project's directory must not be written to; and the state directory
        // is closed to everybody else.
        let place = if self.cx.run.is_some() && self.user.is_none() {
            builder.tempdir_in(&self.cx.scratch)
        } else {
            builder.tempdir()
        };
        let place = place.map_err(|error| ResourceError::because("could not make a place to work in", error))?;
        self.give(place.path())?;
        Ok(place)
    }

    /// Lets git have a file or directory of guard's own, where git runs as another user.
    ///
    /// # Errors
    /// It cannot be given away.
    pub(super) fn give(&self, path: &Path) -> Result<()> {
        if let Some(user) = &self.user {
            std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid)).at("give away", path)?;
        }
        Ok(())
    }

    /// Whose files new ones are.
    pub(super) fn owner(&self) -> (u32, u32) {
        self.user.as_ref().map_or_else(
            || (privilege::user_id(), rustix::process::getegid().as_raw()),
            |user| (user.uid, user.gid),
        )
    }

    /// Whether git runs as another user than guard.
    pub(super) fn is_of_another(&self) -> bool {
        self.user.is_some()
    }

    /// Copies the real index, where there is one.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn copy_index(&self, place: &Path) -> Result<()> {
        let real = self.inner("index")?;
        match std::fs::copy(&real, place) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).at("copy", &real)?,
            Ok(_) => self.give(place),
        }
    }

    pub(super) fn cx(&self) -> &Context {
        self.cx
    }

    pub(super) fn empty_tree(&self) -> &str {
        &self.empty_tree
    }
}
