//! What goes wrong with a database, and what is said and done about it.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use guard::model::artifact::Live;
use guard::model::policy::DataRestore;
use guard::resources::Survey;

use super::{EVERYTHING, SPOIL, alone, by_url, slot};
use crate::support::Scene;
use crate::support::cluster::{Cluster, ENCODED, PASSWORD};
use crate::support::kinds::{build, try_build};

fn refusal(survey: &Survey) -> String {
    let refusals: Vec<_> = survey.obstacles.iter().filter(|obstacle| obstacle.refuses).collect();
    assert_eq!(refusals.len(), 1, "{survey:?}");
    assert!(!refusals[0].advice.is_empty());
    refusals[0].what.clone()
}

#[test]
fn fault_g1_each_way_to_be_out_of_reach_has_its_own_words() {
    let cluster = Cluster::start();
    cluster.create("shop", "");
    let scene = Scene::new();
    let asked = |url: &str| {
        let resource = build("postgres", &[("url", url)], &alone(&scene));
        let artifact = resource.capture(&slot(&scene, resource.as_ref()), &scene.cx);
        let error = artifact.expect_err("nothing can be captured");
        (refusal(&resource.survey(&scene.cx)), error.to_string())
    };
    let right = cluster.url("shop");
    let (surveyed, captured) = asked(&right.replace(ENCODED, "wrong"));
    assert!(surveyed.contains("refuses the user or the password"), "{surveyed}");
    assert!(captured.contains("refuses the user or the password"), "{captured}");
    let (surveyed, _) = asked(&cluster.url("shpo"));
    assert!(surveyed.contains("there is no database \"shpo\""), "{surveyed}");
    let (surveyed, _) = asked(&right.replace("127.0.0.1", "no-such-host.invalid"));
    assert!(surveyed.contains("host name is not known"), "{surveyed}");
    cluster.down();
    let (surveyed, captured) = asked(&right);
    assert!(surveyed.contains("the server does not answer"), "{surveyed}");
    assert!(captured.contains("the server does not answer"), "{captured}");
    let resource = by_url(&cluster, &scene, "shop");
    assert!(resource.fingerprint(&scene.cx).is_err());
}

#[test]
fn fault_g5_who_holds_the_lock_is_named() {
    let cluster = Cluster::start();
    cluster.create("shop", EVERYTHING);
    let scene = Scene::new();
    let mut holder = cluster
        .client("shop")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = holder.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"BEGIN; LOCK TABLE users; SELECT 1;\n").unwrap();
    let mut told = [0; 1];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut told).unwrap();
    let resource = by_url(&cluster, &scene, "shop");
    let error = resource
        .capture(&slot(&scene, resource.as_ref()), &scene.cx)
        .expect_err("locked");
    assert!(error.to_string().contains("holds a lock"), "{error:?}");
    assert!(
        error.hint.as_deref().unwrap().contains("locks public.users"),
        "{error:?}"
    );
    let survey = resource.survey(&scene.cx);
    assert!(
        survey
            .obstacles
            .iter()
            .any(|obstacle| !obstacle.refuses && obstacle.what.contains("users")),
        "{survey:?}"
    );
    drop(input);
    holder.wait().unwrap();
}

#[test]
fn fault_g6_a_dump_that_was_cut_or_flipped_is_never_staged() {
    let cluster = Cluster::start();
    cluster.create("shop", EVERYTHING);
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    cluster.sql("shop", SPOIL);
    let path = slot.path_of(&artifact.files[0]).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for spoilt in [&whole[..whole.len() / 2], &flipped] {
        std::fs::write(&path, spoilt).unwrap();
        let error = resource
            .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
            .expect_err("spoilt");
        assert!(error.copy_is_bad, "{error:?}");
        assert_eq!(
            cluster.databases(),
            ["shop"],
            "nothing is left beside the live database"
        );
    }
}

#[test]
fn fault_g7_roles_that_are_gone_are_told_before_anything_is_made() {
    let cluster = Cluster::start();
    cluster.create(
        "shop",
        "CREATE TABLE t (); CREATE ROLE \"old clerk\"; GRANT SELECT ON t TO \"old clerk\";",
    );
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    cluster.sql("shop", "DROP OWNED BY \"old clerk\"; DROP ROLE \"old clerk\";");
    let error = resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .expect_err("a role is missing");
    assert!(error.to_string().contains("old clerk"), "{error}");
    assert_eq!(error.hint.as_deref(), Some("CREATE ROLE \"old clerk\";"));
    assert!(!error.copy_is_bad);
    assert_eq!(cluster.databases(), ["shop"]);
}

