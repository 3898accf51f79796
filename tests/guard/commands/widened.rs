//! Where what is back does not come up with the rows that the release left, these go back as well: seen with a real database.

use crate::support::cluster::Cluster;
use crate::support::embedded::Embedded;

const JOBS: &str =
    "CREATE TABLE jobs (id serial PRIMARY KEY, payload text NOT NULL); INSERT INTO jobs (payload) VALUES ('old');";

/// The old code reads the queue, and falls over a job of the new form.
fn project(cluster: &Cluster, policy: &str) -> Embedded {
    let url = cluster.url("shop");
    let poisoned = format!("psql -qXAt '{url}' -c \\\"SELECT count(*) FROM jobs WHERE payload LIKE 'v2:%'\\\"");
    Embedded::with(&format!(
        "[resources.db]\nkind = \"postgres\"\nurl = \"{url}\"\n
[verify]\ncommands = [[\"sh\", \"-c\", \"test $({poisoned}) = 0\"]]\n[monitor]\nduration = \"200ms\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"50ms\"\ngate = \"100ms\"\nmin_samples = 2\n{policy}"
    ))
}

fn release(cluster: &Cluster) -> String {
    let sql = "INSERT INTO jobs (payload) VALUES ('v2:one'), ('v2:two')";
    format!("psql -qX -v ON_ERROR_STOP=1 '{}' -c \"{sql}\"", cluster.url("shop"))
}

fn jobs(cluster: &Cluster) -> String {
    cluster.sql("shop", "SELECT string_agg(payload, ',' ORDER BY id) FROM jobs")
}

#[test]
fn rows_that_the_old_release_cannot_live_with_go_back_by_a_second_decision() {
    let cluster = Cluster::start();
    cluster.create("shop", JOBS);
    let project = project(&cluster, "");
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", &release(&cluster)]);
    let ran = ran.expect(21);
    assert_eq!(jobs(&cluster), "old");
    ran.says("is left as it is")
        .says("What was put back does not come up, and db still differs")
        .says("discards 2 rows in jobs")
        .says("With it went db")
        .says("exit code 21");
    let run = project.runs().pop().unwrap();
    let journal = std::fs::read_to_string(run.join("journal.jsonl")).unwrap();
    assert_eq!(journal.matches("{\"widened\":{\"resources\":[\"db\"]}}").count(), 1);
    // Nothing is lost: an undo has them.
    project.guard().run(&["rollback", "--undo", "--yes"]);
    assert_eq!(jobs(&cluster), "old,v2:one,v2:two");
}

#[test]
fn a_policy_that_forbids_to_discard_rows_is_kept_to() {
    let cluster = Cluster::start();
    cluster.create("shop", JOBS);
    let project = project(&cluster, "[policy]\ndata_restore = \"if-no-writes\"\n");
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", &release(&cluster)]);
    let ran = ran.expect(32);
    ran.says("does not pass its probes");
    assert_eq!(jobs(&cluster), "old,v2:one,v2:two");
}
