//! The session in which a server is looked at and databases are renamed: one for many scripts, each of which begins as in one of
//! its own, and none that is asked when it has ended.

use guard::model::artifact::Live;
use guard::model::policy::DataRestore;

use super::{EVERYTHING, SPOIL, by_url, slot};
use crate::support::Scene;
use crate::support::cluster::Cluster;

/// How many sessions the server has begun in the database that is nobody's, by its log.
fn sessions(cluster: &Cluster) -> usize {
    let log = cluster.log();
    let begun = log.lines().filter(|line| line.contains("connection authorized"));
    begun.filter(|line| line.contains("database=postgres ")).count()
}

#[test]
fn a_way_back_takes_few_sessions_and_none_that_has_ended() {
    let cluster = Cluster::start_with("log_connections = on");
    cluster.create("shop", EVERYTHING);
    let scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    let slot = slot(&scene, resource.as_ref());
    let original = cluster.observe("shop");
    let before = sessions(&cluster);
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    cluster.sql("shop", SPOIL);
    let prepared = resource
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .unwrap();
    let displaced = resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    let taken = sessions(&cluster) - before;
    // On a busy machine one is opened anew now and then, since it was idle for too long; there are some forty scripts.
    assert!((1..10).contains(&taken), "{taken} sessions\n{}", cluster.log());

    // A server that was stopped under it takes the session along; the next script begins another.
    cluster.down();
    cluster.up();
    assert_eq!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    resource.undo(&displaced, &scene.cx).unwrap();
    resource.undo(&displaced, &scene.cx).unwrap();
    cluster.sql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'guard'",
    );
    resource.forget(&displaced, &scene.cx).unwrap();
    assert_ne!(cluster.observe("shop"), original, "the failed state is live again");
}
