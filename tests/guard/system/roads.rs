//! The two roads to an engine, its socket and the program `docker`, held against each other on a real one.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use guard::system::call::Call;
use guard::system::context::Context;
use guard::system::docker::{
    self, Compose, Engine, Part, Roads, container_by_id, containers_of, containers_using, exec, has_socket, image,
    image_names, images, is_on_this_host, logs, running_containers, volume, volumes_labelled, volumes_of,
};
use guard::system::processes::CallError;

use crate::support::Scene;
use crate::support::project::{BASE, Project, docker as by_hand};

/// One service with a check and a log, one with a terminal, one that has ended.
const TEXT: &str = "
services:
  app:
    image: 'guard-test/debian:trixie'
    init: true
    command: [sh, -c, 'echo one; echo two >&2; echo three; touch /ready; exec sleep 600']
    healthcheck: {test: 'test -e /ready', interval: 30m, retries: 2}
    volumes: ['data:/data', './:/here:ro']
    restart: 'on-failure:3'
  screen:
    image: 'guard-test/debian:trixie'
    init: true
    tty: true
    command: [sh, -c, 'echo at a terminal; exec sleep 600']
    depends_on: [app]
  job: {image: 'guard-test/debian:trixie', command: [sh, -c, 'exit 7']}
volumes: {data: {labels: {guard.test: roads}}}
";

fn of_log(cx: &Context, id: &str, part: Part) -> String {
    let mut heard = Vec::new();
    let mut keep = |bytes: &[u8]| {
        heard.extend_from_slice(bytes);
        Ok(())
    };
    logs(cx, id, part, Some(Duration::from_secs(20)), &mut keep).unwrap();
    // What was written to two outputs in the same moment may come in any order.
    let mut lines: Vec<String> = String::from_utf8(heard).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines.join("\n")
}

/// The same surroundings, in which the engine is asked by the program.
fn by_program(cx: &Context) -> Context {
    Context {
        roads: Roads::by_program(),
        ..cx.clone()
    }
}

fn with(cx: &Context, name: &str, value: &str) -> Context {
    Context {
        environment: Arc::new(cx.environment.with([(name, Some(value))])),
        roads: Roads::default(),
        ..cx.clone()
    }
}

#[test]
fn both_roads_say_the_same_of_a_real_engine() {
    let scene = Scene::new();
    let project = Project::new(&scene.project(), TEXT);
    project.up();
    let (socket, program) = (&scene.cx, &by_program(&scene.cx));
    assert!(has_socket(socket) && !has_socket(program));
    let app = project.container("app");
    // The job ends, and the logs are written.
    by_hand(&["wait", &project.container("job")]);
    for id in [&app, &project.container("screen")] {
        while by_hand(&["logs", id]).is_empty() {}
    }

    let found = containers_of(socket, project.name()).unwrap();
    assert_eq!(found, containers_of(program, project.name()).unwrap());
    let services: Vec<&str> = found.iter().map(|one| one.service.as_str()).collect();
    assert_eq!(services, ["app", "job", "screen"]);
    let one = &found[0];
    assert_eq!(one.check, ["/bin/sh", "-c", "test -e /ready"]);
    assert_eq!(one.restart_policy, "on-failure:3");
    assert!(one.is_starting() && one.pid > 1 && one.mounts.len() == 2);
    assert_eq!((found[1].exit_code, found[1].state.as_str()), (7, "exited"));
    assert_eq!(
        container_by_id(socket, &app).unwrap(),
        container_by_id(program, &app).unwrap()
    );
    let label = format!("com.docker.compose.project={}", project.name());
    for cx in [socket, program] {
        assert_eq!(container_by_id(cx, "guard-test-nobody").unwrap(), None);
        assert_eq!(image(cx, "guard-test/nobody:at-all").unwrap(), None);
        assert_eq!(volume(cx, "guard-test-nobody").unwrap(), None);
        assert_eq!(
            volumes_of(cx, project.name()).unwrap(),
            [format!("{}_data", project.name())]
        );
        assert_eq!(volumes_labelled(cx, &[&label, "guard.test=roads"]).unwrap().len(), 1);
        assert!(volumes_labelled(cx, &[&label, "guard.test=other"]).unwrap().is_empty());
        assert!(!volumes_labelled(cx, &[]).unwrap().is_empty());
    }
    let name = format!("{}_data", project.name());
    assert_eq!(volume(socket, &name).unwrap(), volume(program, &name).unwrap());
    let names = [BASE, "guard-test/nobody:at-all", &one.image_id].map(str::to_owned);
    let known = images(socket, &BTreeSet::from(names.clone())).unwrap();
    assert_eq!(known, images(program, &BTreeSet::from(names)).unwrap());
    assert_eq!(known.len(), 2);
    assert_eq!(is_on_this_host(socket).unwrap(), is_on_this_host(program).unwrap());
    let mounting = |cx| containers_using(cx, &[&name]).unwrap();
    assert_eq!(mounting(socket), mounting(program));
    assert_eq!(mounting(socket).len(), 1);
    // Other tests start and stop things meanwhile: only what is this test's own is compared.
    let own = |cx| {
        let mut own = running_containers(cx).unwrap();
        own.retain(|one| one.name.starts_with(project.name()));
        own.sort_by(|one, other| one.name.cmp(&other.name));
        own
    };
    assert_eq!(own(socket), own(program));
    assert_eq!(own(socket).len(), 2);
    let base = |cx| {
        image_names(cx, None)
            .unwrap()
            .into_iter()
            .filter(|line| line.starts_with(BASE))
            .collect::<Vec<_>>()
    };
    assert_eq!(base(socket), base(program));
    assert_eq!(base(socket).len(), 1);

    let screen = project.container("screen");
    let whole = Part {
        stamped: true,
        ..Part::default()
    };
    let of_both = |id: &str, part| {
        let heard = of_log(socket, id, part);
        assert_eq!(heard, of_log(program, id, part), "{part:?}");
        heard
    };
    assert_eq!(of_both(&app, Part::default()), "one\nthree\ntwo");
    assert_eq!(of_both(&screen, Part::default()), "at a terminal");
    let lines = of_both(&app, whole);
    assert_eq!(
        of_both(
            &app,
            Part {
                last: Some(1),
                ..Part::default()
            }
        )
        .lines()
        .count(),
        1
    );
    // From the moment of the last line on, that line comes once more, and no other.
    let last = lines.lines().map(|line| line.split(' ').next().unwrap()).max().unwrap();
    let since = chrono::DateTime::parse_from_rfc3339(last).unwrap().to_utc();
    let since = Part {
        since: Some(since),
        ..whole
    };
    assert!(of_both(&app, since).lines().all(|line| line.starts_with(last)));
}

