//! The key of an installation: with it a manifest is signed, without it none can be made that is believed.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Result, StoreError};
use guard_system::disk::{self, At, Staged};

/// Bytes of a key.
const LENGTH: usize = 32;

/// The key; its bytes are shown nowhere.
#[derive(Clone)]
pub(super) struct Key([u8; LENGTH]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.id())
    }
}

/// So many bytes that nobody can know before.
pub(super) fn random() -> Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    let source = Path::new("/dev/urandom");
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .at("read", source)?;
    Ok(bytes)
}

impl Key {
    /// The key in `<state>/key`, made at random where there is none.
    pub(super) fn of(state: &Path) -> Result<Self> {
        let path = state.join("key");
        if !disk::exists(&path)? {
            let bytes = random()?;
            let mut staged = Staged::beside(&path)?;
            staged.write(&bytes)?;
            match staged.place_new(&path) {
                // Another guard has made one in the meantime: there is one key, and it is that one.
                Err(error) if error.source.kind() == std::io::ErrorKind::AlreadyExists => {}
                other => {
                    other?;
                }
            }
        }
        let bad = |reason: String| StoreError::Unfit {
            path: path.clone(),
            reason,
        };
        if let Some(exposure) = disk::exposure(&path)? {
            return Err(bad(exposure));
        }
        let bytes = std::fs::read(&path).at("read", &path)?;
        let count = bytes.len();
        let bytes = bytes
            .try_into()
            .map_err(|_| bad(format!("it has {count} bytes, and a key has {LENGTH}")))?;
        Ok(Self(bytes))
    }

    /// What tells this key from another without telling anything of it: 16 hexadecimal digits.
    pub(super) fn id(&self) -> String {
        let mut id = self.sign(&[b"guard key"]);
        id.truncate(16);
        id
    }

    fn mac(&self, parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
        // HMAC takes a key of any length, so that there always is one.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Some(mac)
    }

    /// The HMAC-SHA256 of some parts, each with its length, in hexadecimal.
    pub(super) fn sign(&self, parts: &[&[u8]]) -> String {
        let bytes = self.mac(parts).map(|mac| mac.finalize().into_bytes());
        bytes.map(|bytes| disk::hex(&bytes)).unwrap_or_default()
    }

    /// Whether this is the signature of these parts; takes the same time whatever differs.
    pub(super) fn has_signed(&self, parts: &[&[u8]], signature: &str) -> bool {
        let ours = self.sign(parts);
        !ours.is_empty()
            && ours.len() == signature.len()
            && ours
                .bytes()
                .zip(signature.bytes())
                .fold(0, |all, (one, other)| all | (one ^ other))
                == 0
    }
}
