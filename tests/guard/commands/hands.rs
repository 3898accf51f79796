//! What people do beside the runs is written down, what was put aside never goes without a word, and a vanished backup is
//! missed.

use crate::support::embedded::Embedded;
use crate::support::program::Program;

const FAILS: &str =
    "sqlite3 app.db \"ALTER TABLE users ADD COLUMN mail TEXT; INSERT INTO users (name) VALUES ('kept aside')\"; exit 3";

#[test]
fn the_history_tells_who_froze_deleted_marked_and_pruned() {
    let project = Embedded::and("[retention]\nkeep = 1\n");
    project.guard().run(&["backup"]).expect(0);
    let only = project.backups().remove(0);
    project.guard().run(&["lock", "-m", "freeze 4711"]).expect(0);
    project.guard().run(&["unlock"]).expect(0);
    project.guard().run(&["unlock"]).expect(0).says("nothing was frozen");
    project
        .guard()
        .run(&["mark", &only, "bad", "-m", "it was slow"])
        .expect(0);
    project.guard().run(&["delete", "--yes", &only]).expect(10);
    project.guard().run(&["delete", "--yes", "--force", &only]).expect(0);
    // What a kill cut off takes no later line with it.
    let path = project.state().join("audit.jsonl");
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str("{\"at\":\"2026-");
    std::fs::write(&path, text).unwrap();
    project.guard().run(&["backup"]).expect(0);
    project.guard().run(&["backup"]).expect(0);
    let told = project.guard().run(&["history", "--output", "json"]).expect(0).stdout;
    let value: serde_json::Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    let deeds = value["result"]["deeds"].as_array().unwrap();
    let did: Vec<&str> = deeds.iter().rev().map(|deed| deed["did"].as_str().unwrap()).collect();
    assert_eq!(
        did,
        ["lock", "unlock", "mark", "delete", "delete", "delete", "prune"],
        "{deeds:#?}"
    );
    let forced: Vec<&serde_json::Value> = deeds.iter().filter(|deed| deed["forced"] == true).collect();
    assert_eq!(forced.len(), 1);
    assert!(forced[0]["what"].as_str().unwrap().contains(&only));
    let shown = project.guard().run(&["history"]).expect(0).stdout;
    for text in ["freeze 4711", "it was slow", "by force", "-delete", "stays"] {
        assert!(shown.contains(text), "{text:?} is missing in\n{shown}");
    }
}

#[test]
fn what_was_put_aside_is_announced_before_it_goes() {
    let project = Embedded::and("[retention]\nkeep = 1\n");
    project.guard().run(&["deploy", "--", "sh", "-c", FAILS]).expect(20);
    let run = project.newest_run();
    let id = run.file_name().unwrap().to_string_lossy().into_owned();
    let status = || project.guard().run(&["status"]).expect(0).stdout;
    assert!(status().contains("goes some days after backup"), "{}", status());
    let is_aside = || !project.sh("ls | grep failed || true").trim().is_empty();
    assert!(is_aside());
    let told = project.guard().run(&["backup"]).expect(0).stderr;
    assert!(told.contains(&format!("what {id} put aside of db")), "{told}");
    assert!(is_aside() && status().contains("goes after"), "{}", status());
    // It is said once, and nothing goes before its time.
    let told = project.guard().run(&["backup"]).expect(0).stderr;
    assert!(!told.contains("put aside"), "{told}");
    assert!(is_aside());
    let would = project.guard().run(&["prune", "--dry-run"]).expect(0).stdout;
    assert!(
        would.contains(&format!("would remove what {id} put aside of db")),
        "{would}"
    );
    project
        .guard()
        .run(&["prune"])
        .expect(0)
        .says(&format!("removed what {id} had put aside of db"));
    assert!(!is_aside());
    assert!(!status().contains("kept  "), "{}", status());
}

#[test]
fn what_was_announced_long_ago_goes_by_itself_and_that_is_told() {
    let project = Embedded::and("[retention]\nkeep = 1\n");
    project.guard().run(&["deploy", "--", "sh", "-c", FAILS]).expect(20);
    let run = project.newest_run();
    project.guard().run(&["backup"]).expect(0);
    std::fs::write(run.join("announced"), "2026-01-01T00:00:00+00:00").unwrap();
    // A backup of something else has nothing to do with it, and may let go of it all the same.
    let told = project.guard().run(&["backup", "--only", "config"]).expect(0).stderr;
    assert!(told.contains("removed what") && told.contains("of db"), "{told}");
    assert!(project.sh("ls | grep failed || true").trim().is_empty());
}

