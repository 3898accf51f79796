//! Learns the secrets that a file of `KEY=VALUE` lines holds, so that they appear in no text of guard's.

use std::path::Path;

use guard_model::secret::{Redaction, is_secret_name};
use guard_system::disk::{self, DiskError};

/// Files larger than this are no env files.
const LIMIT: u64 = 256 * 1024;

/// Learns what a file of this length holds, where it may be one of that kind.
///
/// # Errors
/// It cannot be read.
pub(super) fn learn_file(path: &Path, bytes: u64, redaction: &Redaction) -> Result<(), DiskError> {
    if bytes <= LIMIT
        && let Some(content) = disk::read_optional(path)?
    {
        learn(&content, redaction);
    }
    Ok(())
}

/// Learns the values of the keys that look secret.
fn learn(content: &[u8], redaction: &Redaction) {
    let Ok(text) = std::str::from_utf8(content) else {
        return;
    };
    for line in text.lines() {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let name = name.trim();
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
        if !is_name || !is_secret_name(name) {
            continue;
        }
        let value = value.trim();
        redaction.learn(value);
        // The same value as a program sees it: without its quotes, without the comment behind it.
        let quoted = ['"', '\'']
            .iter()
            .find_map(|quote| value.strip_prefix(*quote)?.split(*quote).next());
        redaction.learn(quoted.unwrap_or_else(|| value.split(" #").next().unwrap_or(value).trim()));
    }
}

#[cfg(test)]
mod tests {
    use super::learn;
    use guard_model::secret::Redaction;

    #[test]
    fn fault_m9_values_of_secret_names_are_learned_and_no_others() {
        let redaction = Redaction::default();
        let env =
            b"# comment\nexport DB_PASSWORD='s3cret value'\nAPI_TOKEN=abcdefgh123 # the token\nHOST=example.test\n";
        learn(env, &redaction);
        assert_eq!(redaction.clean("s3cret value, abcdefgh123."), "[REDACTED], [REDACTED].");
        assert_eq!(redaction.clean("example.test"), "example.test");
    }
}
