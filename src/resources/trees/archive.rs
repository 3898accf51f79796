//! Writes and reads the archive: a tar that any tar reads, with names as bytes, nanoseconds and attributes in PAX records.

use std::io::{self, Read, Write};

use tar::{Archive, EntryType, Header};

use super::node::{Node, Shape};

/// The longest extension record that is believed: a name, or the attributes of one entry.
const EXTENSION_LIMIT: u64 = 4 * 1024 * 1024;
/// The PAX key of the flags that `chattr` sets, as the kernel numbers them; other tars pass over it.
const FLAGS: &[u8] = b"GUARD.flags";
/// What a tar can hold of a name in its header proper.
const NAME: usize = 100;

fn bad(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// Writes entries one after the other.
pub(crate) struct Writer<W: Write> {
    out: W,
    written: u64,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, written: 0 }
    }

    /// Bytes written so far: the length of the plain tar.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn pad(&mut self, length: u64) -> io::Result<()> {
        let short = usize::try_from((512 - length % 512) % 512).unwrap_or_default();
        self.put([0; 512].get(..short).unwrap_or_default())
    }

    fn extension(&mut self, kind: EntryType, name: &[u8], data: &[u8]) -> io::Result<()> {
        let mut header = Header::new_gnu();
        fill(&mut header.as_old_mut().name, name);
        header.set_entry_type(kind);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(data.len() as u64);
        header.set_cksum();
        self.put(header.as_bytes())?;
        self.put(data)?;
        self.pad(data.len() as u64)
    }

    /// Writes an entry; `data` gives exactly `node.size` bytes for a regular file and is not read for others.
    pub(crate) fn append(&mut self, node: &Node, data: &mut dyn Read) -> io::Result<()> {
        let mut records = Vec::new();
        if node.mtime.1 != 0 || node.mtime.0 < 0 {
            record(&mut records, b"mtime", decimal(node.mtime).as_bytes());
        }
        for (name, value) in &node.xattrs {
            record(&mut records, format!("SCHILY.xattr.{name}").as_bytes(), value);
        }
        if node.flags != 0 {
            record(&mut records, FLAGS, node.flags.to_string().as_bytes());
        }
        if !records.is_empty() {
            self.extension(EntryType::XHeader, b"././@PaxHeader", &records)?;
        }
        let mut name = [b"./", node.path.as_slice()].concat();
        if node.shape == Shape::Directory && !node.path.is_empty() {
            name.push(b'/');
        }
        let (kind, link) = match &node.shape {
            Shape::Directory => (EntryType::Directory, Vec::new()),
            Shape::File => (EntryType::Regular, Vec::new()),
            Shape::Symlink(target) => (EntryType::Symlink, target.clone()),
            Shape::Hardlink(target) => (EntryType::Link, [b"./", target.as_slice()].concat()),
            Shape::Fifo => (EntryType::Fifo, Vec::new()),
        };
        for (kind, text) in [(EntryType::GNULongLink, &link), (EntryType::GNULongName, &name)] {
            if text.len() > NAME {
                self.extension(kind, b"././@LongLink", &[text.as_slice(), b"\0"].concat())?;
            }
        }
        let mut header = Header::new_gnu();
        fill(&mut header.as_old_mut().name, &name);
        fill(&mut header.as_old_mut().linkname, &link);
        header.set_entry_type(kind);
        header.set_mode(node.mode);
        header.set_uid(u64::from(node.uid));
        header.set_gid(u64::from(node.gid));
        header.set_mtime(u64::try_from(node.mtime.0).unwrap_or_default());
        header.set_size(node.size);
        header.set_cksum();
        self.put(header.as_bytes())?;
        if node.shape == Shape::File {
            let copied = io::copy(data, &mut self.out)?;
            self.written += copied;
            if copied != node.size {
                return Err(bad("an entry's data has not the length that its header says"));
            }
            self.pad(copied)?;
        }
        Ok(())
    }

    /// Writes the end of the archive and gives back what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.put(&[0; 1024])?;
        Ok(self.out)
    }
}

fn fill(field: &mut [u8; NAME], text: &[u8]) {
    for (place, byte) in field.iter_mut().zip(text) {
        *place = *byte;
    }
}

fn decimal((seconds, nanoseconds): (i64, u32)) -> String {
    if seconds >= 0 || nanoseconds == 0 {
        return format!("{seconds}.{nanoseconds:09}");
    }
    // The file system counts nanoseconds forward from a negative second; a decimal counts away from zero.
    format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds)
}

/// A PAX time: whole seconds and nanoseconds from them on.
pub(crate) fn time(text: &str) -> Option<(i64, u32)> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let seconds: i64 = whole.parse().ok()?;
    let nanoseconds: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(match (sign, nanoseconds) {
        (1, _) => (seconds, nanoseconds),
        (_, 0) => (-seconds, 0),
        _ => (-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}

/// A PAX record, `LENGTH KEY=VALUE\n`; the length counts its own digits.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    for part in [&b" "[..], key, b"=", value, b"\n"] {
        records.extend_from_slice(part);
    }
}

