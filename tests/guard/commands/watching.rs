//! `guard watch`: for a while, until stopped, again, and in a simulation.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use guard::system::environment::Environment;
use guard::system::supervisor::Supervisor;
use serde_json::Value;

use super::looking::result;
use crate::probes::free_port;
use crate::probes::server::{Server, answer};
use crate::support::embedded::{Embedded, end, signal, until};

#[test]
fn production_is_watched_for_a_while() {
    let project = Embedded::new();
    project
        .guard()
        .run(&["watch", "--duration", "400ms"])
        .expect(0)
        .says("production was well for 0.4 s");
    project.sh("echo mode=bad > conf/app.conf");
    let before = project.everything();
    let ran = project.guard().run(&["watch", "--duration", "2s"]).expect(10);
    ran.says("production is not well").says("times in a row over");
    assert_eq!(project.everything(), before, "nothing is touched");
    assert!(project.runs().is_empty(), "a watch is no run");
    let empty = Embedded::with("verify = \"none\"\n");
    empty
        .guard()
        .run(&["watch", "--duration", "1m"])
        .expect(2)
        .says("there is nothing to watch");
}

#[test]
fn a_run_is_judged_again_and_comes_out_the_same() {
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    project.guard().run(&["deploy", "--", "./deploy.sh", "sick"]).expect(21);
    for run in project.runs() {
        let run = run.to_str().unwrap();
        let told = result(
            &project
                .guard()
                .run(&["--output", "json", "watch", "--replay", run])
                .expect(0),
        );
        let watches = told["watches"].as_array().unwrap();
        assert!(!watches.is_empty());
        for watch in watches {
            assert_eq!((&watch["then"], &watch["same"]), (&watch["again"], &Value::Bool(true)));
        }
        project
            .guard()
            .run(&["watch", "--replay", &format!("{run}/probes.jsonl")])
            .expect(0);
    }
    // Other readings, another end.
    let run = project.runs().remove(0);
    project.sh(&format!(
        "sed -i 's/\"outcome\":\"ok\"/\"outcome\":\"failed\"/' {}/probes.jsonl",
        run.display()
    ));
    let ran = project
        .guard()
        .run(&["watch", "--replay", run.to_str().unwrap()])
        .expect(10);
    ran.says("come out differently");
    project
        .guard()
        .run(&["watch", "--replay", "conf"])
        .expect(2)
        .says("no watch is kept");
}

#[test]
fn a_rule_is_tried_on_typical_faults() {
    let project = Embedded::new();
    let told = result(
        &project
            .guard()
            .run(&["--output", "json", "watch", "--simulate", "--trials", "5"])
            .expect(0),
    );
    let scenes = told["scenes"].as_array().unwrap();
    assert!(scenes.len() >= 15 && scenes.iter().all(|scene| scene["found_percent"].is_number()));
    let ran = project.guard().run(&["watch", "--simulate", "--trials", "5"]).expect(0);
    assert!(ran.stdout.contains("1 of 3 replicas bad"), "{}", ran.stdout);
}

