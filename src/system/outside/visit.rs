//! A visit: a command that was asked for from outside. What it says is kept in a directory of its own, until somebody has heard
//! it; who asked may be gone by then.
//!
//! | file | is |
//! |---|---|
//! | `start.json` | what is to be started |
//! | `lock` | held by the keeper, which waits for the command's end |
//! | `begun` | the command was about to be started: it never is a second time |
//! | `process.json` | its process |
//! | `out`, `err` | what it said |
//! | `in` | what it is answered |
//! | `stops.json` | how often it was told to stop |
//! | `run` | the directory of the run that it has begun or taken over |
//! | `files/` | what it wrote for the CI system |
//! | `end.json` | how it ended |

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::frames::Start;
use crate::disk::{self, At, DiskError};
use crate::environment::Environment;
use crate::identity::Identity;
use crate::lock::{Lock, LockError};
use crate::privilege;

/// The hidden command.
pub(super) const COMMAND: &str = "__outside";
/// Names the directory of the visit that a guard is a part of.
pub const VISIT: &str = "GUARD_VISIT";
/// How this guard is called by whoever asked for it from outside.
pub const CALLED_AS: &str = "GUARD_CALLED_AS";

/// The directory of all visits, in guard's cache.
const ALL: &str = "visits";
/// A visit that ended before so long is forgotten by the next one: what did something, and what only looked.
const KEPT: Duration = Duration::from_hours(7 * 24);
const KEPT_BRIEFLY: Duration = Duration::from_hours(1);

/// How a visit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// With this exit code.
    Exit(u8),
    /// By this signal.
    Signal(i32),
    /// Nobody was there to see it.
    Unseen,
}

impl End {
    /// How a process ended.
    #[must_use]
    pub fn of(status: std::process::ExitStatus) -> Self {
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        match (code, status.signal()) {
            (Some(code), _) => Self::Exit(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unseen,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Process {
    #[serde(flatten)]
    identity: Identity,
    boot: String,
}

/// A visit, by its directory.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Where it is kept.
    pub directory: PathBuf,
}

impl Visit {
    /// The visit that this process is a part of.
    #[must_use]
    pub fn of(environment: &Environment) -> Option<Self> {
        environment.path(VISIT).map(|directory| Self { directory })
    }

    /// The visit of this name, made where it is not there yet and it is known what is to be started; `None`: it is not known.
    ///
    /// # Errors
    /// There is no home, or nothing can be written there.
    pub fn open(name: &str, start: Option<&Start>, environment: &Environment) -> Result<Option<Self>, DiskError> {
        let cache = environment
            .path("XDG_CACHE_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| environment.path("HOME").map(|home| home.join(".cache")))
            .or_else(|| privilege::home_of(privilege::user_id()).map(|home| home.join(".cache")));
        let all = cache.unwrap_or_else(|| PathBuf::from("/")).join("guard").join(ALL);
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_name {
            let source = io::Error::from(io::ErrorKind::InvalidInput);
            return Err(DiskError {
                verb: "use as a visit's name",
                path: name.into(),
                source,
            });
        }
        let visit = Self {
            directory: all.join(name),
        };
        if disk::exists(&visit.at("start.json"))? {
            return Ok(Some(visit));
        }
        let Some(start) = start else { return Ok(None) };
        disk::create_private_dir(&visit.directory)?;
        visit.write("start.json", start)?;
        forget_old(&all, &visit.directory);
        Ok(Some(visit))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), DiskError> {
        let path = self.at(name);
        let bytes = serde_json::to_vec(value).map_err(io::Error::other).at("write", &path)?;
        disk::write_whole(&path, &bytes)
    }

    fn read<T: for<'d> Deserialize<'d>>(&self, name: &str) -> Option<T> {
        let bytes = disk::read_optional(&self.at(name)).ok().flatten()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// How it ended; `None`: it goes on, or nobody has seen its end.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.read("end.json")
    }

    /// Writes down how it ended.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn ended(&self, end: End) -> Result<(), DiskError> {
        self.write("end.json", &end)
    }

    /// Whether somebody waits for its end.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        Lock::holder(&self.at("lock")).is_ok_and(|holder| holder.is_some())
    }

    /// Becomes the one who waits for its end.
    ///
    /// # Errors
    /// Somebody is.
    pub fn keep(&self) -> Result<Lock, LockError> {
        Lock::take(
            &self.at("lock"),
            &privilege::actor(None),
            "a visit from outside",
            "its beginning",
        )
    }

    /// The log of whoever waits for its end.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn log(&self) -> Result<File, DiskError> {
        disk::open_append(&self.at("keeper.log"))
    }

    /// The words that start the one who waits for its end.
    #[must_use]
    pub fn keeper(&self) -> Vec<String> {
        vec![
            COMMAND.to_owned(),
            "keep".to_owned(),
            self.directory.display().to_string(),
        ]
    }

    /// Whether its command was started, or was about to be: then it never is again.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn has_begun(&self) -> Result<bool, DiskError> {
        disk::exists(&self.at("begun"))
    }

