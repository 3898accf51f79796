//! The names of the databases that guard makes beside a live one, and by which it knows its own.

use crate::error::{ResourceError, Result};
use guard_system::disk::sha256_hex;

/// The longest name that every server keeps, in bytes; Postgres would cut a longer one silently.
const LONGEST_NAME: usize = 63;

/// What a database beside the live one is for; part of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aside {
    /// Restored, waiting for the swap.
    Side,
    /// Displaced by a restore.
    Failed,
    /// Displaced by an undo.
    Undone,
}

impl Aside {
    fn word(self) -> &'static str {
        match self {
            Self::Side => "__guard_",
            Self::Failed => "__failed_",
            Self::Undone => "__undone_",
        }
    }

    /// Where in a name the word of this use stands last.
    pub(crate) fn place(self, database: &str) -> Option<usize> {
        database.rfind(self.word())
    }

    /// Whether a name has the form that guard gives to databases of this use; nothing else is ever dropped.
    pub(crate) fn names(self, database: &str) -> bool {
        database
            .rsplit_once(self.word())
            .is_some_and(|(live, token)| !live.is_empty() && !token.is_empty())
    }

    /// Says that a name has the form of this use.
    ///
    /// # Errors
    /// It has not: what is called so is none of guard's, and is not dropped.
    pub(crate) fn must_name(self, database: &str) -> Result<()> {
        let foreign = || {
            ResourceError::new(format!(
                "{database:?} is not a name that guard gives; it is not dropped"
            ))
        };
        self.names(database).then_some(()).ok_or_else(foreign)
    }

    /// The name for this use of a database, unique to the token and no longer than Postgres keeps.
    pub(crate) fn name(self, live: &str, token: &str) -> String {
        let tail = format!("{}{token}", self.word());
        let room = LONGEST_NAME.saturating_sub(tail.len());
        if live.len() <= room {
            return format!("{live}{tail}");
        }
        // Two long names with the same beginning must not meet in one: a digest of the whole tells them apart.
        let digest = sha256_hex(live.as_bytes());
        let digest = digest.get(..8).unwrap_or_default();
        let mut end = room.saturating_sub(digest.len() + 1);
        while !live.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}~{digest}{tail}", live.get(..end).unwrap_or_default())
    }
}

/// The name of what an undo displaces, from the name of what it brings back.
pub(crate) fn turned(displaced: &str) -> Option<String> {
    let (from, to) = if Aside::Failed.names(displaced) {
        (Aside::Failed.word(), Aside::Undone.word())
    } else if Aside::Undone.names(displaced) {
        (Aside::Undone.word(), Aside::Failed.word())
    } else {
        return None;
    };
    let (live, token) = displaced.rsplit_once(from)?;
    Some(format!("{live}{to}{token}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_stay_apart() {
        let token = "20251022_153000_deploy";
        assert_eq!(Aside::Failed.name("app", token), "app__failed_20251022_153000_deploy");
        let (one, other) = ("ü".repeat(31) + "a", "ü".repeat(31) + "b");
        let names = [&one, &other].map(|live| Aside::Side.name(live, token));
        assert_ne!(names[0], names[1]);
        for name in &names {
            assert!(name.len() <= LONGEST_NAME, "{name}");
            assert!(Aside::Side.names(name) && name.ends_with(token));
        }
    }

    #[test]
    fn only_own_names_are_recognised() {
        assert!(!Aside::Failed.names("app"));
        assert!(!Aside::Failed.names("__failed_x"));
        assert!(!Aside::Failed.names("app__guard_x"));
        assert_eq!(turned("app__failed_x").as_deref(), Some("app__undone_x"));
        assert_eq!(turned("app__undone_x").as_deref(), Some("app__failed_x"));
        assert_eq!(turned("app"), None);
    }
}
