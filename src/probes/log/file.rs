//! The end of a log file as it grows: across a rotation, and a truncation in place.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use guard_system::context::Context;

/// A file that is read on from where the reading before ended.
pub(super) struct Tail {
    path: PathBuf,
    open: Option<Open>,
    has_begun: bool,
}

struct Open {
    file: File,
    /// Which file it is: a rotation puts another in its place.
    id: (u64, u64),
    at: u64,
}

impl Tail {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            open: None,
            has_begun: false,
        }
    }

    /// What was written since the call before, this many bytes at most; the first call only marks the end.
    pub(super) fn more(&mut self, most: usize, cx: &Context) -> Result<Vec<u8>, String> {
        let path = cx.resolve(&self.path);
        let said = |error: &std::io::Error| format!("{} cannot be read: {error}", path.display());
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let mut bytes = Vec::new();
        if let Some(open) = &mut self.open {
            open.read(&mut bytes, most).map_err(|error| said(&error))?;
        }
        match identity(&path) {
            Ok(id) if self.open.as_ref().is_some_and(|open| open.id == id) => {}
            // Another file is there now. What was still written to the old one was read above.
            Ok(id) => {
                let mut file = File::open(&path).map_err(|error| said(&error))?;
                let at = if is_first {
                    file.seek(SeekFrom::End(0)).map_err(|error| said(&error))?
                } else {
                    0
                };
                let mut open = Open { file, id, at };
                if !is_first {
                    open.read(&mut bytes, most).map_err(|error| said(&error))?;
                }
                self.open = Some(open);
            }
            // Between the two renames of a rotation, or before the service has written a word.
            Err(error) if error.kind() == ErrorKind::NotFound && (self.open.is_some() || !is_first) => {}
            Err(error) => return Err(said(&error)),
        }
        Ok(bytes)
    }
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    Ok((metadata.dev(), metadata.ino()))
}

impl Open {
    fn read(&mut self, bytes: &mut Vec<u8>, most: usize) -> std::io::Result<()> {
        // Truncated in place (`copytruncate`): what is there now is new.
        if self.file.metadata()?.len() < self.at {
            self.at = 0;
        }
        self.file.seek(SeekFrom::Start(self.at))?;
        let room = most.saturating_sub(bytes.len());
        let count = (&mut self.file).take(room as u64).read_to_end(bytes)?;
        self.at += count as u64;
        Ok(())
    }
}
