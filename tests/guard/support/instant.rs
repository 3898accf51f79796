//! A project whose files lie on a file system of its own, in a file that is mounted for one test and gone with it.

use std::path::PathBuf;
use std::process::{Command, Output};

use super::program::Program;

/// A mounted file system with a project on it.
pub struct Instant {
    root: tempfile::TempDir,
    kind: &'static str,
}

/// The settings: one directory, and a release that is bad where it leaves a file `bad`.
pub const SETTINGS: &str = "[resources.data]\nkind = \"volume\"\npath = \"data\"\n[policy]\ndata_restore = \"always\"\n\
    [verify]\ncommands = [[\"sh\", \"-c\", \"test ! -e data/bad\"]]\n[monitor]\nduration = \"400ms\"\ninterval = \"100ms\"\n";

impl Instant {
    /// A project on `btrfs`, where `data` is a subvolume, or on `xfs`, `ext4` or `tmpfs`; of so many megabytes.
    pub fn new(kind: &'static str, megabytes: u64) -> Self {
        let ground = Self::bare(kind, megabytes);
        ground.sh("mkdir shop");
        ground.sh(if kind == "btrfs" {
            "btrfs subvolume create shop/data"
        } else {
            "mkdir shop/data"
        });
        ground.write("shop/guard.toml", SETTINGS);
        ground.sh("mkdir -p shop/data/sub; for i in 1 2 3 4 5 6 7 8; do seq 1 ${i}0000 > shop/data/sub/$i; done; ln shop/data/sub/1 shop/data/name; \
            ln -s sub/2 shop/data/link; echo old > shop/data/small; truncate -s 1M shop/data/sparse; chown 33:33 shop/data/sub/3; chmod 640 shop/data/sub/4");
        ground
    }

    /// The file system alone.
    pub fn bare(kind: &'static str, megabytes: u64) -> Self {
        let root = tempfile::Builder::new().prefix("guard-cow-").tempdir().unwrap();
        let ground = Self { root, kind };
        std::fs::create_dir(ground.path()).unwrap();
        let image = ground.root.path().join("image");
        let (place, image_text) = (ground.path().display().to_string(), image.display().to_string());
        if kind == "tmpfs" {
            run(
                "mount",
                &["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "none", &place],
            );
            return ground;
        }
        std::fs::File::create(&image).unwrap().set_len(megabytes << 20).unwrap();
        run(&format!("mkfs.{kind}"), &["-q", &image_text]);
        run("mount", &["-o", "loop", &image_text, &place]);
        ground
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.root.path().join("mnt")
    }

    /// A path on it.
    pub fn at(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    pub fn write(&self, path: &str, text: &str) {
        std::fs::write(self.at(path), text).unwrap();
    }

    /// guard in the project, whose state lies on the same file system.
    pub fn guard(&self) -> Program {
        Program::new(&self.at("shop"), &self.at("state"))
    }

    /// What a line of a shell does on it.
    pub fn shell(&self, script: &str) -> Output {
        let command = Command::new("sh")
            .args(["-euc", script])
            .current_dir(self.path())
            .output();
        command.unwrap()
    }

    /// The same; it has to succeed. Returns what it says.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let output = self.shell(script);
        assert!(
            output.status.success(),
            "{script}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// All that is in a directory, by other means than guard's: content, owners, modes, times, names.
    pub fn seen(&self, directory: &str) -> String {
        self.sh(&format!(
            "cd {directory}; find . -name '.guard-*' -prune -o -type d -printf '%P %y %m %U\\n' -o -printf '%P %y %m %U %s %T@ %n %l\\n' | LC_ALL=C sort; \
             find . -name '.guard-*' -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum"
        ))
    }

    /// The snapshots that there are, by their paths.
    pub fn snapshots(&self) -> Vec<String> {
        let told = self.sh(&format!("btrfs subvolume list -s {}", self.path().display()));
        let paths = told.lines().filter_map(|line| line.split(" path ").nth(1));
        paths.map(str::to_owned).collect()
    }

    /// Whether a file shares its blocks with another one, as the kernel tells.
    pub fn is_shared(&self, path: &str) -> bool {
        self.sh(&format!("sync -f .; filefrag -v {path}")).contains("shared")
    }

    /// The directories of runs, the oldest first.
    pub fn runs(&self) -> Vec<PathBuf> {
        let mut runs: Vec<PathBuf> = std::fs::read_dir(self.at("state/runs"))
            .map(|found| found.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        runs.sort();
        runs
    }

    /// The names of the backups, the oldest first.
    pub fn backups(&self) -> Vec<String> {
        let told = self.sh("ls state/backups");
        told.lines()
            .filter(|line| line.starts_with('2'))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Instant {
    fn drop(&mut self) {
        // A test that fails already is to end as that.
        let unmounted = Command::new("umount").arg("--recursive").arg(self.path()).status();
        assert!(
            std::thread::panicking() || unmounted.is_ok_and(|status| status.success()),
            "the {} at {} cannot be unmounted",
            self.kind,
            self.path().display()
        );
    }
}

#[track_caller]
fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
