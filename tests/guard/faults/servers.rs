//! kill -9 of the servers that guard relies on, in each phase: the postmaster of a database, and the Docker engine itself. The
//! run ends in the right state, or with a code and a command after which it does.

use std::panic::AssertUnwindSafe;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::figures::{is_full, reached};
use crate::support::cluster::Cluster;
use crate::support::daemon::Daemon;
use crate::support::embedded::{Embedded, until};
use crate::support::program::Program;

/// A phase, by the step whose announcement begins it, and whether the release is a good one in this story.
type Phase = (&'static str, bool);

/// The judge of a story: what is true, by other means than guard's.
struct Judge<'a> {
    observe: &'a dyn Fn() -> String,
    old: String,
    /// What a good release is known by.
    new: &'static str,
}

/// Waits until guard has announced a step.
pub fn until_begun(project: &Embedded, step: &str, guard: &mut Child) -> bool {
    let says = format!("{{\"begun\":{{\"step\":\"{step}\"}}}}");
    let journal = || {
        let run = project.runs().pop()?;
        std::fs::read_to_string(run.join("journal.jsonl")).ok()
    };
    let begun = || journal().is_some_and(|text| text.contains(&says));
    until(|| begun() || guard.try_wait().unwrap().is_some());
    begun()
}

/// Waits for the end of a run whose server came back, now or after its end, finishes it, and compares.
fn judge(story: &str, guard: Child, revive: &mut dyn FnMut(), resume: &Program, judge: &Judge<'_>) -> i32 {
    let output = guard.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code().unwrap();
    revive();
    let story = format!("{story}: {code}\n{said}");
    assert!(
        [0, 10, 11, 14, 20, 21, 22, 23, 24, 30, 32, 33].contains(&code),
        "{story}"
    );
    if [30, 33].contains(&code) {
        assert!(said.contains("guard resume"), "{story}");
    }
    let mut last = code;
    for _ in 0..3 {
        let ran = resume.run(&["resume"]);
        if ran.stderr.contains("nothing is unfinished") {
            break;
        }
        last = ran.code.unwrap();
        assert!(
            [0, 14, 20, 21, 22, 23, 24, 32].contains(&last),
            "{story}\n{}",
            ran.everything()
        );
    }
    let now = (judge.observe)();
    if code == 0 {
        assert!(now.contains(judge.new), "{story}\n{now}");
    } else {
        assert_eq!(now, judge.old, "{story}, then {last}");
    }
    resume.run(&["resume"]).expect(0).says("nothing is unfinished");
    last
}

/// Kills the postmaster with -9, which its backends notice by themselves.
fn kill_postmaster(cluster: &Cluster) {
    let file = cluster.sql("postgres", "SELECT pg_read_file('postmaster.pid');");
    let killed = Command::new("kill").args(["-9", file.lines().next().unwrap()]).status();
    assert!(killed.unwrap().success());
}

/// Starts the server again, once the last backend of the killed one is gone.
fn revive(cluster: &Cluster) {
    let answers = || {
        let asked = cluster.client("postgres").args(["-c", "SELECT 1"]).output();
        asked.unwrap().status.success()
    };
    until(|| answers() || std::panic::catch_unwind(AssertUnwindSafe(|| cluster.up())).is_ok());
}

const MIGRATION: &str = "ALTER TABLE users ADD COLUMN mail text; INSERT INTO users (name) VALUES ('new');";

fn strike_postmaster(cluster: &Cluster, (step, is_good): Phase, comes_back: bool) {
    cluster.sql("postgres", "DROP DATABASE IF EXISTS shop;");
    cluster.create("shop", "CREATE TABLE users (id serial PRIMARY KEY, name text); INSERT INTO users (name) SELECT 'user ' || n FROM generate_series(1, 20000) n;");
    // A sequence is logged some numbers ahead, and goes on behind them where its server was killed before a checkpoint.
    cluster.sql("shop", "CHECKPOINT;");
    let url = cluster.url("shop");
    let project = Embedded::with(&format!(
        "[resources.db]\nkind = \"postgres\"\nurl = \"{url}\"\n[resources.code]\nkind = \"git\"\n\
         [probes.db]\nkind = \"postgres\"\nurl = \"{url}\"\n[policy]\ndata_restore = \"always\"\n\
         [monitor]\nduration = \"2s\"\ninterval = \"100ms\"\nconsecutive_failures = 3\npersist = \"300ms\"\ngate = \"20s\"\nmin_samples = 3\n"
    ));
    project.sh("chmod 600 guard.toml");
    project.write("migration.sql", MIGRATION);
    let observe = || {
        let code = project.sh("cat code.txt; git rev-parse HEAD");
        // Numbers that the failed release has given out are not given out again.
        let dump = cluster.observe("shop");
        let dump: Vec<&str> = dump
            .lines()
            .filter(|line| !line.contains("pg_catalog.setval("))
            .collect();
        format!("{code}{}", dump.join("\n"))
    };
    let old = observe();
    let alone = project.guard().env("GUARD_NO_WATCHER", "1");
    let migrate = format!("sleep 0.3; psql -q -v ON_ERROR_STOP=1 '{url}' -f migration.sql");
    let end = if is_good { "true" } else { "exit 7" };
    let words = [
        "deploy",
        "--again",
        "--",
        "./deploy.sh",
        &migrate,
        "echo 'code 2' > code.txt; commit two",
        end,
    ];
    let mut guard = alone.command(&words);
    let mut guard = guard.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let story = format!(
        "the postmaster killed at {step}, back {}",
        if comes_back { "soon" } else { "after the run" }
    );
    if until_begun(&project, step, &mut guard) {
        kill_postmaster(cluster);
        if comes_back {
            std::thread::sleep(Duration::from_millis(500));
            revive(cluster);
        }
    }
    let judged = Judge {
        observe: &observe,
        old,
        new: "code 2",
    };
    let last = judge(&story, guard, &mut || revive(cluster), &alone, &judged);
    eprintln!("{story}: ended with {last}");
}

