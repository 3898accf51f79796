//! What `guard init` writes is good as it stands: a volume that no Compose project owns, and the probe of a published port.

use std::process::Command;

use crate::support::program::Program;

/// A Compose project whose only volume was made beforehand; gone when it is dropped.
struct Site {
    root: tempfile::TempDir,
    name: String,
}

impl Site {
    fn open() -> Self {
        let root = tempfile::Builder::new().prefix("guard-site-").tempdir().unwrap();
        let name = format!("guard-test-site-{}", std::process::id());
        std::fs::create_dir(root.path().join("site")).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let compose = format!(
            "name: {name}\nservices:\n  web:\n    image: guard-test/app-base\n    pull_policy: never\n    stop_grace_period: 1s\n    \
             ports: ['127.0.0.1:{port}:80']\n    init: true\n    command: [python3, -m, http.server, '80', --directory, /pages]\n    volumes: ['pages:/pages']\nvolumes:\n  pages: {{external: true, name: {name}-pages}}\n"
        );
        std::fs::write(root.path().join("site/compose.yml"), compose).unwrap();
        let site = Self { root, name };
        site.sh(&format!(
            "docker volume create --label guard.test=1 {}-pages",
            site.name
        ));
        site.sh("docker compose up --detach --wait");
        site.write("first");
        crate::support::embedded::until(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        site
    }

    fn write(&self, word: &str) {
        self.sh(&format!(
            "docker compose exec -T web sh -c 'echo {word} > /pages/index.html'"
        ));
    }

    fn page(&self) -> String {
        self.sh("docker compose exec -T web cat /pages/index.html")
    }

    #[track_caller]
    fn sh(&self, line: &str) -> String {
        let mut command = Command::new("sh");
        let output = command
            .args(["-c", line])
            .current_dir(self.root.path().join("site"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn guard(&self) -> Program {
        Program::new(&self.root.path().join("site"), &self.root.path().join("state"))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // What holds the image is guard's, and goes by its project's name.
        let line = format!(
            "docker compose down --timeout 1; docker volume rm --force {0}-pages; \
             docker ps --all --quiet --filter name=^guard-pin-{0}- | xargs --no-run-if-empty docker rm --force; \
             docker image ls --filter 'reference=guard/pin/{0}/*' --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | xargs --no-run-if-empty docker rmi",
            self.name
        );
        let _gone = Command::new("sh")
            .args(["-c", &line])
            .current_dir(self.root.path().join("site"))
            .output();
    }
}

#[test]
fn an_external_volume_goes_back_and_the_probe_that_was_written_sees_the_site() {
    let site = Site::open();
    site.guard().run(&["init"]).expect(0);
    let settings = site.sh("cat guard.toml");
    assert!(
        settings.contains(&format!("volume = \"{}-pages\"", site.name)),
        "{settings}"
    );
    assert!(settings.contains("kind = \"http\""), "{settings}");
    let check = site.guard().run(&["check"]).expect(0);
    assert!(check.stdout.contains(": 200"), "{}", check.stdout);
    let bad = "docker compose exec -T web sh -c 'echo second > /pages/index.html'; exit 3";
    let ran = site.guard().run(&["deploy", "--", "sh", "-c", bad]);
    let now = site.page();
    ran.expect(20).says("old, verified");
    assert_eq!(now, "first\n");
    // The probe looks at the address that people use, and not only whether a container runs.
    site.sh("docker compose stop web");
    let check = site.guard().run(&["check"]).expect(10);
    let told = |line: &str| line.contains("web ") && line.contains("http://127.0.0.1");
    assert!(
        check.stdout.lines().any(told) && !check.stdout.contains(": 200"),
        "{}",
        check.stdout
    );
}
