//! Redis servers: what is only in memory is copied, and comes back by files; the exchange from every state; what is refused.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use guard::model::artifact::{Artifact, Live, Prepared};
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Site, Slot};

use crate::support::Scene;
use crate::support::compose::Project;
use crate::support::kinds::{build, try_build};

/// A server at a socket of its own, with a directory of its own; gone when it is dropped.
struct Server {
    root: PathBuf,
    words: Vec<String>,
    child: Option<Child>,
}

impl Server {
    fn start(scene: &Scene, name: &str, words: &[&str]) -> Self {
        let root = scene.project().join(name);
        std::fs::create_dir_all(root.join("data")).unwrap();
        let mut server = Self {
            root,
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            child: None,
        };
        server.up();
        server
    }

    fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    fn socket(&self) -> String {
        self.root.join("s").display().to_string()
    }

    fn up(&mut self) {
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            "0",
            "--unixsocket",
            &self.socket(),
            "--save",
            "3600 1",
            "--dir",
        ]);
        command.arg(self.data()).args(&self.words).stdout(Stdio::null());
        self.child = Some(command.spawn().expect("scripts/setup installs Redis"));
        while !self.ask(0, &["PING"]).starts_with("PONG") {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Ends it as an operator would: it saves what it has in memory.
    fn down(&mut self) {
        self.ask(0, &["SHUTDOWN", "SAVE"]);
        self.child.take().unwrap().wait().unwrap();
    }

    /// The client, with the server's password where the test asks for its own.
    fn client(&self) -> Command {
        let mut command = Command::new("redis-cli");
        if let Some(at) = self.words.iter().position(|word| word == "--requirepass") {
            command.env("REDISCLI_AUTH", &self.words[at + 1]);
        }
        command
    }

    fn ask(&self, database: u32, words: &[&str]) -> String {
        let mut command = self.client();
        command
            .args(["-s", &self.socket(), "-n", &database.to_string()])
            .args(words);
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn fill(&self, from: u32, to: u32) {
        let script = format!("for i = {from}, {to} do redis.call('SET', 'k' .. i, 'v' .. i) end");
        self.ask(0, &["EVAL", &script, "0"]);
    }

    /// The same of many commands, one a line.
    fn feed(&self, database: u32, lines: &str) -> String {
        use std::io::Write;
        let mut command = self.client();
        command.args(["-s", &self.socket(), "-n", &database.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let lines = lines.to_owned();
        let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Every key with when it expires and what it holds.
    fn observe(&self) -> String {
        let mut all = String::new();
        for database in [0, 3] {
            let keys = self.ask(database, &["KEYS", "*"]);
            let mut keys: Vec<&str> = keys.lines().filter(|key| !key.is_empty()).collect();
            keys.sort_unstable();
            let types: String = keys.iter().flat_map(|key| ["TYPE ", *key, "\n"]).collect();
            let types = self.feed(database, &types);
            let mut reads = String::new();
            for (key, kind) in keys.iter().zip(types.lines()) {
                let read = match kind {
                    "string" => format!("GET {key}"),
                    "list" => format!("LRANGE {key} 0 -1"),
                    "set" => format!("SORT {key} ALPHA"),
                    "zset" => format!("ZRANGE {key} 0 -1 WITHSCORES"),
                    "hash" => format!("HGETALL {key}"),
                    _ => format!("XRANGE {key} - +"),
                };
                reads = reads + "ECHO " + key + "\nPEXPIRETIME " + key + "\n" + &read + "\n";
            }
            all.push_str(&self.feed(database, &reads));
        }
        all
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _killed = child.kill();
            let _ended = child.wait();
        }
    }
}

fn site(scene: &Scene, stops: bool) -> Site {
    Site {
        directory: scene.project(),
        compose: None,
        stops,
        only: guard::resources::Narrowed::default(),
        checkouts: Vec::new(),
    }
}

fn of(scene: &Scene, server: &Server, keys: &[(&str, &str)]) -> Box<dyn Resource> {
    let socket = server.socket();
    let all: Vec<(&str, &str)> = std::iter::once(("url", socket.as_str()))
        .chain(keys.iter().copied())
        .collect();
    build("redis", &all, &site(scene, true))
}

fn refusals(resource: &dyn Resource, scene: &Scene) -> Vec<String> {
    let found = resource
        .survey(&scene.cx)
        .obstacles
        .into_iter()
        .filter(|one| one.refuses);
    found.map(|one| format!("{} ({})", one.what, one.advice)).collect()
}

/// Something of every type, a part of it saved, the rest only in memory.
fn fill(server: &Server) {
    server.fill(1, 200);
    server.ask(0, &["SAVE"]);
    server.fill(201, 500);
    server.ask(0, &["RPUSH", "list", "a", "b", "a"]);
    let members = "for i = 1, 300 do redis.call('SADD', 'set', 'member ' .. i) end";
    server.ask(3, &["EVAL", members, "0"]);
    server.ask(3, &["HSET", "hash", "f", "v", "g", "w"]);
    server.ask(3, &["ZADD", "zset", "1", "b", "1", "a", "2.5", "c"]);
    server.ask(3, &["XADD", "stream", "1-1", "field", "value"]);
    server.ask(0, &["SET", "late", "x", "EX", "100000"]);
    server.ask(0, &["SET", "soon", "x", "PX", "1500"]);
}

fn spoil(server: &Server) {
    server.ask(0, &["DEL", "k1", "k300"]);
    server.ask(0, &["SET", "k2", "spoilt"]);
    server.ask(3, &["SREM", "set", "member 7"]);
    server.ask(0, &["SET", "bad", "1"]);
}

struct Stage {
    server: Server,
    scene: Scene,
    resource: Box<dyn Resource>,
    slot: Slot,
    artifact: Artifact,
    original: String,
    failed: String,
}

fn stage(words: &[&str]) -> Stage {
    let scene = Scene::new();
    let server = Server::start(&scene, "server", words);
    fill(&server);
    let resource = of(&scene, &server, &[]);
    assert_eq!(refusals(resource.as_ref(), &scene), Vec::<String>::new());
    let slot = Slot::new(&scene.backup(), resource.name());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    assert_eq!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    while !server.ask(0, &["GET", "soon"]).is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let original = server.observe();
    assert_eq!(
        resource.check(&artifact, &scene.cx).unwrap(),
        Live::Matches,
        "a key that expires is no change"
    );
    spoil(&server);
    let failed = server.observe();
    Stage {
        server,
        scene,
        resource,
        slot,
        artifact,
        original,
        failed,
    }
}

impl Stage {
    fn prepare(&self) -> Prepared {
        let prepared = self
            .resource
            .prepare(&self.artifact, &self.slot, DataRestore::Auto, &self.scene.cx);
        prepared.unwrap()
    }

    /// Restores and undoes; both end where they should. The server is stopped, and runs again afterwards.
    fn restore_and_undo(&mut self, prepared: &Prepared) {
        let cx = self.scene.cx.clone();
        let displaced = self
            .resource
            .restore(prepared, &self.artifact, &self.slot, &cx)
            .unwrap();
        assert_eq!(
            self.resource.check(&self.artifact, &cx).unwrap(),
            Live::Matches,
            "by its files"
        );
        self.server.up();
        assert_eq!(self.server.observe(), self.original);
        assert_eq!(self.resource.check(&self.artifact, &cx).unwrap(), Live::Matches);
        let written = || self.resource.written_since(&displaced, &self.artifact, &cx).unwrap();
        assert_eq!(written(), Vec::<String>::new());
        self.server.ask(0, &["SET", "written-since", "1"]);
        let told = written().join("\n");
        assert!(
            told.contains("of database 0") && told.ends_with("since the rollback"),
            "{told:?}"
        );
        self.server.ask(0, &["DEL", "written-since"]);
        let again = self
            .resource
            .restore(prepared, &self.artifact, &self.slot, &cx)
            .unwrap();
        assert_eq!(again, displaced, "done is done, while it runs as well");
        self.server.down();
        let undone = self.resource.undo(&displaced, &cx).unwrap();
        self.server.up();
        assert_eq!(self.server.observe(), self.failed);
        self.server.down();
        let redone = self.resource.undo(&undone, &cx).unwrap();
        self.server.up();
        assert_eq!(self.server.observe(), self.original);
        assert!(self.resource.weigh(&redone, &cx).unwrap().unwrap() > 0);
        self.resource.forget(&redone, &cx).unwrap();
        self.resource.forget(&redone, &cx).unwrap();
        let names = std::fs::read_dir(self.server.data()).unwrap().flatten();
        let left: Vec<_> = names
            .map(|one| one.file_name())
            .filter(|name| name.to_string_lossy().contains("guard"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(self.server.observe(), self.original);
    }
}

const LOGS: [&[&str]; 2] = [&[], &["--appendonly", "yes"]];

#[test]
fn keys_that_were_only_in_memory_come_back_whichever_file_the_server_starts_from() {
    for words in LOGS {
        let mut stage = stage(words);
        let prepared = stage.prepare();
        assert!(prepared.work.is_needed(), "{prepared:?}");
        assert_eq!(stage.server.observe(), stage.failed, "preparing touches nothing");
        let cx = stage.scene.cx.clone();
        let error = stage
            .resource
            .restore(&prepared, &stage.artifact, &stage.slot, &cx)
            .expect_err("it runs");
        assert!(error.to_string().contains("still runs"), "{error}");
        stage.server.down();
        stage.restore_and_undo(&prepared);
        stage.resource.rehearse(&stage.artifact, &stage.slot, &cx).unwrap();
        let idle = stage.prepare();
        assert!(!idle.work.is_needed(), "{idle:?}");
        stage.server.down();
        let idle = stage.prepare();
        assert!(
            !idle.work.is_needed(),
            "its files are others now, and hold the same: {idle:?}"
        );
    }
}

#[test]
fn an_exchange_is_completed_from_every_state_that_an_interruption_leaves() {
    let moves = |stage: &Stage, prepared: &Prepared, done: usize| {
        let name = |key: &str| prepared.details[key].as_str().unwrap().to_owned();
        let data = stage.server.data();
        let (coming, going) = (data.join(name("coming")), data.join(name("going")));
        let make = |path: &Path| {
            std::fs::create_dir(path).unwrap();
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        };
        let steps: [&dyn Fn(); 5] = [
            &|| make(&going),
            &|| std::fs::rename(data.join("appendonlydir"), going.join("appendonlydir")).unwrap(),
            &|| std::fs::rename(data.join("dump.rdb"), going.join("dump.rdb")).unwrap(),
            &|| {
                std::fs::write(going.join(".ready"), "").unwrap();
                std::fs::write(going.join(".aside"), "").unwrap();
            },
            &|| std::fs::rename(coming.join("appendonlydir"), data.join("appendonlydir")).unwrap(),
        ];
        steps.iter().take(done).for_each(|step| step());
    };
    for done in 0..=5 {
        let mut stage = stage(LOGS[1]);
        let prepared = stage.prepare();
        stage.server.down();
        moves(&stage, &prepared, done);
        stage.restore_and_undo(&prepared);
    }
}

#[test]
fn a_copy_taken_while_people_write_is_what_its_manifest_says() {
    let scene = Scene::new();
    let server = Server::start(&scene, "server", &[]);
    fill(&server);
    let resource = of(&scene, &server, &[]);
    let slot = Slot::new(&scene.backup(), resource.name());
    let over = AtomicBool::new(false);
    let artifact = std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                server.ask(0, &["SET", &format!("written {round}"), "x"]);
            }
        });
        let artifact = resource.capture(&slot, &scene.cx).unwrap();
        over.store(true, Ordering::SeqCst);
        artifact
    });
    resource.rehearse(&artifact, &slot, &scene.cx).unwrap();
    let price = resource.price(&artifact, &scene.cx).unwrap();
    assert!(price.is_empty() || price[0].contains("of database 0"), "{price:?}");
}

