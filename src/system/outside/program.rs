//! The program that is brought along: its digest, and for which machines it was built.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::disk::{At, DiskError, sha256_file};

/// The running program itself.
const OURSELVES: &str = "/proc/self/exe";
/// The place of the machine in the head of an ELF file.
const MACHINE: std::ops::Range<usize> = 18..20;

/// A program to bring along.
#[derive(Debug, Clone)]
pub struct Bringing {
    /// Where it is.
    pub path: PathBuf,
    /// The digest of its bytes, in hexadecimal: its name at the host.
    pub digest: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// What `uname -m` says on a machine that can run it; `None`: it is no program of a known kind.
    pub machine: Option<&'static str>,
}

impl Bringing {
    /// This file; the running program where none is named.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(path: Option<&Path>) -> Result<Self, DiskError> {
        let path = path.unwrap_or(Path::new(OURSELVES));
        let (bytes, digest) = sha256_file(path)?;
        let mut head = [0; 20];
        let mut file = File::open(path).at("open", path)?;
        let is_elf = file.read_exact(&mut head).is_ok() && head.starts_with(b"\x7fELF");
        Ok(Self {
            path: path.to_owned(),
            digest,
            bytes,
            machine: is_elf.then(|| machine_of(&head)).flatten(),
        })
    }
}

fn machine_of(head: &[u8; 20]) -> Option<&'static str> {
    let code: [u8; 2] = head[MACHINE].try_into().ok()?;
    match u16::from_le_bytes(code) {
        62 => Some("x86_64"),
        183 => Some("aarch64"),
        40 => Some("armv7l"),
        243 => Some("riscv64"),
        _ => None,
    }
}

/// The one name of a machine that `uname -m` may call by several.
#[must_use]
pub fn machine(named: &str) -> &str {
    match named {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other if other.starts_with("armv") => "armv7l",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_program_is_for_this_machine() {
        let ours = Bringing::of(None).unwrap();
        assert_eq!(ours.machine, Some(machine(std::env::consts::ARCH)));
        assert!(ours.bytes > 1000 && ours.digest.len() == 64);
    }

    #[test]
    fn a_script_is_for_no_machine() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"#!/bin/sh\n").unwrap();
        assert_eq!(Bringing::of(Some(file.path())).unwrap().machine, None);
    }
}
