//! The shop of `fixtures/stack`, running: a real Compose project with Postgres, an S3 server, an app and nginx.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::program::Program;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A running shop; taken down when it is dropped.
pub struct Shop {
    root: tempfile::TempDir,
    port: u16,
    project: String,
}

impl Shop {
    /// A fresh shop with v1 running and well.
    pub fn open() -> Self {
        let shop = Self::made();
        shop.sh("./deploy.sh v1 && SMOKE_WAIT=60 ./smoke.sh");
        shop
    }

    fn made() -> Self {
        let root = tempfile::Builder::new().prefix("guard-shop-").tempdir().unwrap();
        // A port that was free a moment ago; the shop publishes on it.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let project = format!(
            "guard-test-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::SeqCst)
        );
        let new = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stack/new.sh");
        let made = Command::new(new)
            .arg(root.path().join("shop"))
            .args([&project, &port.to_string()])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        Self { root, port, project }
    }

    /// The project's directory.
    pub fn directory(&self) -> PathBuf {
        self.root.path().join("shop")
    }

    /// guard's state directory for this shop.
    pub fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    /// The Compose project's name.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// Where nginx answers.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// guard in the shop.
    pub fn guard(&self) -> Program {
        Program::new(&self.directory(), &self.state())
    }

    /// Runs a line of shell in the shop and returns what it printed; it has to succeed.
    #[track_caller]
    pub fn sh(&self, line: &str) -> String {
        let output = Command::new("bash")
            .args(["-c", line])
            .current_dir(self.directory())
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The answer of a request, body and all; empty where nobody answers.
    pub fn get(&self, path: &str) -> String {
        let output = Command::new("curl")
            .args(["-sS", "--fail", "--max-time", "5", &self.url(path)])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The whole state as a person would look at it, by other means than guard's: rows by psql, objects by sha256sum in
    /// the volume, files, commit, images.
    pub fn state_of_everything(&self) -> BTreeMap<&'static str, String> {
        // Through the container and not through Compose: a bad release may have broken the files. Every table that is there.
        let psql = |sql: &str| {
            self.sh(&format!(
                "docker exec -i {}-postgres-1 psql -X -U shop -d shop -At <<'END'\n{sql}\nEND",
                self.project
            ))
        };
        let rows = "SELECT format('SELECT %L, count(*), md5(string_agg(t::text, ''|'' ORDER BY t::text)) FROM %I t', table_name, \
             table_name) FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1 \\gexec";
        let tables = "SELECT table_name, column_name, data_type FROM information_schema.columns \
             WHERE table_schema = 'public' ORDER BY 1, 2";
        let volume = self.sh(&format!(
            "docker volume inspect -f '{{{{.Mountpoint}}}}' {}_minio_data",
            self.project
        ));
        let volume = volume.trim();
        let mut state = BTreeMap::new();
        state.insert("rows", psql(rows));
        state.insert("schema", psql(tables));
        state.insert(
            "objects",
            self.sh(&format!(
                "cd {volume} && find . -type f -not -path './.guard-*' -exec sha256sum {{}} + | sort -k2"
            )),
        );
        state.insert(
            "owners",
            self.sh(&format!(
                "cd {volume} && find . -not -path './.guard-*' -printf '%p %u %g %m %y\\n' | sort"
            )),
        );
        state.insert(
            "files",
            self.sh("git ls-files -z | xargs -0 sha256sum | sort -k2; sha256sum .env; stat -c '%a %u' .env"),
        );
        state.insert(
            "commit",
            self.sh("git rev-parse HEAD; git symbolic-ref HEAD; git status --porcelain"),
        );
        state.insert(
            "images",
            self.sh(&format!(
                "docker ps --filter label=com.docker.compose.project={} --format '{{{{.Label \"com.docker.compose.service\"}}}} {{{{.Image}}}}' | sort; \
                 for c in $(docker ps -q --filter label=com.docker.compose.project={}); do docker inspect -f '{{{{.Image}}}}' $c; done | sort",
                self.project, self.project
            )),
        );
        state
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let down = Command::new("./down.sh").current_dir(self.directory()).output();
        // What guard pinned, which is named after the project.
        let pins = format!(
            "docker ps -aq --filter name=guard-pin-{0}- | xargs -r docker rm -fv; \
             docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' 'guard/pin/{0}/*' | xargs -r docker rmi",
            self.project
        );
        // Whether they can be removed is no part of any test.
        let _pins = Command::new("bash").args(["-c", &pins]).output();
        if !std::thread::panicking() {
            assert!(
                down.is_ok_and(|down| down.status.success()),
                "the shop could not be taken down"
            );
        }
    }
}
