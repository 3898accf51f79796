//! Hosts that cannot be used: what is wrong, that nothing was started, and the next command.

use std::os::unix::fs::PermissionsExt;

use crate::support::program::{Program, Ran};
use crate::support::sshd::Sshd;

#[track_caller]
fn refused(ran: Ran, says: &str) {
    let ran = ran
        .expect(10)
        .says(says)
        .says("nothing was started")
        .says("production is untouched");
    assert!(ran.stderr.contains("  now, "), "{}", ran.stderr);
}

#[test]
fn a_host_that_cannot_be_used_is_told_and_nothing_is_started() {
    let sshd = Sshd::start();
    let project = super::project("");
    let line = sshd.line();
    let outside = tempfile::tempdir().unwrap();
    let guard = sshd.guard(&project, &line, outside.path());
    let deploy = |program: Program, host: &str, more: &[&str]| {
        let directory = project.directory().display().to_string();
        let words = ["--host", host, "-C", &directory];
        let all: Vec<&str> = words
            .iter()
            .chain(more)
            .copied()
            .chain(["deploy", "--", "./deploy.sh", "all"])
            .collect();
        program.run(&all)
    };
    let program = |key: &str| {
        Program::new(outside.path(), &project.state())
            .env("GUARD_SSH", &sshd.ssh(key))
            .env("XDG_CACHE_HOME", &outside.path().join("cache").display().to_string())
    };
    let there = guard.words(&[])[1].to_owned();
    // Nobody listens there; no such host; a key that is not let in.
    refused(deploy(program("key"), "ssh://127.0.0.1:1", &[]), "Connection refused");
    refused(
        deploy(program("key"), "ssh://no-such-host.invalid", &[]),
        "could not reach ssh://no-such-host.invalid",
    );
    refused(deploy(program("stranger"), &there, &[]), "Permission denied");
    // A program for another machine; one that needs a loader that the host has not.
    let own = std::env::var_os("GUARD_TEST_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_guard").into());
    let mut head = vec![0; 4096];
    let mut file = std::fs::File::open(own).unwrap();
    std::io::Read::read_exact(&mut file, &mut head).unwrap();
    let is_arm = head[18] == 183;
    head[18] = if is_arm { 62 } else { 183 };
    let other = outside.path().join("other");
    std::fs::write(&other, &head).unwrap();
    let words = ["--host-program", other.to_str().unwrap()];
    let ran = deploy(program("key"), &there, &words);
    refused(
        ran,
        if is_arm {
            "is for Linux on x86_64"
        } else {
            "is for Linux on aarch64"
        },
    );
    let strange = outside.path().join("strange");
    std::fs::write(&strange, "#!/lib/ld-of-another-libc.so\n").unwrap();
    let words = ["--host-program", strange.to_str().unwrap()];
    let ran = deploy(program("key"), &there, &words);
    assert!(ran.stderr.contains("another C library"), "{}", ran.stderr);
    refused(ran, "cannot run the guard that was brought along");
    assert!(project.runs().is_empty() && project.deployments().is_empty());
    // No such directory is the host's own word.
    let ran = program("key").run(&["--host", &there, "-C", "/nowhere/at/all", "deploy", "--", "./deploy.sh"]);
    let ran = ran.expect(2);
    assert!(
        ran.stderr.contains("/nowhere/at/all") && ran.stderr.contains("untouched"),
        "{}",
        ran.stderr
    );
    for (host, says) in [
        ("ssh://-oProxyCommand=x", "expected ssh://"),
        ("ssh://prod/srv", "-C /srv"),
    ] {
        let ran = program("key").run(&["--host", host, "status"]).expect(2);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_told() {
    let sshd = Sshd::start();
    let project = super::project("");
    let line = sshd.line();
    let outside = tempfile::tempdir().unwrap();
    // A file is where the directory would be: root could write into any directory.
    std::fs::write(sshd.path("cache"), "").unwrap();
    let guard = sshd.guard(&project, &line, outside.path());
    refused(
        guard.run(&["deploy", "--", "./deploy.sh", "all"]),
        "could not put guard's program on",
    );
    std::fs::remove_file(sshd.path("cache")).unwrap();
    // A program that was cut off on its way is not one, and is brought anew.
    guard.run(&["status"]).expect(0).says("bringing guard's program");
    let programs = sshd.cache().join("programs");
    let program = std::fs::read_dir(&programs)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path()
        .join("guard");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o600)).unwrap();
    guard.run(&["status"]).expect(0).says("bringing guard's program");
    assert!(!guard.run(&["status"]).expect(0).stderr.contains("bringing"));
}
