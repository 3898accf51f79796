//! Copies through something that misbehaves between guard and a real S3 server: it hangs, lies, swallows, cuts and babbles.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::elsewhere::{elsewhere, known, objects, settings, storage};
use crate::support::embedded::Embedded;

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is passed on, and so is its answer.
    Passed,
    /// Nobody ever answers.
    Hangs,
    /// It is answered as done, and never reaches the server.
    Swallowed,
    /// Half of the answer comes.
    Cut,
    /// Something comes that is no answer.
    Babbled,
    /// An answer comes that never ends.
    Endless,
    /// There is no such bucket.
    Gone,
}

type Rule = Box<dyn Fn(&str, &str) -> Fate + Send>;

/// What stands before the server.
struct Between {
    port: u16,
    rule: Arc<Mutex<Rule>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Between {
    fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let between = Self {
            port,
            rule: Arc::new(Mutex::new(Box::new(|_, _| Fate::Passed))),
            asked: Arc::default(),
        };
        let (rule, asked) = (Arc::clone(&between.rule), Arc::clone(&between.asked));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (rule, asked) = (Arc::clone(&rule), Arc::clone(&asked));
                std::thread::spawn(move || serve(client, server, &rule, &asked));
            }
        });
        between
    }

    fn set(&self, rule: impl Fn(&str, &str) -> Fate + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
        self.asked.lock().unwrap().clear();
    }

    /// What was asked since the rule was set, each as `METHOD path`.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut client: TcpStream, server: u16, rule: &Mutex<Rule>, asked: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(client.read(&mut byte), Ok(1)) {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    client.read_exact(&mut body).unwrap();
    asked.lock().unwrap().push(format!("{method} {path}"));
    let fate = rule.lock().unwrap()(&method, &path);
    let pass = || {
        let mut upstream = TcpStream::connect(("127.0.0.1", server)).unwrap();
        let closing = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        upstream.write_all(closing.as_bytes()).unwrap();
        upstream.write_all(&body).unwrap();
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer).unwrap();
        answer
    };
    let answer = match fate {
        Fate::Passed => pass(),
        Fate::Swallowed => b"HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
        Fate::Babbled => b"I would rather not.\r\n\r\n".to_vec(),
        Fate::Gone => {
            let told = "<Error><Code>NoSuchBucket</Code><Message>The bucket does not exist</Message></Error>";
            let head = format!(
                "HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                told.len()
            );
            [head.as_bytes(), if method == "HEAD" { b"" } else { told.as_bytes() }].concat()
        }
        Fate::Cut => {
            let whole = pass();
            whole[..whole.len() - 10.min(whole.len())].to_vec()
        }
        Fate::Hangs => {
            // Until whoever asked gives up.
            while matches!(client.read(&mut byte), Ok(1)) {}
            return;
        }
        Fate::Endless => {
            let _ = client.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
            while client.write_all(&[b' '; 16384]).is_ok() {}
            return;
        }
    };
    // Whoever asked may have gone.
    let _ = client.write_all(&answer);
}

#[test]
fn a_storage_that_hangs_is_asked_once_at_the_end_of_a_run() {
    let storage = storage();
    let between = Between::start(storage.port());
    let project = Embedded::and(&format!("{}limit = \"2s\"\n", settings(between.port)));
    between.set(|_, _| Fate::Hangs);
    let ran = known(project.guard())
        .run(&["deploy", "--", "./deploy.sh", "all"])
        .expect(0);
    ran.says("is only on this host")
        .says("no answer in time")
        .says("guard copy");
    assert_eq!(between.asked().len(), 1, "{:?}", between.asked());
    // It answers, but takes nothing: what is on its way when the limit is over hangs, and none of it is sent again.
    between.set(|method, _| if method == "PUT" { Fate::Hangs } else { Fate::Passed });
    known(project.guard())
        .run(&["backup"])
        .expect(0)
        .says("is only on this host");
    let mut puts: Vec<String> = between
        .asked()
        .into_iter()
        .filter(|one| one.starts_with("PUT"))
        .collect();
    let count = puts.len();
    puts.sort();
    puts.dedup();
    assert!(count > 0 && puts.len() == count, "{:?}", between.asked());
    between.set(|_, _| Fate::Passed);
    known(project.guard()).run(&["copy"]).expect(0).says("copied");
    assert_eq!(
        objects(&storage, "backups")
            .iter()
            .filter(|path| path.ends_with("manifest.json"))
            .count(),
        2
    );
}

