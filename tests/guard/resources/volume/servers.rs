//! The data directories of servers: recognised by the table, and never copied as if they were plain directories.

use std::path::Path;
use std::process::{Command, Stdio};

use guard::resources::{Resource, Slot};
use guard::system::servers::{Need, SERVERS, Server};

use super::build;
use crate::support::Scene;
use crate::support::kinds::text;

/// What each server leaves in its directory: its name in the table, and entries; those that end in `/` are directories.
const DIRECTORIES: &[(&str, &[&str])] = &[
    ("Postgres", &["PG_VERSION", "base/1/", "global/pg_control"]),
    ("Postgres", &["17/docker/PG_VERSION"]),
    ("MySQL or MariaDB", &["ibdata1", "mysql/user.frm"]),
    ("MySQL or MariaDB", &["aria_log_control"]),
    ("MySQL or MariaDB", &["mysql.ibd", "#innodb_redo/"]),
    ("Redis or Valkey", &["dump.rdb"]),
    ("Redis or Valkey", &["appendonlydir/appendonly.aof.manifest"]),
    ("Redis or Valkey", &["appendonly.aof"]),
    ("Redis or Valkey", &["nodes.conf", "shard-1.rdb"]),
    ("MongoDB", &["WiredTiger", "collection-0-1.wt"]),
    ("etcd", &["member/snap/db", "member/wal/0.wal"]),
    ("etcd", &["default.etcd/member/wal/0.wal"]),
    ("RabbitMQ", &["mnesia/rabbit@host/schema.DAT", ".erlang.cookie"]),
    (
        "RabbitMQ",
        &["rabbit@host/msg_stores/vhosts/", "rabbit@host/rabbit_serial"],
    ),
    ("RabbitMQ", &["rabbit@host/coordination/", "rabbit@host/quorum/"]),
    ("Elasticsearch or OpenSearch", &["nodes/0/_state/"]),
    (
        "Elasticsearch or OpenSearch",
        &["_state/manifest-0.st", "indices/", "node.lock"],
    ),
    ("InfluxDB", &["influxd.bolt", "engine/data/"]),
    ("InfluxDB", &["meta/meta.db", "data/", "wal/"]),
    ("ClickHouse", &["metadata/default.sql", "store/", "data/default/"]),
    ("ClickHouse", &["metadata/system.sql", "data/system/"]),
    ("Prometheus", &["chunks_head/000001", "wal/00000000", "lock"]),
    (
        "MinIO",
        &[
            ".minio.sys/format.json",
            "bucket/CURRENT/xl.meta",
            "bucket/MANIFEST-1/xl.meta",
        ],
    ),
    (
        "Cassandra or ScyllaDB",
        &["commitlog/", "data/system/", "saved_caches/"],
    ),
    ("Neo4j", &["data/databases/neo4j/neostore", "data/transactions/neo4j/"]),
    (
        "Kafka",
        &["meta.properties", "recovery-point-offset-checkpoint", "topic-0/"],
    ),
    ("ZooKeeper", &["version-2/log.1"]),
    ("CouchDB", &["_dbs.couch"]),
    ("LMDB", &["ldap/data.mdb", "ldap/lock.mdb"]),
    (
        "RocksDB or LevelDB",
        &["db/CURRENT", "db/MANIFEST-000004", "db/000003.log"],
    ),
];

fn make(root: &Path, entries: &[&str]) {
    for entry in entries {
        let path = root.join(entry);
        let directory = if entry.ends_with('/') {
            &path
        } else {
            path.parent().unwrap()
        };
        std::fs::create_dir_all(directory).unwrap();
        if !entry.ends_with('/') {
            std::fs::write(path, "x").unwrap();
        }
    }
}

fn refusals(resource: &dyn Resource, scene: &Scene) -> Vec<String> {
    let found = resource.survey(&scene.cx).obstacles.into_iter();
    let refusing = found.filter(|one| one.refuses);
    refusing.map(|one| format!("{} ({})", one.what, one.advice)).collect()
}

