//! A file of a copy, read from its beginning to its end: decrypted where it is encrypted, and compared with the manifest in
//! the same pass.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{ResourceError, Result};
use guard_model::artifact::FileEntry;
use guard_system::cipher::Cipher;
use guard_system::disk::Digest;

/// A file as it lies there, its digest running along.
struct Counted {
    file: File,
    digest: Arc<Mutex<Digest>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let mut digest = self.digest.lock().unwrap_or_else(PoisonError::into_inner);
        digest.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// The content of a file of a copy.
pub struct Reader {
    input: Box<dyn Read + Send>,
    digest: Arc<Mutex<Digest>>,
    /// The length and digest that the manifest lists.
    listed: (u64, String),
    path: PathBuf,
}

impl Reader {
    pub(super) fn of(file: File, path: &Path, entry: &FileEntry, cipher: &Cipher) -> Result<Self> {
        let digest = Arc::new(Mutex::new(Digest::default()));
        let counted = Counted {
            file,
            digest: Arc::clone(&digest),
        };
        let input: Box<dyn Read + Send> = if entry.is_sealed() {
            Box::new(cipher.reader(counted).map_err(|error| shut(path, error))?)
        } else {
            Box::new(counted)
        };
        Ok(Self {
            input,
            digest,
            listed: (entry.bytes, entry.sha256.clone()),
            path: path.to_owned(),
        })
    }

    /// Reads what is left, and says that the file was the one of the manifest, to its last byte.
    ///
    /// # Errors
    /// It was not (`copy_is_bad`): what was made of its content must not be used.
    pub fn finish(mut self) -> Result<()> {
        let rest = io::copy(&mut self.input, &mut io::sink());
        let digest = self.digest.lock().unwrap_or_else(PoisonError::into_inner);
        if rest.is_ok() && (digest.bytes(), digest.hex()) == self.listed {
            return Ok(());
        }
        let shown = self.path.display();
        Err(ResourceError::bad_copy(format!(
            "{shown} is damaged: its SHA-256 is not the manifest's"
        )))
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer)
    }
}

/// Why an encrypted file cannot be read; that nobody here has the key says nothing against the copy.
pub(super) fn shut(path: &Path, error: io::Error) -> ResourceError {
    let has_no_key = error.kind() == io::ErrorKind::PermissionDenied;
    let failed = ResourceError::because(format!("could not decrypt {}", path.display()), error);
    if has_no_key {
        return failed.with_hint(
            "bring the identity that belongs to `[encryption] recipients` to this host for a moment, and name its file: \
             GUARD_IDENTITY=FILE",
        );
    }
    ResourceError {
        copy_is_bad: true,
        ..failed
    }
}