#[test]
fn both_roads_do_the_same_to_containers_and_images() {
    let scene = Scene::new();
    let project = Project::new(&scene.project(), TEXT);
    project.up();
    let state = |service: &str| {
        by_hand(&[
            "inspect",
            "-f",
            "{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}",
            &project.container(service),
        ])
    };
    for cx in [&scene.cx, &by_program(&scene.cx)] {
        let (app, screen) = (project.container("app"), project.container("screen"));
        let ids = [app.as_str(), screen.as_str()];
        docker::stop(cx, &ids, None).unwrap();
        assert_eq!(
            (state("app"), state("screen")),
            ("exited on-failure".to_owned(), "exited".to_owned())
        );
        docker::stop(cx, &ids, None).unwrap();
        docker::set_restart_policy(cx, &[&app], "always").unwrap();
        docker::start(cx, &ids, None).unwrap();
        docker::start(cx, &ids, None).unwrap();
        assert_eq!(state("app"), "running always");
        docker::set_restart_policy(cx, &[&app], "on-failure:3").unwrap();
        docker::pause(cx, &[&app]).unwrap();
        assert_eq!(state("app"), "paused on-failure");
        docker::unpause(cx, &[&app]).unwrap();
        docker::restart(cx, &screen, None).unwrap();
        assert_eq!(state("screen"), "running");
        let refused = docker::stop(cx, &["guard-test-nobody"], None).unwrap_err();
        assert!(refused.is_missing(), "{refused}");

        let other = format!("{}-spare", project.name());
        docker::rename(cx, &app, &other).unwrap();
        let taken = docker::rename(cx, &screen, &other).unwrap_err();
        assert!(
            taken.said().unwrap().contains("is already in use by container") && !taken.is_missing(),
            "{taken}"
        );
        docker::rename(cx, &app, &format!("{}-app-1", project.name())).unwrap();

        let tag = format!("guard-test/roads/{}:one", project.name());
        docker::tag(cx, BASE, &tag).unwrap();
        assert!(image(cx, &tag).unwrap().is_some_and(|image| image.tags.contains(&tag)));
        docker::untag(cx, &tag).unwrap();
        docker::untag(cx, &tag).unwrap();
        assert!(image(cx, &tag).unwrap().is_none() && image(cx, BASE).unwrap().is_some());
        let bare = format!("guard-test/roads/{}", project.name());
        docker::tag(cx, BASE, &bare).unwrap();
        docker::untag(cx, &format!("{bare}:latest")).unwrap();
        assert!(docker::tag(cx, BASE, "Not A Name").is_err());

        // A pin holds its image, is none of the project's containers, and goes with its volumes.
        let id = image(cx, BASE).unwrap().unwrap().id;
        let pin = docker::pin(cx, &id, project.name(), "app", &cx.token()).unwrap();
        assert_eq!(docker::pin(cx, &id, project.name(), "app", &cx.token()).unwrap(), pin);
        let form = "{{.State.Status}} {{.Image}} {{.HostConfig.NetworkMode}} {{index .Config.Labels \"guard.pin\"}} {{.Config.Cmd}}";
        let told = by_hand(&["inspect", "-f", form, &pin.container]);
        assert_eq!(told, format!("created {id} none {} [never-started]", cx.token()));
        assert_eq!(containers_of(cx, project.name()).unwrap().len(), 3);
        docker::unpin(cx, &pin).unwrap();
        docker::unpin(cx, &pin).unwrap();
        assert_eq!(container_by_id(cx, &pin.container).unwrap(), None);

        let job = project.container("job");
        docker::remove(cx, &job, (false, false), None).unwrap();
        assert!(docker::remove(cx, &job, (false, false), None).unwrap_err().is_missing());
        assert!(docker::remove(cx, &app, (false, false), None).is_err(), "it runs");
        project.up();
    }
    // A program inside, which only the socket is asked for.
    let app = project.container("app");
    let inside = |cx: &Context, words: &[&str], limit| {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        docker::run_inside(cx, &app, &words, limit)
    };
    let long = Duration::from_secs(30);
    let (code, said) = inside(&scene.cx, &["sh", "-c", "echo heard; exit 3"], long)
        .unwrap()
        .unwrap();
    assert_eq!((code, said.as_str()), (3, "heard\n"));
    assert_eq!(
        inside(&scene.cx, &["/bin/sh", "-c", "test -e /ready"], long)
            .unwrap()
            .unwrap()
            .0,
        0
    );
    assert_ne!(inside(&scene.cx, &["no-such-program"], long).unwrap().unwrap().0, 0);
    assert!(
        inside(&scene.cx, &["sleep", "60"], Duration::from_millis(300))
            .unwrap()
            .is_err()
    );
    assert!(inside(&by_program(&scene.cx), &["true"], long).is_none());
}

