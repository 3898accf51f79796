//! Encryption of copies in the format of `age`: written for recipients, read with identities; no plugin of `age` is run.

use std::fmt;
use std::io::{self, BufReader, Read, Seek, Write};

use age::secrecy::ExposeSecret;
use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, Encryptor, x25519};

/// What can be read, and read again from any place.
pub trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

/// For whom is written, and with what is read.
#[derive(Clone, Default)]
pub struct Cipher {
    recipients: Vec<x25519::Recipient>,
    /// That of the run, beside the others.
    own: Option<x25519::Recipient>,
    identities: Vec<x25519::Identity>,
    /// Why nothing can be written, though it would have to be encrypted.
    hindrance: Option<String>,
}

impl fmt::Debug for Cipher {
    /// Without the identities: they are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cipher")
            .field("recipients", &self.recipients())
            .field("identities", &self.identities.len())
            .finish_non_exhaustive()
    }
}

/// A new identity: its secret text, in the form of a file of `age`, and its recipient.
#[must_use]
pub fn new_identity() -> (String, String) {
    let identity = x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    let secret = identity.to_string();
    (
        format!("# public key: {recipient}\n{}\n", secret.expose_secret()),
        recipient,
    )
}

/// The lines of a file of recipients or identities that are not empty and no comments, with their numbers from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let trimmed = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    trimmed.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

