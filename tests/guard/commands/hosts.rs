//! Two guards that share a target and nothing else: two checkouts on one machine, and two hosts with one database.

use crate::support::cluster::{Cluster, PASSWORD};
use crate::support::embedded::{Embedded, end, until};
use crate::support::program::Program;

/// Settings of a project whose only resource is a database of this cluster.
fn settings(cluster: &Cluster) -> String {
    format!(
        "[resources.db]\nkind = \"postgres\"\nurl = \"{}\"\n[probes.app]\nkind = \"command\"\ncommand = [\"true\"]\n\
         [monitor]\nduration = \"400ms\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"50ms\"\ngate = \"300ms\"\nmin_samples = 3\n\
         [policy]\ndata_restore = \"always\"\n",
        cluster.url("shop")
    )
}

/// A host: a checkout and a state of its own.
fn host(cluster: &Cluster) -> Embedded {
    let project = Embedded::with(&settings(cluster));
    project.sh("chmod 600 guard.toml");
    project
}

const WAIT: &str = "echo > ../reached; while [ ! -e ../go ]; do sleep 0.05; done";

#[test]
fn fault_d2_d3_two_hosts_with_one_database_do_not_work_on_it_at_once() {
    let cluster = Cluster::start();
    cluster.create("shop", "CREATE TABLE users (id int); INSERT INTO users VALUES (1);");
    cluster.create("other", "");
    let (one, two) = (host(&cluster), host(&cluster));
    let before = cluster.observe("shop");
    let mut first = one
        .guard()
        .env("USER", "ada")
        .start(&["deploy", "--", "./deploy.sh", WAIT, "exit 3"]);
    until(|| one.root().join("reached").exists() || first.try_wait().unwrap().is_some());
    for words in [
        &["deploy", "--", "./deploy.sh", "true"][..],
        &["backup"],
        &["rollback", "--yes"],
    ] {
        let told = two.guard().run(words);
        if words[0] == "rollback" {
            // That host has no backup, so nothing would be done.
            assert_ne!(told.code, Some(0));
            continue;
        }
        let told = told.expect(12).says("guard ada@").says(&format!("pid {}", first.id()));
        assert!(!told.everything().contains(PASSWORD));
    }
    assert!(two.deployments().is_empty() && two.runs().is_empty());

    // Nobody else's databases are locked by it, and nobody is kept from making one.
    cluster.create("third", "");
    // The server goes, and the lock with it; it is taken again.
    cluster.down();
    cluster.up();
    let sessions = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted";
    until(|| cluster.sql("postgres", sessions) == "1");
    two.guard().run(&["backup"]).expect(12).says("guard ada@");
    cluster.sql("shop", "DELETE FROM users");
    std::fs::write(one.root().join("go"), "").unwrap();
    assert_eq!(end(&mut first).code(), Some(20));
    assert_eq!(cluster.observe("shop"), before);
    assert_eq!(cluster.sql("postgres", sessions), "0");
    two.guard().run(&["backup"]).expect(0);
    dies_with_its_holder(&cluster);
}

/// The lock of a guard that is killed is free at once, and its watcher takes it.
fn dies_with_its_holder(cluster: &Cluster) {
    let (one, two) = (host(cluster), host(cluster));
    let before = cluster.observe("shop");
    let mut first = one.guard().start(&["deploy", "--", "./deploy.sh", WAIT]);
    until(|| one.root().join("reached").exists() || first.try_wait().unwrap().is_some());
    cluster.sql("shop", "DELETE FROM users");
    first.kill().unwrap();
    end(&mut first);
    // Whoever waits gets it as soon as the watcher is done.
    two.guard().run(&["backup", "--lock-wait"]).expect(0);
    until(|| one.newest_run().join("result.json").exists());
    assert_eq!(cluster.observe("shop"), before);
}

#[test]
fn fault_d2_two_states_of_one_directory_and_two_checkouts_of_one_compose_project_share_a_lock() {
    let project = Embedded::new();
    let root = project.root().join("states");
    let with = |directory: &std::path::Path, state: &str| {
        Program::new(directory, &project.root().join(state)).env("GUARD_STATE_ROOT", root.to_str().unwrap())
    };
    let directory = project.directory();
    let mut first = with(&directory, "one").start(&["deploy", "--", "./deploy.sh", WAIT]);
    until(|| project.root().join("reached").exists() || first.try_wait().unwrap().is_some());
    let second = with(&directory, "two").run(&["backup"]).expect(12).says("guard deploy");
    second.says(&directory.display().to_string());
    let status = with(&directory, "two").run(&["status"]).expect(0);
    assert!(status.stdout.contains(&first.id().to_string()), "{}", status.stdout);
    std::fs::write(project.root().join("go"), "").unwrap();
    assert_eq!(end(&mut first).code(), Some(0));
    with(&directory, "two").run(&["backup"]).expect(0);

    // Two checkouts whose compose files give the same name; the engine need not be there for that.
    let text = "project = \"a-name\"\n[compose]\nfiles = [\"compose.yml\"]\nproject = \"shared-name\"\n\
                [resources.config]\nkind = \"files\"\npaths = [\"code.txt\"]\n[probes.app]\nkind = \"command\"\ncommand = [\"true\"]\n\
                [monitor]\nduration = \"400ms\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"50ms\"\ngate = \"300ms\"\nmin_samples = 3\n";
    let (one, two) = (
        Embedded::with(text),
        Embedded::with(&text.replace("a-name", "another-name")),
    );
    for checkout in [&one, &two] {
        checkout.write("compose.yml", "services: {}\n");
    }
    let of = |checkout: &Embedded| {
        Program::new(&checkout.directory(), &checkout.state()).env("GUARD_STATE_ROOT", root.to_str().unwrap())
    };
    let mut first = of(&one).start(&["deploy", "--", "./deploy.sh", WAIT]);
    until(|| one.root().join("reached").exists() || first.try_wait().unwrap().is_some());
    assert!(
        one.root().join("reached").exists(),
        "{}",
        of(&one).run(&["check"]).everything()
    );
    of(&two)
        .run(&["backup"])
        .expect(12)
        .says(&one.directory().display().to_string());
    let other = of(&two)
        .env("DOCKER_HOST", "tcp://another-engine.invalid:2375")
        .run(&["backup"]);
    assert_ne!(other.code, Some(12), "{}", other.everything());
    std::fs::write(one.root().join("go"), "").unwrap();
    assert_eq!(end(&mut first).code(), Some(0));
}
