//! Every command that guard tells people to run next is typed here as it was told, and has to come out well.
//!
//! The purposes are collected from the source, so that one without a trial fails the test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::support::embedded::{Embedded, end, signal, until};
use crate::support::program::Ran;

/// A trial: it brings guard to say this, types what was said, and expects the codes with which that comes out well.
type Trial = fn(&str);

const TRIALS: &[(&str, Trial)] = &[
    ("then, to see whether it goes", needs_a_host),
    ("to fetch it", needs_a_registry),
    ("to go back to it without data", go_back_to_a_release),
    ("to go back to that release", go_back_to_a_release),
    ("to go back to what it was", go_back_to_where_a_tag_was),
    ("to hear it again", needs_a_host),
    ("to hear the rest", needs_a_host),
    ("to see whether the host lets you in", needs_a_host),
    ("to bring rows back that were discarded", needs_a_server),
    ("to change the two states again", change_again),
    ("to confirm beforehand", confirm),
    ("to continue", go_on_when_stuck),
    ("to delete it all the same", delete_all_the_same),
    ("to deploy it all the same", deploy_all_the_same),
    ("to do the same as its owner", elsewhere_shown),
    ("to end the freeze", end_freeze),
    ("to find what there is", find_what_there_is),
    ("to finish it", finish),
    ("to go back", go_back_when_withheld),
    ("to go back all the same", go_back_over_others),
    ("to go back to the state before it", go_back_to_the_state_before),
    (
        "to go back to the state before the last deployment",
        decide_without_a_run,
    ),
    ("to go on", go_on_when_paused),
    ("to go on where it was", go_on_where_it_was),
    ("to go on with a run that it cut off", needs_a_bug),
    ("to look at it", look_at_a_backup),
    ("to put data back all the same", put_data_back),
    ("to put back what services run from, and no data", put_back_without_data),
    ("to return to the state before", return_to_the_state_before),
    ("to roll that release back now", roll_back_a_watched_release),
    ("to see every setting", see_every_setting),
    ("to see everything", see_everything),
    ("to see everything that is in the way", see_everything_in_the_way),
    ("to see other backups", see_other_backups),
    ("to see the backups", see_the_backups),
    ("to see the other backups", see_the_other_backups),
    ("to see the runs", see_the_runs),
    ("to see those of other places", see_other_places),
    ("to see those of that environment", see_that_environment),
    ("to see what Compose says", see_what_compose_says),
    ("to see what came of it", see_what_came_of_it),
    ("to see what each holds", see_what_each_holds),
    ("to see what happened", see_what_happened),
    ("to see what is in the way", see_what_is_in_the_way),
    ("to see what is kept", see_what_is_kept),
    (
        "to see what is kept of the failed state",
        see_what_is_kept_of_the_failed_state,
    ),
    ("to see what it does", see_what_it_does),
    ("to see what it holds", see_what_it_holds),
    ("to see what would be written", see_what_would_be_written),
    ("to see where it is", see_where_it_is),
    ("to see which backups are left", see_which_backups_are_left),
    ("to see which, and why", see_which_and_why),
    ("to take one", take_one),
    ("to try again", try_again),
    ("to try again to go back, once that is mended", try_again_to_go_back),
    ("to use it all the same", use_it_all_the_same),
    ("to use it here all the same", use_it_here_all_the_same),
    ("to write settings to start from", write_settings),
    ("when production is looked at and put right by hand", put_right_by_hand),
    ("when that is mended", when_mended),
    ("when the disk can be written again", needs_a_full_disk),
    ("when they are corrected", when_corrected),
    ("where you know who made it", trust_foreign),
    (
        "with the file of the identity that belongs to one of these",
        with_the_identity,
    ),
];

