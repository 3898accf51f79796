//! What a release leaves open in a database: a transaction that holds a lock keeps nobody from going back.

use super::{EVERYTHING, SPOIL};
use crate::support::cluster::Cluster;
use crate::support::embedded::Embedded;

#[test]
fn fault_f15_a_transaction_that_the_release_leaves_open_is_ended_for_the_way_back() {
    let cluster = Cluster::start();
    cluster.create("shop", EVERYTHING);
    let project = Embedded::with(&format!(
        "[resources.db]\nkind = \"postgres\"\nurl = \"{}\"\nlock_wait = \"2s\"\n\
         [probes.app]\nkind = \"command\"\ncommand = [\"true\"]\n\
         [policy]\ndata_restore = \"always\"\n\
         [monitor]\nduration = \"400ms\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"50ms\"\nmin_samples = 3\n",
        cluster.url("shop")
    ));
    project.sh("chmod 600 guard.toml");
    let before = cluster.observe("shop");
    // The release goes this far, and its session stays where it is, with every lock that it took.
    let client = cluster.client("shop");
    let mut words = vec![format!("{:?}", client.get_program())];
    words.extend(client.get_args().map(|word| format!("{word:?}")));
    let environment = client
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={:?}", name.to_str()?, value?)));
    let psql = format!("env {} {}", environment.collect::<Vec<_>>().join(" "), words.join(" "));
    project.write("spoil.sql", SPOIL);
    let held = "BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE; ALTER TABLE users ADD COLUMN half text;";
    project.write("release.sh", &format!(
        "{psql} < spoil.sql\n(echo '{held}'; echo '\\! touch ../held'; sh -c 'echo $PPID' > ../pid; exec sleep 600) | setsid {psql} > /dev/null 2>&1 &\n\
         while [ ! -e ../held ]; do sleep 0.05; done\nexit 7\n"
    ));
    let ran = project.guard().run(&["deploy", "--", "sh", "./release.sh"]);
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%';";
    let left = cluster.sql("postgres", sessions);
    // Without its input psql ends as well.
    project.sh("kill $(cat ../pid)");
    ran.expect(20)
        .says("old, verified")
        .says("ended a session that held a lock");
    assert_eq!(left, "0", "its session was ended");
    assert_eq!(cluster.observe("shop"), before);
}
