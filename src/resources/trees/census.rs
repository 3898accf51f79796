//! A walk of a drill's own: every name below a directory with owner, mode and digest. Nothing of it is shared with copies.

use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{ResourceError, Result};
use crate::names::escaped;
use guard_model::drill::{Counts, Part};
use guard_system::context::Context;
use guard_system::disk::{Digest, sha256_hex};

/// guard's own names in a tree begin so.
const OURS: &[u8] = b".guard-";
/// More single names are not kept: they are compared by their number and one digest.
const MOST: usize = 500_000;

/// All that is below a directory, itself aside.
///
/// # Errors
/// Something in it cannot be read.
pub(crate) fn below(top: &Path, cx: &Context) -> Result<Part> {
    let mut members = Vec::new();
    let mut open = vec![top.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = std::fs::read_dir(&directory).map_err(|error| unread(&directory, error))?;
        for entry in entries {
            if cx.stop.is_asked() {
                return Err(ResourceError::new("the count was stopped"));
            }
            let entry = entry.map_err(|error| unread(&directory, error))?;
            let path = entry.path();
            if entry.file_name().as_bytes().starts_with(OURS) {
                continue;
            }
            let name = path.strip_prefix(top).unwrap_or(&path);
            let Some((member, is_directory)) = member(&path, name).map_err(|error| unread(&path, error))? else {
                continue;
            };
            members.push(member);
            if is_directory {
                open.push(path);
            }
        }
    }
    Ok(part(members))
}

/// These paths, by their names below a directory; one that is not there is no member.
///
/// # Errors
/// One of them cannot be read.
pub(crate) fn of<'p>(top: &Path, names: impl IntoIterator<Item = &'p Path>) -> Result<Part> {
    let mut members = Vec::new();
    for name in names {
        let path = top.join(name);
        let found = member(&path, name).map_err(|error| unread(&path, error))?;
        members.extend(found.map(|(member, _)| member));
    }
    Ok(part(members))
}

/// Members of a tree as a part.
fn part(mut members: Vec<String>) -> Part {
    members.sort_unstable();
    Part {
        counts: Counts::Files,
        number: members.len() as u64,
        digest: sha256_hex(members.join("\n").as_bytes()),
        members: (members.len() <= MOST).then_some(members),
        columns: Vec::new(),
    }
}

/// A name with what is there, and whether that is a directory; `None`: nothing is there any more.
fn member(path: &Path, name: &Path) -> io::Result<Option<(String, bool)>> {
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        found => found?,
    };
    let kind = metadata.file_type();
    let what = if kind.is_dir() {
        "directory".to_owned()
    } else if kind.is_symlink() {
        format!("to {}", escaped(std::fs::read_link(path)?.as_os_str().as_bytes()))
    } else if kind.is_file() {
        format!("{} {}", metadata.size(), digest(path)?)
    } else {
        "special".to_owned()
    };
    let name = escaped(name.as_os_str().as_bytes());
    // Links have no mode of their own, and a directory's times are whoever wrote into it last.
    let mode = if kind.is_symlink() { 0 } else { metadata.mode() & 0o7777 };
    let member = format!("{name}\t{mode:04o} {}:{} {what}", metadata.uid(), metadata.gid());
    Ok(Some((member, kind.is_dir())))
}

fn digest(path: &Path) -> io::Result<String> {
    use std::io::Read as _;
    let mut file = std::fs::File::open(path)?;
    let mut digest = Digest::default();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(digest.hex()),
            Ok(count) => digest.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn unread(path: &Path, error: io::Error) -> ResourceError {
    ResourceError::because(format!("could not count {}", path.display()), error)
}
