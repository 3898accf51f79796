//! A project of two sides behind a real front: nginx, HAProxy or Caddy. A side is a small server of its own, which says which
//! side and which version it is; visitors ask all the time, and each request that is lost is counted.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::program::Program;

/// A side: HTTP/1.1 with kept connections on a port and on a socket. What it answers is in its file. `late` is a release that
/// is well on its own address, and fails for whoever comes through the front.
const APP: &str = include_str!("../../../fixtures/sides/app.py");

/// Starts and stops a side; a deployment writes its release and starts it.
const SIDE: &str = include_str!("../../../fixtures/sides/side.sh");

const DEPLOY: &str = include_str!("../../../fixtures/sides/deploy.sh");

/// Which front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// nginx asks for a marker at each request.
    NginxMarker,
    /// nginx follows a link to a socket.
    NginxLink,
    /// nginx's upstream file and a reload.
    NginxFile,
    /// HAProxy's runtime socket.
    Haproxy,
    /// Caddy asks for a marker at each request.
    CaddyMarker,
    /// Caddy's admin API.
    CaddyApi,
    /// The user's own commands, over nginx's marker.
    Command,
}

/// What a side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A process behind commands.
    Process,
    /// A service of the Compose project.
    Service,
    /// A Compose project of its own.
    Project,
}

/// The project; its servers end when it is dropped.
pub struct TwoSides {
    root: tempfile::TempDir,
    kind: Kind,
    made: Made,
    /// The port of the front.
    pub port: u16,
    sides: [u16; 2],
    admin: u16,
    front: Option<Child>,
}

/// Ports that nobody listens on at this moment.
fn free_ports<const N: usize>() -> [u16; N] {
    let held: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    std::array::from_fn(|at| held[at].local_addr().unwrap().port())
}

impl TwoSides {
    /// Blue is live, at version 1; green is down.
    pub fn new(kind: Kind) -> Self {
        Self::and(kind, "")
    }

    /// The same with further settings behind the usual ones.
    pub fn and(kind: Kind, more: &str) -> Self {
        Self::of(kind, Made::Process, more)
    }

