//! A drill of a git work tree: commit, branch, index and changes as git itself tells them.

use super::checkout::Git;
use crate::abilities::Drills;
use crate::error::Result;
use guard_model::drill::{Census, Counts, Part};
use guard_system::context::Context;
use guard_system::disk::sha256_hex;

impl Drills for Git {
    fn census(&self, _like: Option<&Census>, cx: &Context) -> Result<Census> {
        let repository = self.repository(cx)?;
        let commit = repository.find(["rev-parse", "--verify", "--quiet", "HEAD"], "ask for the commit")?;
        let branch = repository.find(["symbolic-ref", "--quiet", "HEAD"], "ask for the branch")?;
        let index = repository.ask(["ls-files", "--stage", "-z"], "list the index")?;
        let changes = repository.ask(
            ["status", "--porcelain=v1", "-z", "--untracked-files=all"],
            "list the changes",
        )?;
        let difference = repository.ask(["diff", "--binary", "--no-ext-diff"], "compare the work tree")?;
        let told = [
            ("commit", commit.unwrap_or_default()),
            ("branch", branch.unwrap_or_default()),
            ("index", sha256_hex(index.as_bytes())),
            ("changes", sha256_hex(changes.as_bytes())),
            ("work tree", sha256_hex(difference.as_bytes())),
        ];
        let parts = told.into_iter().map(|(name, digest)| {
            let part = Part {
                counts: Counts::Facts,
                number: 1,
                digest,
                members: None,
                columns: Vec::new(),
            };
            (name.to_owned(), part)
        });
        Ok(Census { parts: parts.collect() })
    }
}
