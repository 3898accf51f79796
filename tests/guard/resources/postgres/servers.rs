//! Servers that go silent, that are replicas, or that are not the one that the backup came from.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use guard::model::policy::DataRestore;

use super::{alone, by_url, slot};
use crate::support::Scene;
use crate::support::cluster::Cluster;
use crate::support::kinds::build;

/// A way to a server that hands on so many bytes of its answers, and then nothing, with every connection open. Returns its
/// port.
fn silent_after(bytes: u64, server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let passed = Arc::new(AtomicU64::new(0));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let there = TcpStream::connect(("127.0.0.1", server)).unwrap();
            let (mut questions, mut to) = (client.try_clone().unwrap(), there.try_clone().unwrap());
            std::thread::spawn(move || {
                let _closed = std::io::copy(&mut questions, &mut to);
                let _closed = to.shutdown(std::net::Shutdown::Write);
            });
            let (mut answers, mut to, passed) = (there, client, passed.clone());
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count) = answers.read(&mut buffer) {
                    if count == 0 || passed.fetch_add(count as u64, Ordering::SeqCst) > bytes {
                        break;
                    }
                    if to.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                if passed.load(Ordering::SeqCst) > bytes {
                    // The connection stays open for the rest of the test.
                    std::mem::forget((answers, to));
                }
            });
        }
    });
    port
}

#[test]
fn fault_g4_a_dump_that_falls_silent_is_ended() {
    let cluster = Cluster::start();
    cluster.create(
        "shop",
        "CREATE TABLE big AS SELECT md5(n::text) || md5((n * 7)::text) AS text FROM generate_series(1, 100000) n;",
    );
    let scene = Scene::new();
    let port = silent_after(2_000_000, cluster.port);
    let url = cluster
        .url("shop")
        .replace(&format!(":{}/", cluster.port), &format!(":{port}/"));
    let resource = build("postgres", &[("url", &url), ("stall", "2s")], &alone(&scene));
    let slot = slot(&scene, resource.as_ref());
    let error = resource.capture(&slot, &scene.cx).expect_err("nothing comes any more");
    assert!(error.to_string().contains("brought no byte for 2.0 s"), "{error:?}");
    assert!(error.hint.as_deref().unwrap().contains("`stall`"), "{error:?}");
    assert_eq!(
        std::fs::read_dir(slot.directory()).unwrap().count(),
        0,
        "nothing that could be taken for a backup"
    );
}

#[test]
fn fault_g18_a_replica_is_refused() {
    let cluster = Cluster::start();
    cluster.create("shop", "CREATE TABLE t (id int PRIMARY KEY);");
    let replica = cluster.replica();
    let scene = Scene::new();
    let resource = by_url(&replica, &scene, "shop");
    let survey = resource.survey(&scene.cx);
    let refusal = survey
        .obstacles
        .iter()
        .find(|obstacle| obstacle.refuses)
        .expect("refused");
    assert!(refusal.what.contains("replica in recovery"), "{survey:?}");
    let slot = slot(&scene, resource.as_ref());
    let error = resource.capture(&slot, &scene.cx).err();
    let tables = replica.sql("shop", "SELECT count(*) FROM t");
    assert_eq!(tables, "0", "it was only read: {error:?}");
}

#[test]
fn fault_g19_a_backup_of_another_cluster_is_refused() {
    let (staging, production) = (Cluster::stranger(), Cluster::start());
    for cluster in [&staging, &production] {
        cluster.create("shop", "CREATE TABLE t (id int PRIMARY KEY);");
    }
    staging.sql("shop", "INSERT INTO t VALUES (1);");
    let scene = Scene::new();
    let of_staging = by_url(&staging, &scene, "shop");
    let slot = slot(&scene, of_staging.as_ref());
    let artifact = of_staging.capture(&slot, &scene.cx).unwrap();
    let wrong = by_url(&production, &scene, "shop");
    let error = wrong
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .expect_err("another cluster");
    assert!(
        error.to_string().contains("another cluster") && !error.copy_is_bad,
        "{error:?}"
    );
    assert_eq!(production.databases(), ["shop"], "nothing was made");
    let keys = [("url", production.url("shop")), ("server", "any".to_owned())];
    let keys = keys.each_ref().map(|(key, value)| (*key, value.as_str()));
    let meant = build("postgres", &keys, &alone(&scene));
    let prepared = meant.prepare(&artifact, &slot, DataRestore::Always, &scene.cx).unwrap();
    meant.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    assert_eq!(production.sql("shop", "SELECT count(*) FROM t"), "1");
}