    /// The same with sides that are made so.
    pub fn of(kind: Kind, made: Made, more: &str) -> Self {
        let [port, blue, green, admin] = free_ports();
        let root = tempfile::Builder::new().prefix("guard-sides-").tempdir().unwrap();
        let mut project = Self {
            root,
            kind,
            made,
            port,
            sides: [blue, green],
            admin,
            front: None,
        };
        std::fs::create_dir(project.directory()).unwrap();
        // The front's workers may be another user.
        project.sh("chmod 755 ..");
        std::fs::write(project.place("app.py"), APP).unwrap();
        project.write("side.sh", SIDE);
        project.compose();
        project.write("deploy.sh", DEPLOY);
        project.write("release.txt", "1\n");
        std::fs::write(project.place("blue.release"), "1 good\n").unwrap();
        project.sh("chmod +x side.sh deploy.sh; sqlite3 app.db \"CREATE TABLE users (name TEXT); INSERT INTO users VALUES ('one')\"");
        project.write(
            "guard.toml",
            &format!("{}\n{}\n{more}", project.settings(), project.front_settings()),
        );
        project.sh(&format!(
            "GUARD_SIDE=blue GUARD_SIDE_ADDRESS=127.0.0.1:{blue} ./side.sh start"
        ));
        project.configure();
        project.start_front();
        // Containers take their time on a busy machine.
        let begun = Instant::now();
        while project.side().as_deref() != Some("blue") {
            assert!(begun.elapsed() < Duration::from_mins(5), "blue did not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        project
    }

    /// The compose files, where the sides are made by Compose; then `side.sh start` asks Compose.
    fn compose(&self) {
        let root = self.root.path();
        let unique = root.file_name().unwrap().to_string_lossy().to_lowercase();
        let service = |side: &str, port: u16| {
            format!(
                "    image: guard-test/app-base\n    pull_policy: never\n    init: true\n    network_mode: host\n    stop_grace_period: 1s\n    \
                 command: [python3, /root/app.py, {side}, \"{port}\", /root]\n    volumes: [\"{}:/root\"]\n",
                root.display()
            )
        };
        let [blue, green] = self.sides;
        let up = match self.made {
            Made::Process => return,
            Made::Service => {
                let (blue, green) = (service("blue", blue), service("green", green));
                let file = format!("name: {unique}\nservices:\n  blue:\n{blue}  green:\n{green}");
                self.write("compose.yml", &file);
                "docker compose up --detach $GUARD_SIDE"
            }
            Made::Project => {
                for (side, port) in [("blue", blue), ("green", green)] {
                    std::fs::create_dir(self.directory().join(side)).unwrap();
                    let file = format!("name: {unique}-{side}\nservices:\n  app:\n{}", service(side, port));
                    self.write(&format!("{side}/compose.yml"), &file);
                }
                "cd $GUARD_SIDE && docker compose up --detach"
            }
        };
        self.write("side.sh", &format!("#!/bin/sh\n{up}\n"));
    }

    fn settings(&self) -> String {
        let side = |name: &str, port: u16| {
            let how = match self.made {
                Made::Process => "start = [\"./side.sh start\"]\nstop = [\"./side.sh stop\"]".to_owned(),
                Made::Service => format!("services = [\"{name}\"]"),
                Made::Project => format!("project = \"{name}\""),
            };
            format!(
                "[blue_green.sides.{name}]\naddress = \"127.0.0.1:{port}\"\nhealth = \"http://127.0.0.1:{port}/\"\n{how}\n"
            )
        };
        let compose = match self.made {
            Made::Process => "",
            Made::Service => "[compose]\nfiles = [\"compose.yml\"]\n[resources.compose]\nkind = \"compose\"\n",
            Made::Project => {
                "[projects.blue]\ndirectory = \"blue\"\n[projects.green]\ndirectory = \"green\"\n\
                 [resources.compose-blue]\nkind = \"compose\"\nproject = \"blue\"\n\
                 [resources.compose-green]\nkind = \"compose\"\nproject = \"green\"\n"
            }
        };
        // A bad release is found long before its end; on a busy machine a second shows nothing of a good one.
        let window = if self.made == Made::Process { "1s" } else { "15s" };
        let [blue, green] = self.sides;
        format!(
            "strategy = \"blue-green\"\n\
             [resources.db]\nkind = \"sqlite\"\npath = \"app.db\"\n[resources.code]\nkind = \"files\"\npaths = [\"release.txt\"]\n\
             [probes.site]\nkind = \"http\"\nurl = \"http://127.0.0.1:{}/\"\n\
             [maintenance]\non = [[\"sh\", \"-c\", \"echo on >> ../page\"]]\noff = [[\"sh\", \"-c\", \"echo off >> ../page\"]]\n\
             [monitor]\nduration = \"{window}\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"50ms\"\ngate = \"2m\"\nmin_samples = 3\n\
             {compose}{}{}",
            self.port,
            side("blue", blue),
            side("green", green),
        )
    }

    fn front_settings(&self) -> String {
        let root = self.root.path().display();
        let eyes = format!("url = \"http://127.0.0.1:{}/\"\nheader = \"X-Side\"\n", self.port);
        let keys = match self.kind {
            Kind::NginxMarker | Kind::CaddyMarker => {
                format!("kind = \"marker\"\npath = \"{root}/green.on\"\nside = \"green\"\n{eyes}")
            }
            Kind::NginxLink => format!(
                "kind = \"link\"\npath = \"{root}/live\"\ntargets = {{ blue = \"{root}/blue.sock\", green = \"{root}/green.sock\" }}\n"
            ),
            Kind::NginxFile => format!(
                "kind = \"nginx\"\npath = \"{root}/upstream.conf\"\nupstream = \"app\"\n\
                 check = [\"nginx\", \"-p\", \"{root}\", \"-e\", \"{root}/error.log\", \"-c\", \"{root}/nginx.conf\", \"-t\"]\n\
                 reload = [\"nginx\", \"-p\", \"{root}\", \"-e\", \"{root}/error.log\", \"-c\", \"{root}/nginx.conf\", \"-s\", \"reload\"]\n{eyes}"
            ),
            Kind::Haproxy => format!(
                "kind = \"haproxy\"\nsocket = \"{root}/haproxy.sock\"\nbackend = \"app\"\nstate_file = \"{root}/servers\"\n"
            ),
            Kind::CaddyApi => format!(
                "kind = \"caddy\"\nadmin = \"http://127.0.0.1:{}\"\nid = \"app\"\n{eyes}",
                self.admin
            ),
            Kind::Command => "kind = \"command\"\n\
                 switch = [\"sh\", \"-c\", \"if [ $GUARD_SIDE = green ]; then touch ../green.on; else rm -f ../green.on; fi\"]\n\
                 ask = [\"sh\", \"-c\", \"if [ -e ../green.on ]; then echo green; else echo blue; fi\"]\n"
                .to_owned(),
        };
        format!("[blue_green.front]\n{keys}")
    }

    /// Writes the front's own configuration.
    fn configure(&self) {
        let root = self.root.path().display();
        let (port, [blue, green]) = (self.port, self.sides);
        let nginx = |body: &str| {
            format!(
                "daemon off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log; user root;\n\
                 events {{ worker_connections 2048; }}\nhttp {{ access_log off; client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; \
                 fastcgi_temp_path {root}/t3; uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;\n\
                 proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header X-Through front;\n{body}\n}}\n"
            )
        };
        match self.kind {
            Kind::NginxMarker | Kind::Command => {
                let body = format!(
                    "upstream blue {{ server 127.0.0.1:{blue}; }} upstream green {{ server 127.0.0.1:{green}; }}\n\
                     server {{ listen 127.0.0.1:{port}; location / {{ set $side blue; if (-f {root}/green.on) {{ set $side green; }} \
                     proxy_pass http://$side; }} }}"
                );
                std::fs::write(self.place("nginx.conf"), nginx(&body)).unwrap();
            }
            Kind::NginxLink => {
                std::os::unix::fs::symlink(self.place("blue.sock"), self.place("live")).unwrap();
                let body = format!(
                    "upstream live {{ server unix:{root}/live; }}\n\
                     server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://live; }} }}"
                );
                std::fs::write(self.place("nginx.conf"), nginx(&body)).unwrap();
            }
            Kind::NginxFile => {
                let upstream =
                    format!("# The sides.\nupstream app {{\n    server 127.0.0.1:{blue} max_fails=0; # one\n}}\n");
                std::fs::write(self.place("upstream.conf"), upstream).unwrap();
                let body = format!(
                    "include {root}/upstream.conf;\nserver {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://app; }} }}"
                );
                std::fs::write(self.place("nginx.conf"), nginx(&body)).unwrap();
            }
            Kind::Haproxy => {
                let text = format!(
                    "global\n  stats socket {root}/haproxy.sock mode 600 level admin\n  server-state-file {root}/servers\n\
                     defaults\n  mode http\n  load-server-state-from-file global\n  timeout connect 2s\n  timeout client 30s\n  timeout server 30s\n\
                     frontend site\n  bind 127.0.0.1:{port}\n  http-request set-header X-Through front\n  default_backend app\n\
                     backend app\n  server blue 127.0.0.1:{blue}\n  server green 127.0.0.1:{green} disabled\n"
                );
                std::fs::write(self.place("haproxy.cfg"), text).unwrap();
            }
            Kind::CaddyMarker | Kind::CaddyApi => {
                let proxy = |id: &str, port: u16| {
                    serde_json::json!({"@id": id, "handler": "reverse_proxy", "upstreams": [{"dial": format!("127.0.0.1:{port}")}],
                        "headers": {"request": {"set": {"X-Through": ["front"]}}}})
                };
                let mut routes = Vec::new();
                if self.kind == Kind::CaddyMarker {
                    routes.push(
                        serde_json::json!({"match": [{"file": {"root": self.root.path(), "try_files": ["/green.on"]}}],
                        "handle": [proxy("green", green)], "terminal": true}),
                    );
                }
                routes.push(serde_json::json!({"handle": [proxy("app", blue)]}));
                let config = serde_json::json!({"admin": {"listen": format!("127.0.0.1:{}", self.admin)},
                    "logging": {"logs": {"default": {"level": "ERROR"}}},
                    "apps": {"http": {"servers": {"site": {"listen": [format!("127.0.0.1:{port}")], "routes": routes,
                        "automatic_https": {"disable": true}}}}}});
                std::fs::write(self.place("caddy.json"), config.to_string()).unwrap();
            }
        }
    }

    /// Starts the front, as after a reboot.
    pub fn start_front(&mut self) {
        let mut command = match self.kind {
            Kind::NginxMarker | Kind::NginxLink | Kind::NginxFile | Kind::Command => {
                let mut command = Command::new("nginx");
                command
                    .arg("-p")
                    .arg(self.root.path())
                    .arg("-e")
                    .arg(self.place("error.log"));
                command.arg("-c").arg(self.place("nginx.conf"));
                command
            }
            Kind::Haproxy => {
                let mut command = Command::new("haproxy");
                command.arg("-db").arg("-f").arg(self.place("haproxy.cfg"));
                command
            }
            Kind::CaddyMarker | Kind::CaddyApi => {
                let mut command = Command::new("caddy");
                command
                    .arg("run")
                    .arg("--config")
                    .arg(self.place("caddy.json"))
                    .env("HOME", self.root.path());
                command
                    .env("XDG_CONFIG_HOME", self.root.path())
                    .env("XDG_DATA_HOME", self.root.path());
                command
            }
        };
        let log = std::fs::File::create(self.place("front.log")).unwrap();
        let errors = log.try_clone().unwrap();
        self.front = Some(
            command
                .stdin(Stdio::null())
                .stdout(log)
                .stderr(errors)
                .spawn()
                .expect("scripts/setup installs it"),
        );
    }

    /// Ends the front.
    pub fn stop_front(&mut self) {
        if let Some(mut front) = self.front.take() {
            let pid = rustix::process::Pid::from_raw(i32::try_from(front.id()).unwrap()).unwrap();
            let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ended = front.wait();
        }
    }

    /// A place beside the project, which no resource holds.
    pub fn place(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The project's directory.
    pub fn directory(&self) -> PathBuf {
        self.place("project")
    }

    /// guard in the project.
    pub fn guard(&self) -> Program {
        Program::new(&self.directory(), &self.place("state"))
    }

    /// guard without a watcher, so that a run is found as a kill left it.
    pub fn alone(&self) -> Program {
        self.guard().env("GUARD_NO_WATCHER", "yes")
    }

    /// Writes a file of the project.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory().join(name), text).unwrap();
    }

    /// Runs a line of shell in the project and returns what it printed; it has to succeed.
    #[track_caller]
    pub fn sh(&self, line: &str) -> String {
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(self.directory())
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The side that a visitor comes to; `None`: nobody answers.
    pub fn side(&self) -> Option<String> {
        Some(ask(self.port)?.split(' ').next()?.to_owned())
    }

    /// What a side answers on its own address; `None`: it is down.
    pub fn answer_of(&self, side: &str) -> Option<String> {
        ask(self.sides[usize::from(side == "green")])
    }

    /// The port of a side.
    pub fn port_of(&self, side: &str) -> u16 {
        self.sides[usize::from(side == "green")]
    }

    /// What the page was told: `on`, `off` and so on.
    pub fn page(&self) -> String {
        std::fs::read_to_string(self.place("page"))
            .unwrap_or_default()
            .replace('\n', " ")
    }

    /// How many runs there were.
    pub fn runs(&self) -> usize {
        std::fs::read_dir(self.place("state/runs")).map_or(0, Iterator::count)
    }

    /// The journal of the newest run.
    pub fn journal(&self) -> String {
        let Ok(entries) = std::fs::read_dir(self.place("state/runs")) else {
            return String::new();
        };
        let mut runs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        runs.sort_by_key(|run| (std::fs::metadata(run).unwrap().created().unwrap(), run.clone()));
        let newest = runs.pop().map(|run| run.join("journal.jsonl"));
        newest
            .and_then(|path| std::fs::read_to_string(path).ok())
            .unwrap_or_default()
    }
}

impl Drop for TwoSides {
    fn drop(&mut self) {
        self.stop_front();
        let down = match self.made {
            Made::Process => "true",
            Made::Service => "docker compose down --timeout 1",
            Made::Project => "for side in blue green; do (cd $side && docker compose down --timeout 1); done",
        };
        let _ended = Command::new("sh")
            .args(["-c", down])
            .current_dir(self.directory())
            .output();
        if self.made != Made::Process {
            return;
        }
        for side in ["blue", "green"] {
            let stop = format!("GUARD_SIDE={side} ./side.sh stop");
            let _ended = Command::new("sh")
                .args(["-c", &stop])
                .current_dir(self.directory())
                .output();
        }
    }
}

/// A connection that is kept, as a client's pool has it.
struct Kept(TcpStream);

impl Kept {
    fn open(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Whether the other end has closed it already: a client that looks throws it away.
    fn is_closed(&self) -> bool {
        let mut byte = [0];
        self.0.set_nonblocking(true).unwrap();
        let seen = self.0.peek(&mut byte);
        self.0.set_nonblocking(false).unwrap();
        !matches!(seen, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Asks once. The status and the body.
    fn ask(&mut self) -> std::io::Result<(u16, String)> {
        let broken = || std::io::Error::other("half an answer");
        self.0.write_all(b"GET / HTTP/1.1\r\nHost: site\r\n\r\n")?;
        let mut seen = Vec::new();
        let mut bytes = [0; 4096];
        loop {
            let count = self.0.read(&mut bytes)?;
            if count == 0 {
                return Err(broken());
            }
            seen.extend_from_slice(&bytes[..count]);
            let text = String::from_utf8_lossy(&seen).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or_default() {
                let status = head
                    .split(' ')
                    .nth(1)
                    .and_then(|status| status.parse().ok())
                    .ok_or_else(broken)?;
                return Ok((status, body.to_owned()));
            }
        }
    }
}

/// Asks over a connection of its own; `None` where nobody answers.
fn ask(port: u16) -> Option<String> {
    Kept::open(port).ok()?.ask().ok().map(|(_, body)| body)
}

/// Visitors, who ask all the time until they are counted.
pub struct Visitors {
    ends: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<(u64, Vec<String>)>>,
}

impl Visitors {
    /// 300 requests a second in all: over kept connections and over new ones by turns. A release that answers 500 has not
    /// lost a request: it has answered.
    pub fn of(project: &TwoSides) -> Self {
        const THREADS: u32 = 6;
        let ends = Arc::new(AtomicBool::new(false));
        let port = project.port;
        let threads = (0..THREADS).map(|number| {
            let ends = Arc::clone(&ends);
            std::thread::spawn(move || {
                let begun = Instant::now();
                let (mut count, mut lost, mut kept) = (0, Vec::new(), None::<Kept>);
                while !ends.load(Ordering::SeqCst) {
                    count += 1;
                    let due = Duration::from_millis(20 * count) + Duration::from_millis(u64::from(number) * 3);
                    std::thread::sleep(due.saturating_sub(begun.elapsed()));
                    let is_new = count % 2 == 0;
                    let mut open = match kept.take().filter(|open| !is_new && !open.is_closed()) {
                        Some(open) => open,
                        None => match Kept::open(port) {
                            Ok(open) => open,
                            Err(error) => {
                                lost.push(format!("no connection: {error}"));
                                continue;
                            }
                        },
                    };
                    match open.ask() {
                        Ok((200 | 500, _)) => kept = Some(open),
                        Ok((status, body)) => lost.push(format!("{status} {body}")),
                        Err(error) => lost.push(format!("{}: {error}", if is_new { "new" } else { "kept" })),
                    }
                }
                (count, lost)
            })
        });
        Self {
            threads: threads.collect(),
            ends,
        }
    }

    /// How many requests there were, and those that were lost.
    pub fn count(self) -> (u64, Vec<String>) {
        self.ends.store(true, Ordering::SeqCst);
        let (mut count, mut lost) = (0, Vec::new());
        for thread in self.threads {
            let (more, others) = thread.join().unwrap();
            count += more;
            lost.extend(others);
        }
        (count, lost)
    }
}

/// Whether a path is there.
pub fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}
