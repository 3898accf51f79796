//! The name of the directory inside a volume in which guard stages and keeps aside; it is no part of any copy.

use std::ffi::OsStr;

const PREFIX: &str = ".guard-";

/// The directory's name for a run's token, and for a further one where a run needs two.
pub(super) fn name(token: &str, serial: u32) -> String {
    if serial < 2 {
        format!("{PREFIX}{token}")
    } else {
        format!("{PREFIX}{token}_{serial}")
    }
}

/// Whether an entry of the root is guard's own: `.guard-` and a run's token, and nothing that only begins alike.
pub(super) fn is_ours(name: &OsStr) -> bool {
    let Some(token) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
        return false;
    };
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
    use super::{is_ours, name};

    #[test]
    fn only_a_runs_own_name_is_ours() {
        for token in ["20251022_153000_deploy", "20251022_153000_2_rollback", "manual"] {
            for serial in 1..3 {
                let name = name(token, serial);
                assert!(is_ours(name.as_ref()), "{name}");
                assert!(is_ours(format!("{name}-trash").as_ref()), "{name}");
            }
        }
        for name in [
            ".guard-",
            ".guard-rails",
            ".guard-20251022",
            "guard-manual",
            ".guard-20251022_153000_notes",
        ] {
            assert!(!is_ours(name.as_ref()), "{name}");
        }
    }
}