/// The purposes in the source: what stands first where a next command is made.
fn purposes() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let called = Regex::new(r#"(?:\.next\(|Next::new\(|purpose =)\s*"([^"]+)""#).unwrap();
    let listed = Regex::new(r#"[(,]\s*"((?:to|when|where|with|if) [^"{]+)","#).unwrap();
    let files = walkdir::WalkDir::new(&root).into_iter().filter_map(Result::ok);
    let mut found = BTreeSet::new();
    for file in files.filter(|file| file.path().extension().is_some_and(|end| end == "rs")) {
        let path = file.path().strip_prefix(&root).unwrap();
        let is_of_endings = path.starts_with("report");
        if !is_of_endings && !path.starts_with("commands") && !path.starts_with("run") {
            continue;
        }
        let text = std::fs::read_to_string(file.path()).unwrap();
        // Tests inside of the source make up commands of their own.
        let text = text.split("#[cfg(test)]").next().unwrap();
        let patterns = [Some(&called), is_of_endings.then_some(&listed)];
        for pattern in patterns.into_iter().flatten() {
            found.extend(pattern.captures_iter(text).map(|found| found[1].to_owned()));
        }
    }
    found
}

#[test]
fn every_command_that_is_told_has_a_trial() {
    let found = purposes();
    assert!(found.len() > 45, "{found:#?}");
    let tried: BTreeSet<String> = TRIALS.iter().map(|(purpose, _)| (*purpose).to_owned()).collect();
    let untried: Vec<&String> = found.difference(&tried).collect();
    assert!(
        untried.is_empty(),
        "a command is told and nobody has typed it: {untried:#?}"
    );
    let gone: Vec<&String> = tried.difference(&found).collect();
    assert!(gone.is_empty(), "this is told no more: {gone:#?}");
}

/// What stands in backticks in the source's own texts and begins with guard's name, each with its file.
fn quoted_commands() -> BTreeSet<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let quoted = Regex::new(r"`(?:guard|\{program\}) ([a-z][^`]*)`").unwrap();
    let files = walkdir::WalkDir::new(&root).into_iter().filter_map(Result::ok);
    let mut found = BTreeSet::new();
    for file in files.filter(|file| file.path().extension().is_some_and(|end| end == "rs")) {
        let text = std::fs::read_to_string(file.path()).unwrap();
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for command in quoted.captures_iter(line) {
                found.insert((file.path().display().to_string(), command[1].to_owned()));
            }
        }
    }
    found
}