#[test]
fn keys_that_expire_by_themselves_have_a_price_as_well() {
    let scene = Scene::new();
    let server = Server::start(&scene, "server", &[]);
    fill(&server);
    let resource = of(&scene, &server, &[]);
    let slot = Slot::new(&scene.backup(), resource.name());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    server.ask(0, &["SET", "cart", "full", "EX", "3600"]);
    for policy in [DataRestore::Auto, DataRestore::Always] {
        let told = resource.outlook(&artifact, &slot, policy, &scene.cx).unwrap();
        assert!(told.join("\n").contains("of database 0"), "{policy:?}: {told:?}");
    }
}

#[test]
fn what_could_not_be_put_back_is_refused_with_its_remedy() {
    let scene = Scene::new();
    let primary = Server::start(&scene, "primary", &["--requirepass", "canary-word"]);
    let told = refusals(of(&scene, &primary, &[]).as_ref(), &scene);
    assert!(told[0].contains("password_env"), "{told:?}");
    let cluster = Server::start(&scene, "cluster", &["--cluster-enabled", "yes"]);
    let told = refusals(of(&scene, &cluster, &[]).as_ref(), &scene);
    assert!(told.len() == 1 && told[0].contains("cluster"), "{told:?}");
    let replica = Server::start(&scene, "replica", &["--replicaof", "127.0.0.1", "1"]);
    let told = refusals(of(&scene, &replica, &[]).as_ref(), &scene);
    assert!(
        told.len() == 1 && told[0].contains("name the primary, 127.0.0.1:1"),
        "{told:?}"
    );
    let plain = Server::start(&scene, "plain", &[]);
    let unstopped = build("redis", &[("url", &plain.socket())], &site(&scene, false));
    let told = refusals(unstopped.as_ref(), &scene);
    assert!(told.len() == 1 && told[0].contains("[services]"), "{told:?}");
    let closed = Server::start(
        &scene,
        "closed",
        &["--rename-command", "CONFIG", "", "--rename-command", "BGSAVE", ""],
    );
    closed.fill(1, 5);
    let told = refusals(of(&scene, &closed, &[]).as_ref(), &scene);
    assert!(told.len() == 1 && told[0].contains("set `path`"), "{told:?}");
    let data = closed.data().display().to_string();
    let known = of(&scene, &closed, &[("path", &data)]);
    assert_eq!(
        refusals(known.as_ref(), &scene),
        Vec::<String>::new(),
        "it is told where the files are"
    );
    let slot = Slot::new(&scene.backup(), known.name());
    let artifact = known.capture(&slot, &scene.cx).expect("SAVE does what BGSAVE may not");
    assert!(artifact.summary.contains("5 keys"), "{}", artifact.summary);
    let gone = build("redis", &[("url", "/nowhere/s")], &site(&scene, true));
    let told = refusals(gone.as_ref(), &scene);
    assert!(told.len() == 1 && told[0].contains("does not answer"), "{told:?}");
    for keys in [&[("url", "postgres://u:canary-x@h/d")][..], &[("service", "db")], &[]] {
        let problems = try_build("redis", keys, &site(&scene, true)).err().expect("refused");
        assert!(
            !problems.is_empty() && !format!("{problems:?}").contains("canary"),
            "{problems:?}"
        );
    }
}

