//! What is found is what the kinds of resources and probes read.

use guard::config::Settings;

use super::discovery::{context, shop};

/// What `guard init` writes is read by the kinds themselves, without a key that one of them does not know.
#[test]
fn what_is_found_is_what_the_kinds_read() {
    let project = shop();
    let cx = context(&project);
    rusqlite::Connection::open(project.path("orders.db"))
        .unwrap()
        .execute_batch("CREATE TABLE orders (id INTEGER)")
        .unwrap();
    let settings =
        Settings::load(&project.request(), &cx).unwrap_or_else(|problems| panic!("{}", super::told(&problems)));
    let compose = settings.compose.as_ref().unwrap();
    let compose = Some(compose.resolve(&cx, project.root()).unwrap());
    let mut problems = Vec::new();
    let site = guard::resources::Site {
        directory: project.root().to_owned(),
        compose: compose.clone(),
        stops: false,
        only: guard::resources::Narrowed::default(),
        checkouts: Vec::new(),
    };
    let mut known = Vec::new();
    for declared in &settings.resources {
        let Some(kind) = guard::resources::kind(&declared.kind) else {
            continue;
        };
        known.push(kind.key);
        let built = declared.read(&mut problems, |section| {
            (kind.build)(declared.name.clone(), section, &site)
        });
        assert!(built.is_some(), "{declared:?}: {}", super::told(&problems));
    }
    let site = guard::probes::Site { compose };
    for declared in &settings.probes {
        let kind = guard::probes::kind(&declared.kind).unwrap();
        let built = declared.read(&mut problems, |section| {
            (kind.build)(declared.name.clone(), section, &site)
        });
        assert!(built.is_some(), "{declared:?}: {}", super::told(&problems));
    }
    assert_eq!(super::told(&problems), "");
    assert_eq!((settings.resources.len(), settings.probes.len()), (7, 2));
    assert!(known.len() >= 3, "{known:?}");
}
