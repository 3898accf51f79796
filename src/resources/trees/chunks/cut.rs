//! Cuts content where the content itself says so, so that an insertion moves no cut behind it, and names the pieces.

use std::io::{self, Read};

use fastcdc::v2020::FastCDC;
use sha2::{Digest as _, Sha256};

/// Chunks have about this many bytes: a change of some bytes stores about so much. A guess; what it leads to is measured in
/// docs/performance.md.
const USUAL: usize = 16 * 1024;
/// The shortest chunk: a quarter of the usual one.
const LEAST: usize = 4 * 1024;
/// The longest chunk. Four times the usual one.
pub(crate) const MOST: usize = 64 * 1024;

/// The name of a chunk: the first half of its SHA-256.
pub(crate) type Name = [u8; 16];

/// Names some content.
pub(crate) fn name(content: &[u8]) -> Name {
    let digest = Sha256::digest(content);
    let mut name = Name::default();
    for (place, byte) in name.iter_mut().zip(digest) {
        *place = byte;
    }
    name
}

/// Cuts what is read; the buffer is kept from file to file.
pub(crate) struct Cutter {
    buffer: Vec<u8>,
}

impl Cutter {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; 1024 * 1024],
        }
    }

    /// Reads to the end and hands on each chunk. Returns the bytes that there were.
    pub(crate) fn cut(
        &mut self,
        from: &mut dyn Read,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<u64> {
        let (mut filled, mut total, mut is_end) = (0, 0, false);
        while !is_end || filled > 0 {
            while let Some(room) = self.buffer.get_mut(filled..).filter(|room| !is_end && !room.is_empty()) {
                match from.read(room) {
                    Ok(0) => is_end = true,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            let content = self.buffer.get(..filled).unwrap_or_default();
            let chunker = FastCDC::new(content, LEAST, USUAL, MOST);
            let mut start = 0;
            // Where more is to come, a cut in the last stretch could be another with what follows.
            while filled - start >= MOST || (is_end && start < filled) {
                let (_, end) = chunker.cut(start, filled - start);
                if end <= start {
                    return Err(io::Error::other("the chunker makes no progress"));
                }
                take(content.get(start..end).unwrap_or_default())?;
                total += (end - start) as u64;
                start = end;
            }
            self.buffer.copy_within(start..filled, 0);
            filled -= start;
        }
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    fn names(content: &[u8]) -> Vec<Name> {
        let (mut found, mut whole) = (Vec::new(), Vec::new());
        let total = Cutter::new().cut(&mut { content }, &mut |chunk| {
            found.push(name(chunk));
            whole.extend_from_slice(chunk);
            Ok(())
        });
        assert_eq!(total.unwrap(), content.len() as u64);
        assert!(whole == content, "the chunks are the content");
        found
    }

    #[test]
    fn an_insertion_changes_few_chunks() {
        for length in [0, 1, LEAST, MOST, 1024 * 1024, 1024 * 1024 + 1, 3_000_000] {
            names(&noise(length));
        }
        let content = noise(3_000_000);
        let before = names(&content);
        let mut changed = content.clone();
        changed.splice(1_500_000..1_500_000, *b"inserted");
        let after = names(&changed);
        let fresh = after.iter().filter(|name| !before.contains(name)).count();
        assert!(fresh <= 3, "{fresh} of {}", after.len());
    }
}
