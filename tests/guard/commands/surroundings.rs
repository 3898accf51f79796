//! Surroundings that are not as they should be: no engine, no database server, no room; told before anything is touched.

use crate::support::embedded::Embedded;

const DEPLOY: [&str; 3] = ["deploy", "--", "./deploy.sh"];

#[test]
fn fault_h1_h15_a_daemon_that_is_down_and_a_compose_of_another_age_are_10() {
    let compose = "[compose]\nfiles = [\"compose.yml\"]\n[resources.stack]\nkind = \"compose\"\n";
    let probe = "[probes.app]\nkind = \"command\"\ncommand = [\"true\"]\n";
    let project = Embedded::with(&format!("{compose}{probe}"));
    project.write("compose.yml", "services:\n  app:\n    image: guard-test/none\n");
    let guard = project.guard().env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let ran = guard.run(&DEPLOY).expect(10);
    assert!(
        ran.stderr.contains("docker") && ran.stderr.contains("guard check"),
        "{}",
        ran.stderr
    );

    // A docker without the plugin: the real one where it keeps its plugins beside its settings.
    project.sh("mkdir ../fake ../nothing; DOCKER_CONFIG=../nothing docker compose version --short 2> /dev/null || exit 0; printf '#!/bin/sh\\necho \"docker: '\"'compose'\"' is not a docker command.\" >&2\\nexit 1\\n' > ../fake/docker; chmod +x ../fake/docker");
    let path = format!("{}/fake:/usr/bin:/bin", project.root().display());
    let nothing = project.root().join("nothing");
    let guard = |path: &str| {
        let guard = project.guard().env("DOCKER_CONFIG", nothing.to_str().unwrap());
        guard.env("PATH", path).run(&DEPLOY).expect(10)
    };
    // This machine may have v1 itself.
    guard(&path).says("(v2)");

    // The same beside Compose v1: the real one, which scripts/setup unpacks where Debian still has it.
    project.sh(
        "old=${XDG_CACHE_HOME:-$HOME/.cache}/guard-test/compose-v1/docker-compose; mkdir ../old; \
         if [ -x \"$old\" ]; then ln -s \"$old\" ../old/docker-compose; \
         else printf '#!/bin/sh\\necho 1.29.2\\n' > ../old/docker-compose; chmod +x ../old/docker-compose; fi",
    );
    guard(&format!("{}/old:{path}", project.root().display()))
        .says("only Compose v1 (1.29.2")
        .says("ended in 2023")
        .says("install the plugin `docker compose` (v2)");
    assert!(project.deployments().is_empty());
}

#[test]
fn a_database_server_that_is_down_is_10_and_its_password_is_nowhere() {
    let settings = "[resources.db]\nkind = \"postgres\"\nurl = \"postgres://app:canary-secret@127.0.0.1:1/app\"\n[probes.app]\nkind = \"command\"\ncommand = [\"true\"]\n";
    let project = Embedded::with(settings);
    project.sh("chmod 600 guard.toml");
    let ran = project.guard().run(&DEPLOY).expect(10).says("db");
    assert!(!ran.everything().contains("canary-secret"), "{ran:?}");
    assert!(ran.stderr.contains("guard check"), "{}", ran.stderr);
    assert!(project.deployments().is_empty());
}

#[test]
fn a_rollback_that_finds_no_room_is_10_and_the_same_rollback_works_when_there_is_some() {
    let project = Embedded::new();
    // A little more than what guard leaves free on a disk that it stages on.
    let mounted = project.shell("mount -t tmpfs -o size=80m,mode=755 guard-test objects");
    if !mounted.status.success() {
        eprintln!("not permitted to mount: a disk that fills up is not tested here");
        return;
    }
    project.sh("echo a > objects/a.txt; echo b > objects/b.txt");
    project.guard().run(&DEPLOY).expect(0);
    project.sh("head -c 30000000 /dev/zero > objects/large");
    let before = project.everything();
    let ran = project.guard().run(&["rollback", "--yes"]);
    let after = project.everything();
    project.sh("rm objects/large");
    let again = project.guard().run(&["rollback", "--yes"]);
    project.sh("umount objects");
    ran.expect(10)
        .says("staging the copy beside the live tree takes")
        .says("Production is untouched");
    assert_eq!(after, before);
    again.expect(0);
}

#[test]
fn a_disk_that_is_too_small_is_10_and_says_how_much_is_needed() {
    let project = Embedded::new();
    project.sh("head -c 4000000 /dev/urandom > objects/large; mkdir ../small");
    if !project
        .shell("mount -t tmpfs -o size=1m,mode=700 guard-test ../small")
        .status
        .success()
    {
        eprintln!("not permitted to mount: the small disk is not tested here");
        return;
    }
    let small = project.root().join("small");
    let before = project.everything();
    let ran = project
        .guard()
        .env("GUARD_BACKUP_DIR", small.to_str().unwrap())
        .run(&DEPLOY);
    project.sh("umount ../small");
    let ran = ran.expect(10).says("free");
    assert!(
        ran.stderr.contains("MB") && ran.stderr.contains("backup_dir"),
        "{}",
        ran.stderr
    );
    assert_eq!(project.everything(), before);
    assert!(project.deployments().is_empty());
}