    /// The process of its command, where it is known and alive.
    #[must_use]
    pub fn process(&self) -> Option<Identity> {
        let process: Process = self.read("process.json")?;
        let is_there = process.boot == privilege::boot_id() && process.identity.is_alive();
        is_there.then_some(process.identity)
    }

    /// Starts its command, once: a second call is an error.
    ///
    /// # Errors
    /// It has begun before, or cannot be started.
    pub fn begin(&self) -> Result<Child, DiskError> {
        let start: Start = self.read("start.json").ok_or_else(|| DiskError {
            verb: "read",
            path: self.at("start.json"),
            source: io::Error::from(io::ErrorKind::InvalidData),
        })?;
        let files = self.at("files");
        disk::create_private_dir(&files)?;
        // Written before the command is started: whoever finds it never starts it again.
        disk::create_private_file(&self.at("begun"))?;
        disk::sync_directory(&self.directory)?;
        let words: Vec<&OsStr> = start.words.iter().map(|word| OsStr::from_bytes(word)).collect();
        let mut command = self.ourselves(&words)?;
        command.envs(start.variables.iter().map(|(name, value)| (name, value)));
        command.envs(start.files.iter().map(|(name, file)| (name, files.join(file))));
        command.env(CALLED_AS, &start.called_as);
        if start.answers {
            command.stdin(self.input()?);
        }
        let child = command.spawn().at("start guard for", &self.directory)?;
        if let Some(identity) = Identity::of(child.id()) {
            let boot = privilege::boot_id();
            self.write("process.json", &Process { identity, boot })?;
        }
        // What went along may be secret, and has arrived.
        let variables = start
            .variables
            .iter()
            .filter(|(name, _)| is_mark(name))
            .cloned()
            .collect();
        self.write("start.json", &Start { variables, ..start })?;
        Ok(child)
    }

