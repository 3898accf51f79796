//! guard's own program in a container beside a volume: an engine's API copies in and out, and only a program renames.
//!
//! The image is made of the program that runs here and the libraries that it is linked with. Nothing is downloaded, and
//! nothing of the host but that file enters it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::acts::remove;
use super::{DockerError, LABEL, docker, explained, image};
use crate::call::Call;
use crate::context::Context;
use crate::disk::sha256_hex;

/// Where the volume stands in the container.
pub const MOUNT: &str = "/volume";
/// The hidden command that does an act there.
pub const COMMAND: &str = "inside";
const IMAGE: &str = "guard/inside";
/// The age at which the image of another guard is taken for one that nobody needs: no run takes as long.
const UNUSED: chrono::TimeDelta = chrono::TimeDelta::days(7);
/// What the acts need of root's capabilities: to give entries their owners, modes and attributes.
const CAPABILITIES: [&str; 5] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETFCAP"];

/// A way to act inside a volume.
pub struct Inside {
    volume: String,
    image: String,
    /// The words that start guard there.
    program: Vec<String>,
}

impl Inside {
    /// A way into this volume; makes the image where the engine has none of this guard.
    ///
    /// # Errors
    /// The engine does not answer, its machine is of another kind than this one, or guard's program is not to be found.
    pub fn of_volume(cx: &Context, volume: &str) -> Result<Self, DockerError> {
        let program = program(cx)?;
        let bytes = std::fs::read(&program).map_err(|error| missing(&program, &error))?;
        let name = format!("{IMAGE}:{}", sha256_hex(&bytes).get(..16).unwrap_or_default());
        let libraries = libraries(&program, cx)?;
        let loader = libraries
            .keys()
            .find(|name| name.starts_with("ld-") && name.contains(".so"));
        let words = match loader {
            Some(loader) => vec![
                format!("/lib/{loader}"),
                "--library-path".to_owned(),
                "/lib".to_owned(),
                "/guard".to_owned(),
            ],
            None => vec!["/guard".to_owned()],
        };
        if image(cx, &name)?.is_none() {
            refuse_other_machine(cx)?;
            let archive = archive(&bytes, &libraries).map_err(|error| missing(&program, &error))?;
            let import = docker().args(["import", "--message", "guard, to act inside of volumes", "-", &name]);
            cx.push(&import, &mut |pipe| pipe.write_all(&archive))
                .map_err(explained)?;
            remove_others(cx, &name);
        }
        Ok(Self {
            volume: volume.to_owned(),
            image: name,
            program: words,
        })
    }

    /// A call that does an act inside of the volume. An act that changes something has the one name that there is for this
    /// volume: [`Inside::clear`] ends the act of a guard that was killed.
    #[must_use]
    pub fn call(&self, words: &[&str], changes: bool, cx: &Context) -> Call {
        let label = format!("{LABEL}={}", cx.token());
        let mount = format!("type=volume,source={},target={MOUNT}", self.volume);
        let mut call = docker().args(["run", "--rm", "--interactive", "--pull", "never", "--label", &label]);
        if changes {
            call = call.args(["--name", &self.name()]);
        }
        // The engine's copies name owners by the host's numbers. Where an engine shifts those of containers, only a container
        // that it does not do this to can give entries such owners.
        call = call.args(["--userns", "host"]);
        call = call.args([
            "--network",
            "none",
            "--read-only",
            "--log-driver",
            "none",
            "--user",
            "0:0",
        ]);
        call = call.args(["--security-opt", "no-new-privileges", "--cap-drop", "ALL"]);
        for capability in CAPABILITIES {
            call = call.args(["--cap-add", capability]);
        }
        let program = self.program.iter().map(String::as_str);
        call.args(["--mount", &mount, "--workdir", "/", &self.image])
            .args(program)
            .arg(COMMAND)
            .args(words)
    }

    /// Ends what a killed guard may still be doing in the volume.
    ///
    /// # Errors
    /// The engine does not answer.
    pub fn clear(&self, cx: &Context) -> Result<(), DockerError> {
        let filter = format!("name=^/?{}$", self.name());
        let left = cx.output(&docker().args(["ps", "--all", "--quiet", "--filter", &filter]));
        for id in left.map_err(explained)?.text().lines() {
            remove(cx, id, (true, false), None)?;
        }
        Ok(())
    }

