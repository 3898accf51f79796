//! The right backup: of this environment and these data, holding what is asked for, and told apart in every list.

use crate::support::embedded::Embedded;

/// One file for two environments, each with a database of its own, and nothing else.
const TWO: &str = "project = \"shop\"\n\
    [resources.db]\nkind = \"sqlite\"\npath = \"app.db\"\n\
    [probes.ok]\nkind = \"command\"\ncommand = [\"true\"]\n\
    [policy]\ndata_restore = \"always\"\n\
    [retention]\nkeep = 1\n\
    [environments.production.monitor]\ninterval = \"1s\"\n\
    [environments.staging.resources.db]\npath = \"staging.db\"\n";

fn two() -> Embedded {
    let project = Embedded::with(TWO);
    project.sh("sqlite3 staging.db \"CREATE TABLE users (name TEXT); INSERT INTO users VALUES ('tester')\"");
    project
}

fn names(project: &Embedded, file: &str) -> String {
    project
        .sh(&format!("sqlite3 {file} 'SELECT group_concat(name) FROM users'"))
        .trim()
        .to_owned()
}

#[test]
fn each_environment_goes_back_to_its_own_backup() {
    let project = two();
    let (production, staging) = (["--environment", "production"], ["--environment", "staging"]);
    let run = |environment: [&str; 2], words: &[&str]| project.guard().run(&[&environment[..], words].concat());
    run(production, &["backup"]).expect(0);
    for _ in 0..3 {
        run(staging, &["backup"]).expect(0);
    }
    run(staging, &["prune"]).expect(0);
    project.sh("sqlite3 app.db 'DELETE FROM users'");
    run(production, &["rollback", "--yes"]).expect(0);
    assert_eq!(names(&project, "app.db"), "one,two");
    let listed = run(production, &["list"]).expect(0).stdout;
    assert_eq!(listed.matches("known good").count(), 1, "{listed}");
    assert!(listed.contains("1 backup of another environment"), "{listed}");
    let listed = run(production, &["list", "--all"]).expect(0).stdout;
    assert!(listed.contains("staging") && listed.contains("production"), "{listed}");
    // Without a name there is none for the settings as they are.
    let said = project.guard().run(&["rollback", "--yes"]).expect(40).stderr;
    assert!(said.contains("it is of the environment"), "{said}");
    // Another one's takes its name and --force, and comes to where the settings in force say.
    let theirs = project
        .sh("cat ../state/backups/.latest_backup-staging")
        .trim()
        .to_owned();
    let named = format!("--backup-timestamp={theirs}");
    let said = run(production, &["rollback", "--yes", &named]).expect(10).stderr;
    assert!(
        said.contains("environment staging") && said.contains("--force"),
        "{said}"
    );
    assert_eq!(names(&project, "app.db"), "one,two");
    run(production, &["delete", "--yes", &theirs]).expect(10);
    run(production, &["rollback", "--yes", "--force", &named]).expect(0);
    assert_eq!(names(&project, "app.db"), "tester");
    assert_eq!(names(&project, "staging.db"), "tester");
}

#[test]
fn another_directory_of_the_same_name_is_another_place() {
    let project = two();
    project.guard().run(&["backup"]).expect(0);
    // A second checkout that calls itself the same, and shares the state.
    project.sh("cp -a . ../second && cd ../second && sqlite3 app.db \"UPDATE users SET name = 'second'\"");
    let second = project.root().join("second");
    let guard = crate::support::program::Program::new(&second, &project.state());
    guard.run(&["backup"]).expect(0);
    project.sh("sqlite3 app.db 'DELETE FROM users'");
    project.guard().run(&["rollback", "--yes"]).expect(0);
    assert_eq!(names(&project, "app.db"), "one,two");
    // A directory that was moved is the same place, and it is told.
    project.sh("sqlite3 app.db 'DELETE FROM users'; mv ../project ../moved; mkdir ../project");
    let moved = crate::support::program::Program::new(&project.root().join("moved"), &project.state());
    let said = moved.run(&["rollback", "--yes"]).expect(0).stderr;
    assert!(said.contains("moved/app.db"), "{said}");
    project.sh("rmdir ../project && mv ../moved ../project");
    assert_eq!(names(&project, "app.db"), "one,two");
}