const PHASES: [Phase; 7] = [
    ("restore/db", false),
    ("prepare/db", false),
    ("capture/db", false),
    ("deploy", false),
    ("watch", true),
    ("quiesce", false),
    ("prove", false),
];

#[test]
fn fault_g3_a_postmaster_killed_in_any_phase_leaves_the_right_state() {
    let cluster = Cluster::start();
    let phases = if is_full() { &PHASES[..] } else { &PHASES[..2] };
    let mut stories = 0;
    for (number, phase) in phases.iter().enumerate() {
        for comes_back in [true, false] {
            if is_full() || comes_back == number.is_multiple_of(2) {
                strike_postmaster(&cluster, *phase, comes_back);
                stories += 1;
            }
        }
    }
    reached(
        "d",
        "kill -9 of the postmaster in each phase: the right state, at once or after a resume",
        &format!("{stories} stories, all right"),
        "a private cluster",
    );
}

const COMPOSE: &str = "services:\n  app:\n    image: guard-test/debian:trixie\n    command: [\"sleep\", \"100000\"]\n    init: true\n    \
                       restart: always\n    network_mode: none\n    stop_grace_period: 1s\n    volumes: [\"data:/data\"]\nvolumes:\n  data: {}\n";

fn strike_engine(engine: &mut Daemon, number: usize, (step, is_good): Phase) {
    let name = format!("guard-test-killed-{number}");
    let project = Embedded::with(&format!(
        "[compose]\nfiles = [\"compose.yml\"]\nproject = \"{name}\"\n[resources.data]\nkind = \"volume\"\nvolume = \"data\"\n\
         [resources.stack]\nkind = \"compose\"\n[resources.code]\nkind = \"git\"\n[probes.app]\nkind = \"container\"\nservices = [\"app\"]\n\
         [policy]\ndata_restore = \"always\"\n\
         [monitor]\nduration = \"2s\"\ninterval = \"200ms\"\nconsecutive_failures = 3\npersist = \"600ms\"\ngate = \"60s\"\nmin_samples = 3\n"
    ));
    project.write("compose.yml", COMPOSE);
    let host = engine.host();
    let compose = format!("DOCKER_HOST={host} docker compose -p {name} -f compose.yml");
    project.sh(&format!("git add compose.yml && git -c user.name=t -c user.email=t@example.invalid commit -qm compose && {compose} up -d --pull never 2>&1 && {compose} exec -T app sh -c 'echo old > /data/file'"));
    let volume = engine.volume(&format!("{name}_data"));
    let inspect = format!(
        "DOCKER_HOST={host} docker inspect --format '{{{{.State.Status}}}} {{{{.Path}}}} {{{{.Args}}}}' $({compose} ps -aq)"
    );
    let observe = || {
        let file = std::fs::read_to_string(volume.join("file")).unwrap_or_default();
        format!(
            "{file}{}{}",
            project.sh("cat compose.yml; git rev-parse HEAD"),
            project.sh(&inspect)
        )
    };
    let old = observe();
    let alone = project.guard().env("GUARD_NO_WATCHER", "1").env("DOCKER_HOST", &host);
    let release = format!(
        "{compose} exec -T app sh -c 'echo new > /data/file'; sed -i s/100000/200000/ compose.yml; commit two; {compose} up -d --pull never"
    );
    let end = if is_good { "true" } else { "exit 7" };
    let mut guard = alone.command(&["deploy", "--again", "--", "./deploy.sh", &release, end]);
    let mut guard = guard.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let story = format!("the engine killed at {step}");
    if until_begun(&project, step, &mut guard) {
        engine.kill();
        std::thread::sleep(Duration::from_millis(500));
        engine.revive();
    }
    let judged = Judge {
        observe: &observe,
        old,
        new: "200000",
    };
    let last = judge(&story, guard, &mut || (), &alone, &judged);
    eprintln!("{story}: ended with {last}");
    project.sh(&format!("{compose} down --volumes 2>&1"));
}

const ENGINE_PHASES: [Phase; 7] = [
    ("restore/data", false),
    ("capture/data", false),
    ("deploy", false),
    ("watch", true),
    ("prepare/data", false),
    ("quiesce", false),
    ("start", false),
];

#[test]
fn fault_h2_h3_an_engine_killed_in_any_phase_leaves_the_right_state() {
    let Some(mut engine) = Daemon::start() else {
        eprintln!("not permitted to run an engine of its own here: nobody kills one");
        return;
    };
    let phases = if is_full() {
        &ENGINE_PHASES[..]
    } else {
        &ENGINE_PHASES[..1]
    };
    for (number, phase) in phases.iter().enumerate() {
        strike_engine(&mut engine, number, *phase);
    }
    reached(
        "d",
        "kill -9 of the Docker engine in each phase: the right state, at once or after a resume",
        &format!("{} stories, all right", phases.len()),
        "an engine of its own",
    );
}
