//! Programs in containers, which go on without the guard that has begun them: whoever takes a run over knows of them and waits.

use std::fs;
use std::path::Path;
use std::process::Command;

use guard::model::event::Voice;
use guard::model::fact::Actor;
use guard::model::name::{RunId, RunKind, Timestamp};
use guard::system::clock::MachineClock;
use guard::system::context::Context;
use guard::system::docker::{exec, has_socket};
use guard::system::environment::Environment;
use guard::system::leftovers::await_acts;
use guard::system::privilege;

use crate::support::embedded::until;

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    assert!(output.status.success(), "docker {args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A container that does nothing, gone when it is dropped.
struct Idle(String);

impl Idle {
    fn start() -> Self {
        let words = [
            "run",
            "--detach",
            "--init",
            "--network",
            "none",
            "--label",
            "guard.test=1",
        ];
        let words = words.into_iter().chain(["guard-test/debian:trixie", "sleep", "600"]);
        Self(docker(&words.collect::<Vec<_>>()))
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        let _gone = Command::new("docker").args(["rm", "--force", &self.0]).output();
    }
}

fn surroundings(directory: &Path) -> Context {
    let clock = MachineClock::start();
    let run = RunId::new(&Timestamp::at(clock.now(), 0), RunKind::Deploy);
    let mut cx = Context::new(directory, Environment::of_this_process(), clock, Voice::silent());
    (cx.run, cx.scratch) = (Some(run), directory.to_owned());
    cx
}

#[test]
fn whoever_takes_over_waits_for_what_goes_on_in_a_container() {
    let container = Idle::start();
    let directory = tempfile::tempdir().unwrap();
    let cx = surroundings(directory.path());
    assert!(
        has_socket(&cx),
        "this is about programs that no process of this host tells of"
    );
    let notes = || fs::read_dir(directory.path()).unwrap().count();
    let driver = Actor {
        pid: 1,
        group: 1,
        host: privilege::host_name(),
        boot: privilege::boot_id(),
        user: "me".to_owned(),
        version: "0".to_owned(),
        watcher: false,
    };
    let begun = |script: &str, cx: &Context| {
        let call = exec(&container.0, &[], true, &["sh", "-c", script]);
        let cx = cx.clone();
        std::thread::spawn(move || cx.output(&call).map(|output| output.text()))
    };
    let at_work = || docker(&["top", &container.0]);
    let renaming = begun("sleep 2; echo renamed > /tmp/done", &cx);
    until(|| at_work().contains("renamed"));
    // One aside of the run's steps is not waited for.
    let loading = begun("sleep 300", &cx.expendable());
    until(|| at_work().contains("sleep 300"));
    assert_eq!(notes(), 2);
    assert_eq!(await_acts(directory.path(), &driver, &cx), 1);
    assert_eq!(docker(&["exec", &container.0, "cat", "/tmp/done"]), "renamed");
    renaming.join().unwrap().unwrap();
    assert!(!loading.is_finished(), "a load was waited for");
    cx.stop.ask();
    assert!(loading.join().unwrap().is_err());
    // Whatever a note says, an engine that is not there holds nobody up.
    let cx = surroundings(directory.path());
    for text in ["", "{ half", "{\"socket\":\"/nowhere\",\"id\":\"0\",\"aside\":false}"] {
        fs::write(directory.path().join("inside-0"), text).unwrap();
        assert_eq!(await_acts(directory.path(), &driver, &cx), 0, "{text}");
    }
    assert_eq!(notes(), 0, "a note is read once");
}
