//! The major versions of programs and servers.

/// The major version in a text like `17.6` or `18beta1`.
pub(crate) fn major(version: &str) -> u32 {
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_default()
}

/// Whether a `pg_restore` cannot fill a database of this server: from 17 on it sets `transaction_timeout`, new in 17.
pub(crate) fn is_too_new(version: &str, server: u32) -> bool {
    major(version) >= 17 && server < 170_000
}
