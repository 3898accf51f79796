//! What differs between trees, by rsync and getfacl; and by the kernel's own numbers what those do not look at: flags, which
//! names are one file, and holes, and parts of a second.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{IFlags, ioctl_getflags};

use super::trees::{entries, shown};

/// What differs, by the volume.
pub type Differences = BTreeMap<String, Vec<String>>;

/// A state of several volumes that lie side by side, kept for a comparison.
pub struct State {
    /// A copy that rsync made.
    copy: PathBuf,
    /// What rsync lists although nothing has changed, since its copy is not equal: an access list under a sticky bit.
    /// getfacl looks at those.
    of_the_copy: BTreeSet<String>,
    lists: BTreeMap<String, BTreeSet<String>>,
    rest: BTreeMap<String, BTreeMap<String, Rest>>,
    /// Whether the kernel leaves holes as they are: where there are layers, a link to a file of the lower one fills them.
    keeps_holes: bool,
}

/// What rsync does not look at.
#[derive(Debug, PartialEq, Eq)]
struct Rest {
    flags: u32,
    /// The first name of the same file.
    first: String,
    /// Bytes on the disk.
    blocks: u64,
    /// Seconds and nanoseconds: rsync keeps those of files alone.
    time: (i64, i64),
    is_directory: bool,
}

/// How a difference begins that is only the time of a directory.
const DIRECTORY: &str = "time of the directory";
/// Holes may be rounded, and a file system may keep a small file otherwise.
const SLACK: u64 = 300_000;

fn run(program: &str, args: &[&str], at: &Path) -> String {
    let output = Command::new(program)
        .args(args)
        .current_dir(at)
        .output()
        .expect(program);
    // Where a file is in a directory's place, rsync says that it could not look into it, and lists the rest.
    let is_told = program == "rsync" && output.status.code() == Some(23) && !output.stdout.is_empty();
    assert!(
        output.status.success() || is_told,
        "{program} {args:?}: {} {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The access lists of each volume's entries, as getfacl prints them, in whatever order.
fn lists(live: &Path, names: &[String]) -> BTreeMap<String, BTreeSet<String>> {
    let args: Vec<&str> = ["-RPnp"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let text = run("getfacl", &args, live);
    let mut found: BTreeMap<String, BTreeSet<String>> =
        names.iter().map(|name| (name.clone(), BTreeSet::new())).collect();
    for block in text.split("# file: ").skip(1) {
        let name = block.split(['/', '\n']).next().unwrap();
        found.get_mut(name).expect(name).insert(block.trim_end().to_owned());
    }
    found
}

fn rest(volume: &Path) -> BTreeMap<String, Rest> {
    let kept = IFlags::SYNC | IFlags::NODUMP | IFlags::NOATIME | IFlags::DIRSYNC | IFlags::IMMUTABLE | IFlags::APPEND;
    let mut files: HashMap<u64, String> = HashMap::new();
    let mut found = BTreeMap::new();
    for path in entries(volume) {
        let name = shown(path.strip_prefix(volume).unwrap());
        let is = fs::symlink_metadata(&path).unwrap();
        let plain = is.is_file() || is.is_dir();
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(0o4000 | 0o400_000);
        let file: Option<File> = plain.then(|| options.open(&path).ok()).flatten();
        let flags = file.and_then(|file| ioctl_getflags(&file).ok());
        let first = if is.is_dir() {
            name.clone()
        } else {
            files.entry(is.ino()).or_insert(name.clone()).clone()
        };
        let rest = Rest {
            flags: flags.map_or(0, |flags| (flags & kept).bits()),
            first,
            blocks: if is.is_file() { is.blocks() * 512 } else { 0 },
            time: (is.mtime(), is.mtime_nsec()),
            is_directory: is.is_dir(),
        };
        found.insert(name, rest);
    }
    found
}

impl State {
    /// Keeps the state of these volumes in `live` by a copy at `copy`, on the same file system.
    pub fn keep(live: &Path, names: &[String], copy: PathBuf, keeps_holes: bool) -> Self {
        fs::create_dir_all(&copy).unwrap();
        let into = format!("{}/", copy.to_str().unwrap());
        run("rsync", &["-aHAXS", "--exclude=/.guard-*", "./", &into], live);
        let of_the_copy = listed(&copy, live);
        for line in &of_the_copy {
            assert!(line.starts_with(".d.......a."), "rsync's copy differs: {line:?}");
        }
        Self {
            of_the_copy: of_the_copy.into_iter().collect(),
            copy,
            keeps_holes,
            lists: lists(live, names),
            rest: names
                .iter()
                .map(|name| (name.clone(), rest(&live.join(name))))
                .collect(),
        }
    }

    /// In what the volumes in `live` differ now.
    pub fn differences(&self, live: &Path, names: &[String]) -> Differences {
        let mut found: Differences = names.iter().map(|name| (name.clone(), Vec::new())).collect();
        for line in listed(&self.copy, live) {
            let path = line.get(12..).unwrap_or_default().to_owned();
            let volume = path.split('/').next().unwrap_or_default();
            // The directory around them is nobody's.
            if let Some(told) = found.get_mut(volume) {
                if !self.of_the_copy.contains(&line) {
                    told.push(line);
                }
            } else {
                assert!(path == "./", "rsync: {line:?}");
            }
        }
        let now = lists(live, names);
        for name in names {
            let told = found.get_mut(name).unwrap();
            if now[name] != self.lists[name] {
                told.push(format!("getfacl: {}", first_apart(&self.lists[name], &now[name])));
            }
            let (was, is) = (&self.rest[name], rest(&live.join(name)));
            for (path, wanted) in was {
                let Some(is) = is.get(path) else { continue };
                if is.time != wanted.time {
                    let noun = if is.is_directory { DIRECTORY } else { "time of" };
                    told.push(format!("{noun} {path:?}: {:?} instead of {:?}", is.time, wanted.time));
                }
                if (is.flags, &is.first) != (wanted.flags, &wanted.first) {
                    told.push(format!("{path:?}: {is:?} instead of {wanted:?}"));
                } else if self.keeps_holes && is.blocks > wanted.blocks + SLACK {
                    told.push(format!("{path:?}: holes are filled: {is:?} instead of {wanted:?}"));
                }
            }
        }
        found
    }
}

/// What rsync lists as apart, by the line.
fn listed(copy: &Path, live: &Path) -> Vec<String> {
    let from = format!("{}/", copy.to_str().unwrap());
    let look = ["-aHAXSic", "--delete", "--dry-run", "--exclude=/.guard-*", &from, "./"];
    run("rsync", &look, live).lines().map(str::to_owned).collect()
}

fn first_apart(was: &BTreeSet<String>, is: &BTreeSet<String>) -> String {
    format!(
        "{:?} instead of {:?}",
        is.difference(was).next(),
        was.difference(is).next()
    )
}

/// Whether a difference is more than the time of a directory: a file that came and went leaves no more.
pub fn is_more_than_a_time(line: &str) -> bool {
    !line.starts_with(".d..t...... ") && !line.starts_with(DIRECTORY)
}
