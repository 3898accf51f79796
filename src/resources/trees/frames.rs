//! Frames: how guard and guard in a container beside a volume talk to each other through two pipes.
//!
//! A frame is a letter, the length of its content in four bytes, the lowest first, and the content.

use std::io::{self, Read, Write};

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Nothing: who waits says so now and then, and learns by it that the other one is gone.
    Waiting = b'.',
    /// A piece of an index.
    Index = b'i',
    /// The end of an index.
    IndexEnd = b'I',
    /// A piece of content, or of an archive.
    Data = b'd',
    /// The content before it was whole and sound.
    Sound = b's',
    /// The file before it was written to while it was read, however often that was tried.
    Restless = b'r',
    /// An entry without content.
    Entry = b'e',
    /// A file that is as an earlier copy has it.
    Known = b'k',
    /// A file; its content follows. One that follows itself replaces itself.
    File = b'f',
    /// A sentence on what cannot be kept.
    Lost = b'l',
    /// Paths that are wanted.
    Wanted = b'w',
    /// The end of those, or of everything.
    End = b'z',
    /// What came of it all.
    Told = b't',
}

const KINDS: [Kind; 13] = [
    Kind::Waiting,
    Kind::Index,
    Kind::IndexEnd,
    Kind::Data,
    Kind::Sound,
    Kind::Restless,
    Kind::Entry,
    Kind::Known,
    Kind::File,
    Kind::Lost,
    Kind::Wanted,
    Kind::End,
    Kind::Told,
];

/// The longest content that is believed: the attributes of one entry, or many paths.
const LONGEST: usize = 16 * 1024 * 1024;
/// Content goes in pieces of at most this length.
const PIECE: usize = 256 * 1024;

fn bad(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

/// Writes a frame.
pub(crate) fn put(to: &mut dyn Write, kind: Kind, content: &[u8]) -> io::Result<()> {
    let length = u32::try_from(content.len())
        .ok()
        .filter(|_| content.len() <= LONGEST)
        .ok_or_else(|| bad("a frame would be too long"))?;
    to.write_all(&[kind as u8])?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(content)
}

/// Writes frames of one kind.
pub(crate) struct Pieces<'w> {
    pub(crate) to: &'w mut dyn Write,
    pub(crate) kind: Kind,
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = bytes.get(..PIECE).unwrap_or(bytes);
        if !piece.is_empty() {
            put(self.to, self.kind, piece)?;
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Reads frames.
pub(crate) struct Frames<R> {
    input: R,
    /// The frame that was looked at and not taken yet.
    next: Option<(Kind, Vec<u8>)>,
    /// Where it was read to as part of a stream.
    at: usize,
}

impl<R: Read> Frames<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            next: None,
            at: 0,
        }
    }

    /// The kind of the next frame; it stays.
    pub(crate) fn peek(&mut self) -> io::Result<Kind> {
        while self.next.is_none() {
            let (kind, content) = self.read()?;
            if kind != Kind::Waiting {
                self.next = Some((kind, content));
            }
        }
        self.next.as_ref().map(|(kind, _)| *kind).ok_or_else(|| bad("no frame"))
    }

    /// The next frame.
    pub(crate) fn take(&mut self) -> io::Result<(Kind, Vec<u8>)> {
        self.peek()?;
        self.at = 0;
        self.next.take().ok_or_else(|| bad("no frame"))
    }

    fn read(&mut self) -> io::Result<(Kind, Vec<u8>)> {
        let mut head = [0; 5];
        self.input.read_exact(&mut head)?;
        let [letter, rest @ ..] = head;
        let kind = KINDS.into_iter().find(|kind| *kind as u8 == letter);
        let kind = kind.ok_or_else(|| bad("a frame of no known kind"))?;
        let length = usize::try_from(u32::from_le_bytes(rest)).map_err(io::Error::other)?;
        if length > LONGEST {
            return Err(bad("a frame that is too long"));
        }
        let mut content = vec![0; length];
        self.input.read_exact(&mut content)?;
        Ok((kind, content))
    }

    /// Reads what the following frames of this kind hold, to the first of another, which stays.
    pub(crate) fn part(&mut self, kind: Kind, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.peek()? != kind {
                return Ok(0);
            }
            let rest = self.next.as_ref().and_then(|(_, content)| content.get(self.at..));
            let count = rest.unwrap_or_default().read(buffer)?;
            if count > 0 || buffer.is_empty() {
                self.at += count;
                return Ok(count);
            }
            self.take()?;
        }
    }

    /// The same, as a stream.
    pub(crate) fn stream(&mut self, kind: Kind) -> Stream<'_, R> {
        Stream { frames: self, kind }
    }
}

/// The content of frames of one kind, to the first of another, which stays.
pub(crate) struct Stream<'f, R> {
    frames: &'f mut Frames<R>,
    kind: Kind,
}

impl<R: Read> Read for Stream<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.frames.part(self.kind, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_a_cut_is_an_error() {
        let content: Vec<u8> = (0..PIECE + 1000).map(|at| at.to_le_bytes()[0]).collect();
        let mut bytes = Vec::new();
        put(&mut bytes, Kind::File, b"{}").unwrap();
        let mut pieces = Pieces {
            to: &mut bytes,
            kind: Kind::Data,
        };
        pieces.write_all(&content).unwrap();
        put(&mut bytes, Kind::Waiting, b"").unwrap();
        put(&mut bytes, Kind::Sound, b"").unwrap();
        let mut frames = Frames::new(&bytes[..]);
        assert_eq!(frames.take().unwrap(), (Kind::File, b"{}".to_vec()));
        let mut read = Vec::new();
        frames.stream(Kind::Data).read_to_end(&mut read).unwrap();
        assert!(read == content);
        assert_eq!(frames.take().unwrap().0, Kind::Sound);
        frames.take().expect_err("nothing more");
        for end in [1, 6, 8, bytes.len() / 2, bytes.len() - 1] {
            let mut frames = Frames::new(&bytes[..end]);
            let all: io::Result<Vec<_>> = (0..4).map(|_| frames.take()).collect();
            all.expect_err("cut off");
        }
        assert!(Frames::new(&b"?\0\0\0\0"[..]).take().is_err());
        assert!(Frames::new(&b"d\xff\xff\xff\xff"[..]).take().is_err());
    }
}
