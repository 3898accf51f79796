//! A directory in the server's container, for an archive that several jobs write or read there.

use std::io::{self, PipeReader, Write};
use std::path::{Component, Path};

use super::reach::Reach;
use super::trouble::explained;
use crate::error::{ResourceError, Result};
use guard_system::context::Context;
use guard_system::disk::{self, At, sha256_hex};

/// Where a container may be written to, the first that takes it: one with a read-only root file system has often no more than
/// its shared memory.
const PLACES: [&str; 3] = ["/tmp", "/dev/shm", "/run"];

/// A directory in a container, of a name that follows from the run.
pub(super) struct Inside {
    pub(super) path: String,
}

impl Inside {
    /// Where it may be, whether it is there or not.
    fn paths(reach: &Reach, cx: &Context) -> [String; 3] {
        let digest = sha256_hex(reach.database.as_bytes());
        let short = digest.get(..8).unwrap_or_default();
        PLACES.map(|place| format!("{place}/guard-{}-{short}", cx.token()))
    }

    /// Makes it, empty, and nobody else's.
    ///
    /// # Errors
    /// The one of the first place, where none can be written to.
    pub(super) fn make(reach: &Reach, cx: &Context) -> Result<Self> {
        Self::remove_any(reach, cx)?;
        let mut first = None;
        for path in Self::paths(reach, cx) {
            match cx.output(&reach.program("mkdir", false, &["-m", "700", "--", &path])) {
                Ok(_) => return Ok(Self { path }),
                Err(error) => _ = first.get_or_insert(error),
            }
        }
        match first {
            Some(error) => Err(explained(error, &reach.database)),
            None => Err(ResourceError::new("there is no place in the container to write to")),
        }
    }

    /// Removes it; one that is not there is removed already.
    pub(super) fn remove(&self, reach: &Reach, cx: &Context) -> Result<()> {
        Self::remove_all(reach, &[&self.path], cx)
    }

    /// Removes what a call that was killed has left, wherever that was.
    pub(super) fn remove_any(reach: &Reach, cx: &Context) -> Result<()> {
        let paths = Self::paths(reach, cx);
        Self::remove_all(reach, &paths.each_ref().map(String::as_str), cx)
    }

    fn remove_all(reach: &Reach, paths: &[&str], cx: &Context) -> Result<()> {
        let args: Vec<&str> = ["-rf", "--"].iter().chain(paths).copied().collect();
        cx.output(&reach.program("rm", false, &args))
            .map(|_| ())
            .map_err(|error| explained(error, &reach.database))
    }

    /// Brings its files here.
    pub(super) fn fetch(&self, reach: &Reach, here: &Path, cx: &Context) -> Result<()> {
        disk::create_private_dir(here)?;
        let call = reach.program("tar", false, &["-C", &self.path, "-cf", "-", "."]);
        let (reader, mut writer) =
            io::pipe().map_err(|error| ResourceError::because("could not make a pipe", error))?;
        std::thread::scope(|scope| {
            let reading = scope.spawn(move || unpack(reader, here));
            let pulled = cx.pull(&call, &mut |bytes| writer.write_all(bytes));
            drop(writer);
            let unpacked = reading
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a reader panicked")));
            unpacked.at("unpack into", here)?;
            pulled.map(|_| ()).map_err(|error| explained(error, &reach.database))
        })
    }

    /// Takes the files of a copy in.
    pub(super) fn give(&self, reach: &Reach, directory: &Path, cx: &Context) -> Result<()> {
        let call = reach.program("tar", true, &["-C", &self.path, "-xf", "-"]);
        let files = disk::list(directory)?;
        let mut feed = |writer: &mut dyn Write| {
            let mut archive = tar::Builder::new(writer);
            for file in &files {
                archive.append_path_with_name(file, file.file_name().unwrap_or_default())?;
            }
            archive.finish()
        };
        let pushed = cx.push(&call, &mut feed);
        pushed.map(|_| ()).map_err(|error| explained(error, &reach.database))
    }
}

/// Unpacks plain files that lie side by side, and nothing else.
fn unpack(reader: PipeReader, here: &Path) -> io::Result<()> {
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path()?.into_owned();
        let mut parts = path.components().filter(|part| *part != Component::CurDir);
        let (Some(Component::Normal(name)), None) = (parts.next(), parts.next()) else {
            return Err(io::Error::other(
                "the container's archive names something that pg_dump does not write",
            ));
        };
        let mut file = disk::create_private_file(&here.join(name)).map_err(io::Error::other)?;
        io::copy(&mut entry, &mut file)?;
    }
    // The end of the archive is read too, so that the program can end.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map(|_| ())
}