impl Cipher {
    /// Adds a recipient: `age1…`.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub fn add_recipient(&mut self, text: &str) -> Result<(), String> {
        let kind = if text.starts_with("ssh-") {
            "; an SSH key is none, `age-keygen` makes one"
        } else if text.starts_with("AGE-SECRET-KEY-") {
            "; it is an identity, which is secret: `age-keygen -y` tells its recipient"
        } else {
            ""
        };
        // The text of an identity is not repeated.
        let shown = if kind.contains("secret") { "this" } else { text };
        let parsed = text.parse::<x25519::Recipient>();
        self.recipients.push(
            parsed.map_err(|why| format!("{shown} is no recipient of age, which begins with age1 ({why}){kind}"))?,
        );
        Ok(())
    }

    /// Adds the recipients of a file of them, one a line. Returns how many.
    ///
    /// # Errors
    /// A sentence that names the line.
    pub fn add_recipients(&mut self, text: &str) -> Result<usize, String> {
        let mut count = 0;
        for (number, line) in lines(text) {
            self.add_recipient(line)
                .map_err(|why| format!("line {number}: {why}"))?;
            count += 1;
        }
        Ok(count)
    }

    /// Adds the identities of a file of `age-keygen`. Returns how many.
    ///
    /// # Errors
    /// A sentence that names the line and repeats nothing of it.
    pub fn add_identities(&mut self, text: &str) -> Result<usize, String> {
        let mut count = 0;
        for (number, line) in lines(text) {
            let identity = line.parse::<x25519::Identity>();
            let identity = identity.map_err(|_| {
                format!(
                    "line {number} is no identity of age (AGE-SECRET-KEY-1…); one that is itself encrypted is not read"
                )
            })?;
            self.identities.push(identity);
            count += 1;
        }
        Ok(count)
    }

    /// Adds an identity that is also written for, whoever the recipients are.
    ///
    /// # Errors
    /// It is none.
    pub fn add_own(&mut self, text: &str) -> Result<(), String> {
        self.add_identities(text)?;
        self.own = self.identities.last().map(x25519::Identity::to_public);
        Ok(())
    }

    /// Lets nothing be written from here on, for this reason. What is there can still be read.
    pub fn hinder(&mut self, why: String) {
        self.hindrance = Some(why);
    }

    /// Whether what is written is encrypted.
    #[must_use]
    pub fn seals(&self) -> bool {
        !self.recipients.is_empty() || self.hindrance.is_some()
    }

    /// Whether there is anything to read with.
    #[must_use]
    pub fn opens(&self) -> bool {
        !self.identities.is_empty()
    }

    /// The recipients, sorted, without the run's own.
    #[must_use]
    pub fn recipients(&self) -> Vec<String> {
        let mut texts: Vec<String> = self.recipients.iter().map(ToString::to_string).collect();
        texts.sort();
        texts.dedup();
        texts
    }

    /// Whether the identities here read what is written for the recipients here.
    #[must_use]
    pub fn fits(&self) -> bool {
        let mine = self.identities.iter().map(|identity| identity.to_public().to_string());
        let recipients = self.recipients();
        mine.into_iter().any(|one| recipients.contains(&one))
    }

    /// Encrypts what is written. It has to be finished, or what was written does not open.
    ///
    /// # Errors
    /// There are no recipients, or `to` cannot be written.
    pub fn writer<W: Write>(&self, to: W) -> io::Result<StreamWriter<W>> {
        if let Some(why) = &self.hindrance {
            return Err(io::Error::other(why.clone()));
        }
        if self.recipients.is_empty() {
            return Err(io::Error::other("there is nobody to encrypt for"));
        }
        let all = self.recipients.iter().chain(&self.own);
        let recipients = all.map(|one| one as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        encryptor.wrap_output(to)
    }

    /// Decrypts what is read.
    ///
    /// # Errors
    /// No identity here opens it (`PermissionDenied`), or it is not whole (`InvalidData`).
    pub fn reader<R: Read>(&self, from: R) -> io::Result<StreamReader<BufReader<R>>> {
        let refuse = |error: DecryptError| match error {
            DecryptError::Io(error) => error,
            DecryptError::NoMatchingKeys => {
                let why = if self.opens() {
                    "it is encrypted, and none of the identities here opens it"
                } else {
                    "it is encrypted, and there is no identity here that opens it"
                };
                io::Error::new(io::ErrorKind::PermissionDenied, why)
            }
            other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
        };
        let buffered = BufReader::with_capacity(256 * 1024, from);
        let identities = self.identities.iter().map(|one| one as &dyn age::Identity);
        let decryptor = Decryptor::new_buffered(buffered).map_err(refuse)?;
        decryptor.decrypt(identities).map_err(refuse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(cipher: &Cipher, content: &[u8]) -> Vec<u8> {
        let mut writer = cipher.writer(Vec::new()).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn any_of_two_identities_opens_and_a_third_does_not() {
        let (offline, of_run, strange) = (new_identity(), new_identity(), new_identity());
        let mut writing = Cipher::default();
        writing.add_recipient(&offline.1).unwrap();
        writing.add_own(&of_run.0).unwrap();
        assert_eq!(writing.recipients(), std::slice::from_ref(&offline.1));
        let content = vec![7; 200_000];
        let sealed = sealed(&writing, &content);
        assert!(
            !sealed.windows(16).any(|part| part == vec![7; 16]),
            "nothing of it shows"
        );
        for (text, opens) in [(&offline.0, true), (&of_run.0, true), (&strange.0, false)] {
            let mut reading = Cipher::default();
            assert_eq!(reading.add_identities(text), Ok(1));
            match reading.reader(sealed.as_slice()) {
                Ok(mut reader) => {
                    let mut found = Vec::new();
                    reader.read_to_end(&mut found).unwrap();
                    assert!(opens && found == content);
                }
                Err(error) => assert!(!opens && error.kind() == io::ErrorKind::PermissionDenied, "{error}"),
            }
        }
        let error = Cipher::default().reader(sealed.as_slice()).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn what_is_cut_off_or_changed_does_not_open() {
        let (identity, recipient) = new_identity();
        let mut cipher = Cipher::default();
        cipher.add_recipient(&recipient).unwrap();
        cipher.add_identities(&identity).unwrap();
        assert!(cipher.fits() && cipher.seals() && cipher.opens());
        let whole = sealed(&cipher, &vec![1; 150_000]);
        let read = |bytes: &[u8]| {
            cipher
                .reader(bytes)
                .and_then(|mut input| io::copy(&mut input, &mut io::sink()))
        };
        assert_eq!(read(&whole).unwrap(), 150_000);
        for length in [0, 10, 200, 70_000, whole.len() - 1] {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        for at in [3, 60, 300, 100_000, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(read(&changed).is_err(), "{at}");
        }
    }

    #[test]
    fn what_is_no_key_is_told_and_no_secret_repeated() {
        let (identity, _) = new_identity();
        let secret = identity.lines().last().unwrap();
        let mut cipher = Cipher::default();
        assert!(cipher.add_recipient("ssh-ed25519 AAAA").unwrap_err().contains("SSH"));
        let why = cipher.add_recipient(secret).unwrap_err();
        assert!(why.contains("age-keygen -y") && !why.contains(secret), "{why}");
        let why = cipher.add_identities(&format!("# one\n{secret}x\n")).unwrap_err();
        assert!(why.contains("line 2") && !why.contains(secret), "{why}");
        assert!(!format!("{cipher:?}").contains("SECRET"));
    }
}
