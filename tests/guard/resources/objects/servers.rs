//! Servers of objects that nobody here wrote: a copy is taken of each and put back, and the server's own clients compare.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use guard::model::artifact::Live;
use guard::model::policy::DataRestore;
use guard::resources::Slot;
use guard::system::environment::Environment;

use super::super::built::{build, text};
use crate::support::Scene;
use crate::support::embedded::until;
use crate::support::storage::{SECRET, WHO, program};

/// A server, ended when it is dropped.
struct Server {
    process: Child,
    port: u16,
    root: PathBuf,
}

impl Server {
    fn start(root: &Path, call: impl Fn(&str) -> Command) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = call(&port.to_string());
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self {
            process,
            port,
            root: root.to_owned(),
        }
    }

    /// rclone's client, which knows nothing of guard: it signs, lists and hashes by itself.
    fn client(&self, words: &[&str]) -> String {
        let output = Command::new(program("rclone"))
            .env("RCLONE_CONFIG", self.root.join("no-such-file"))
            .env("RCLONE_S3_PROVIDER", "Other")
            .env("RCLONE_S3_ENDPOINT", self.endpoint())
            .env("RCLONE_S3_ACCESS_KEY_ID", WHO)
            .env("RCLONE_S3_SECRET_ACCESS_KEY", SECRET)
            .env("RCLONE_S3_REGION", "us-east-1")
            .env("RCLONE_S3_FORCE_PATH_STYLE", "true")
            .args(words)
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn put(&self, key: &str, content: &[u8]) {
        let file = self.root.join("to-put");
        std::fs::write(&file, content).unwrap();
        self.client(&[
            "copyto",
            "--no-check-dest",
            file.to_str().unwrap(),
            &format!(":s3:shop/{key}"),
        ]);
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Every object below the prefix and beside it, but for guard's own: its key, its length, and a digest of what is read.
    fn listing(&self) -> String {
        let words = ["hashsum", "MD5", "--download", "--exclude", "**.guard-**", ":s3:shop"];
        let mut lines: Vec<String> = self.client(&words).lines().map(str::to_owned).collect();
        lines.sort();
        lines.join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

fn goes_back(server: &Server, scene: &mut Scene) {
    server.client(&["mkdir", ":s3:shop"]);
    for (key, content) in [
        ("objects/a.txt", &b"a"[..]),
        ("objects/b.txt", b"b"),
        ("objects/odd name & <more>.txt", b"odd"),
        ("objects/50% + one.txt", b"as well"),
        ("objects/\u{dc}n\u{ef}.txt", b"letters"),
        ("objects/deep/er/c.bin", &vec![7; 300_000]),
        ("other", b"beside the prefix"),
    ] {
        server.put(key, content);
    }
    let before = server.listing();
    assert_eq!(before.lines().count(), 7, "{before}");

    let pairs = std::env::vars().chain([
        ("SHOP_KEY".to_owned(), WHO.to_owned()),
        ("SHOP_SECRET".to_owned(), SECRET.to_owned()),
    ]);
    scene.cx.environment = Arc::new(Environment::of_pairs(pairs));
    let keys = [
        ("url", text("s3://shop/objects")),
        ("endpoint", text(&server.endpoint())),
        ("access_key_env", text("SHOP_KEY")),
        ("secret_key_env", text("SHOP_SECRET")),
    ];
    let resource = build("s3", &scene.project(), None, &keys);
    let survey = resource.survey(&scene.cx);
    assert!(!survey.obstacles.iter().any(|one| one.refuses), "{survey:?}");
    let slot = Slot::new(&scene.backup(), resource.name());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    assert_eq!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);

    server.put("objects/a.txt", b"changed");
    server.put("objects/new/of the release.txt", b"new");
    server.client(&["deletefile", ":s3:shop/objects/odd name & <more>.txt"]);
    server.put("other", b"somebody else's");
    let failed = server.listing();
    let staged = resource
        .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
        .unwrap();
    let displaced = resource.restore(&staged, &artifact, &slot, &scene.cx).unwrap();
    let is_other = |line: &&str| line.ends_with("  other");
    let of = |listing: &str| {
        let lines = listing.lines().filter(|line| !is_other(line));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let now = server.listing();
    assert_eq!(of(&now), of(&before));
    assert_eq!(
        now.lines().find(is_other),
        failed.lines().find(is_other),
        "what is beside the prefix is nobody's business"
    );
    assert_eq!(resource.check(&artifact, &scene.cx).unwrap(), Live::Matches);
    let undone = resource.undo(&displaced, &scene.cx).unwrap();
    assert_eq!(server.listing(), failed);
    resource.undo(&undone, &scene.cx).unwrap();
    assert_eq!(of(&server.listing()), of(&before));
}

#[test]
fn objects_of_moto_go_back() {
    let mut scene = Scene::new();
    let server = Server::start(scene.root(), |port| {
        let mut command = Command::new(program("moto_server"));
        command.args(["--host", "127.0.0.1", "--port", port]);
        command
    });
    goes_back(&server, &mut scene);
}

#[test]
fn objects_that_rclone_serves_go_back() {
    let mut scene = Scene::new();
    let folder = scene.root().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let server = Server::start(scene.root(), |port| {
        let mut command = Command::new(program("rclone"));
        command.args(["serve", "s3", "--addr", &format!("127.0.0.1:{port}")]);
        command.args(["--auth-key", &format!("{WHO},{SECRET}"), "--vfs-cache-mode", "writes"]);
        command.arg("--cache-dir").arg(scene.root().join("cache"));
        command
            .arg("--config")
            .arg(scene.root().join("no-such-file"))
            .arg(&folder);
        command
    });
    goes_back(&server, &mut scene);
}
