//! An archive, as a stream into a program.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use guard_system::context::Context;

/// zstd's level, by `pg_dump` and by guard alike: on what databases hold, no larger than 3 and nearly twice as fast.
pub(crate) const LEVEL: i32 = 1;

/// Writes an archive, decompressed where guard compressed it, into a program.
pub(crate) fn pour(path: &Path, name: &str, writer: &mut dyn Write, what: &str, cx: &Context) -> io::Result<()> {
    let file = File::open(path)?;
    let total = file.metadata()?.len();
    let counted = Counted {
        file,
        done: 0,
        tell: |done| cx.progress(what, done, Some(total)),
    };
    if Path::new(name).extension().is_some_and(|end| end == "zst") {
        zstd::stream::copy_decode(counted, writer)
    } else {
        io::copy(&mut { counted }, &mut { writer }).map(|_| ())
    }
}

/// A file that tells how much of it was read.
pub(crate) struct Counted<F: FnMut(u64)> {
    pub(crate) file: File,
    pub(crate) done: u64,
    pub(crate) tell: F,
}

impl<F: FnMut(u64)> Read for Counted<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.done += count as u64;
        (self.tell)(self.done);
        Ok(count)
    }
}
