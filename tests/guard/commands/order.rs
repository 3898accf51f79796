//! The way back in its order: what was stopped runs again, one thing that fails keeps nothing else down, and nothing is forgotten.

use crate::support::embedded::Embedded;

/// An application that is a line in a file: `up` or `down`, stopped and started by a script that leaves a line each time.
const SERVICES: &str = r#"[services]
stop = ["./ctl down"]
start = ["./ctl up"]

[probes.up]
kind = "command"
command = ["grep", "-q", "up", "../app"]
"#;

fn served(more: &str) -> Embedded {
    let project = Embedded::and(&format!("{SERVICES}\n{more}"));
    project.write("ctl", "#!/bin/sh\necho $1 > ../app\necho $1 >> ../calls\n");
    project.sh("chmod +x ctl && git add ctl && git -c user.name=t -c user.email=t@example.invalid commit --quiet --message ctl && ./ctl up && rm ../calls");
    project
}

#[test]
fn what_the_deploy_command_stopped_runs_again_though_nothing_was_changed() {
    let project = served("");
    let ran = project.guard().run(&["deploy", "--", "sh", "-c", "./ctl down; exit 1"]);
    ran.expect(24).says("old, verified");
    assert_eq!(project.sh("cat ../app"), "up\n");
    // What runs is not started again.
    project.sh("rm ../calls");
    project.guard().run(&["deploy", "--", "sh", "-c", "exit 1"]).expect(24);
    assert_eq!(project.sh("cat ../calls 2>/dev/null || echo none"), "none\n");
}

#[test]
fn verify_commands_look_at_what_was_put_back_as_well() {
    let project = Embedded::and("[verify]\ncommands = [\"./smoke.sh\"]\n");
    project.write(
        "smoke.sh",
        "#!/bin/sh\necho \"$GUARD_STAGE $(cut -d' ' -f2 conf/app.conf)\" >> ../seen\ngrep -q version=1 conf/app.conf\n",
    );
    project.sh("chmod +x smoke.sh");
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(21);
    assert_eq!(project.sh("cat ../seen"), "verify version=2\nprove version=1\n");
    // A test that is not there any more says nothing of what was put back.
    project.sh("rm ../seen && mv smoke.sh ../smoke.sh");
    let settings = project.sh("cat guard.toml").replace("./smoke.sh", "../smoke.sh");
    project.write("guard.toml", &settings);
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", "rm ../smoke.sh"]);
    ran.expect(21).says("it went with the release");
}

#[test]
fn a_smoke_test_that_the_old_state_does_not_pass_is_32() {
    let project = Embedded::and("[verify]\ncommands = [[\"sh\", \"-c\", \"exit 1\"]]\n");
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all"])
        .expect(32)
        .says("prove command");
}

#[test]
fn one_thing_that_cannot_go_back_keeps_nothing_else_from_it_and_can_be_left_out() {
    let project = served("");
    let before = project.everything();
    let spoil = "chattr +i conf/app.conf; exit 1";
    let ran = project.guard().run(&["deploy", "--", "./deploy.sh", "all", spoil]);
    let now = project.everything();
    let app = project.sh("cat ../app");
    let status = project.guard().run(&["status"]);
    let again = project.guard().run(&["deploy", "--", "true"]);
    let wrong = project.guard().run(&["resume", "--skip", "confg"]);
    let skipped = project.guard().run(&["resume", "--skip", "config"]);
    project.sh("chattr -i conf/app.conf");
    ran.expect(30)
        .says("Not back: config")
        .says("Back as it was: ")
        .says("guard resume");
    assert_eq!(app, "up\n", "what ran runs again");
    for (part, state) in &before {
        assert_eq!(now.get(part) == Some(state), *part != "config", "{part}");
    }
    let status = status.expect(0).stdout;
    assert!(status.contains("guard resume"), "{status}");
    again.expect(13).says("guard resume");
    wrong.expect(2).says("config");
    skipped.expect(20).says("Left as it is");
}

#[test]
fn a_database_that_did_not_go_back_goes_back_with_the_resume_though_the_code_around_it_went_before() {
    let project = Embedded::new();
    let before = project.everything();
    let words = ["deploy", "--", "./deploy.sh", "all", "chattr +i app.db; exit 3"];
    let ran = project.guard().run(&words);
    project.sh("chattr -i app.db");
    ran.expect(30).says("Not back: db");
    project.guard().run(&["resume"]).expect(20);
    assert_eq!(project.everything(), before);
    // What was put aside is no change of the code, and a later way back leaves it.
    let aside = project.sh("ls -d app.db.failed-*");
    project.sh(
        "sed -i s/app.db[*]/app.db/ .gitignore; git -c user.name=t -c user.email=t@example.invalid commit -qam ignore",
    );
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", "exit 3"])
        .expect(20);
    assert!(project.sh("ls -d app.db.failed-*").contains(&aside));
    assert_eq!(
        project.sh("git stash list; git log --all --format= --name-only | grep -c failed || true"),
        "0\n"
    );
}

