//! The recipes of docs/recipes, each taken from its page and run against the real thing: a good check, a bad release, the way
//! back, its undo, and the way back again. What is seen is seen by other means than guard's and the recipe's own.

mod etcd;
mod haproxy_map;
mod pgbackrest;
mod remote_file;
mod restic;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::program::Program;

/// A project with the program and the settings of a page.
pub struct Recipe {
    root: tempfile::TempDir,
    resource: String,
    env: Vec<(String, String)>,
}

impl Recipe {
    /// The recipe of this page, its settings changed as an operator would change them.
    pub fn of(page: &str, changes: &[(&str, &str)]) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes").join(page);
        let text = fs::read_to_string(path).unwrap();
        let block = |language: &str| {
            let opening = format!("```{language}\n");
            let block = text
                .split(opening.as_str())
                .nth(1)
                .unwrap_or_else(|| panic!("{page} has no {language}"));
            block.split("```").next().unwrap().to_owned()
        };
        let (program, mut settings) = (block("sh"), block("toml"));
        for (from, to) in changes {
            assert!(settings.contains(from), "{page} does not say {from:?}");
            settings = settings.replace(from, to);
        }
        let root = tempfile::Builder::new().prefix("guard-recipe-").tempdir().unwrap();
        // Servers of other users have their files below it.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let name = settings.split("./").nth(1).unwrap();
        let name: String = name.chars().take_while(|c| !"\", ".contains(*c)).collect();
        let resource = settings.split("[resources.").nth(1).unwrap().split(']').next().unwrap();
        let recipe = Self {
            resource: resource.to_owned(),
            root,
            env: Vec::new(),
        };
        fs::create_dir(recipe.project()).unwrap();
        recipe.script(&name, &program);
        recipe.write(
            "guard.toml",
            &format!("project = \"recipe\"\nverify = \"none\"\n{settings}"),
        );
        recipe
    }

    /// Sets a variable for guard, and so for the recipe's program.
    pub fn env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// The project's directory.
    pub fn project(&self) -> PathBuf {
        self.root.path().join("project")
    }

    /// A path below the directory of all.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The same as text.
    pub fn place(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.project().join(name), text).unwrap();
    }

    /// A program in the project's directory.
    pub fn script(&self, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.project().join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What a line of shell prints, with the recipe's variables; it has to succeed.
    #[track_caller]
    pub fn sh(&self, line: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-euc", line]).current_dir(self.project());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn guard(&self) -> Program {
        let program = Program::new(&self.project(), &self.path("state"));
        let set = |program: Program, (name, value): &(String, String)| program.env(name, value);
        self.env.iter().fold(program, set)
    }

    /// Tries the promises, then a release that `bad` makes and `smoke` refuses: what `observe` tells has to be the same again.
    pub fn holds(&self, bad: &str, smoke: &str, observe: &dyn Fn() -> String) {
        self.script("bad", &format!("#!/bin/sh\nset -eu\n{bad}\n"));
        self.script("smoke", &format!("#!/bin/sh\nset -eu\n{smoke}\n"));
        let guard = self.guard();
        let original = observe();
        guard.run(&["check"]).expect(0);
        guard
            .run(&["check", "--resource", &self.resource])
            .expect(0)
            .says("every promise that was tried is kept");
        assert_eq!(observe(), original, "a check only reads");
        guard.run(&["deploy", "--verify", "./smoke", "--", "./bad"]).expect(21);
        assert_eq!(observe(), original, "back as it was");
        guard.run(&["verify", "--all", "--restore"]).expect(0);
        guard.run(&["rollback", "--undo", "--yes"]).expect(0);
        assert_ne!(observe(), original, "the failed state was kept");
        guard.run(&["rollback", "--undo", "--yes"]).expect(0);
        assert_eq!(observe(), original, "back once more");
        let left = fs::read_dir(std::env::temp_dir()).unwrap().flatten();
        let mine = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("guard-check-");
        let ours = left.filter(mine).filter(|entry| {
            // Other tests check at the same time, each with a resource of its own.
            fs::read_dir(entry.path().join("run")).is_ok_and(|run| {
                let mut names = run
                    .flatten()
                    .map(|entry| entry.file_name().to_string_lossy().into_owned());
                names.any(|name| name.starts_with(&format!("{}-", self.resource)))
            })
        });
        assert_eq!(ours.count(), 0, "a check leaves nothing");
    }
}

/// A port that was free a moment ago.
pub fn port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The list of recipes says of each whether it was tried, and each that was has its test.
#[test]
fn every_recipe_is_listed_and_what_was_tried_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(root.join("docs/recipes/README.md")).unwrap();
    for entry in fs::read_dir(root.join("docs/recipes")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if name == "README.md" {
            continue;
        }
        let row = list.lines().find(|line| line.contains(&format!("({name})")));
        let row = row.unwrap_or_else(|| panic!("{name} is not listed"));
        let test = name.replace(".md", ".rs").replace('-', "_");
        let is_tried = root.join("tests/guard/recipes").join(&test).exists();
        assert_eq!(!row.contains("not tried"), is_tried, "{row}");
    }
}
