//! Whole runs of the real binary: who is told what, once each, and that a receiver changes nothing.

use std::time::Duration;

use serde_json::Value;

use super::Receiver;
use crate::probes::server::{Server, head};
use crate::support::embedded::Embedded;

fn with_hook(url: &str) -> Embedded {
    Embedded::and(&format!(
        "[notify.hook]\nkind = \"webhook\"\nurl = \"{url}\"\nallow_private = true\n"
    ))
}

fn occasions(receiver: &Receiver) -> Vec<(String, String)> {
    let mut told: Vec<Value> = receiver
        .bodies()
        .iter()
        .map(|body| serde_json::from_str(body).unwrap())
        .collect();
    told.sort_by_key(|notice| notice["at"].as_str().unwrap().to_owned());
    let word = |notice: &Value, key: &str| notice[key].as_str().unwrap().to_owned();
    told.iter()
        .map(|notice| (word(notice, "occasion"), word(notice, "severity")))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(one, two)| ((*one).to_owned(), (*two).to_owned()))
        .collect()
}

#[test]
fn each_turn_of_a_run_is_told_once() {
    let receiver = Receiver::answering(&["200 OK"]);
    let project = with_hook(&receiver.url());
    project
        .guard()
        .run(&["check"])
        .expect(0)
        .everything()
        .contains("POST to 127.0.0.1")
        .then_some(())
        .unwrap();
    project.guard().run(&["backup"]).expect(0);
    assert_eq!(occasions(&receiver), [], "a backup that is well is no news");
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    assert_eq!(occasions(&receiver), pairs(&[("began", "info"), ("kept", "info")]));
    project
        .guard()
        .run(&[
            "deploy",
            "-d",
            "the second",
            "--",
            "./deploy.sh",
            "sick",
            "echo TOKEN-$TOKEN",
        ])
        .expect(21);
    let expected = [
        ("began", "info"),
        ("turned-back", "warning"),
        ("rolled-back", "warning"),
    ];
    assert_eq!(occasions(&receiver)[2..], pairs(&expected));
    project
        .guard()
        .run(&["deploy", "--no-rollback", "--", "./deploy.sh", "sick"])
        .expect(31);
    assert_eq!(
        occasions(&receiver).last(),
        pairs(&[("needs-person", "critical")]).last()
    );
    let everything = receiver.bodies().concat();
    assert!(
        everything.contains("the second") && everything.contains("was not well"),
        "{everything}"
    );
    assert!(!everything.contains("CANARYhook"), "{everything}");
    let log = project.sh("cat ../state/runs/*/notifications.jsonl");
    assert_eq!(log.matches("\"delivered\":true").count(), receiver.bodies().len());
    assert!(!log.contains("CANARYhook"));
    project.guard().run(&["notify"]).expect(0);
    assert_eq!(occasions(&receiver).last(), pairs(&[("test", "critical")]).last());
}

#[test]
fn fault_j13_a_receiver_that_hangs_changes_no_verdict() {
    let hang = Server::start(|mut stream| {
        let _head = head(&mut stream);
        std::thread::sleep(Duration::from_mins(1));
    });
    let project = with_hook(&hang.url("/services/CANARYhook"));
    let ran = project.guard().run(&["deploy", "--", "./deploy.sh", "sick"]).expect(21);
    assert!(!ran.everything().contains("CANARYhook"), "{}", ran.stderr);
    let log = project.sh("cat ../state/runs/*/notifications.jsonl");
    assert_eq!(log.matches("\"delivered\":false").count(), 3, "{log}");
    let ran = project.guard().run(&["notify"]).expect(10);
    assert!(ran.stderr.contains("could not be told"), "{}", ran.stderr);
}