/// How a program in a container ended: its exit code, what it wrote to standard output and to standard error.
fn ended(cx: &Context, call: &Call) -> (Option<i32>, Vec<u8>, String) {
    let output = cx.outcome(call).unwrap();
    (output.status.code(), output.stdout, output.stderr)
}

#[test]
fn a_program_in_a_container_runs_the_same_on_both_roads() {
    let scene = Scene::new();
    let project = Project::new(&scene.project(), TEXT);
    project.up();
    let (socket, program) = (&scene.cx, &by_program(&scene.cx));
    assert!(has_socket(socket));
    let app = project.container("app");
    let of_both = |call: &Call| {
        let ended_so = ended(socket, call);
        assert_eq!(ended_so, ended(program, call), "{call}");
        ended_so
    };
    let shell = |script: &str| exec(&app, &[], false, &["sh", "-c", script]);
    let (code, out, errors) = of_both(&shell("echo out; echo \"an error\" >&2; echo more; exit 3"));
    assert_eq!(
        (code, out.as_slice(), errors.as_str()),
        (Some(3), &b"out\nmore\n"[..], "an error\n")
    );
    // Two outputs that become one may come in any order.
    for cx in [socket, program] {
        let (_, out, errors) = ended(cx, &shell("echo out; echo error >&2").merged());
        assert_eq!((out.len(), errors.as_str()), (10, ""));
    }
    // Variables travel by name, and nothing is read where nothing is given.
    let call = exec(
        &app,
        &[("TOLD", "a value"), ("EMPTY", "")],
        false,
        &["sh", "-c", "cat; echo \"$TOLD$EMPTY\""],
    );
    assert_eq!(of_both(&call).1, b"a value\n");
    let words = ["sh", "-c", "cat; echo the end"];
    let reads = || exec(&app, &[], true, &words);
    assert_eq!(of_both(&reads()).1, b"the end\n");
    assert_eq!(of_both(&reads().input("line\n")).1, b"line\nthe end\n");
    // More than any buffer on the way, there and back.
    let much: Vec<u8> = (0..=250).cycle().take(3_000_000).collect();
    let whole = of_both(&reads().input(much.clone())).1;
    assert!(whole.len() == much.len() + 8 && whole.starts_with(&much));
    // One that does not read all that it is given tells why by its own exit code.
    assert_eq!(
        of_both(&exec(&app, &[], true, &["sh", "-c", "exit 5"]).input(much)).0,
        Some(5)
    );
    assert_eq!(of_both(&shell("kill -9 $$")).0, Some(137));
    // One that closes its output and goes on is waited for.
    assert_eq!(of_both(&shell("exec >&- 2>&-; sleep 1; exit 4")).0, Some(4));
    let job = project.container("job");
    let refused = of_both(&exec(&job, &[], false, &["true"]));
    assert!(
        refused.0 == Some(1) && refused.2.contains("is not running"),
        "{refused:?}"
    );
    for cx in [socket, program] {
        let (code, out, errors) = ended(cx, &exec(&app, &[], false, &["no-such-program"]));
        let said = format!("{errors}{}", String::from_utf8_lossy(&out));
        assert!(
            matches!(code, Some(126 | 127)) && said.contains("executable file not found"),
            "{code:?} {said}"
        );
        let (code, _, errors) = ended(cx, &exec("guard-test-nobody", &[], false, &["true"]));
        assert!(code == Some(1) && errors.to_lowercase().contains("no such"), "{errors}");

        let late = cx.output(&shell("sleep 60").timeout(Duration::from_millis(300)));
        assert!(matches!(late, Err(CallError::TimedOut { .. })), "{late:?}");
        let mut is_full = |_: &[u8]| Err(std::io::Error::other("full"));
        let broken = cx.pull(&shell("echo much; sleep 60"), &mut is_full);
        assert!(matches!(broken, Err(CallError::Data { .. })), "{broken:?}");
        let mut breaks = |writer: &mut dyn Write| {
            writer.write_all(b"half")?;
            Err(std::io::Error::other("torn"))
        };
        let broken = cx.push(&reads(), &mut breaks);
        assert!(matches!(broken, Err(CallError::Data { .. })), "{broken:?}");
        let asked = cx.unstoppable();
        asked.stop.ask();
        let stopped = asked.output(&shell("sleep 60"));
        assert!(matches!(stopped, Err(CallError::Stopped { .. })), "{stopped:?}");
    }
    // What may go on for long is a process of this host: the road is the program's in any case.
    let named = |call: &Call| {
        let listed = fs::read_dir(&scene.cx.scratch).unwrap();
        let before = listed.count();
        let mut seen = 0;
        let mut sink = |_: &[u8]| {
            seen = fs::read_dir(&scene.cx.scratch).unwrap().count() - before;
            Ok(())
        };
        socket.pull(call, &mut sink).unwrap();
        seen
    };
    assert_eq!(named(&shell("echo here")), 1, "it is noted while it is at work");
    assert_eq!(named(&shell("echo here").by_program()), 0);
    assert_eq!(
        fs::read_dir(&scene.cx.scratch).unwrap().count(),
        0,
        "and no longer than that"
    );
}

