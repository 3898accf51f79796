//! What an entry has beside owner, mode and time: extended attributes, access lists among them, and the flags of its inode.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{
    CWD, IFlags, Mode, OFlags, XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, ioctl_getflags,
    ioctl_setflags, lgetxattr, llistxattr, lsetxattr, openat,
};
use rustix::io::Errno;

use super::node::Shape;
use crate::error::Result;
use guard_system::disk::At;

/// Names and values.
pub(crate) type Attributes = Vec<(String, Vec<u8>)>;

/// The flags that are kept: those that a person sets with `chattr`. The others tell how the file system stores a file.
const KEPT: IFlags = IFlags::SYNC
    .union(IFlags::IMMUTABLE)
    .union(IFlags::APPEND)
    .union(IFlags::NODUMP)
    .union(IFlags::NOATIME)
    .union(IFlags::COMPRESSED)
    .union(IFlags::DIRSYNC)
    .union(IFlags::TOPDIR)
    .union(IFlags::NOCOW);
/// Those that keep everybody, root included, from moving an entry or what lies in it.
const LOCKS: IFlags = IFlags::IMMUTABLE.union(IFlags::APPEND);
/// Flags that a person sets as well and that are not kept: they are about a whole directory tree, or need more than a copy.
const FOREIGN: [(IFlags, &str); 3] = [
    (IFlags::PROJECT_INHERIT, "chattr +P (a project's quota)"),
    (IFlags::from_bits_retain(0x4000_0000), "chattr +F (names without case)"),
    (IFlags::JOURNALING, "chattr +j"),
];
/// The longest value, and the longest list of names, that Linux gives.
const LONGEST: usize = 64 * 1024;

/// What an entry has beside owner, mode and time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Features {
    /// Extended attributes, in order of their names.
    pub(crate) xattrs: Attributes,
    /// Flags of the inode, as `FS_IOC_GETFLAGS` numbers them; only those that are kept.
    pub(crate) flags: u32,
}

/// Whether an attribute can be put back as it is: the user's own, capabilities, access lists, the label of `SELinux`, and root's
/// own. Those of overlayfs say where a layer's parts are, and mean nothing elsewhere.
fn is_kept(name: &str) -> bool {
    name.starts_with("user.")
        || name.starts_with("system.posix_acl_")
        || matches!(name, "security.capability" | "security.selinux")
        || (name.starts_with("trusted.") && !name.starts_with("trusted.overlay."))
}

/// The names in a list that are kept, in order, and those that are not.
fn sorted(list: &[u8]) -> (Vec<String>, Vec<Vec<u8>>) {
    let (mut kept, mut foreign) = (Vec::new(), Vec::new());
    for name in list.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        // A name with `=` in it cannot be told from its value in a record of an archive.
        match std::str::from_utf8(name)
            .ok()
            .filter(|text| !text.contains('=') && is_kept(text))
        {
            Some(text) => kept.push(text.to_owned()),
            None => foreign.push(name.to_owned()),
        }
    }
    kept.sort();
    (kept, foreign)
}

/// The features of an entry, and the names of attributes that cannot be kept. A link is not followed; `shown` is named where
/// they cannot be read.
///
/// # Errors
/// They cannot be read.
pub(crate) fn of(path: &Path, shown: &Path, shape: &Shape) -> Result<(Features, Vec<Vec<u8>>)> {
    if matches!(shape, Shape::Directory | Shape::File) {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // What cannot be opened by this user may still be looked at by its path; it has no flags then.
        if let Ok(file) = openat(CWD, path, flags, Mode::empty()) {
            return of_open(&file, shown);
        }
    }
    let list = |list: &mut [u8]| llistxattr(path, list);
    let (xattrs, foreign) = attributes(shown, list, |name, value| lgetxattr(path, name, value))?;
    Ok((Features { xattrs, flags: 0 }, foreign))
}

/// The attributes of an entry that are kept, without a look at flags. A link is not followed; `shown` is named where they
/// cannot be read.
///
/// # Errors
/// They cannot be read.
pub(crate) fn attributes_at(path: &Path, shown: &Path) -> Result<Attributes> {
    let list = |list: &mut [u8]| llistxattr(path, list);
    Ok(attributes(shown, list, |name, value| lgetxattr(path, name, value))?.0)
}

/// The same of an open file or directory; `path` is named where they cannot be read.
///
/// # Errors
/// They cannot be read.
pub(crate) fn of_open(file: &impl AsFd, path: &Path) -> Result<(Features, Vec<Vec<u8>>)> {
    let list = |list: &mut [u8]| flistxattr(file, list);
    let (xattrs, mut foreign) = attributes(path, list, |name, value| fgetxattr(file, name, value))?;
    let all = ioctl_getflags(file).unwrap_or(IFlags::empty());
    let named = FOREIGN.iter().filter(|(flag, _)| all.contains(*flag));
    foreign.extend(named.map(|(_, name)| name.as_bytes().to_vec()));
    let flags = (all & KEPT).bits();
    Ok((Features { xattrs, flags }, foreign))
}

