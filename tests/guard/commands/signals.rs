//! Every signal in every phase, and the end of the parent: what stops where, and what does not.

use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::Signal;

use crate::support::embedded::{Embedded, end, signal, until};
use crate::support::program::Program;

/// A phase: how it is recognised from outside, what is deployed, and what a wish to stop and a lost terminal end with.
struct Phase {
    name: &'static str,
    project: fn() -> Embedded,
    /// What the deploy script is told.
    words: &'static [&'static str],
    /// What the journal says when the phase has begun.
    says: &'static str,
    /// After SIGINT or SIGTERM.
    stopped: i32,
    /// After SIGHUP, as without any signal.
    carried_on: i32,
    /// Whether the old state is there after a wish to stop.
    is_old: bool,
}

fn large() -> Embedded {
    let project = Embedded::new();
    // Random bytes do not shrink, so their copy takes long enough to be interrupted.
    project.sh("head -c 40000000 /dev/urandom > objects/large");
    project
}

fn verifying() -> Embedded {
    Embedded::and("[verify]\ncommands = [\"sleep 0.5\"]")
}

fn stopping() -> Embedded {
    Embedded::and("[services]\nstop = [[\"sleep\", \"0.5\"]]\nstart = [\"true\"]")
}

fn keeping_one() -> Embedded {
    let project = Embedded::and("[retention]\nkeep = 1");
    for _ in 0..2 {
        project.guard().run(&["backup"]).expect(0);
    }
    project
}

const PHASES: [Phase; 6] = [
    Phase {
        name: "backup",
        project: large,
        words: &["all"],
        says: "begun\":{\"step\":\"capture/objects\"",
        stopped: 14,
        carried_on: 0,
        is_old: true,
    },
    Phase {
        name: "deploy",
        project: Embedded::new,
        words: &["all", "echo > ../reached; sleep 0.7"],
        says: "begun\":{\"step\":\"deploy\"",
        stopped: 23,
        carried_on: 0,
        is_old: true,
    },
    Phase {
        name: "verify",
        project: verifying,
        words: &["all"],
        says: "begun\":{\"step\":\"verify\"",
        stopped: 23,
        carried_on: 0,
        is_old: true,
    },
    Phase {
        name: "watch",
        project: Embedded::new,
        words: &["all"],
        says: "begun\":{\"step\":\"watch\"",
        stopped: 23,
        carried_on: 0,
        is_old: true,
    },
    Phase {
        name: "rollback",
        project: stopping,
        words: &["all", "exit 7"],
        says: "begun\":{\"step\":\"quiesce\"",
        stopped: 20,
        carried_on: 20,
        is_old: true,
    },
    Phase {
        name: "retention",
        project: keeping_one,
        words: &["all"],
        says: "closed",
        stopped: 0,
        carried_on: 0,
        is_old: false,
    },
];

fn send(phase: &Phase, kind: Signal) {
    let project = (phase.project)();
    let before = project.everything();
    let words = [&["deploy", "--", "./deploy.sh"], phase.words].concat();
    let runs = project.runs().len();
    let mut guard = project.guard().start(&words);
    until(|| project.runs().len() > runs || guard.try_wait().unwrap().is_some());
    project.until_journal_says(phase.says, &mut guard);
    if phase.name == "deploy" {
        until(|| project.root().join("reached").exists());
    }
    let begun = Instant::now();
    // The last phase may be over before the signal arrives.
    if guard.try_wait().unwrap().is_none() {
        signal(&guard, kind);
    }
    let code = end(&mut guard).code();
    eprintln!("{kind:?} in {}: {code:?} after {:.1?}", phase.name, begun.elapsed());
    let is_wish = kind != Signal::HUP;
    let expected = if is_wish { phase.stopped } else { phase.carried_on };
    assert_eq!(code, Some(expected), "{kind:?} in {}", phase.name);
    if is_wish && phase.is_old || expected >= 20 {
        assert_eq!(project.everything(), before, "{kind:?} in {}", phase.name);
    } else {
        assert_eq!(project.sh("cat code.txt"), "code 2\n", "{kind:?} in {}", phase.name);
    }
    // Whatever was stopped, the project is as usable as before, and what is listed is whole.
    for backup in project.backups() {
        project.guard().run(&["verify", &backup]).expect(0);
    }
    project.guard().run(&["resume"]).expect(0).says("nothing is unfinished");
}

#[test]
fn fault_e1_e2_e3_e4_e5_e6_every_signal_in_every_phase() {
    std::thread::scope(|scope| {
        for kind in [Signal::INT, Signal::TERM, Signal::HUP] {
            scope.spawn(move || PHASES.iter().for_each(|phase| send(phase, kind)));
        }
    });
}

/// guard below a shell that waits for it.
fn below_a_shell(project: &Embedded, guard: &Program, words: &[&str]) -> std::process::Child {
    let guard = guard.command(words);
    let mut shell = Command::new("bash");
    shell
        .args(["-c", "\"$@\"; true", "bash"])
        .arg(guard.get_program())
        .args(guard.get_args());
    shell.current_dir(project.directory());
    for (name, value) in guard.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn fault_e8_the_end_of_the_parent_is_a_wish_to_stop_in_ci_and_nowhere_else() {
    for (ci, code) in [("true", 23), ("false", 0)] {
        let project = Embedded::new();
        let before = project.everything();
        let guard = project.guard().env("CI", ci);
        let words = ["deploy", "--", "./deploy.sh", "all", "echo > ../reached; sleep 1.5"];
        let mut shell = below_a_shell(&project, &guard, &words);
        until(|| project.root().join("reached").exists());
        let begun = Instant::now();
        shell.kill().unwrap();
        shell.wait().unwrap();
        let result = project.newest_run().join("result.json");
        until(|| result.exists());
        eprintln!("CI={ci}: over {:.1?} after the parent's end", begun.elapsed());
        let result = crate::support::watched::json(&result);
        assert_eq!(result["exit_code"], code, "CI={ci}: {result:#}");
        assert_eq!(
            result["finished_by"],
            serde_json::Value::Null,
            "guard itself heard of it"
        );
        assert_eq!(project.everything() == before, code == 23);
    }
}

#[test]
fn a_thread_of_the_parent_that_ends_is_not_the_parent() {
    let project = Embedded::new();
    let guard = project.guard().env("CI", "true");
    let words = ["deploy", "--", "./deploy.sh", "all", "echo > ../reached; sleep 0.3"];
    // The thread that starts guard is gone at once; its process is not.
    let mut started = std::thread::scope(|scope| scope.spawn(|| guard.start(&words)).join().unwrap());
    until(|| project.root().join("reached").exists() || started.try_wait().unwrap().is_some());
    assert_eq!(end(&mut started).code(), Some(0));
}
