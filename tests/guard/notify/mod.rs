//! Notices: to receivers that hang, lie and lead astray; what reaches them, and that nothing comes of it for the run.

mod form;
mod hostile;
mod mail;
mod run;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use guard::model::notice::{Notice, Occasion, Severity};
use guard::model::section::Section;
use guard::model::setting::{Problem, Source};
use guard::notify::{Notifier, Target};

use crate::probes::item;
use crate::probes::server::{Server, answer, head};
use crate::support::Scene;

/// A target called `there` of this kind, or what is wrong with its settings.
fn target(kind: &str, settings: &serde_json::Value) -> Result<Target, Vec<Problem>> {
    let source = Source::default();
    let mut problems = Vec::new();
    let mut section = Section::new("notify.there", &source, item(settings), &mut problems);
    let read = Target::read(kind, "there".parse().unwrap(), &mut section);
    section.finish();
    if problems.is_empty() {
        Ok(read.expect("read, since nothing is wrong"))
    } else {
        Err(problems)
    }
}

fn notice(title: &str) -> Notice {
    Notice {
        id: "20260102_030405-deploy/kept".to_owned(),
        occasion: Occasion::Kept,
        severity: Severity::Info,
        at: chrono::DateTime::UNIX_EPOCH,
        project: "shop".to_owned(),
        environment: Some("production".to_owned()),
        host: "web-1".to_owned(),
        run: None,
        title: title.to_owned(),
        lines: vec!["why".to_owned()],
    }
}

/// Tells these notices to these targets and waits; the lines of the log, in the order of the targets' ends.
fn told(targets: Vec<Target>, notices: &[Notice], scene: &Scene) -> Vec<serde_json::Value> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let notifier = Notifier::new(targets, scene.cx.clone(), runtime.handle().clone());
    for notice in notices {
        notifier.tell(notice);
    }
    assert!(notifier.settle(), "a notice is given up in time");
    runtime.shutdown_background();
    let log = std::fs::read_to_string(scene.cx.scratch.join("notifications.jsonl")).unwrap_or_default();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A receiver that keeps every body it is sent and answers each time with the next of these statuses, the last for ever.
struct Receiver {
    server: Server,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    fn answering(statuses: &'static [&'static str]) -> Self {
        let bodies: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&bodies);
        let server = Server::start(move |mut stream: TcpStream| {
            let Some(head) = head(&mut stream) else { return };
            let length = head
                .to_lowercase()
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            stream.read_exact(&mut body).unwrap();
            let mut bodies = kept.lock().unwrap();
            let status = statuses[bodies.len().min(statuses.len() - 1)];
            bodies.push(String::from_utf8(body).unwrap());
            drop(bodies);
            let _sent = stream.write_all(answer(status, "Connection: close\r\n", "no such hook <!here>").as_bytes());
        });
        Self { server, bodies }
    }

    fn url(&self) -> String {
        self.server.url("/services/T0/B0/CANARYhook")
    }

    fn bodies(&self) -> Vec<String> {
        self.bodies.lock().unwrap().clone()
    }
}
