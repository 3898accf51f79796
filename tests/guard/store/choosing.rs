//! Choosing: only what is of the place, holds what is asked for, and is as good as can be had.

use std::collections::BTreeMap;

use guard::model::name::ResourceName;
use guard::store::{Backup, Knowledge, ManifestInput, Scope, Store, candidates};

use super::{Place, artifact, moment};

/// A backup of some resources, each told apart by a name.
fn take(store: &Store, second: i64, environment: Option<&str>, held: &[(&str, &str)], known_good: Knowledge) -> Backup {
    let draft = store.begin(moment(second)).unwrap();
    let input = ManifestInput {
        artifacts: held
            .iter()
            .map(|(name, _)| artifact(draft.directory(), name, "sqlite", &[("copy", b"bytes")]))
            .collect(),
        identities: identities(held),
        environment: environment.map(str::to_owned),
        target: Some("shop".to_owned()),
        known_good,
        ..ManifestInput::default()
    };
    store.seal(&draft, input).unwrap()
}

fn identities(held: &[(&str, &str)]) -> BTreeMap<ResourceName, Vec<String>> {
    let known = held.iter().filter(|(_, thing)| !thing.is_empty());
    known
        .map(|(name, thing)| (name.parse().unwrap(), thing.split('|').map(str::to_owned).collect()))
        .collect()
}

fn scope(environment: Option<&str>, held: &[(&str, &str)]) -> Scope {
    Scope {
        target: "shop".to_owned(),
        environment: environment.map(str::to_owned),
        identities: identities(held),
    }
}

fn names(found: &[&Backup]) -> Vec<u32> {
    let second = |backup: &&Backup| backup.timestamp().as_str()[13..15].parse().unwrap();
    found.iter().map(second).collect()
}

#[test]
fn another_environment_or_another_thing_is_never_chosen_by_itself() {
    let place = Place::new();
    let store = place.store();
    let good = || Knowledge::KnownGood;
    let (ours, theirs) = (
        [("db", "cluster 7, database shop|server a:1, database shop")],
        [("db", "server b:1")],
    );
    take(&store, 0, None, &[("db", "")], good());
    take(&store, 1, Some("production"), &ours, good());
    take(&store, 2, Some("staging"), &ours, good());
    take(&store, 3, Some("production"), &theirs, good());
    let listed = store.list().unwrap();
    let chosen = |scope: &Scope| names(&candidates(&listed, scope, &[]));
    // What an older guard did not note speaks against nothing.
    assert_eq!(chosen(&scope(Some("production"), &ours)), [1, 0]);
    assert_eq!(chosen(&scope(Some("staging"), &ours)), [2, 0]);
    assert_eq!(chosen(&scope(None, &ours)), [0]);
    // A server that has moved is the same one; of one that does not answer nothing speaks against.
    assert_eq!(
        chosen(&scope(
            Some("production"),
            &[("db", "cluster 7, database shop|server c:9")]
        )),
        [1, 0]
    );
    assert_eq!(chosen(&scope(Some("production"), &[])), [3, 1, 0]);
    let objection = |scope: &Scope, place: usize| {
        let guard::store::Listed::Backup(backup) = &listed[place] else {
            panic!("a backup")
        };
        scope.objection(backup).unwrap()
    };
    assert!(objection(&scope(Some("production"), &ours), 1).contains("environment staging"));
    assert!(objection(&scope(Some("production"), &ours), 0).contains("server b:1"));
    let other = Scope {
        target: "blog".to_owned(),
        ..scope(None, &[])
    };
    assert!(chosen(&other).is_empty());
}

#[test]
fn what_lay_at_a_path_where_nothing_is_any_more_has_moved() {
    let place = Place::new();
    let store = place.store();
    let there = place.root().join("app.db");
    let name = format!("file {}", there.display());
    take(&store, 0, None, &[("db", &name)], Knowledge::KnownGood);
    let listed = store.list().unwrap();
    let scope = scope(None, &[("db", "file /srv/new/app.db")]);
    assert_eq!(names(&candidates(&listed, &scope, &[])), [0]);
    let guard::store::Listed::Backup(backup) = &listed[0] else {
        panic!("a backup")
    };
    let moved = scope.moves(backup).join("; ");
    assert!(moved.contains("/srv/new/app.db") && moved.contains(&name), "{moved}");
    std::fs::write(&there, "another project's").unwrap();
    assert!(candidates(&listed, &scope, &[]).is_empty());
}

#[test]
fn the_newest_that_holds_what_is_asked_for_and_is_as_good_as_can_be_had() {
    let place = Place::new();
    let store = place.store();
    let (full, config) = ([("db", ""), ("config", "")], [("config", "")]);
    let bad = || Knowledge::Tainted("probes failed".to_owned());
    take(&store, 0, None, &full, Knowledge::Unknown);
    take(&store, 1, None, &full, bad());
    take(&store, 2, None, &config, Knowledge::Unknown);
    let chosen = |wanted: &[&str]| {
        let wanted: Vec<ResourceName> = wanted.iter().map(|name| name.parse().unwrap()).collect();
        let listed = store.list().unwrap();
        names(&candidates(&listed, &scope(None, &[]), &wanted))
    };
    assert_eq!(
        chosen(&[]),
        [2, 0],
        "where nothing can judge, the newest that is not known to be bad"
    );
    assert_eq!(chosen(&["db"]), [0]);
    assert_eq!(chosen(&["db", "config"]), [0]);
    assert!(chosen(&["objects"]).is_empty());
    take(&store, 3, None, &config, Knowledge::KnownGood);
    assert_eq!(chosen(&[]), [3]);
    assert_eq!(chosen(&["db"]), [0], "the good one does not hold it");
    take(&store, 4, None, &full, Knowledge::KnownGood);
    assert_eq!(chosen(&["db"]), [4]);
}