/// A free port of 127.0.0.1.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_copy_of_a_server_with_passwords_users_and_tls_is_loaded_and_comes_back() {
    let scene = Scene::new();
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let place = |name: &str| scene.project().join(name).display().to_string();
    std::fs::write(place("server.pem"), certified.cert.pem()).unwrap();
    std::fs::write(place("server.key"), certified.signing_key.serialize_pem()).unwrap();
    let (port, authority, key) = (free_port().to_string(), place("server.pem"), place("server.key"));
    let words = [
        ["--requirepass", "canary-word", "--tls-port", &port].as_slice(),
        &[
            "--tls-cert-file",
            &authority,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &authority,
            "--tls-auth-clients",
            "no",
        ],
        &["--user", "guard", "on", ">canary-two", "~*", "&*", "+@all"],
        &["--user", "small", "on", ">canary-two", "~*", "+ping", "+info"],
    ]
    .concat();
    let mut server = Server::start(&scene, "server", &words);
    fill(&server);
    while !server.ask(0, &["GET", "soon"]).is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let url = |user: &str| format!("rediss://{user}:canary-two@localhost:{port}?ca_file={authority}");
    let small = build("redis", &[("url", &url("small"))], &site(&scene, true));
    let told = refusals(small.as_ref(), &scene);
    assert!(
        told.len() == 1 && told[0].contains("small") || told[0].contains("path"),
        "{told:?}"
    );
    let resource = build("redis", &[("url", &url("guard"))], &site(&scene, true));
    assert_eq!(refusals(resource.as_ref(), &scene), Vec::<String>::new());
    let slot = Slot::new(&scene.backup(), resource.name());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    resource
        .rehearse(&artifact, &slot, &scene.cx)
        .expect("it is loaded by a server that asks for no password");
    let original = server.observe();
    spoil(&server);
    let prepared = resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
        .unwrap();
    server.down();
    resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    server.up();
    assert_eq!(server.observe(), original);
    assert_eq!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
}