#[test]
fn every_command_of_guard_in_a_sentence_is_one_that_it_has() {
    let has = guard::cli::command();
    let found = quoted_commands();
    assert!(found.len() > 40, "{found:#?}");
    let is_unknown = |(_, command): &&(String, String)| {
        let mut words = command.split_whitespace();
        let known = words.next().and_then(|name| has.find_subcommand(name));
        let Some(known) = known else { return true };
        let mut flags = words.filter_map(|word| word.strip_prefix("--"));
        flags.any(|flag| {
            let name = flag.split('=').next().unwrap_or_default();
            !known.get_arguments().any(|one| one.get_long() == Some(name))
        })
    };
    let unknown: Vec<_> = found.iter().filter(is_unknown).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn every_command_that_is_told_comes_out_well() {
    let failed: Vec<String> = std::thread::scope(|scope| {
        let mut halves = TRIALS.chunks(TRIALS.len().div_ceil(2)).map(|half| {
            scope.spawn(|| {
                let tried = half.iter().filter_map(|(purpose, trial)| {
                    let outcome = std::panic::catch_unwind(|| trial(purpose));
                    outcome.is_err().then(|| (*purpose).to_owned())
                });
                tried.collect::<Vec<String>>()
            })
        });
        let begun: Vec<_> = halves.by_ref().collect();
        begun.into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{failed:#?}");
}

/// The command that was told for this purpose.
#[track_caller]
fn told(said: &str, purpose: &str) -> String {
    let mark = format!("{purpose}: ");
    let is_told = |line: &&str| line.to_lowercase().contains(&mark.to_lowercase());
    let line = said
        .lines()
        .find(is_told)
        .unwrap_or_else(|| panic!("{purpose:?} is not told in\n{said}"));
    let at = line.to_lowercase().find(&mark.to_lowercase()).unwrap() + mark.len();
    line[at..].trim().to_owned()
}

/// Types it as it was told, in the project's directory.
#[track_caller]
fn typed(project: &Embedded, said: &str, purpose: &str) -> Ran {
    let line = told(said, purpose);
    let words = shlex::split(&line).unwrap();
    assert_eq!(words.first().map(String::as_str), Some("guard"), "{line}");
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    project.guard().run(&words)
}

/// Runs this, which has to end so, and types what was told.
#[track_caller]
fn after(project: &Embedded, words: &[&str], code: i32, purpose: &str) -> Ran {
    let ran = project.guard().run(words).expect(code);
    typed(project, &ran.everything(), purpose)
}

const FAILS: [&str; 5] = ["deploy", "--", "./deploy.sh", "all", "exit 3"];

/// A run that was cut off inside its deploy command, without a watcher.
fn cut_off(project: &Embedded) {
    let mut child = project.guard().start(&[
        "deploy",
        "--no-watcher",
        "--",
        "sh",
        "-c",
        "./deploy.sh all; touch ../begun; exec sleep 600",
    ]);
    until(|| project.root().join("begun").exists());
    signal(&child, rustix::process::Signal::KILL);
    end(&mut child);
}

fn rolled_back(purpose_of: &[&str]) -> Embedded {
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    project.guard().run(purpose_of).expect(0);
    project
}

fn change_again(purpose: &str) {
    let project = rolled_back(&["rollback", "--yes"]);
    let said = project.guard().run(&["rollback", "--undo", "--yes"]).expect(0);
    asked_and_confirmed(&project, &said.everything(), purpose);
}

/// Types a command that asks, and then the one that answers beforehand.
#[track_caller]
fn asked_and_confirmed(project: &Embedded, said: &str, purpose: &str) {
    let asked = typed(project, said, purpose).expect(2);
    typed(project, &asked.stderr, "to confirm beforehand").expect(0);
}

fn needs_a_host(_: &str) {
    // The link to a host is refused, lost and made again: outside::refused and outside::cut type what is told there.
}

fn needs_a_registry(_: &str) {
    // Docker's own command; services::containers brings guard to say it.
}

/// A project whose checkout has a release before the one that is live.
fn with_a_release() -> Embedded {
    let project = Embedded::new();
    project.sh("git tag v0.9; echo next >>code.txt; git -c user.name=t -c user.email=t@example.invalid commit --quiet --all --message next");
    project
}

fn go_back_to_a_release(purpose: &str) {
    let project = with_a_release();
    let words: &[&str] = if purpose.contains("without data") {
        &["rollback", "--to", "v0.9", "--with-data", "--yes"]
    } else {
        &["rollback", "latest", "--to", "v0.9", "--yes"]
    };
    let code = if purpose.contains("without data") { 40 } else { 2 };
    let said = project.guard().run(words).expect(code);
    asked_and_confirmed(&project, &said.stderr, purpose);
    assert_eq!(project.sh("git rev-parse HEAD"), project.sh("git rev-parse v0.9"));
}

fn go_back_to_where_a_tag_was(purpose: &str) {
    let project = with_a_release();
    project.sh("git checkout --quiet v0.9");
    project.guard().run(&["backup"]).expect(0);
    let then = project.sh("git rev-parse HEAD");
    project.sh("git checkout --quiet -; git tag --force v0.9 HEAD");
    let said = project.guard().run(&["rollback", "--to", "v0.9", "--yes"]).expect(10);
    asked_and_confirmed(&project, &said.stderr, purpose);
    assert_eq!(project.sh("git rev-parse HEAD"), then);
}

fn needs_a_server(_: &str) {
    // Of a server's databases rows are brought back: resources::postgres::carry::killed salvages them.
}

fn confirm(purpose: &str) {
    let project = Embedded::new();
    project.guard().run(&["backup"]).expect(0);
    project.sh("./deploy.sh all");
    after(&project, &["rollback", "--only", "db"], 2, purpose).expect(0);
    assert_eq!(
        project.sh("cat code.txt"),
        "code 2\n",
        "the selection is part of the command"
    );
    assert!(!project.sh("sqlite3 app.db .schema").contains("mail"));
}

fn go_on_when_stuck(purpose: &str) {
    let check = "paths = [\"conf/**\", \".env\"]\ncheck = [\"test -e ../mended\"]";
    let project = Embedded::but("paths = [\"conf/**\", \".env\"]", check);
    let said = project.guard().run(&FAILS).expect(30);
    project.sh("touch ../mended");
    typed(&project, &said.stderr, purpose).expect(20);
}

fn delete_all_the_same(purpose: &str) {
    let project = Embedded::new();
    project.guard().run(&["backup"]).expect(0);
    let only = project.backups().remove(0);
    let said = project.guard().run(&["delete", "--yes", &only]).expect(10);
    asked_and_confirmed(&project, &said.stderr, purpose);
    assert!(project.backups().is_empty());
}

fn elsewhere_shown(_: &str) {
    // Another user's command is told to another user, by `sudo`: commands::hands reads it.
}

fn end_freeze(purpose: &str) {
    let project = Embedded::new();
    project.guard().run(&["lock", "-m", "inventory"]).expect(0);
    after(&project, &["deploy", "--", "true"], 12, purpose).expect(0);
    project.guard().run(&["deploy", "--", "true"]).expect(0);
}

fn find_what_there_is(purpose: &str) {
    let project = Embedded::with("verify = \"none\"\n");
    after(&project, &["backup"], 10, purpose).expect(0);
}

fn finish(purpose: &str) {
    let project = Embedded::new();
    cut_off(&project);
    after(&project, &["backup"], 13, purpose).expect(20);
}

fn go_back_when_withheld(purpose: &str) {
    let project = Embedded::new();
    let said = project
        .guard()
        .run(&[&["deploy", "--no-rollback"], &FAILS[1..]].concat())
        .expect(31);
    asked_and_confirmed(&project, &said.stderr, purpose);
}

fn go_back_over_others(purpose: &str) {
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    project.sh("git -c user.name=t -c user.email=t@example.invalid commit --quiet --allow-empty --message theirs");
    after(&project, &["rollback", "--yes"], 10, purpose).expect(0);
}

fn go_back_to_the_state_before(purpose: &str) {
    let project = Embedded::new();
    let before = project.everything();
    let said = project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    asked_and_confirmed(&project, &said.everything(), purpose);
    assert_eq!(project.everything(), before);
    // The same is told where there is nothing to undo.
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let said = project.guard().run(&["rollback", "--undo", "--yes"]).expect(40);
    asked_and_confirmed(&project, &said.stderr, purpose);
}

fn decide_without_a_run(purpose: &str) {
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let said = project.guard().run(&["decide", "rollback"]);
    asked_and_confirmed(&project, &said.stderr, purpose);
}

fn deploy_all_the_same(purpose: &str) {
    let project = Embedded::new();
    // It makes no commit of its own, which might be another one the next time.
    let words = ["deploy", "--", "./deploy.sh", "sick", "exit 3"];
    project.guard().run(&words).expect(20);
    // It is refused because it failed, and fails again where somebody wants to see it.
    after(&project, &words, 10, purpose).expect(20);
}

fn put_back_without_data(purpose: &str) {
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let said = project.guard().run(&["rollback", "--service", "web"]).expect(2);
    asked_and_confirmed(&project, &said.stderr, purpose);
    assert!(project.sh("cat conf/app.conf").contains("version=1"));
    assert_eq!(project.sh("sqlite3 app.db 'SELECT count(*) FROM users'"), "3\n");
}

fn roll_back_a_watched_release(purpose: &str) {
    let project = Embedded::but(
        "duration = \"400ms\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"50ms\"\ngate = \"300ms\"",
        "duration = \"1h\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"1m\"\ngate = \"5m\"",
    );
    let mut guard = project.guard().start(&["deploy", "--", "./deploy.sh", "all"]);
    project.until_journal_says("{\"begun\":{\"step\":\"watch\"}}", &mut guard);
    after(&project, &["rollback", "--only", "db", "--yes"], 12, purpose).expect(0);
    assert_eq!(end(&mut guard).code(), Some(23));
}

fn go_on_when_paused(purpose: &str) {
    let project = Embedded::new();
    cut_off(&project);
    // What is told where somebody asks twice to stop is the command that finishes any unfinished run.
    assert!(
        std::fs::read_to_string(source("run/lifecycle.rs"))
            .unwrap()
            .contains(&format!("\"{purpose}\", format!(\"{{}} resume\""))
    );
    project.guard().run(&["resume"]).expect(20);
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name)
}

fn go_on_where_it_was(purpose: &str) {
    let project = Embedded::and("[copy]\ncommands = [[\"test\", \"-e\", \"../mended\"]]\n");
    project.guard().run(&["backup"]);
    let said = project.guard().run(&["copy"]).expect(10);
    project.sh("touch ../mended");
    typed(&project, &said.stderr, purpose).expect(0);
}

fn needs_a_bug(_: &str) {
    // faults::panics brings guard to say it, and resumes.
}

fn see_everything_in_the_way(purpose: &str) {
    let project = Embedded::new();
    project.guard().run(&["backup"]).expect(0);
    project.sh("chmod 0777 ../state/backups");
    let said = project.guard().run(&["backup"]).expect(10);
    typed(&project, &said.stderr, purpose).expect(10);
    project.sh(&in_quotes(&said.stderr, "chmod "));
    typed(&project, &said.stderr, purpose).expect(0);
}

/// What is told in backticks and begins with this.
#[track_caller]
fn in_quotes(said: &str, start: &str) -> String {
    let mut quoted = said.split('`').skip(1).step_by(2);
    let found = quoted.find(|text| text.starts_with(start));
    found.unwrap_or_else(|| panic!("no `{start}…` in\n{said}")).to_owned()
}

fn see_what_compose_says(purpose: &str) {
    let project = Embedded::and("[compose]\nfiles = [\"my stack.yml\"]\n");
    let stack = "services: {app: {image: x}}\n";
    project.write("my stack.yml", &stack.replace("image", "imagine"));
    let said = project.guard().run(&["backup"]).expect(10);
    let line = told(&said.stderr, purpose);
    let shown = project.shell(&line);
    assert!(!shown.status.success());
    assert!(String::from_utf8_lossy(&shown.stderr).contains("imagine"), "{shown:?}");
    project.write("my stack.yml", stack);
    project.sh(&line);
}

fn see_what_came_of_it(purpose: &str) {
    let project = Embedded::but(
        "duration = \"400ms\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"50ms\"\ngate = \"300ms\"",
        "duration = \"1h\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"1m\"\ngate = \"5m\"",
    );
    let mut guard = project
        .guard()
        .start(&["deploy", "--no-watcher", "--", "./deploy.sh", "all"]);
    project.until_journal_says("{\"begun\":{\"step\":\"watch\"}}", &mut guard);
    // It stands still, and hears of nothing.
    signal(&guard, rustix::process::Signal::STOP);
    let said = project.guard().run(&["decide", "accept"]);
    let shown = typed(&project, &said.stderr, purpose);
    signal(&guard, rustix::process::Signal::CONT);
    project.guard().run(&["decide", "accept"]).expect(0);
    end(&mut guard);
    assert!(shown.expect(0).stdout.contains("guard deploy"));
}

fn try_again_to_go_back(purpose: &str) {
    let project = Embedded::new();
    let before = project.everything();
    // Nothing can be made beside what is live.
    let line = "sqlite3 app.db 'DELETE FROM users; ALTER TABLE users ADD COLUMN x'; chattr +i .; exit 3";
    let said = project.guard().run(&["deploy", "--", "sh", "-c", line]);
    project.sh("chattr -i .");
    typed(&project, &said.expect(36).stderr, purpose).expect(20);
    assert_eq!(project.everything(), before);
}

fn needs_a_full_disk(_: &str) {
    // A journal has room of its own on a disk that fills up: faults::errors has each write refused, and resumes.
}

fn with_the_identity(purpose: &str) {
    let (identity, recipient) = guard::system::cipher::new_identity();
    let project = Embedded::and(&format!("[encryption]\nrecipients = [\"{recipient}\"]\n"));
    let file = project.root().join("offline.key");
    std::fs::write(&file, identity).unwrap();
    project.sh("chmod 600 ../offline.key");
    project.guard().run(&["backup"]).expect(0);
    let before = project.everything();
    project.sh("./deploy.sh all");
    let said = project.guard().run(&["rollback", "--yes"]).expect(10);
    let line = told(&said.stderr, purpose);
    let words = line.strip_prefix("GUARD_IDENTITY=FILE guard ").unwrap();
    let guard = project.guard().env("GUARD_IDENTITY", file.to_str().unwrap());
    let words: Vec<&str> = words.split(' ').chain(["--yes"]).collect();
    guard.run(&words).expect(0);
    assert_eq!(project.everything(), before);
}

fn look_at_a_backup(purpose: &str) {
    let project = Embedded::new();
    after(&project, &["backup"], 0, purpose).expect(0);
}

fn put_data_back(purpose: &str) {
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let ran = project
        .guard()
        .run(&["rollback", "--yes", "--data-restore", "if-no-writes"]);
    asked_and_confirmed(&project, &ran.expect(31).stderr, purpose);
}

fn return_to_the_state_before(purpose: &str) {
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let new = project.everything();
    let said = project.guard().run(&["rollback", "--yes"]).expect(0);
    asked_and_confirmed(&project, &said.everything(), purpose);
    assert_eq!(project.everything(), new);
}

fn see_every_setting(purpose: &str) {
    after(&Embedded::new(), &["copy"], 2, purpose).expect(0);
}

fn see_everything(purpose: &str) {
    let project = Embedded::but("path = \"app.db\"", "path = \"none.db\"");
    let said = project.guard().run(&["backup"]).expect(10);
    // What is in the way is shown until it is mended.
    typed(&project, &said.stderr, purpose).expect(10);
    project.sh("cp app.db none.db");
    typed(&project, &said.stderr, purpose).expect(0);
}

fn when_mended(purpose: &str) {
    let project = Embedded::but("path = \"app.db\"", "path = \"none.db\"");
    let said = project.guard().run(&["check"]).expect(10);
    project.sh("cp app.db none.db");
    typed(&project, &said.stderr, purpose).expect(0);
}

fn see_other_backups(purpose: &str) {
    let project = Embedded::new();
    project.guard().run(&["backup"]).expect(0);
    let said = project.guard().run(&["rollback", "--yes"]).everything();
    typed(&project, &said, purpose).expect(0);
}

fn see_the_backups(purpose: &str) {
    let project = Embedded::new();
    project.guard().run(&["backup"]).expect(0);
    after(&project, &["show", "20200101_000000"], 40, purpose).expect(0);
    after(&project, &["show", "never"], 2, purpose).expect(0);
    after(&project, &["show", "previous"], 40, purpose).expect(0);
}

fn see_the_other_backups(purpose: &str) {
    let project = Embedded::new();
    project.sh("echo junk > minio_20250101_000000.tar.gz");
    let by_hand = ["--trust-foreign", "--backup-timestamp", "20250101_000000"];
    let words = [&["rollback", "--yes"], &by_hand[..]].concat();
    after(&project, &words, 40, purpose).expect(0);
}

fn see_the_runs(purpose: &str) {
    let project = Embedded::new();
    after(&project, &["salvage", "latest"], 2, purpose).expect(0);
}

const TWO: &str = "[resources.config]\nkind = \"files\"\npaths = [\"conf/**\"]\n[probes.ok]\nkind = \"command\"\ncommand = [\"true\"]\n\
    [environments.one.monitor]\ninterval = \"1s\"\n[environments.two.monitor]\ninterval = \"1s\"\n";

fn see_other_places(purpose: &str) {
    let project = Embedded::with(TWO);
    project.guard().run(&["--environment", "one", "backup"]).expect(0);
    let said = after(&project, &["--environment", "two", "rollback", "--yes"], 40, purpose).expect(0);
    assert!(said.stdout.contains("known good"), "{}", said.stdout);
}

fn see_that_environment(purpose: &str) {
    let project = Embedded::with(TWO);
    project.guard().run(&["--environment", "one", "backup"]).expect(0);
    let said = after(&project, &["rollback", "--yes"], 40, purpose).expect(0);
    assert!(said.stdout.contains("known good"), "{}", said.stdout);
}

fn see_what_each_holds(purpose: &str) {
    let project = Embedded::new();
    project.guard().run(&["backup", "--only", "config"]).expect(0);
    after(&project, &["rollback", "--yes", "--only", "db"], 40, purpose).expect(0);
}

fn see_what_happened(purpose: &str) {
    after(&Embedded::new(), &["rollback", "--undo", "--yes"], 40, purpose).expect(0);
}

fn see_what_is_in_the_way(purpose: &str) {
    // A backup that cannot be made although the check saw nothing: the copy is refused half-way.
    let text = std::fs::read_to_string(source("report/sentences.rs")).unwrap();
    assert!(text.contains(purpose));
    Embedded::new().guard().run(&["check"]).expect(0);
}

fn see_what_is_kept(purpose: &str) {
    let project = Embedded::new();
    cut_off(&project);
    let said = project.guard().run(&["abort", "--yes"]);
    typed(&project, &said.everything(), purpose).expect(0);
}

fn see_what_is_kept_of_the_failed_state(purpose: &str) {
    let said = after(&Embedded::new(), &FAILS, 20, purpose).expect(0);
    assert!(said.stdout.contains("kept "), "{}", said.stdout);
}

fn see_what_it_does(purpose: &str) {
    let project = Embedded::new();
    let mut child = project.guard().start(&[
        "deploy",
        "--",
        "sh",
        "-c",
        "touch ../begun; while [ ! -e ../go ]; do sleep 0.05; done",
    ]);
    until(|| project.root().join("begun").exists());
    let said = after(&project, &["backup"], 12, purpose).expect(0);
    assert!(said.stdout.contains("guard deploy"), "{}", said.stdout);
    project.sh("touch ../go");
    end(&mut child);
}

fn see_what_it_holds(purpose: &str) {
    let project = Embedded::new();
    project.guard().run(&["backup", "--only", "config"]).expect(0);
    let only = project.backups().remove(0);
    let words = ["rollback", "--yes", "--backup-timestamp", &only, "--only", "db"];
    let said = after(&project, &words, 2, purpose).expect(0);
    assert!(said.stdout.contains("config"), "{}", said.stdout);
}

fn see_what_would_be_written(purpose: &str) {
    after(&Embedded::new(), &["init"], 2, purpose).expect(0);
}

fn see_where_it_is(purpose: &str) {
    let project = Embedded::new();
    let mut child = project.guard().start(&[
        "deploy",
        "--",
        "sh",
        "-c",
        "touch ../begun; while [ ! -e ../go ]; do sleep 0.05; done",
    ]);
    until(|| project.root().join("begun").exists());
    let said = project.guard().run(&["decide", "accept"]);
    typed(&project, &said.stderr, purpose).expect(0);
    project.sh("touch ../go");
    end(&mut child);
}

fn see_which_backups_are_left(purpose: &str) {
    let project = Embedded::new();
    let line = "./deploy.sh all; rm -rf ../state/backups/2*; exit 3";
    let said = project.guard().run(&["deploy", "--", "sh", "-c", line]).expect(31);
    typed(&project, &said.stderr, purpose).expect(0);
}

fn see_which_and_why(purpose: &str) {
    // A probe that fails in the old state as well: the file that it wants is nobody's resource.
    let project = Embedded::but(
        "command = [\"grep\", \"-q\", \"mode=good\", \"conf/app.conf\"]",
        "command = [\"test\", \"-e\", \"../mark\"]",
    );
    project.sh("touch ../mark");
    let words = ["deploy", "--", "./deploy.sh", "all", "rm ../mark; exit 3"];
    let said = project.guard().run(&words).expect(32);
    typed(&project, &said.stderr, purpose).expect(10);
    project.sh("touch ../mark");
    typed(&project, &said.stderr, purpose).expect(0);
}

fn take_one(purpose: &str) {
    after(&Embedded::new(), &["rollback", "--yes"], 40, purpose).expect(0);
}

fn try_again(purpose: &str) {
    let project = Embedded::new();
    let said = project
        .guard()
        .run(&["deploy", "--", "sh", "-c", "test -e ../go"])
        .expect(24);
    project.sh("touch ../go");
    typed(&project, &said.stderr, purpose).expect(0);
}

fn use_it_all_the_same(purpose: &str) {
    let project = Embedded::new();
    project.guard().run(&["backup"]).expect(0);
    let backup = project.backups().remove(0);
    let settings = std::fs::read_to_string(project.directory().join("guard.toml")).unwrap();
    project.sh("cp app.db other.db && sqlite3 other.db 'DELETE FROM users'");
    project.write("guard.toml", &settings.replace("\"app.db\"", "\"other.db\""));
    let words = ["rollback", "--yes", "--only=db", "--backup-timestamp", &backup];
    after(&project, &words, 10, purpose).expect(0);
    assert_eq!(project.sh("sqlite3 other.db 'SELECT count(*) FROM users'"), "2\n");
}

fn use_it_here_all_the_same(purpose: &str) {
    let project = Embedded::with(TWO);
    project.guard().run(&["--environment", "one", "backup"]).expect(0);
    let listed = project.guard().run(&["--environment", "one", "list"]).expect(0).stdout;
    let backup = listed.lines().nth(1).unwrap().split(' ').next().unwrap().to_owned();
    project.sh("echo changed > conf/app.conf");
    let words = [
        "--environment",
        "two",
        "rollback",
        "--yes",
        "--backup-timestamp",
        &backup,
    ];
    after(&project, &words, 10, purpose).expect(0);
    assert_eq!(project.sh("cat conf/app.conf"), "mode=good version=1\n");
}

fn write_settings(purpose: &str) {
    let project = Embedded::new();
    project.sh("rm guard.toml");
    let said = project.guard().run(&["check"]);
    typed(&project, &said.stderr, purpose).expect(0);
    assert!(project.directory().join("guard.toml").exists());
}

fn put_right_by_hand(purpose: &str) {
    let project = Embedded::new();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let journal = project.newest_run().join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(
        &journal,
        text.replacen("version=1", "version=9", 1)
            .replacen("\"seq\":3", "\"seq\":4", 1),
    )
    .unwrap();
    let ran = project.guard().run(&["backup"]);
    project.sh(&told(&ran.stderr, purpose));
    project.guard().run(&["backup"]).expect(0);
}

fn when_corrected(purpose: &str) {
    let project = Embedded::new();
    let settings = std::fs::read_to_string(project.directory().join("guard.toml")).unwrap();
    project.write("guard.toml", &settings.replace("kind = \"git\"", "kind = \"gti\""));
    let said = project.guard().run(&["backup"]).expect(2);
    project.write("guard.toml", &settings);
    typed(&project, &said.stderr, purpose).expect(0);
}

fn trust_foreign(purpose: &str) {
    let project = Embedded::new();
    project.sh("tar -czf minio_20250101_000000.tar.gz -C objects .");
    let ran = project
        .guard()
        .run(&["rollback", "--yes", "--backup-timestamp", "20250101_000000"]);
    let said = ran.everything();
    asked_and_confirmed(&project, &said, purpose);
}
