//! Calls of git with everything switched off that would run code of the repository's choice, fetch, or convert content.

use std::path::{Path, PathBuf};

use crate::resources::{ResourceError, Result};
use crate::system::call::Call;
use crate::system::context::Context;
use crate::system::processes::{CallError, Output};

/// Settings that no repository may override.
const FIXED: [&str; 13] = [
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
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

/// A repository's work tree.
pub(super) struct Repository<'c> {
    /// The root of the work tree.
    pub(super) top: PathBuf,
    cx: &'c Context,
    filters: Vec<String>,
    empty_tree: String,
}

fn plain(directory: &Path) -> Call {
    let mut call = Call::new("git");
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
        let call = plain(directory).args(["rev-parse", "--show-toplevel"]);
        let top = PathBuf::from(cx.output(&call).map_err(failed)?.text());
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
        Self::at(top, cx)
    }

    /// Makes an empty repository whose work tree is this directory, which belongs to none yet.
    ///
    /// # Errors
    /// git refuses.
    pub(super) fn init(directory: &Path, cx: &'c Context) -> Result<Self> {
        Self::made(&["init", "--quiet"], directory, cx)
    }

    /// Makes an empty repository without a work tree in this directory.
    ///
    /// # Errors
    /// git refuses.
    pub(super) fn bare(directory: &Path, cx: &'c Context) -> Result<Self> {
        Self::made(&["init", "--quiet", "--bare"], directory, cx)
    }

    fn made(words: &[&str], directory: &Path, cx: &'c Context) -> Result<Self> {
        // Without a template: hooks of this machine are no part of it.
        let call = plain(directory).args(words).args(["--template", ""]);
        cx.output(&call)
            .map_err(|error| explained(format!("could not make a repository in {}", directory.display()), error))?;
        Self::at(directory.to_owned(), cx)
    }

    /// Whether this directory belongs to no repository at all.
    pub(super) fn is_missing(directory: &Path, cx: &Context) -> bool {
        let asked = cx.outcome(&plain(directory).args(["rev-parse", "--git-dir"]));
        asked.is_ok_and(|outcome| {
            !outcome.status.success() && outcome.stderr.to_lowercase().contains("not a git repository")
        })
    }

    fn at(top: PathBuf, cx: &'c Context) -> Result<Self> {
        let failed = |error| explained(format!("could not open the repository at {}", top.display()), error);
        let listed = plain(&top).args(["config", "--name-only", "--get-regexp", r"^filter\."]);
        let listed = cx.outcome(&listed).map_err(failed)?.text();
        // A driver that is named here could only be reached through the repository's own info/attributes.
        let filters = listed
            .lines()
            .filter_map(|key| key.rsplit_once('.'))
            .map(|(driver, _)| driver.to_owned());
        let empty = plain(&top).args(["hash-object", "-t", "tree", "--stdin"]);
        Ok(Self {
            cx,
            filters: filters.collect(),
            empty_tree: cx.output(&empty).map_err(failed)?.text(),
            top,
        })
    }

    /// A call of git that takes files as the bytes that they are: no attribute of the work tree applies.
    pub(super) fn git<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Call {
        let mut call = plain(&self.top);
        for driver in &self.filters {
            for key in ["clean", "smudge", "process"] {
                call = call.arg("-c").arg(format!("{driver}.{key}="));
            }
            call = call.arg("-c").arg(format!("{driver}.required=false"));
        }
        call.env("GIT_ATTR_SOURCE", &self.empty_tree).args(args)
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
        let path = self.ask(["rev-parse", "--git-path", name], "ask for a path")?;
        Ok(self.top.join(path))
    }

    pub(super) fn cx(&self) -> &Context {
        self.cx
    }

    pub(super) fn empty_tree(&self) -> &str {
        &self.empty_tree
    }
}
