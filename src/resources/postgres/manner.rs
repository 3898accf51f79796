//! In which manner a copy is loaded: as `pg_dump` means it, or in another way where that one cannot succeed.
//!
//! A dump says every name with its schema and empties `search_path`, so that nothing in it can be led astray. A function of the
//! application's own may say names without: where an index, a check, a generated column or a materialized view needs it, the
//! dump loads only with the application's schemas at hand. And rows that break a foreign key, as an import with triggers off
//! leaves them, come in only while their keys are new and nobody looks.

use serde::{Deserialize, Serialize};

/// The manner of a load. What a proof has found is kept with the copy, and the way back does the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Manner {
    /// With the application's schemas in `search_path`.
    pub(super) at_hand: bool,
    /// Indexes and keys are made first, and then the rows come in, with no trigger that looks at them.
    pub(super) rows_last: bool,
}

/// What stands in a listing of `pg_restore` for what can be made before the rows.
const BEFORE: [&str; 4] = ["INDEX", "CONSTRAINT", "FK CONSTRAINT", "INDEX ATTACH"];

impl Manner {
    /// Whether it is as `pg_dump` means it.
    pub(super) fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// What is to be tried next after a load that failed with these words; none where no other manner would help.
    /// `may_all`: as a superuser, without whom triggers are not turned off.
    pub(super) fn next(&self, said: &str, may_all: bool) -> Option<Self> {
        let is_name = said.contains("does not exist") || said.contains("no schema has been selected");
        if is_name && !self.at_hand {
            return Some(Self {
                at_hand: true,
                ..self.clone()
            });
        }
        let is_key = said.contains("violates foreign key constraint");
        ((is_name || is_key) && may_all && !self.rows_last).then(|| Self {
            rows_last: true,
            ..self.clone()
        })
    }

    /// The manner in words: `loaded with …`.
    pub(super) fn words(&self) -> String {
        let mut words = Vec::new();
        if self.at_hand {
            words.push("with the application's own search_path, since functions in it say names without their schema");
        }
        if self.rows_last {
            words.push("keys and indexes first and rows after them, since what is there breaks them");
        }
        words.join("; ")
    }
}

/// A listing of `pg_restore` in which indexes and keys come before the rows, all else in its order.
pub(super) fn rows_last(listing: &str) -> String {
    let is_entry = |line: &&str| !line.is_empty() && !line.starts_with(';');
    let kind = |line: &str| {
        // `3345; 2606 16385 FK CONSTRAINT public orders orders_customer_fkey shop`
        let rest = line.splitn(4, ' ').nth(3).unwrap_or_default();
        BEFORE.iter().any(|kind| {
            rest.strip_prefix(kind)
                .is_some_and(|rest| rest.starts_with(' ') && !rest.starts_with(" ATTACH"))
        }) || rest.starts_with("INDEX ATTACH ")
    };
    let is_rows = |line: &str| {
        let rest = line.splitn(4, ' ').nth(3).unwrap_or_default();
        ["TABLE DATA ", "SEQUENCE SET ", "BLOB", "LARGE OBJECT"]
            .iter()
            .any(|kind| rest.starts_with(kind))
    };
    let lines: Vec<&str> = listing.lines().filter(is_entry).collect();
    let at = lines.iter().position(|line| is_rows(line)).unwrap_or(lines.len());
    let (before, after) = lines.split_at(at);
    let (early, late): (Vec<&str>, Vec<&str>) = after.iter().partition(|line| kind(line));
    let ordered: Vec<&str> = before.iter().copied().chain(early).chain(late).collect();
    ordered.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_before_rows_and_triggers_after_them() {
        let listing = ";\n; Archive\n214; 1259 16385 TABLE public t boss\n3345; 0 16385 TABLE DATA public t boss\n3347; 0 0 SEQUENCE SET public s boss\n\
                       3201; 2606 16390 CONSTRAINT public t t_pkey boss\n3202; 1259 16391 INDEX public t_i boss\n3205; 2620 16399 TRIGGER public t tell boss\n\
                       3203; 2606 16392 FK CONSTRAINT public t t_fk boss\n3346; 0 16395 MATERIALIZED VIEW DATA public mv boss\n";
        let kinds: Vec<String> = rows_last(listing)
            .lines()
            .map(|line| line.split(' ').skip(3).take(2).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            kinds,
            [
                "TABLE public",
                "CONSTRAINT public",
                "INDEX public",
                "FK CONSTRAINT",
                "TABLE DATA",
                "SEQUENCE SET",
                "TRIGGER public",
                "MATERIALIZED VIEW"
            ]
        );
    }

    #[test]
    fn what_no_other_manner_helps_is_tried_once() {
        let plain = Manner::default();
        let named = plain.next("type \"earth\" does not exist", false).unwrap();
        assert!(named.at_hand && !named.rows_last && !named.is_plain());
        assert_eq!(named.next("function f() does not exist", false), None);
        assert!(named.next("function f() does not exist", true).unwrap().rows_last);
        assert_eq!(plain.next("violates foreign key constraint", false), None);
        assert!(plain.next("violates foreign key constraint", true).unwrap().rows_last);
        assert_eq!(plain.next("could not create unique index", true), None);
    }
}
