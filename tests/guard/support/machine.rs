//! A machine with systemd as its first process, in a container: what guard does with units is seen there.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::embedded::until;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The image, which scripts/setup makes.
const IMAGE: &str = "guard-test/services";

/// systemd wants a tree of control groups of its own, and may raise no limit where the engine may not.
const BOOT: &str = r#"umount -R /sys/fs/cgroup; mount -o remount,rw /sys; mount --types cgroup2 none /sys/fs/cgroup
for s in systemd-journald systemd-logind dbus user@; do
    mkdir -p /etc/systemd/system/$s.service.d; printf "[Service]\nLimitNOFILE=\n" >/etc/systemd/system/$s.service.d/limit.conf
done
exec /sbin/init"#;

/// A running machine; gone when it is dropped.
pub struct Machine {
    name: String,
}

/// What a line of shell did on it.
#[derive(Debug)]
pub struct Did {
    /// Its exit code.
    pub code: Option<i32>,
    /// Both streams.
    pub text: String,
}

impl Machine {
    /// A machine that has come up, with guard in its path.
    pub fn start() -> Self {
        let name = format!(
            "guard-machine-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::SeqCst)
        );
        let guard = std::env::var("GUARD_TEST_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_guard").to_owned());
        let words = "run --detach --cap-add ALL --cap-drop SYS_RESOURCE --security-opt seccomp=unconfined \
                     --security-opt apparmor=unconfined --security-opt systempaths=unconfined --cgroupns private \
                     --tmpfs /run --tmpfs /run/lock --env container=docker --network none --label guard.test=1";
        let made = Command::new("docker")
            .args(words.split_whitespace())
            .args([
                "--name",
                &name,
                "--volume",
                &format!("{guard}:/usr/bin/guard:ro"),
                IMAGE,
                "sh",
                "-c",
                BOOT,
            ])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let machine = Self { name };
        until(|| {
            let state = machine.sh("systemctl is-system-running; systemctl is-active dbus").text;
            state.contains("running") && state.contains("active") || state.starts_with("degraded")
        });
        machine
    }

    /// Runs a script on it, and waits for its end.
    pub fn sh(&self, script: &str) -> Did {
        let mut child = Command::new("docker")
            .args([
                "exec",
                "--interactive",
                &self.name,
                "bash",
                "-c",
                &format!("exec 2>&1\n{script}"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdin.take());
        let output = child.wait_with_output().unwrap();
        let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        Did {
            code: output.status.code(),
            text: String::from_utf8_lossy(&text).trim().to_owned(),
        }
    }

    /// The same, which has to succeed; what it printed.
    #[track_caller]
    pub fn ok(&self, script: &str) -> String {
        let did = self.sh(script);
        assert_eq!(did.code, Some(0), "{script}: {}", did.text);
        did.text
    }

    /// Writes a file on it.
    pub fn write(&self, path: &str, text: &str) {
        let mut child = Command::new("docker")
            .args([
                "exec",
                "--interactive",
                &self.name,
                "sh",
                "-c",
                "mkdir -p \"$(dirname \"$0\")\" && cat >\"$0\"",
                path,
            ])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Waits until a line of shell succeeds there.
    #[track_caller]
    pub fn until(&self, line: &str) {
        until(|| {
            let is_so = self.sh(line).code == Some(0);
            if !is_so {
                std::thread::sleep(Duration::from_millis(100));
            }
            is_so
        });
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _gone = Command::new("docker")
            .args(["rm", "--force", "--volumes", &self.name])
            .output();
    }
}