#[test]
fn fault_l9_a_backup_that_vanished_is_missed_by_every_command_that_shows_backups() {
    let project = Embedded::new();
    project.guard().run(&["backup"]).expect(0);
    project.guard().run(&["backup"]).expect(0);
    let newest = project.backups().remove(0);
    project.sh(&format!("mv ../state/backups/{newest} ../away"));
    for words in ["check", "status", "list"] {
        let said = project.guard().run(&[words]).expect(0).everything();
        assert!(said.contains(&newest) && said.contains("missing"), "{words}: {said}");
    }
    project.sh(&format!("mv ../away ../state/backups/{newest}"));
    for words in ["check", "status", "list"] {
        let said = project.guard().run(&[words]).expect(0).everything();
        assert!(!said.contains("missing"), "{words}: {said}");
    }
}

#[test]
fn fault_b9_a_ground_that_cannot_be_relied_on_closes_the_way_back() {
    let project = Embedded::new();
    project.guard().run(&["check"]).expect(0);
    for (call, error, word) in [("flock", "ENOLCK", "lock"), ("linkat,link", "EPERM", "hard links")] {
        // Only the store's own trial is refused: the path tells it apart.
        let strace = [
            "strace".to_owned(),
            "-f".to_owned(),
            "-qq".to_owned(),
            "-o".to_owned(),
            "/dev/null".to_owned(),
            format!("--trace={call}"),
            format!("--inject={call}:error={error}"),
        ];
        let guard = project.guard().command(&["check"]);
        let mut command = std::process::Command::new(&strace[0]);
        command
            .args(&strace[1..])
            .arg(guard.get_program())
            .args(guard.get_args());
        command.current_dir(project.directory());
        for (name, value) in guard.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let output = command.output().unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(said.contains(word), "{call}: {said}");
        assert!(!project.state().join("backups/.guard-trial").exists(), "{call}");
    }
}

/// A second project, which has the first one's database file, in a state of its own.
fn second(project: &Embedded, resource: &str) -> Program {
    let directory = project.root().join("second");
    std::fs::create_dir_all(&directory).unwrap();
    let settings =
        format!("project = \"second\"\nverify = \"none\"\n{resource}\n[policy]\ndata_restore = \"always\"\n");
    std::fs::write(directory.join("guard.toml"), settings).unwrap();
    let state = project.root().join("states-of-another-user/second");
    std::fs::create_dir_all(state.parent().unwrap()).unwrap();
    Program::new(&directory, &state)
}

#[test]
fn two_projects_do_not_work_on_one_thing_at_a_time() {
    let project = Embedded::new();
    let at = |name: &str| project.directory().join(name).display().to_string();
    let mut child = project.guard().start(&[
        "deploy",
        "--",
        "sh",
        "-c",
        "touch ../begun; while [ ! -e ../go ]; do sleep 0.05; done; exit 3",
    ]);
    crate::support::embedded::until(|| project.root().join("begun").exists());
    for (what, table) in [
        (
            "the database file",
            format!("[resources.x]\nkind = \"sqlite\"\npath = \"{}\"", at("app.db")),
        ),
        (
            "the directory",
            format!("[resources.x]\nkind = \"volume\"\npath = \"{}\"", at("objects")),
        ),
        (
            "a part of it",
            format!("[resources.x]\nkind = \"volume\"\npath = \"{}\"", at("objects/sub")),
        ),
        (
            "what is around it",
            format!("[resources.x]\nkind = \"volume\"\npath = \"{}\"", at("")),
        ),
        (
            "the checkout",
            format!("[resources.x]\nkind = \"git\"\npath = \"{}\"", at("")),
        ),
    ] {
        let said = second(&project, &table)
            .run(&["deploy", "--", "true"])
            .expect(12)
            .stderr;
        assert!(said.contains("another guard works on"), "{what}: {said}");
    }
    // What is beside it is nobody's concern.
    project.sh("mkdir ../beside && echo x > ../beside/x");
    let beside = format!(
        "[resources.x]\nkind = \"volume\"\npath = \"{}\"",
        project.root().join("beside").display()
    );
    second(&project, &beside).run(&["backup"]).expect(0);
    project.sh("touch ../go");
    crate::support::embedded::end(&mut child);
    let table = format!("[resources.x]\nkind = \"sqlite\"\npath = \"{}\"", at("app.db"));
    second(&project, &table).run(&["backup"]).expect(0);
}