fn attributes(
    path: &Path,
    list: impl FnOnce(&mut [u8]) -> rustix::io::Result<usize>,
    get: impl Fn(&str, &mut [u8]) -> rustix::io::Result<usize>,
) -> Result<(Attributes, Vec<Vec<u8>>)> {
    let mut buffer = vec![0_u8; LONGEST];
    let (kept, foreign) = match list(&mut buffer) {
        Ok(length) => sorted(buffer.get(..length).unwrap_or_default()),
        Err(Errno::OPNOTSUPP | Errno::NOENT) => (Vec::new(), Vec::new()),
        Err(error) => return Err(error).at("list the attributes of", path)?,
    };
    let mut xattrs = Vec::new();
    for name in kept {
        match get(&name, &mut buffer) {
            Ok(length) => xattrs.push((name, buffer.get(..length).unwrap_or_default().to_vec())),
            Err(Errno::NODATA | Errno::NOENT) => {}
            Err(error) => return Err(error).at("read an attribute of", path)?,
        }
    }
    Ok((xattrs, foreign))
}

/// The kept flags of an open file or directory; none where the file system has none.
pub(crate) fn flags_of(file: &impl AsFd) -> u32 {
    ioctl_getflags(file).map_or(0, |flags| (flags & KEPT).bits())
}

/// Whether these flags keep an entry from being moved.
pub(crate) fn is_locked(flags: u32) -> bool {
    IFlags::from_bits_retain(flags).intersects(LOCKS)
}

/// Of these flags those that keep an entry from being moved.
pub(crate) fn locks(flags: u32) -> u32 {
    (IFlags::from_bits_retain(flags) & LOCKS).bits()
}

/// Whether this process may make files immutable and append-only, and take that away: it has `CAP_LINUX_IMMUTABLE`, which no
/// ordinary user has, and no container that was not given it.
pub(crate) fn may_lock() -> bool {
    // The number of the capability in <linux/capability.h>.
    const LINUX_IMMUTABLE: u32 = 9;
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let held = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let held = held.and_then(|held| u64::from_str_radix(held.trim(), 16).ok());
        held.is_some_and(|held| held >> LINUX_IMMUTABLE & 1 == 1)
    })
}

/// Of these flags those that this process can set: where it may not lock, two entries that differ in that are taken for the same.
pub(crate) fn settable(flags: u32) -> u32 {
    if may_lock() { flags } else { unlocked(flags) }
}

/// These flags without those that keep an entry from being moved.
pub(crate) fn unlocked(flags: u32) -> u32 {
    (IFlags::from_bits_retain(flags) - LOCKS).bits()
}

/// Gives an open file or directory these attributes and no others that are kept: what it inherited from the directory around
/// it goes.
///
/// # Errors
/// One cannot be set or removed.
pub(crate) fn set_attributes(file: &impl AsFd, wanted: &Attributes) -> io::Result<()> {
    let mut list = vec![0_u8; LONGEST];
    let had = match flistxattr(file, &mut list[..]) {
        Ok(length) => sorted(list.get(..length).unwrap_or_default()).0,
        Err(Errno::OPNOTSUPP) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    for name in &had {
        // A label is given by the policy to what is made; it is replaced, never taken away.
        if name != "security.selinux" && !wanted.iter().any(|(other, _)| other == name) {
            match fremovexattr(file, name.as_str()) {
                Ok(()) | Err(Errno::NODATA) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let mut value = Vec::new();
    for (name, wanted) in wanted {
        if had.contains(name) {
            value.resize(LONGEST, 0);
            if fgetxattr(file, name.as_str(), &mut value[..]).is_ok_and(|length| value.get(..length) == Some(wanted)) {
                continue;
            }
        }
        fsetxattr(file, name.as_str(), wanted, XattrFlags::empty())?;
    }
    Ok(())
}

/// The same for an entry that cannot be opened, as a link or a pipe, by its path.
///
/// # Errors
/// One cannot be set.
pub(crate) fn add_attributes(path: &Path, wanted: &Attributes) -> io::Result<()> {
    wanted
        .iter()
        .try_for_each(|(name, value)| Ok(lsetxattr(path, name.as_str(), value, XattrFlags::empty())?))
}

/// Gives an open file or directory these flags, of those that are kept.
///
/// # Errors
/// They differ and cannot be set.
pub(crate) fn set_flags(file: &File, wanted: u32) -> io::Result<()> {
    let wanted = IFlags::from_bits_retain(wanted) & KEPT;
    let now = match ioctl_getflags(file) {
        Ok(now) => now,
        Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL) if wanted.is_empty() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if now & KEPT == wanted {
        return Ok(());
    }
    Ok(ioctl_setflags(file, (now - KEPT) | wanted)?)
}
