//! Whether a file that somebody made by hand is whole: decoded to its end, and ending as its maker ends it.

use std::fs::File;
use std::io::{self, BufReader, Read};

use flate2::read::MultiGzDecoder;

use super::part::{ForeignKind, ForeignPart};

/// What `pg_dump` and `pg_dumpall` write last.
const ENDS: [&[u8]; 2] = [
    b"PostgreSQL database dump complete",
    b"PostgreSQL database cluster dump complete",
];
/// The end is looked for in this much of the tail; newer versions write some lines behind it.
const TAIL: usize = 4096;

impl ForeignPart {
    /// Reads the whole file, and says in words what is wrong with it; nothing is written anywhere.
    ///
    /// # Errors
    /// It cannot be read, does not decode, or does not end as it should.
    pub fn prove(&self) -> Result<(), String> {
        let shown = self.path.display();
        let file = File::open(&self.path).map_err(|error| format!("could not open {shown}: {error}"))?;
        let file = BufReader::with_capacity(256 * 1024, file);
        match self.kind {
            ForeignKind::Sql => sql(file),
            ForeignKind::SqlGzip => sql(MultiGzDecoder::new(file)),
            ForeignKind::ObjectsTarGzip => archive(MultiGzDecoder::new(file)),
            ForeignKind::Compose => text(file),
        }
        .map_err(|reason| format!("{shown} is not whole: {reason}"))
    }
}

/// Reads to the end and returns the last bytes.
fn tail(mut from: impl Read) -> io::Result<Vec<u8>> {
    let mut tail = Vec::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(tail),
            Ok(count) => {
                tail.extend_from_slice(buffer.get(..count).unwrap_or_default());
                let surplus = tail.len().saturating_sub(TAIL);
                tail.drain(..surplus);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn sql(from: impl Read) -> Result<(), String> {
    let tail = tail(from).map_err(|error| error.to_string())?;
    let is_complete = ENDS
        .iter()
        .any(|end| tail.windows(end.len()).any(|window| window == *end));
    if is_complete {
        Ok(())
    } else {
        Err("it does not end with the line that pg_dump writes last, so the dump was cut off".to_owned())
    }
}

fn archive(from: impl Read) -> Result<(), String> {
    let mut ended = Ended { from, zeros: 0 };
    let mut archive = tar::Archive::new(&mut ended);
    for entry in archive.entries().map_err(|error| error.to_string())? {
        let mut entry = entry.map_err(|error| error.to_string())?;
        io::copy(&mut entry, &mut io::sink()).map_err(|error| error.to_string())?;
    }
    io::copy(&mut ended, &mut io::sink()).map_err(|error| error.to_string())?;
    if ended.zeros >= 1024 {
        Ok(())
    } else {
        Err("the archive does not end as tar ends one, so it was cut off".to_owned())
    }
}

fn text(mut from: impl Read) -> Result<(), String> {
    let mut text = String::new();
    from.read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.trim().is_empty() {
        Err("it is empty".to_owned())
    } else {
        Ok(())
    }
}

/// A reader that counts the zero bytes at its end: two blocks of them close an archive.
struct Ended<R> {
    from: R,
    zeros: u64,
}

impl<R: Read> Read for Ended<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        let read = buffer.get(..count).unwrap_or_default();
        let zeros = read.iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if zeros == count {
            self.zeros + zeros as u64
        } else {
            zeros as u64
        };
        Ok(count)
    }
}
