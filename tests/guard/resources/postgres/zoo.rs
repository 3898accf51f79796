//! Schemas of many kinds, each judged from outside: what guard calls proven loads into an empty server, and the rest is refused
//! before anything is deployed. The kinds are in `fixtures/zoo`; a new one is a new section there.

use std::fmt::Write as _;

use guard::model::policy::DataRestore;
use guard::resources::Resource;

use super::{alone, slot};
use crate::support::cluster::{Cluster, ENCODED};
use crate::support::kinds::build;
use crate::support::{Scene, is_of_sample, is_whole_list};

/// The kinds, as they are written down.
const KINDS: &str = include_str!("../../../../fixtures/zoo/kinds.sql");

/// The roles that the kinds know, on every server.
const ROLES: &str = "CREATE ROLE owner LOGIN CREATEDB PASSWORD 'of it'; CREATE ROLE other; CREATE ROLE reader;";

/// One kind of schema.
struct Kind<'a> {
    name: &'a str,
    user: &'a str,
    /// `back`, `rows` (the same rows, elsewhere), or `no …`; behind `|` the same of a later version of the server.
    wanted: &'a str,
    options: &'a str,
    script: &'a str,
}

fn kinds() -> Vec<Kind<'static>> {
    let sections = KINDS.split("\n--- ").skip(1);
    let read = |section: &'static str| {
        let (head, script) = section.split_once('\n').unwrap();
        let mut parts = head.splitn(4, ';').map(str::trim);
        let mut next = || parts.next().unwrap();
        Kind {
            name: next(),
            user: next(),
            wanted: next(),
            options: next(),
            script,
        }
    };
    sections.map(read).collect()
}

fn of(cluster: &Cluster, user: &str, database: &str, scene: &Scene) -> Box<dyn Resource> {
    let mut url = cluster.url(database);
    if user == "owner" {
        url = url.replace(&format!("boss:{ENCODED}"), "owner:of%20it");
    }
    build(
        "postgres",
        &[("url", &url), ("server", "any"), ("lock_wait", "2s")],
        &alone(scene),
    )
}

/// What becomes of a database: `no` and why, or `back` or `rows` as it is on the empty server afterwards.
fn judged(database: &str, user: &str, full: &Cluster, empty: &Cluster) -> String {
    let scene = Scene::new();
    let here = of(full, user, database, &scene);
    let mut survey = here.survey(&scene.cx);
    if survey.obstacles.iter().all(|obstacle| !obstacle.refuses) {
        here.try_back(None, &scene.cx, &mut survey);
    }
    let refusals: Vec<&str> = survey
        .obstacles
        .iter()
        .filter(|obstacle| obstacle.refuses)
        .map(|obstacle| obstacle.what.as_str())
        .collect();
    if !refusals.is_empty() {
        return format!("no {}", refusals.join("; "));
    }
    let slot = slot(&scene, here.as_ref());
    let artifact = match here.capture(&slot, &scene.cx) {
        Ok(artifact) => artifact,
        Err(error) => return format!("the check was passed, and the backup refused: {error:?}"),
    };
    assert!(artifact.details["loaded"].is_object(), "proven by a load");
    let there = of(empty, user, database, &scene);
    let restored = there
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .and_then(|prepared| there.restore(&prepared, &artifact, &slot, &scene.cx));
    if let Err(error) = restored {
        return format!("proven, and does not load: {error:?}");
    }
    if full.observe(database) == empty.observe(database) {
        return "back".to_owned();
    }
    let count = "SELECT sum((xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %s', oid::regclass), false, true, '')))[1]::text::bigint)
        FROM pg_class WHERE relkind = 'p' AND NOT relispartition";
    if full.sql(database, count) == empty.sql(database, count) {
        return "rows".to_owned();
    }
    "proven, and other than it was".to_owned()
}

#[test]
fn what_is_called_proven_loads_into_an_empty_server_and_the_rest_is_refused_before() {
    let (full, empty) = (Cluster::start(), Cluster::stranger());
    full.sql("postgres", ROLES);
    empty.sql("postgres", ROLES);
    let version: u32 = full.sql("postgres", "SHOW server_version_num").parse().unwrap();
    let is_later = version >= 170_000;
    let (mut wrong, mut proven, mut refused, mut absent) = (String::new(), 0, 0, Vec::new());
    for (number, kind) in kinds().iter().enumerate() {
        if !is_of_sample(number) {
            continue;
        }
        let database = format!("zoo{number}");
        full.sql(
            "postgres",
            &format!("CREATE DATABASE {database} OWNER {} {};", kind.user, kind.options),
        );
        let made = full.try_sql(&database, &format!("\\set db {database}\n{}", kind.script));
        if let Err(error) = made {
            // A later version makes some of them no more.
            assert!(is_later, "{}: {error}", kind.name);
            absent.push(kind.name);
            continue;
        }
        let came = judged(&database, kind.user, &full, &empty);
        let mut wanted = kind.wanted.split('|').map(str::trim);
        let wanted = if is_later { wanted.next_back() } else { wanted.next() }.unwrap_or_default();
        let is_as_wanted = match wanted.strip_prefix("no ") {
            Some(word) => came.strip_prefix("no ").is_some_and(|why| why.contains(word)),
            // Rows may by chance lie where they lay.
            None => came == wanted || (wanted == "rows" && came == "back"),
        };
        if came.starts_with("no ") {
            refused += 1;
        } else {
            proven += 1;
        }
        if !is_as_wanted {
            let _infallible = writeln!(wrong, "{}: wanted {wanted}, and it was: {came}", kind.name);
        }
    }
    eprintln!(
        "FIGURE\tR18\tPostgres {}: what is called proven loads into an empty server, 100 %\t{proven} of {proven} schemas, {refused} refused before, {} not made by this version: {absent:?}\tscripts/faults --full zoo",
        version / 10_000,
        absent.len()
    );
    assert!(wrong.is_empty(), "\n{wrong}");
    let (least_proven, least_refused) = if is_whole_list() { (60, 15) } else { (15, 1) };
    assert!(
        proven >= least_proven && refused >= least_refused,
        "{proven} proven, {refused} refused"
    );
}