#[test]
fn fault_g10_g11_g17_what_would_block_a_swap_is_refused() {
    let cluster = Cluster::start();
    cluster.create(
        "shop",
        "CREATE TABLE t (); CREATE ROLE poor LOGIN; GRANT SELECT ON t TO poor;",
    );
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    cluster.sql(
        "shop",
        "BEGIN; INSERT INTO t DEFAULT VALUES; PREPARE TRANSACTION 'half done';",
    );
    assert!(refusal(&resource.survey(&scene.cx)).contains("\"half done\""));
    cluster.sql("shop", "COMMIT PREPARED 'half done';");
    cluster.sql("shop", "SELECT pg_create_logical_replication_slot('feed', 'pgoutput');");
    assert!(refusal(&resource.survey(&scene.cx)).contains("\"feed\""));
    cluster.sql("shop", "SELECT pg_drop_replication_slot('feed');");
    cluster.sql("shop", "ALTER ROLE poor PASSWORD 'poorest of all';");
    let url = cluster
        .url("shop")
        .replace(&format!("boss:{ENCODED}"), "poor:poorest%20of%20all");
    let poor = build("postgres", &[("url", &url)], &alone(&scene));
    let told = poor.survey(&scene.cx).obstacles;
    let is_told = |what: &str| told.iter().any(|found| found.refuses && found.what.contains(what));
    assert!(
        is_told("\"poor\" may not make and rename") && is_told("belongs to the role boss"),
        "{told:?}"
    );
    assert!(resource.survey(&scene.cx).obstacles.is_empty());
}

#[test]
fn fault_g20_a_backup_of_a_newer_server_is_refused() {
    let cluster = Cluster::start();
    cluster.create("shop", EVERYTHING);
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    let slot = slot(&scene, resource.as_ref());
    let mut artifact = resource.capture(&slot, &scene.cx).unwrap();
    cluster.sql("shop", SPOIL);
    artifact.details["server"]["number"] = 990_001.into();
    let error = resource
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .expect_err("newer");
    assert!(
        error.to_string().contains("Postgres 99") && !error.copy_is_bad,
        "{error:?}"
    );
    assert_eq!(cluster.databases(), ["shop"]);
    artifact.details = serde_json::json!({});
    assert!(
        resource
            .check(&artifact, &scene.cx)
            .expect_err("not a description")
            .copy_is_bad
    );
}

#[test]
fn fault_g23_the_password_is_in_no_argument_list() {
    let cluster = Cluster::start();
    cluster.create("shop", EVERYTHING);
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    let (over, seen) = (
        AtomicBool::new(false),
        std::sync::Mutex::new(std::collections::BTreeSet::new()),
    );
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                for entry in std::fs::read_dir("/proc").unwrap().flatten() {
                    let Ok(line) = std::fs::read(entry.path().join("cmdline")) else {
                        continue;
                    };
                    let line = String::from_utf8_lossy(&line).replace('\0', " ");
                    // What names another server is the deploy command of another test.
                    let mut ports = line.split("127.0.0.1:").skip(1);
                    if ports.any(|rest| !rest.starts_with(&cluster.port.to_string())) {
                        continue;
                    }
                    assert!(
                        !line.contains(PASSWORD) && !line.contains(ENCODED) && !line.contains("canary-p"),
                        "{line}"
                    );
                    if line.contains(&format!("port='{}'", cluster.port)) {
                        let program = line.split(' ').next().unwrap().rsplit('/').next().unwrap().to_owned();
                        seen.lock().unwrap().insert(program);
                    }
                }
            }
        });
        let slot = slot(&scene, resource.as_ref());
        let artifact = resource.capture(&slot, &scene.cx).unwrap();
        cluster.sql("shop", SPOIL);
        let prepared = resource
            .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
            .unwrap();
        resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
        let told = serde_json::to_string(&artifact).unwrap();
        assert!(!told.contains("canary"), "nor in the manifest");
        over.store(true, Ordering::SeqCst);
    });
    let seen = seen.into_inner().unwrap();
    assert!(
        seen.iter().any(|program| program.contains("psql")),
        "the sampling saw programs at work: {seen:?}"
    );
    assert_eq!(
        scene.cx.redaction.clean(&format!("x {PASSWORD} y {ENCODED}")),
        "x [REDACTED] y [REDACTED]"
    );
}

#[test]
fn a_database_that_is_not_there_any_more_comes_back() {
    let cluster = Cluster::start();
    cluster.create("shop", EVERYTHING);
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    cluster.sql("postgres", "DROP DATABASE shop;");
    assert_eq!(
        resource.check(&artifact, &scene.cx).unwrap(),
        Live::Differs(vec!["database".to_owned()])
    );
    let prepared = resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    let displaced = resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert!(displaced.kept_as.is_empty());
    assert_eq!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    assert_eq!(cluster.databases(), ["shop"]);
}

#[test]
fn wrong_settings_are_told_and_show_no_password() {
    let scene = Scene::new();
    for keys in [
        &[("url", "mysql://u:canary-x@h/d")][..],
        &[("url", "postgres://u:canary/x@h/d")],
        &[("service", "db")],
        &[("service", "db"), ("url", "postgres://u:canary-x@h/d")],
        &[],
    ] {
        let problems = try_build("postgres", keys, &alone(&scene)).err().expect("refused");
        assert!(
            !problems.is_empty() && !format!("{problems:?}").contains("canary"),
            "{problems:?}"
        );
    }
}