#[test]
fn a_point_of_the_configuration_does_not_stand_for_the_database() {
    let project = Embedded::and("[retention]\nkeep = 1\n");
    project.guard().run(&["backup", "-d", "full"]).expect(0);
    for _ in 0..3 {
        project.guard().run(&["backup", "--only", "config"]).expect(0);
    }
    let listed = project.guard().run(&["list"]).expect(0).stdout;
    assert_eq!(listed.matches("known good").count(), 2, "{listed}");
    project.sh("sqlite3 app.db 'DELETE FROM users'");
    project.guard().run(&["rollback", "--yes", "--only", "db"]).expect(0);
    assert_eq!(names(&project, "app.db"), "one,two");
    project
        .guard()
        .run(&["rollback", "--yes", "--only", "db,config", "--dry-run"])
        .expect(0);
    let of_state = |state: &str| {
        let listed = project.guard().run(&["list"]).expect(0).stdout;
        let lines = listed.lines().filter(|line| line.contains(state));
        lines
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let both = of_state("known good");
    project.guard().run(&["delete", "--yes", &both[0]]).expect(0);
    let said = project.guard().run(&["delete", "--yes", &both[1]]).expect(10).stderr;
    assert!(said.contains("db") && said.contains("--force"), "{said}");
}

#[test]
fn a_list_says_what_was_live_and_not_what_came_after_it() {
    let project = Embedded::new();
    project.sh("git tag v1.4.1");
    let deploy = ["deploy", "-d", "release 1.5", "--", "./deploy.sh", "all"];
    project.guard().run(&deploy).expect(0);
    for words in [&["list"][..], &["rollback", "--dry-run"]] {
        let said = project.guard().run(words).expect(0).stdout;
        assert!(said.contains("one (v1.4.1)") && said.contains("known good"), "{said}");
        assert!(!said.contains("release 1.5") && !said.contains("two"), "{said}");
    }
    let shown = project.guard().run(&["show", "latest"]).expect(0).stdout;
    assert!(shown.contains("taken before release 1.5"), "{shown}");
}

#[test]
fn without_probes_a_passed_verification_or_a_persons_word_makes_a_backup_good() {
    let project = Embedded::with(
        "[resources.config]\nkind = \"files\"\npaths = [\"conf/**\"]\n[verify]\ncommands = [\"test -s conf/app.conf\"]\n\
         [monitor]\nduration = \"200ms\"\ninterval = \"50ms\"\nmin_samples = 1\n",
    );
    let deploy = |version: &str| {
        let line = format!("echo version={version} > conf/app.conf");
        project.guard().run(&["deploy", "--", "sh", "-c", &line]).expect(0);
    };
    let states = || project.guard().run(&["list"]).expect(0).stdout;
    deploy("2");
    let said = project.guard().run(&["rollback", "--dry-run"]).expect(0);
    assert!(said.stderr.contains("no backup is known to be good"), "{}", said.stderr);
    deploy("3");
    assert_eq!(states().matches("known good").count(), 1, "{}", states());
    project.guard().run(&["rollback", "--yes"]).expect(0);
    assert_eq!(project.sh("cat conf/app.conf"), "version=2\n");
    let first = project.backups().pop().unwrap();
    project
        .guard()
        .run(&["mark", &first, "good", "-m", "it served a year"])
        .expect(0);
    assert_eq!(states().matches("known good").count(), 2, "{}", states());
    let newest = project.backups().remove(0);
    project.guard().run(&["mark", &newest, "bad"]).expect(0);
    let said = project.guard().run(&["rollback", "--yes"]).expect(0).stderr;
    assert_eq!(project.sh("cat conf/app.conf"), "mode=good version=1\n");
    assert!(said.contains("passed over: 1 newer backup"), "{said}");
}

#[test]
fn only_its_own_retention_takes_a_backup_away() {
    let project = two();
    // Staging keeps one, production three.
    let settings = TWO.replace("keep = 1", "keep = 3") + "[environments.staging.retention]\nkeep = 1\n";
    project.write("guard.toml", &settings);
    for environment in ["production", "production", "production", "staging", "staging"] {
        project.guard().run(&["--environment", environment, "backup"]).expect(0);
    }
    let count = |environment: &str| {
        let said = project
            .guard()
            .run(&["--environment", environment, "list"])
            .expect(0)
            .stdout;
        said.matches("known good").count()
    };
    assert_eq!((count("production"), count("staging")), (3, 1));
}

#[test]
fn where_the_settings_name_another_place_the_way_to_the_older_backup_is_told() {
    let project = two();
    project.guard().run(&["backup"]).expect(0);
    project.sh("cp app.db moved.db; sqlite3 moved.db 'DELETE FROM users'; sed -i s/app.db/moved.db/ guard.toml");
    let told = project.guard().run(&["rollback", "--yes"]).expect(40).everything();
    let words: Vec<&str> = told.split_whitespace().collect();
    let at = words
        .iter()
        .position(|word| word.starts_with("--backup-timestamp="))
        .unwrap_or_else(|| panic!("{told}"));
    assert_eq!(words[at + 1], "--force", "{told}");
    project
        .guard()
        .run(&["rollback", "--yes", words[at], words[at + 1]])
        .expect(0);
    assert_eq!(names(&project, "moved.db"), "one,two");
}
