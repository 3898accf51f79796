//! File systems of their own, each in a file in memory, mounted for a test and gone with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A kind of file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Xfs,
    Btrfs,
    Tmpfs,
    /// Two layers on ext4, the lower one with a part of the trees.
    Overlay,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Tmpfs => "tmpfs",
            Self::Overlay => "overlayfs",
        }
    }
}

/// A file system that is mounted.
pub struct Mounted {
    root: tempfile::TempDir,
    kind: Kind,
    mounts: Vec<PathBuf>,
}

fn call(program: &str, args: &[&str]) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{program}: {error}");
    let output = Command::new(program).args(args).output().map_err(told)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
    Err(format!("{program}: {said}"))
}

impl Mounted {
    /// A fresh one, or why there can be none here.
    pub fn new(kind: Kind) -> Result<Self, String> {
        let root = tempfile::Builder::new().prefix("guard-ground-").tempdir().unwrap();
        let mut mounted = Self {
            root,
            kind,
            mounts: Vec::new(),
        };
        mounted.mount_own()?;
        if kind == Kind::Overlay {
            let own = mounted.own();
            for name in ["lower", "upper", "work", "merged"] {
                fs::create_dir(own.join(name)).unwrap();
            }
        }
        Ok(mounted)
    }

    fn own(&self) -> PathBuf {
        self.root.path().join("own")
    }

    fn mount_own(&mut self) -> Result<(), String> {
        let (own, image) = (self.own(), self.root.path().join("image"));
        fs::create_dir_all(&own).unwrap();
        let (own_text, image_text) = (own.to_str().unwrap().to_owned(), image.to_str().unwrap().to_owned());
        let make: &[&str] = match self.kind {
            Kind::Tmpfs => &[],
            Kind::Ext4 | Kind::Overlay => &["mkfs.ext4", "-q"],
            Kind::Xfs => &["mkfs.xfs", "-q"],
            Kind::Btrfs => &["mkfs.btrfs", "-q"],
        };
        if let Some((program, args)) = make.split_first() {
            let file = fs::File::create(&image).unwrap();
            file.set_len(2 << 30).unwrap();
            let args: Vec<&str> = args.iter().copied().chain([image_text.as_str()]).collect();
            call(program, &args)?;
            call("mount", &["-o", "loop", &image_text, &own_text])?;
        } else {
            call("mount", &["-t", "tmpfs", "-o", "size=2g", "none", &own_text])?;
        }
        self.mounts.push(own);
        Ok(())
    }

    /// Where half of the trees are made before [`Self::open`]: the lower layer, where there are layers.
    pub fn below(&self) -> PathBuf {
        match self.kind {
            Kind::Overlay => self.own().join("lower"),
            _ => self.own(),
        }
    }

    /// The file system as programs see it.
    pub fn open(&mut self) -> Result<PathBuf, String> {
        if self.kind != Kind::Overlay {
            return Ok(self.own());
        }
        let own = self.own();
        let at = |name: &str| own.join(name).to_str().unwrap().to_owned();
        let layers = format!(
            "lowerdir={},upperdir={},workdir={}",
            at("lower"),
            at("upper"),
            at("work")
        );
        call("mount", &["-t", "overlay", "none", "-o", &layers, &at("merged")])?;
        self.mounts.push(own.join("merged"));
        Ok(own.join("merged"))
    }

    /// Removes all that lies in it.
    pub fn clear(&mut self) {
        let own = self.own();
        if self.mounts.len() > 1 {
            let merged = self.mounts.pop().unwrap();
            call("umount", &[merged.to_str().unwrap()]).unwrap();
        }
        let places: Vec<PathBuf> = match self.kind {
            Kind::Overlay => ["lower", "upper", "work"].map(|name| own.join(name)).into(),
            _ => vec![own],
        };
        for place in places {
            for entry in fs::read_dir(&place).unwrap().flatten() {
                empty(&entry.path());
            }
        }
    }
}

fn empty(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|is| is.is_dir()) {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        while let Some(mount) = self.mounts.pop() {
            let place = mount.to_str().unwrap();
            let gone = call("umount", &[place]).or_else(|_| call("umount", &["-l", place]));
            // A test that fails already is to end as that.
            if let (Err(why), false) = (gone, std::thread::panicking()) {
                panic!("{why}");
            }
        }
    }
}