#[test]
fn a_later_command_that_touches_nothing_does_not_make_a_stuck_run_forgotten() {
    let project = Embedded::new();
    let before = project.everything();
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", "chattr +i conf/app.conf; exit 1"])
        .expect(30);
    // This one cannot be made ready either, and changes nothing of how production stands.
    project.sh("mv ../state/backups/*/db ../gone");
    let refused = project.guard().run(&["rollback", "--only", "db", "--yes"]);
    project.sh("mv ../gone $(echo ../state/backups/*_*)/db");
    let status = project.guard().run(&["status"]);
    let resumed = project.guard().run(&["resume"]);
    project.sh("chattr -i conf/app.conf");
    assert_ne!(refused.code, Some(0), "{}", refused.everything());
    let status = status.expect(0).stdout;
    assert!(status.contains("mixed"), "{status}");
    assert!(status.contains("guard resume"), "{status}");
    resumed.expect(30);
    project.guard().run(&["resume"]).expect(20);
    assert_eq!(project.everything(), before);
    project.guard().run(&["resume"]).expect(0).says("nothing is unfinished");
}

#[test]
fn rollback_leaves_out_what_is_named_by_skip() {
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    project
        .guard()
        .run(&["rollback", "--yes", "--skip", "objects"])
        .expect(0);
    assert_eq!(project.sh("cat code.txt objects/b.txt"), "code 1\nchanged\n");
    project
        .guard()
        .run(&["rollback", "--yes", "--skip", "object"])
        .expect(2)
        .says("objects");
}

#[test]
fn when_the_time_for_the_way_back_is_over_the_rest_is_named_and_what_ran_runs() {
    let project = served("");
    let ran = project.guard().run(&[
        "deploy",
        "--rollback-timeout",
        "1ms",
        "--",
        "./deploy.sh",
        "all",
        "exit 1",
    ]);
    ran.expect(36)
        .says("was over before this was begun")
        .says("rollback_timeout");
    assert_eq!(project.sh("cat ../app"), "up\n");
}

#[test]
fn a_step_that_hangs_is_stopped_when_the_time_for_the_way_back_is_over() {
    let project = served("");
    // It hangs where it should stop the application, once.
    project.write(
        "ctl",
        "#!/bin/sh\necho $1 > ../app\n[ $1 = up ] || [ -e ../hung ] || { touch ../hung; exec sleep 3600; }\n",
    );
    project.sh("git -c user.name=t -c user.email=t@example.invalid commit --quiet --all --message hangs");
    let before = project.everything();
    let ran = project.guard().run(&[
        "deploy",
        "--rollback-timeout",
        "8s",
        "--",
        "./deploy.sh",
        "all",
        "exit 1",
    ]);
    ran.expect(36)
        .says("quiesce: the time for the whole way back, 8.0 s, is over: it is stopped")
        .says("stopped in the middle")
        .says("guard resume")
        .says("up passes");
    assert_eq!(project.sh("cat ../app"), "up\n");
    project.guard().run(&["resume"]).expect(20).says("old, verified");
    assert_eq!(project.everything(), before);
    // The limit is told before anything is deployed.
    let check = project
        .guard()
        .env("GUARD_ROLLBACK_TIMEOUT", "8s")
        .run(&["check"])
        .expect(0);
    assert!(check.stdout.contains("8.0 s at most"), "{}", check.stdout);
}

#[test]
fn data_that_somebody_writes_to_is_exchanged_again() {
    let project = Embedded::new();
    let before = project.everything();
    // It writes through the whole first way back, and nothing tells that it came with the release.
    let writer = "env -i PATH=$PATH setsid sh -c 'while [ ! -e ../still ]; do echo x >> objects/noise; done' >/dev/null 2>&1 & exit 1";
    let ran = project.guard().run(&["deploy", "--", "./deploy.sh", "all", writer]);
    project.sh("touch ../still; sleep 1");
    ran.expect(30).says("exchanged again").says("objects");
    project.guard().run(&["resume"]).expect(20).says("old, verified");
    assert_eq!(project.everything(), before);
}

#[test]
fn what_a_deploy_command_left_is_held_while_the_way_back_lasts_and_named() {
    let project = served("");
    let before = project.everything();
    // It writes again and again, and would bring the release's file back.
    let left = "setsid sh -c 'while [ ! -e ../end ]; do echo noise >> objects/noise; sleep 0.01; done' >/dev/null 2>&1 & exit 1";
    let ran = project.guard().run(&["deploy", "--", "./deploy.sh", "all", left]);
    let now = project.everything();
    let pids = project.sh("pgrep -f 'while .* -e ../end' || true");
    project.sh("touch ../end; pkill -CONT -f 'while .* -e [.][.]/end' || true");
    ran.expect(20)
        .says("was left by the deploy command, and is held")
        .says("kill -CONT");
    assert!(!pids.trim().is_empty(), "it was not ended");
    assert_eq!(now, before);
}