#[test]
fn a_storage_that_lies_is_not_believed() {
    let storage = storage();
    let between = Between::start(storage.port());
    let project = Embedded::and(&settings(between.port));
    between.set(|method, _| if method == "PUT" { Fate::Swallowed } else { Fate::Passed });
    known(project.guard())
        .run(&["backup"])
        .expect(0)
        .says("it was sent, and is not there");
    for fate in [Fate::Babbled, Fate::Endless] {
        between.set(move |_, _| fate);
        known(project.guard()).run(&["copy"]).expect(10);
    }
    assert!(objects(&storage, "backups").is_empty(), "no manifest");
    between.set(|_, _| Fate::Passed);
    known(project.guard()).run(&["copy"]).expect(0);
}

#[test]
fn a_fetch_that_was_cut_off_goes_on() {
    let storage = storage();
    let between = Between::start(storage.port());
    let project = Embedded::and(&settings(between.port));
    known(project.guard())
        .run(&["backup"])
        .expect(0)
        .says("is copied elsewhere");
    let backup = project.backups().remove(0);
    let fresh = project.root().join("fresh");
    std::fs::create_dir(&fresh).unwrap();
    std::fs::copy(project.state().join("key"), fresh.join("key")).unwrap();
    let guard = elsewhere(&project, &fresh);
    let count = Arc::new(Mutex::new(0));
    between.set(move |_, path| {
        let mut count = count.lock().unwrap();
        *count += i32::from(path.contains("/files/"));
        if *count > 3 { Fate::Cut } else { Fate::Passed }
    });
    guard.run(&["fetch", &backup]).expect(40);
    assert!(!guard.run(&["list"]).expect(0).stdout.contains("known good"));
    let (all, have) = (objects(&storage, "files").len(), 3);
    between.set(|_, _| Fate::Passed);
    guard.run(&["fetch", &backup]).expect(0).says("is here, whole");
    let files = between.asked().iter().filter(|one| one.contains("/files/")).count();
    assert_eq!(files, all - have, "{:?}", between.asked());
    guard.run(&["verify", &backup]).expect(0);
}

#[test]
fn a_bucket_that_disappears_is_told_and_the_copy_goes_on() {
    let storage = storage();
    let between = Between::start(storage.port());
    let project = Embedded::and(&settings(between.port));
    let count = Arc::new(Mutex::new(0));
    between.set(move |method, _| {
        let mut count = count.lock().unwrap();
        *count += i32::from(method == "PUT");
        if *count > 3 { Fate::Gone } else { Fate::Passed }
    });
    let ran = known(project.guard()).run(&["backup"]).expect(0);
    let ran = ran.says("is only on this host");
    // Files are sent side by side: one of them is refused, or one that was sent is not found any more.
    let told = ["NoSuchBucket", "it was sent, and is not there"];
    assert!(told.iter().any(|told| ran.stderr.contains(told)), "{}", ran.stderr);
    let backup = project.backups().remove(0);
    known(project.guard()).run(&["copy"]).expect(10).says("guard copy");
    known(project.guard())
        .run(&["fetch", "20200101_000000"])
        .expect(40)
        .says("NoSuchBucket");
    between.set(|_, _| Fate::Passed);
    assert!(objects(&storage, "backups").is_empty(), "no manifest before all files");
    known(project.guard()).run(&["copy", &backup]).expect(0).says("sent");
}