/// Answers each request on a socket with this, until the test ends.
fn impostor(path: &Path, answer: &'static str) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut heard = [0; 4096];
            while stream.read(&mut heard).is_ok_and(|count| count > 0) {
                if answer.is_empty() {
                    continue;
                }
                if stream.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
}

#[test]
fn the_socket_is_asked_only_where_the_program_would_ask_the_same() {
    let scene = Scene::new();
    let settings = scene.root().join("settings");
    fs::create_dir(&settings).unwrap();
    let cx = with(&scene.cx, "DOCKER_CONFIG", settings.to_str().unwrap());
    let asks = |cx: &Context| has_socket(cx);
    assert!(asks(&cx));
    assert!(asks(&with(&cx, "DOCKER_HOST", "unix:///var/run/docker.sock")));
    for (name, value) in [
        ("DOCKER_HOST", "ssh://deploy@127.0.0.1:1"),
        ("DOCKER_HOST", "tcp://127.0.0.1:1"),
        ("DOCKER_HOST", "unix://docker.sock"),
        ("DOCKER_API_VERSION", "1.41"),
        ("DOCKER_TLS_VERIFY", "1"),
        ("DOCKER_CUSTOM_HEADERS", "a=b"),
        ("DOCKER_CONTEXT", "guard-test-nobody"),
    ] {
        assert!(!asks(&with(&cx, name, value)), "{name}={value}");
    }
    // What its settings add to each request is for the program to know.
    fs::write(settings.join("config.json"), "{\"HttpHeaders\": {\"a\": \"b\"}}").unwrap();
    assert!(!asks(&with(&cx, "x", "y")));
    fs::write(settings.join("config.json"), "{ damaged").unwrap();
    assert!(!asks(&with(&cx, "x", "y")));
    fs::remove_file(settings.join("config.json")).unwrap();

    // A context is looked up by the program; one that leads to a socket is asked there.
    for (host, is_asked) in [
        ("unix:///var/run/docker.sock", true),
        ("ssh://deploy@127.0.0.1:1", false),
    ] {
        let named = Named::create(&format!("{}-{is_asked}", scene.cx.token()), host);
        let there = Context {
            roads: Roads::default(),
            ..scene.cx.at(Some(&Engine::Context(named.0.clone())))
        };
        assert_eq!(asks(&there), is_asked, "{host}");
    }
}

/// A context of the program `docker`; gone when it is dropped.
struct Named(String);

impl Named {
    fn create(token: &str, host: &str) -> Self {
        let name = format!("guard-test-roads-{token}");
        by_hand(&["context", "create", &name, "--docker", &format!("host={host}")]);
        Self(name)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _gone = std::process::Command::new("docker")
            .args(["context", "rm", "--force", &self.0])
            .output();
    }
}

#[test]
fn an_engine_that_does_not_answer_or_is_too_new_is_left_to_the_program() {
    let scene = Scene::new();
    let root = scene.root();
    let host = |name: &str| format!("unix://{}", root.join(name).display());
    let at = |name: &str| scene.cx.at(Some(&Engine::Host(host(name))));
    let fresh = |name: &str| Context {
        roads: Roads::default(),
        ..at(name)
    };

    let told = containers_of(&fresh("absent"), "shop").unwrap_err().to_string();
    assert!(told.contains("the Docker engine does not answer"), "{told}");
    impostor(&root.join("other"), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK");
    assert!(!has_socket(&fresh("other")), "it does not say that it is an engine");
    impostor(
        &root.join("newer"),
        "HTTP/1.1 400 Bad Request\r\napi-version: 1.99\r\ncontent-length: 2\r\n\r\n{}",
    );
    assert!(
        !has_socket(&fresh("newer")),
        "it has left the versions behind that guard knows"
    );
    impostor(
        &root.join("older"),
        "HTTP/1.1 200 OK\r\napi-version: 1.12\r\ncontent-length: 2\r\n\r\nOK",
    );
    assert!(!has_socket(&fresh("older")));

    // One that hangs is waited for no longer than somebody wants to.
    impostor(&root.join("hangs"), "");
    let hung = fresh("hangs");
    hung.stop.ask();
    assert!(!has_socket(&hung));
}

#[test]
fn what_compose_makes_of_files_is_asked_once_for_each_content() {
    let scene = Scene::new();
    let directory = scene.project();
    let write = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
    write(
        "compose.yml",
        "include: [more.yml]\nservices: {app: {image: 'app:${TAG}'}}\n",
    );
    write("more.yml", "services: {side: {image: side}}\n");
    write(".env", "TAG=one\n");
    let compose = Compose {
        files: vec![directory.join("compose.yml")],
        env_files: Vec::new(),
        profiles: Vec::new(),
        project: "guard-test-asked".to_owned(),
        directory: directory.clone(),
    };
    let cx = &scene.cx;
    let image = || {
        let resolved = compose.resolved(cx).unwrap();
        resolved
            .pointer("/services/app/image")
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(image(), "app:one");
    assert_eq!(compose.services(cx).unwrap(), ["app", "side"]);
    // Each file that is part of it counts, and nothing that was asked before is said of another content.
    write(".env", "TAG=two\n");
    assert_eq!(image(), "app:two");
    write("more.yml", "services: {side: {image: side}, further: {image: side}}\n");
    assert_eq!(compose.services(cx).unwrap(), ["app", "further", "side"]);
    write("compose.yml", "services: {app: {imagee: 'app:${TAG}'}}\n");
    assert!(compose.resolved(cx).is_err());
    write("compose.yml", "services: {app: {image: 'app:${TAG}'}}\n");
    assert_eq!(compose.services(cx).unwrap(), ["app"]);
    let hashes = compose.configuration_hashes(cx).unwrap();
    assert_eq!(hashes.keys().collect::<Vec<_>>(), ["app"]);
}