#[test]
fn a_release_that_failed_is_refused_while_nothing_has_changed() {
    let project = Embedded::new();
    project.sh(
        "git checkout --quiet -b two && echo 'code 2' > code.txt && git -c user.name=t -c user.email=t@example.invalid \
         commit --quiet --all --message two && git checkout --quiet main",
    );
    let before = project.everything();
    let words = [
        "deploy",
        "--",
        "./deploy.sh",
        "git merge --quiet --ff-only two",
        "exit 3",
    ];
    // Git's clock counts in seconds, and the commit has to be older than the run.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    project.guard().run(&words).expect(20);
    let refused = project.guard().run(&words).expect(10);
    refused.says("turned back by").says("exit code 3").says("--again");
    assert_eq!(project.everything(), before);
    let mut again = vec!["deploy", "--again"];
    again.extend(&words[1..]);
    project.guard().run(&again).expect(20);
    // Another command, or another file, may be the correction.
    project.guard().run(&words[..4]).expect(0);
    project.guard().run(&["rollback", "--yes"]).expect(0);
    project.sh("echo '# corrected' >> deploy.sh");
    project.guard().run(&words).expect(20);
    assert_eq!(project.deployments().len(), 4);
}

#[test]
fn a_failed_release_that_the_command_makes_itself_is_not_known_before() {
    let project = Embedded::new();
    let before = project.everything();
    let words = ["deploy", "--", "./deploy.sh", "all", "exit 3"];
    project.guard().run(&words).expect(20);
    project.guard().run(&words).expect(20).says("turned back by");
    assert_eq!(project.everything(), before);
    assert_eq!(project.deployments().len(), 2);
}

#[test]
fn who_still_has_open_what_was_put_aside_is_named_before_and_after() {
    let project = Embedded::new();
    let before = project.everything();
    // Two programs that no service of guard's stops: one has the database open, the other a file of the release's.
    let mut client = std::process::Command::new("sqlite3")
        .arg("app.db")
        .current_dir(project.directory())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(client.stdin.as_mut().unwrap(), b"SELECT count(*) FROM users;\n").unwrap();
    let opened = format!("/proc/{}/fd", client.id());
    let is_open = |link: std::fs::DirEntry| std::fs::read_link(link.path()).is_ok_and(|path| path.ends_with("app.db"));
    crate::support::embedded::until(|| std::fs::read_dir(&opened).unwrap().any(|link| is_open(link.unwrap())));
    let named = format!("sqlite3 (pid {})", client.id());
    let check = project.guard().run(&["check"]).expect(0);
    let writer = "setsid sh -c 'exec env -i sh -c \"exec 9>>objects/b.txt; echo \\$\\$ > ../writer; exec sleep 600\"' >/dev/null 2>&1 & \
                  until [ -s ../writer ]; do sleep 0.02; done; exit 3";
    let ran = project.guard().run(&["deploy", "--", "./deploy.sh", "all", writer]);
    let now = project.everything();
    let pid = project.sh("cat ../writer; kill $(cat ../writer)").trim().to_owned();
    client.kill().unwrap();
    client.wait().unwrap();
    let told = |text: &str, words: &[&str]| text.lines().any(|line| words.iter().all(|word| line.contains(word)));
    let all = check.everything().replace('\n', " ");
    let all = all.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        all.contains(&format!("{named} has it open, and nothing stops that")),
        "{all}"
    );
    let ran = ran.expect(20);
    assert!(
        told(&ran.stderr, &["[WARN]", &named, "has db open although"]),
        "{}",
        ran.stderr
    );
    let last: Vec<&str> = ran.stderr.lines().rev().take(8).collect();
    let last = last.join("\n");
    assert!(told(&last, &[&named, "put aside of db", "app.db.failed-"]), "{last}");
    assert!(
        told(
            &last,
            &[&format!("sleep (pid {pid})"), "put aside of objects", "`guard salvage "]
        ),
        "{last}"
    );
    // Of a directory only who writes: whoever reads it takes nothing along.
    assert!(
        told(
            &ran.stderr,
            &["[WARN]", &format!("sleep (pid {pid})"), "has objects open although"]
        ),
        "{}",
        ran.stderr
    );
    assert_eq!(now, before);
    // Whoever is gone is named no more.
    let again = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", "exit 3"])
        .expect(20);
    assert!(!again.stderr.contains("put aside of db ("), "{}", again.stderr);
}

#[test]
fn who_is_stopped_by_the_settings_is_told_and_is_no_warning() {
    let project = served("");
    let mut client = std::process::Command::new("sh")
        .args(["-c", "exec 9<>app.db; exec sleep 600"])
        .current_dir(project.directory())
        .spawn()
        .unwrap();
    let named = format!("open in sleep (pid {})", client.id());
    let mut shown = String::new();
    crate::support::embedded::until(|| {
        shown = project.guard().run(&["check"]).expect(0).stdout;
        shown.contains(&named)
    });
    client.kill().unwrap();
    client.wait().unwrap();
    assert!(!shown.contains("nothing stops that"), "{shown}");
}