    fn name(&self) -> String {
        let digest = sha256_hex(self.volume.as_bytes());
        format!("guard-inside-{}", digest.get(..16).unwrap_or_default())
    }
}

fn missing(program: &Path, error: &std::io::Error) -> DockerError {
    DockerError::Missing(format!(
        "guard's own program cannot be read at {}: {error}",
        program.display()
    ))
}

/// guard's program: this very one, or, where guard is a part of another, the one that is installed.
fn program(cx: &Context) -> Result<PathBuf, DockerError> {
    let own = std::env::current_exe()
        .ok()
        .filter(|path| path.file_name().is_some_and(|name| name == "guard"));
    let path = cx.environment.text("PATH").unwrap_or_default();
    let installed = || {
        std::env::split_paths(path)
            .map(|place| place.join("guard"))
            .find(|path| path.is_file())
    };
    own.or_else(installed).ok_or_else(|| {
        DockerError::Missing("acting inside of a volume takes the program `guard`, and it is not on PATH".to_owned())
    })
}

/// The shared libraries that the program is linked with, by the names under which they are looked for.
fn libraries(program: &Path, cx: &Context) -> Result<BTreeMap<String, PathBuf>, DockerError> {
    let answer = cx.output(
        &Call::new(program)
            .args([COMMAND, "libraries"])
            .without_env("GUARD_RUN_ID"),
    );
    let text = answer.map_err(explained)?.text();
    let mapped: Vec<OsString> = text
        .lines()
        .map(|line| OsString::from_vec(line.as_bytes().to_vec()))
        .collect();
    let mut found = BTreeMap::new();
    for path in mapped.into_iter().map(PathBuf::from) {
        let beside = path.parent().and_then(|directory| std::fs::read_dir(directory).ok());
        // A program asks for `libc.so.6`; the file behind that link may have a longer name.
        for entry in beside.into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_library = name.as_bytes().windows(3).any(|part| part == b".so");
            let is_it = entry.path() == path
                || (is_library
                    && entry.path().is_symlink()
                    && std::fs::canonicalize(entry.path()).is_ok_and(|real| real == path));
            if is_it && let Some(name) = name.to_str() {
                found.insert(name.to_owned(), path.clone());
            }
        }
    }
    Ok(found)
}

fn archive(program: &[u8], libraries: &BTreeMap<String, PathBuf>) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    // An engine that shifts user ids leaves a directory that no archive names to the host's root, and shut.
    let mut directory = tar::Header::new_gnu();
    directory.set_entry_type(tar::EntryType::Directory);
    directory.set_size(0);
    directory.set_mode(0o755);
    archive.append_data(&mut directory, "lib/", std::io::empty())?;
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        archive.append_data(&mut header, name, bytes)
    };
    add("guard", program)?;
    for (name, path) in libraries {
        add(&format!("lib/{name}"), &std::fs::read(path)?)?;
    }
    archive.into_inner()
}

/// A program runs only on the kind of machine that it was built for.
fn refuse_other_machine(cx: &Context) -> Result<(), DockerError> {
    let call = docker().args(["version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"]);
    let theirs = cx.output(&call).map_err(explained)?.text();
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let ours = format!("linux/{arch}");
    if theirs == ours {
        return Ok(());
    }
    Err(DockerError::Missing(format!(
        "the engine's machine is {theirs} and guard's program is for {ours}, so it cannot run beside the volume"
    )))
}

/// Removes the images that guards left long ago; one that is in use stays, and so does that of another version which may be
/// at work now.
fn remove_others(cx: &Context, name: &str) {
    let format = "{{.Repository}}:{{.Tag}}\t{{.CreatedAt}}";
    let listed = cx.output(&docker().args(["image", "ls", "--format", format, IMAGE]));
    let listed = listed.map(|output| output.text()).unwrap_or_default();
    let is_old = |made: &str| {
        let made = chrono::DateTime::parse_from_str(made, "%Y-%m-%d %H:%M:%S %z %Z");
        made.is_ok_and(|made| cx.clock.now() - made.to_utc() > UNUSED)
    };
    let others = listed.lines().filter_map(|line| line.split_once('\t'));
    for (other, _) in others.filter(|(other, made)| *other != name && is_old(made)) {
        // It costs some space where it cannot be removed now.
        let _kept = cx.outcome(&docker().args(["rmi", other]));
    }
}