#[test]
fn a_lock_dies_with_its_holder_and_keeps_other_users_waiting() {
    let project = Embedded::new();
    let mut child = project.guard().start(&[
        "deploy",
        "--no-watcher",
        "--",
        "sh",
        "-c",
        "touch ../begun; exec sleep 600",
    ]);
    crate::support::embedded::until(|| project.root().join("begun").exists());
    let table = format!(
        "[resources.x]\nkind = \"sqlite\"\npath = \"{}\"",
        project.directory().join("app.db").display()
    );
    let other = second(&project, &table);
    other.run(&["backup"]).expect(12);
    crate::support::embedded::signal(&child, rustix::process::Signal::KILL);
    crate::support::embedded::end(&mut child);
    other.run(&["backup"]).expect(0);
    project.guard().run(&["resume"]).expect(20);
}

#[test]
fn a_correction_of_the_settings_counts_when_the_way_back_goes_on() {
    let project = Embedded::but(
        "paths = [\"conf/**\", \".env\"]",
        "paths = [\"conf/**\", \".env\"]\ncheck = [\"sh -c 'test -e ../checked'\"]",
    );
    // Settings that are no part of the checkout: else the correction itself would be a difference.
    project.sh("echo guard.toml >> .gitignore; git rm --quiet --cached guard.toml");
    project.sh("git -c user.name=t -c user.email=t@example.invalid commit --quiet --all --message own");
    let before = project.everything();
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", "exit 3"])
        .expect(30);
    project.guard().run(&["resume"]).expect(30);
    let settings = std::fs::read_to_string(project.directory().join("guard.toml")).unwrap();
    project.write(
        "guard.toml",
        &settings.replace("test -e ../checked", "test -e conf/app.conf"),
    );
    project
        .guard()
        .run(&["resume"])
        .expect(20)
        .says("was changed since the run stopped");
    project.write("guard.toml", &settings);
    assert_eq!(project.everything(), before);
}

#[test]
fn settings_that_the_release_brought_do_not_change_the_way_back() {
    let project = Embedded::new();
    let before = project.everything();
    let deploy = [
        "deploy",
        "--no-watcher",
        "--",
        "sh",
        "-c",
        "./deploy.sh all; sed -i 's/app.db/other.db/; s/kind = \"git\"/kind = \"nonsense\"/' guard.toml; touch ../begun; exec sleep 600",
    ];
    let settings = std::fs::read_to_string(project.directory().join("guard.toml")).unwrap();
    let mut child = project.guard().start(&deploy);
    crate::support::embedded::until(|| project.root().join("begun").exists());
    crate::support::embedded::signal(&child, rustix::process::Signal::KILL);
    crate::support::embedded::end(&mut child);
    project.guard().run(&["resume"]).expect(20);
    project.write("guard.toml", &settings);
    assert_eq!(project.everything(), before);
}

#[test]
fn an_older_backup_goes_to_where_the_settings_say_now() {
    let project = Embedded::new();
    project.guard().run(&["backup"]).expect(0);
    project.sh("mkdir ../disk && mv app.db ../disk/app.db && sqlite3 ../disk/app.db 'DELETE FROM users'; rm -f conf/more; echo new > conf/more");
    let settings = std::fs::read_to_string(project.directory().join("guard.toml")).unwrap();
    let moved = settings.replace("path = \"app.db\"", "path = \"../disk/app.db\"");
    let moved = moved.replace("paths = [\"conf/**\", \".env\"]", "paths = [\".env\"]");
    project.write("guard.toml", &moved);
    let said = project
        .guard()
        .run(&["rollback", "--yes", "--only", "db,config"])
        .expect(0)
        .stderr;
    assert!(said.contains("`path` of the settings in force counts"), "{said}");
    assert_eq!(project.sh("sqlite3 ../disk/app.db 'SELECT count(*) FROM users'"), "2\n");
    assert!(!project.directory().join("app.db").exists());
    // What was copied is said by the backup: the pattern that was in force then.
    assert!(!project.directory().join("conf/more").exists());
}

#[test]
fn advice_for_another_user_is_not_the_command_that_failed() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: it takes root to be another user");
        return;
    }
    let project = Embedded::with("verify = \"none\"\n[resources.config]\nkind = \"files\"\npaths = [\"code.txt\"]\n");
    project.sh("rm .env");
    project.guard().run(&["backup"]).expect(0);
    project.sh("chmod 755 ..");
    let guard = project.guard().command(&["check"]);
    let program = project.root().join("guard");
    std::fs::copy(guard.get_program(), &program).unwrap();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .arg("check")
        .current_dir(project.directory())
        .env("HOME", "/nonexistent")
        .env("GUARD_STATE_DIR", project.state())
        .env("GUARD_TRUSTED_UIDS", "0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let next = said
        .lines()
        .find(|line| line.contains("now,"))
        .unwrap_or_else(|| panic!("{said}"));
    assert!(next.contains("sudo guard -C"), "{said}");
}
