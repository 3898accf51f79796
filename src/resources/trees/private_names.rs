//! The names of the directories in which guard stages and keeps aside; they are no part of any copy.

use std::ffi::OsStr;

use rustix::fs::{FileType, Stat};

const PREFIX: &str = ".guard-";

/// The name that these random bytes make: nobody can have put something there before.
pub(crate) fn random(bytes: &[u8; 16]) -> String {
    format!("{PREFIX}{:032x}", u128::from_be_bytes(*bytes))
}

/// Whether what the file system tells of is a directory of ours that nobody else may enter.
pub(crate) fn is_private(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
        && stat.st_uid == guard_system::privilege::user_id()
        && stat.st_mode & 0o7777 == 0o700
}

/// Whether a name is one of guard's: `.guard-` and 32 hexadecimal digits, or, from guards before, a run's token; and nothing
/// that only begins alike.
pub(crate) fn is_ours(name: &OsStr) -> bool {
    let Some(token) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
        return false;
    };
    let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if token.len() == 32 && token.chars().all(is_digit) {
        return true;
    }
    let token = token.strip_suffix("-trash").unwrap_or(token);
    let Some((stamp, rest)) = token.split_at_checked(15) else {
        return token == "manual" || token.strip_prefix("manual_").is_some_and(is_number);
    };
    let is_stamp = stamp
        .char_indices()
        .all(|(at, c)| if at == 8 { c == '_' } else { c.is_ascii_digit() });
    let mut words = rest.split('_').filter(|word| !word.is_empty());
    is_stamp && words.all(|word| is_number(word) || matches!(word, "backup" | "deploy" | "rollback" | "undo"))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{is_ours, random};

    #[test]
    fn only_guards_own_names_are_ours() {
        assert!(is_ours(random(&[0; 16]).as_ref()));
        assert!(is_ours(random(&[0xab; 16]).as_ref()));
        for token in [
            "20251022_153000_deploy",
            "20251022_153000_2_rollback",
            "manual",
            "manual_2",
        ] {
            assert!(is_ours(format!(".guard-{token}").as_ref()), "{token}");
            assert!(is_ours(format!(".guard-{token}-trash").as_ref()), "{token}");
        }
        for name in [
            ".guard-",
            ".guard-rails",
            ".guard-20251022",
            "guard-manual",
            ".guard-20251022_153000_notes",
            ".guard-0123456789abcdef",
        ] {
            assert!(!is_ours(name.as_ref()), "{name}");
        }
    }
}