    /// Follows the run that its command has begun, after that was killed, as a part of the same visit.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn follow(&self) -> Result<Child, DiskError> {
        let start: Option<Start> = self.read("start.json");
        let mut command = self.ourselves(&[COMMAND, "follow"])?;
        if let Some(start) = start {
            let files = self.at("files");
            command.envs(start.variables.iter().filter(|(name, _)| is_mark(name)).cloned());
            command.envs(start.files.iter().map(|(name, file)| (name, files.join(file))));
            command.env(CALLED_AS, &start.called_as);
        }
        command.spawn().at("start guard for", &self.directory)
    }

    #[expect(clippy::disallowed_methods, reason = "the door for starting guard itself")]
    fn ourselves<W: AsRef<OsStr>>(&self, words: &[W]) -> Result<Command, DiskError> {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("guard")
            .args(words)
            .env(VISIT, &self.directory)
            .stdin(Stdio::null())
            .stdout(disk::open_append(&self.at("out"))?)
            .stderr(disk::open_append(&self.at("err"))?)
            .process_group(0);
        if let Some(home) = privilege::home_of(privilege::user_id()).filter(|home| home.is_dir()) {
            command.current_dir(home);
        }
        Ok(command)
    }

    /// Where answers come from. It is open for writing as well, so that it never ends.
    fn input(&self) -> Result<File, DiskError> {
        let path = self.at("in");
        match mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error).at("make", &path),
        }
        OpenOptions::new().read(true).write(true).open(&path).at("open", &path)
    }

    /// Answers its command with a line. One that does not listen hears nothing.
    pub fn answer(&self, line: &str) {
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        let path = self.at("in");
        let open = OpenOptions::new().write(true).custom_flags(flags).open(path);
        // Nobody asks any more, or has not begun to: the answer is to nothing.
        let _unheard = open.and_then(|mut input| input.write_all(format!("{line}\n").as_bytes()));
    }

    /// Tells its command to stop, as Ctrl-C would, until it was told so often in all. One that is not there yet hears it later.
    pub fn stop(&self, times: u32) {
        let told: u32 = self.read("stops.json").unwrap_or_default();
        let pid = self.process().and_then(|process| i32::try_from(process.pid).ok());
        let Some(pid) = pid.and_then(Pid::from_raw).filter(|_| told < times) else {
            return;
        };
        // Where it cannot be noted, it is told again: twice is better than never.
        let _noted = self.write("stops.json", &(told + 1));
        let _gone = kill_process(pid, Signal::INT);
    }

    /// Notes which run its command has begun or taken over.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn note_run(&self, directory: &Path) -> Result<(), DiskError> {
        disk::write_whole(&self.at("run"), directory.as_os_str().as_bytes())
    }

    /// The directory of that run.
    #[must_use]
    pub fn run(&self) -> Option<PathBuf> {
        let bytes = disk::read_optional(&self.at("run")).ok().flatten()?;
        Some(PathBuf::from(OsStr::from_bytes(&bytes)))
    }

    /// Where its command writes a file of this name for whoever asked.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.at("files").join(name)
    }

    /// What its command wrote for the CI system: names and contents.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn files(&self) -> Result<Vec<(String, Vec<u8>)>, DiskError> {
        let mut files = Vec::new();
        for path in disk::list(&self.at("files"))? {
            let name = path.file_name().and_then(OsStr::to_str).map(str::to_owned);
            // What a write that was cut off has left is no file of its own.
            let name = name.filter(|name| !name.starts_with('.'));
            files.extend(name.zip(disk::read_optional(&path)?));
        }
        Ok(files)
    }

    /// What was said behind this many bytes, at most so many: of standard output, or of standard error.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn said(&self, is_out: bool, from: u64, most: u64) -> io::Result<Vec<u8>> {
        let mut file = match File::open(self.at(if is_out { "out" } else { "err" })) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Whether a variable says how words are laid out, and is no secret.
fn is_mark(name: &str) -> bool {
    let marks = [
        "CI",
        "GITHUB_ACTIONS",
        "GITLAB_CI",
        "NO_COLOR",
        "GUARD_OUTPUT",
        "GUARD_QUIET",
        "GUARD_COLOR",
    ];
    marks.contains(&name)
}

/// Forgets visits that ended long ago. What cannot be removed stays for the next one.
fn forget_old(all: &Path, but: &Path) {
    let old = |path: &Path| {
        let changed = std::fs::metadata(path.join("end.json")).and_then(|metadata| metadata.modified());
        let has_run = disk::exists(&path.join("run")).unwrap_or(true);
        let limit = if has_run { KEPT } else { KEPT_BRIEFLY };
        changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age > limit))
    };
    for path in disk::list(all).unwrap_or_default() {
        if path != but && old(&path) {
            let _later = disk::remove_tree(&path, &all.join(".trash"));
        }
    }
}