fn records(mut bytes: &[u8]) -> io::Result<Vec<(&[u8], &[u8])>> {
    let malformed = || bad("a malformed PAX record");
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ').ok_or_else(malformed)?;
        let digits = bytes.get(..space).and_then(|digits| std::str::from_utf8(digits).ok());
        let length: usize = digits.and_then(|digits| digits.parse().ok()).ok_or_else(malformed)?;
        let record = bytes.get(space + 1..length.saturating_sub(1)).ok_or_else(malformed)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
        let (key, value) = record.split_at(equals);
        found.push((key, value.get(1..).unwrap_or_default()));
        bytes = bytes.get(length..).ok_or_else(malformed)?;
    }
    Ok(found)
}

/// Reads the archive that [`Writer`] wrote, entry by entry, to its end. `take` gets each entry with its data.
///
/// # Errors
/// It is not such an archive: a path leads out, a type is unknown, it is cut off. Nothing is tried twice.
pub(crate) fn read(input: impl Read, mut take: impl FnMut(Node, &mut dyn Read) -> io::Result<()>) -> io::Result<()> {
    let mut archive = Archive::new(input);
    let (mut long_name, mut long_link, mut pax) = (None, None, None);
    let entries = archive.entries()?.raw(true);
    for entry in entries {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        let extension = match kind {
            EntryType::GNULongName => Some(&mut long_name),
            EntryType::GNULongLink => Some(&mut long_link),
            EntryType::XHeader => Some(&mut pax),
            _ => None,
        };
        if let Some(place) = extension {
            if entry.size() > EXTENSION_LIMIT || place.is_some() {
                return Err(bad("an extension record that is too long or stands twice"));
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            *place = Some(bytes);
            continue;
        }
        let trimmed = |bytes: Option<Vec<u8>>| bytes.map(|bytes| bytes.strip_suffix(b"\0").unwrap_or(&bytes).to_vec());
        let name = trimmed(long_name.take()).unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let link = trimmed(long_link.take())
            .or_else(|| entry.header().link_name_bytes().map(std::borrow::Cow::into_owned))
            .unwrap_or_default();
        let path = inside(&name)?;
        let shape = match kind {
            EntryType::Directory => Shape::Directory,
            EntryType::Regular => Shape::File,
            EntryType::Symlink => Shape::Symlink(link),
            EntryType::Link => Shape::Hardlink(inside(&link)?),
            EntryType::Fifo => Shape::Fifo,
            other => return Err(bad(format!("an entry of the type {:?}", char::from(other.as_byte())))),
        };
        let header = entry.header();
        let number = |value: u64| u32::try_from(value).map_err(|_| bad("an owner that is no number of 32 bits"));
        let mut node = Node {
            size: if shape == Shape::File { header.entry_size()? } else { 0 },
            path,
            shape,
            mode: header.mode()? & 0o7777,
            uid: number(header.uid()?)?,
            gid: number(header.gid()?)?,
            mtime: (i64::try_from(header.mtime()?).unwrap_or_default(), 0),
            xattrs: Vec::new(),
            flags: 0,
        };
        let extension = pax.take().unwrap_or_default();
        for (key, value) in records(&extension)? {
            if key == b"mtime" {
                let text = std::str::from_utf8(value).ok();
                node.mtime = text.and_then(time).ok_or_else(|| bad("a time that is none"))?;
            } else if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                let name = std::str::from_utf8(name).map_err(|_| bad("an attribute whose name is not text"))?;
                node.xattrs.push((name.to_owned(), value.to_owned()));
            } else if key == FLAGS {
                let text = std::str::from_utf8(value).ok();
                let number = text.and_then(|text| text.parse().ok());
                node.flags = number.ok_or_else(|| bad("flags that are no number"))?;
            } else {
                return Err(bad("a PAX record that guard does not write"));
            }
        }
        take(node, &mut entry)?;
    }
    Ok(())
}

/// The path below the root that an archive's name means. Anything that could lead elsewhere is refused, not repaired.
pub(crate) fn inside(name: &[u8]) -> io::Result<Vec<u8>> {
    let refused = || {
        bad(format!(
            "the name {:?} leads out of the volume",
            String::from_utf8_lossy(name)
        ))
    };
    let rest = name.strip_prefix(b"./").ok_or_else(refused)?;
    let rest = rest.strip_suffix(b"/").unwrap_or(rest);
    let sound = |part: &[u8]| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0);
    if rest.is_empty() || rest.split(|byte| *byte == b'/').all(sound) {
        Ok(rest.to_owned())
    } else {
        Err(refused())
    }
}