/// Asks the watch's server.
fn ask(port: u16, request: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return String::new();
    };
    let mut answer = String::new();
    let _asked = stream.write_all(request.as_bytes());
    let _heard = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn a_watch_until_stopped_is_measured_shown_and_told() {
    let project = Embedded::and(
        "[notify.log]\nkind = \"command\"\ncommand = [\"sh\", \"-c\", \"cat >> ../notices; echo >> ../notices\"]\n",
    );
    let socket = UnixDatagram::bind(project.root().join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let port = free_port();
    let guard = project
        .guard()
        .env("NOTIFY_SOCKET", project.root().join("notify").to_str().unwrap())
        .env("WATCHDOG_USEC", "100000");
    let address = format!("127.0.0.1:{port}");
    let mut child = guard.start(&["watch", "--listen", &address, "--metrics-file", "../figures.prom"]);
    let mut said = String::new();
    while !(said.contains("READY=1") && said.contains("WATCHDOG=1")) {
        let mut buffer = [0; 512];
        let count = socket.recv(&mut buffer).expect("guard says that it is ready and alive");
        said.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    let get = |path: &str| ask(port, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
    until(|| get("/metrics").contains("guard_probe_up{probe=\"app\"} 1"));
    let page = get("/");
    assert!(
        page.contains("role=\"status\">well")
            && page.contains("default-src 'none'")
            && page.contains("frame-ancestors 'none'"),
        "{page}"
    );
    assert_eq!(page.matches("<script").count(), 1, "our own: {page}");
    let elsewhere = "GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil.example\r\n\r\n";
    assert!(ask(port, elsewhere).starts_with("HTTP/1.1 403"));
    assert!(ask(port, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").starts_with("HTTP/1.1 421"));
    assert!(ask(port, "POST / HTTP/1.1\r\nHost: localhost\r\n\r\n").starts_with("HTTP/1.1 405"));
    assert!(get("/etc/passwd").starts_with("HTTP/1.1 404"));
    project.sh("echo mode=bad > conf/app.conf");
    until(|| get("/metrics").contains("guard_watch_well 0"));
    assert!(get("/").contains("not well: app failed"));
    project.sh("echo mode=good > conf/app.conf");
    until(|| get("/metrics").contains("guard_watch_well 1"));
    signal(&child, rustix::process::Signal::TERM);
    assert_eq!(
        end(&mut child).code(),
        Some(0),
        "a watch that is stopped has done its work"
    );
    let notices = project.sh("cat ../notices");
    let occasions: Vec<Value> = notices
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["occasion"].clone())
        .collect();
    assert_eq!(occasions, ["unwell", "well"], "{notices}");
    assert!(
        project
            .sh("cat ../figures.prom; stat -c %a ../figures.prom")
            .ends_with("644\n")
    );
    project
        .guard()
        .run(&["watch", "--listen", "0.0.0.0:1"])
        .expect(2)
        .says("could be reached from elsewhere");
}

/// The first events of a watch's server, until one holds a text.
fn events_until(port: u16, text: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
        .write_all(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        .unwrap();
    let mut heard = String::new();
    while !heard.contains(text) {
        let mut buffer = [0; 4096];
        let count = stream
            .read(&mut buffer)
            .unwrap_or_else(|error| panic!("{error}: {heard}"));
        assert!(count > 0, "the server closed: {heard}");
        heard.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    heard
}

#[test]
fn the_page_shows_what_is_live_backups_and_a_run_that_goes_on() {
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let port = free_port();
    let mut watch = project.guard().start(&[
        "watch",
        "--listen",
        &format!("127.0.0.1:{port}"),
        "--metrics-file",
        "../figures.prom",
    ]);
    let get = |path: &str| ask(port, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
    until(|| get("/").contains("Live: "));
    let page = get("/");
    for told in [
        "production is new, verified",
        "<h2>Backups</h2>",
        "<h2>Runs</h2>",
        "known good",
    ] {
        assert!(page.contains(told), "{told}: {page}");
    }
    // A bad release, seen as it goes; its log is not markup.
    let script =
        "echo '<b>begun</b>'; echo broken >code.txt; touch ../begun; while [ ! -e ../go ]; do sleep 0.05; done; exit 3";
    let mut bad = project.guard().start(&["deploy", "--", "sh", "-c", script]);
    until(|| project.root().join("begun").exists());
    let seen = events_until(port, "&lt;b&gt;begun&lt;/b&gt;");
    assert!(seen.contains("text/event-stream") && seen.contains("data: "), "{seen}");
    assert!(seen.contains("<td class=\"running\">running</td>"), "{seen}");
    until(|| get("/metrics").contains("guard_run_in_progress 1"));
    std::fs::write(project.root().join("go"), "").unwrap();
    assert_eq!(end(&mut bad).code(), Some(20));
    until(|| get("/metrics").contains("guard_run_in_progress 0"));
    for figure in [
        "guard_deployments 2",
        "guard_deployments_successful 1",
        "guard_rollbacks{cause=\"deploy-failed\"} 1",
        "guard_last_run_exit_code 20",
        "guard_known_good_backup_timestamp_seconds ",
        "guard_run_unfinished 0",
    ] {
        until(|| get("/metrics").contains(figure));
    }
    // What collects it reads it.
    let figures = project.root().join("figures.prom");
    until(|| std::fs::read_to_string(&figures).is_ok_and(|text| text.contains("guard_rollbacks{")));
    let said = project.sh("promtool check metrics <../figures.prom 2>&1");
    assert!(said.trim().is_empty(), "{said}");
    signal(&watch, rustix::process::Signal::TERM);
    assert_eq!(end(&mut watch).code(), Some(0));
}

#[test]
fn fault_j6_a_server_that_flaps_is_found_though_no_outage_lasts() {
    let began = std::sync::Arc::new(std::sync::Mutex::new(None::<std::time::Instant>));
    let root = std::sync::Arc::new(std::sync::OnceLock::<std::path::PathBuf>::new());
    let (clock, place) = (began, root.clone());
    // Well for 3 s and down for 6 s, from the deployment on.
    let server = Server::answering(move |_| {
        let is_deployed = place.get().is_some_and(|root| root.join("deploys.log").exists());
        let mut clock = clock.lock().unwrap();
        let since = is_deployed.then(|| clock.get_or_insert_with(std::time::Instant::now).elapsed().as_secs());
        match since {
            Some(seconds) if seconds % 9 >= 3 => answer("503 Service Unavailable", "", "again"),
            _ => answer("200 OK", "", "fine"),
        }
    });
    let project = Embedded::with(&format!(
        "[resources.config]\nkind = \"files\"\npaths = [\"conf/**\"]\n\n[probes.web]\nkind = \"http\"\nurl = \"{}\"\n\n\
         [monitor]\nduration = \"5m\"\ninterval = \"250ms\"\ngate = \"20s\"\nerror_threshold = \"100%\"\n",
        server.url("/")
    ));
    root.set(project.root().to_owned()).unwrap();
    // The server goes on flapping after the way back, so that may be found well or not.
    let ran = project.guard().run(&["deploy", "--", "./deploy.sh", "all"]);
    assert!(matches!(ran.code, Some(22 | 32)), "{ran:?}");
    let told = crate::support::watched::json(&project.newest_run().join("result.json"));
    assert_eq!(told["failure"]["finding"]["cause"], "flapping", "{told:#}");
}

#[test]
fn a_supervisor_that_does_not_listen_holds_up_nothing() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("notify");
    let _deaf = UnixDatagram::bind(&path).unwrap();
    let variables = [("NOTIFY_SOCKET".to_owned(), path.to_str().unwrap().to_owned())];
    let supervisor = Supervisor::of(&Environment::of_pairs(variables));
    // More than any queue takes; this never came back once.
    for _ in 0..100_000 {
        supervisor.alive();
    }
    supervisor.stopping();
}