#[test]
fn every_server_of_the_table_is_known_by_its_directory_and_refused_while_it_may_run() {
    for (name, entries) in DIRECTORIES {
        let scene = Scene::new();
        let root = scene.project().join("data");
        make(&root, entries);
        let (server, _) = Server::in_directory(&root, 2)
            .unwrap()
            .unwrap_or_else(|| panic!("{name}: {entries:?}"));
        assert_eq!(server.name, *name, "{entries:?}");
        let live = build("volume", &scene.project(), None, &[("path", text("data"))]);
        let told = refusals(live.as_ref(), &scene);
        let slot = Slot::new(&scene.backup(), live.name());
        if matches!(server.need, Need::Nothing(_)) {
            assert_eq!(told, Vec::<String>::new(), "{name} writes whole files");
            live.capture(&slot, &scene.cx).unwrap();
            continue;
        }
        assert!(told.len() == 1 && told[0].contains(name), "{name}: {told:?}");
        assert!(told[0].contains("mode = \"stop\""), "{told:?}");
        let error = live
            .capture(&slot, &scene.cx)
            .expect_err("refused, whatever a check said");
        assert!(error.hint.is_some() && !slot.directory().exists(), "{error:?}");
        let keys = [("path", text("data")), ("mode", text("stop"))];
        let stopped = build("volume", &scene.project(), None, &keys);
        assert_eq!(
            refusals(stopped.as_ref(), &scene),
            Vec::<String>::new(),
            "{name} does not run"
        );
        stopped.capture(&slot, &scene.cx).unwrap();
    }
    for server in SERVERS {
        assert!(
            DIRECTORIES.iter().any(|(name, _)| *name == server.name),
            "{} has no example",
            server.name
        );
    }
}

#[test]
fn plain_directories_and_those_that_belong_to_no_server_are_copied() {
    for entries in [
        &["uploads/2026/a.png", "CURRENT"][..],
        &["data/a", "wal/b", "store/c", "metadata/d"],
        &["version-2/readme", "commitlog"],
        &["deep/er/than/two/PG_VERSION"],
    ] {
        let scene = Scene::new();
        let root = scene.project().join("data");
        make(&root, entries);
        let live = build("volume", &scene.project(), None, &[("path", text("data"))]);
        assert_eq!(refusals(live.as_ref(), &scene), Vec::<String>::new(), "{entries:?}");
    }
}

#[test]
fn a_redis_that_has_never_saved_is_known_by_its_process_and_stopping_containers_does_not_stop_it() {
    let scene = Scene::new();
    let root = scene.project().join("data");
    std::fs::create_dir_all(&root).unwrap();
    let socket = scene.project().join("s");
    let mut server = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--unixsocket"])
        .arg(&socket)
        .arg("--dir")
        .arg(&root)
        .stdout(Stdio::null())
        .spawn()
        .expect("scripts/setup installs Redis");
    let ask = |words: &[&str]| {
        let output = Command::new("redis-cli")
            .arg("-s")
            .arg(&socket)
            .args(words)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    while ask(&["ping"]) != "PONG" {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let of = |mode| {
        build(
            "volume",
            &scene.project(),
            None,
            &[("path", text("data")), ("mode", text(mode))],
        )
    };
    let told = refusals(of("live").as_ref(), &scene);
    assert!(told.len() == 1 && told[0].contains("only in its memory"), "{told:?}");
    assert_eq!(ask(&["set", "k", "v"]), "OK");
    assert_eq!(ask(&["save"]), "OK");
    for mode in ["live", "pause", "stop"] {
        let told = refusals(of(mode).as_ref(), &scene);
        assert!(told.len() == 1 && told[0].contains("Redis"), "{mode}: {told:?}");
        assert!(told[0].contains("kind = \"redis\""), "{mode}: {told:?}");
    }
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(
        refusals(of("stop").as_ref(), &scene),
        Vec::<String>::new(),
        "nobody uses it any more"
    );
}

#[test]
fn the_documentation_has_a_row_for_every_server_of_the_table() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page
        .split("### Volumes of servers")
        .nth(1)
        .unwrap()
        .split("\n#")
        .next()
        .unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert_eq!(rows.len(), SERVERS.len(), "{rows:#?}");
    for server in SERVERS {
        let row = rows.iter().find(|row| row.starts_with(&format!("| {} |", server.name)));
        let row = row.unwrap_or_else(|| panic!("{} is not told", server.name));
        match server.need {
            Need::Kind(kind) => assert!(row.contains(&format!("`kind = {kind:?}`")), "{row}"),
            Need::Stop => assert!(row.contains("`mode = \"stop\"`"), "{row}"),
            Need::Nothing(kind) => assert!(row.contains("nothing") && row.contains(kind), "{row}"),
        }
    }
}