#[test]
fn a_copy_is_loaded_where_temporary_files_are_to_be() {
    let mut scene = Scene::new();
    let server = Server::start(&scene, "server", &[]);
    fill(&server);
    let resource = of(&scene, &server, &[]);
    let slot = Slot::new(&scene.backup(), resource.name());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    let plain = scene.cx.environment.clone();
    let mut rehearse = |place: &std::path::Path| {
        scene.cx.environment = std::sync::Arc::new(plain.with([("TMPDIR", place.to_str())]));
        resource.rehearse(&artifact, &slot, &scene.cx)
    };
    let error = rehearse(std::path::Path::new("/nowhere/at/all")).expect_err("it is not there");
    assert!(format!("{error:?}").contains("/nowhere/at/all"), "{error:?}");
    // No socket has a path of this length.
    let place = scene_directory(&server).join("long".repeat(40));
    std::fs::create_dir_all(&place).unwrap();
    rehearse(&place).unwrap();
    assert_eq!(std::fs::read_dir(&place).unwrap().count(), 0, "nothing is left");
}

fn scene_directory(server: &Server) -> PathBuf {
    server.root.parent().unwrap().to_owned()
}

/// The same server as a service of a project, of a later version, by its own programs inside the container.
#[test]
fn a_service_of_redis_or_valkey_goes_back_by_the_files_of_its_volume() {
    for (kind, password) in [("redis", ""), ("valkey", "canary-three")] {
        let mut scene = Scene::new();
        let secret = if password.is_empty() {
            String::new()
        } else {
            format!("command: [--requirepass, {password}, --appendonly, 'yes']")
        };
        let file = format!(
            "services:\n  keys: {{image: 'guard-test/{kind}:8', pull_policy: never, network_mode: none, volumes: ['data:/data'], {secret}}}\nvolumes: {{data: {{}}}}\n"
        );
        let project = Project::up(&scene, &file);
        scene.cx.environment = std::sync::Arc::new(scene.cx.environment.with([("CACHE_PASSWORD", Some(password))]));
        let ask = |words: &[&str]| {
            let client = format!("{kind}-cli");
            let login = [client.as_str(), "--no-auth-warning", "-a", password];
            let known = if password.is_empty() { &login[..1] } else { &login[..] };
            project.exec("keys", &[known, words].concat(), "").trim().to_owned()
        };
        let entries =
            "for i = 1, 500 do redis.call('SET', 'k' .. i, 'v' .. i) end redis.call('RPUSH', 'list', 'a', 'b')";
        ask(&["EVAL", entries, "0"]);
        let at = Site {
            directory: scene.project(),
            compose: Some(project.compose.clone()),
            stops: false,
            only: guard::resources::Narrowed::default(),
            checkouts: Vec::new(),
        };
        let resource = build("redis", &[("service", "keys"), ("password_env", "CACHE_PASSWORD")], &at);
        assert_eq!(refusals(resource.as_ref(), &scene), Vec::<String>::new(), "{kind}");
        let slot = Slot::new(&scene.backup(), resource.name());
        let artifact = resource.capture(&slot, &scene.cx).unwrap();
        resource.rehearse(&artifact, &slot, &scene.cx).unwrap();
        ask(&["FLUSHALL"]);
        ask(&["SET", "bad", "1"]);
        let prepared = resource
            .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx)
            .unwrap();
        project.call(&["stop", "keys"]);
        resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
        project.call(&["up", "--detach", "--wait", "keys"]);
        assert_eq!(ask(&["DBSIZE"]), "501", "{kind}");
        assert_eq!(ask(&["GET", "k77"]), "v77", "{kind}");
        assert_eq!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches, "{kind}");
    }
}
