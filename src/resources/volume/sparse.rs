//! Sparse files in archives that others made: GNU tar's three forms for the format of POSIX, 0.0, 0.1 and 1.0.
//!
//! The header of such a file tells the length of what is stored; the true length, the true name and the places of the pieces
//! stand in records of the extended header, in the last form at the beginning of the content.

use std::io::{self, Read};

use tar::Entry;

/// More pieces than this are not believed.
const MOST: usize = 1_000_000;

fn bad(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

/// A piece of a sparse file: where it begins, and its bytes.
type Piece = (u64, u64);

/// What an archive says of a sparse file.
#[derive(Debug, Default)]
pub(super) struct Sparse {
    /// Its true name, where the header has another.
    pub(super) name: Option<Vec<u8>>,
    /// Its true length.
    pub(super) size: u64,
    pieces: Vec<Piece>,
    /// The pieces stand before the content.
    is_inside: bool,
}

fn number(value: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(value).ok();
    text.and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| bad("a sparse file with a number that is none"))
}

impl Sparse {
    /// What the records of an entry say; `None`: it is no such file.
    ///
    /// # Errors
    /// They are malformed, or of a form that is not known.
    pub(super) fn of(entry: &mut Entry<'_, impl Read>) -> io::Result<Option<Self>> {
        let Some(records) = entry.pax_extensions()? else {
            return Ok(None);
        };
        let (mut sparse, mut is_sparse, mut major) = (Self::default(), false, 0);
        let mut offset = None;
        for record in records {
            let record = record?;
            let Some(key) = record.key_bytes().strip_prefix(b"GNU.sparse.") else {
                continue;
            };
            is_sparse = true;
            let value = record.value_bytes();
            match key {
                b"major" => major = number(value)?,
                b"minor" if number(value)? == 0 => {}
                b"numblocks" => {}
                b"name" => sparse.name = Some(value.to_vec()),
                b"size" | b"realsize" => sparse.size = number(value)?,
                b"offset" => offset = Some(number(value)?),
                b"numbytes" => {
                    let begin = offset
                        .take()
                        .ok_or_else(|| bad("a piece of a sparse file without a place"))?;
                    sparse.pieces.push((begin, number(value)?));
                }
                b"map" => {
                    let numbers: Vec<u64> = value
                        .split(|byte| *byte == b',')
                        .map(number)
                        .collect::<io::Result<_>>()?;
                    let (pairs, rest) = numbers.as_chunks::<2>();
                    if !rest.is_empty() {
                        return Err(bad("a map of a sparse file with half a piece"));
                    }
                    sparse
                        .pieces
                        .extend(pairs.iter().map(|[begin, length]| (*begin, *length)));
                }
                _ => return Err(bad("a sparse file of a form that is not known")),
            }
            if sparse.pieces.len() > MOST {
                return Err(bad("a sparse file of too many pieces"));
            }
        }
        if major > 1 {
            return Err(bad("a sparse file of a form that is not known"));
        }
        sparse.is_inside = major == 1;
        Ok(is_sparse.then_some(sparse))
    }

    /// The content, with its holes as zeros.
    ///
    /// # Errors
    /// The pieces do not fit the length.
    pub(super) fn content(mut self, data: &mut dyn Read) -> io::Result<Filled<'_>> {
        if self.is_inside {
            self.pieces = pieces_of(data)?;
        }
        let mut end = 0;
        for (begin, length) in &self.pieces {
            if *begin < end {
                return Err(bad("a sparse file whose pieces lie over each other"));
            }
            end = begin
                .checked_add(*length)
                .ok_or_else(|| bad("a piece beyond all bounds"))?;
        }
        if end > self.size {
            return Err(bad("a sparse file with a piece beyond its end"));
        }
        Ok(Filled {
            data,
            pieces: self.pieces.into_iter(),
            piece: None,
            at: 0,
            size: self.size,
        })
    }
}

/// Reads the map before the content: numbers, each on a line, filled up to a whole block.
fn pieces_of(data: &mut dyn Read) -> io::Result<Vec<Piece>> {
    let mut read = 0_usize;
    let mut line = || -> io::Result<u64> {
        let mut digits = Vec::new();
        loop {
            let mut byte = [0];
            data.read_exact(&mut byte)?;
            read += 1;
            match byte {
                [b'\n'] => return number(&digits),
                [digit] if digit.is_ascii_digit() && digits.len() < 20 => digits.push(digit),
                _ => return Err(bad("a map of a sparse file that is none")),
            }
        }
    };
    let count = usize::try_from(line()?).ok().filter(|count| *count <= MOST);
    let count = count.ok_or_else(|| bad("a sparse file of too many pieces"))?;
    let pieces = (0..count)
        .map(|_| Ok((line()?, line()?)))
        .collect::<io::Result<Vec<Piece>>>()?;
    let mut rest = vec![0; (512 - read % 512) % 512];
    data.read_exact(&mut rest)?;
    Ok(pieces)
}

/// The content of a sparse file with its holes filled.
pub(super) struct Filled<'d> {
    data: &'d mut dyn Read,
    pieces: std::vec::IntoIter<Piece>,
    piece: Option<Piece>,
    at: u64,
    size: u64,
}

impl Read for Filled<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_none_or(|(begin, length)| self.at >= begin + length) {
            self.piece = self.pieces.next();
            if self.piece.is_none() {
                break;
            }
        }
        let (is_hole, end) = match self.piece {
            Some((begin, _)) if self.at < begin => (true, begin),
            Some((begin, length)) => (false, begin + length),
            None => (true, self.size),
        };
        let room = usize::try_from(end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let Some(part) = buffer.get_mut(..room).filter(|part| !part.is_empty()) else {
            return Ok(0);
        };
        let count = if is_hole {
            part.fill(0);
            part.len()
        } else {
            self.data.read(part)?
        };
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        Ok(count)
    }
}
