//! `guard drill`: refused where nobody has marked the place, faults for real, and a proof that fails where something differs.

mod killed;
mod outside;

use std::path::PathBuf;

use serde_json::Value;

use super::looking::result;
use crate::support::embedded::Embedded;
use crate::support::program::Ran;
use crate::support::watched::json;

const MARK: &str = "drill = true\n";

/// The usual small project, marked for drills; `more` stands before its tables.
fn marked(more: &str) -> Embedded {
    let project = Embedded::patient("");
    let settings = project.sh("cat guard.toml");
    let settings = settings.replace("gate = \"20s\"", "gate = \"2s\"");
    project.write("guard.toml", &format!("{MARK}{more}\n{settings}"));
    project
}

/// The same with commands that run on the way back, where services are stopped or started.
fn with_services(stop: &str, start: &str) -> Embedded {
    let project = marked("");
    let settings = project.sh("cat guard.toml");
    let services =
        format!("\n[services]\nstop = [[\"sh\", \"-c\", \"{stop}\"]]\nstart = [[\"sh\", \"-c\", \"{start}\"]]\n");
    project.write("guard.toml", &(settings + &services));
    project
}

fn drill(project: &Embedded, fault: &str) -> Ran {
    project
        .guard()
        .run(&["drill", "--fault", fault, "--within", "300ms", "--json"])
}

/// The one drill of an answer.
#[track_caller]
fn only(ran: &Ran) -> Value {
    let told = result(ran);
    let drills = told["drills"].as_array().unwrap();
    assert_eq!(drills.len(), 1, "{told}");
    drills[0].clone()
}

/// The book of drills.
fn book(project: &Embedded) -> Vec<Value> {
    let text = std::fs::read_to_string(project.state().join("drills.jsonl")).unwrap_or_default();
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn where_nobody_has_marked_the_place_nothing_is_broken() {
    let project = Embedded::and("[environments.staging]\ndrill = true\n[environments.production]\n");
    let before = project.everything();
    project
        .guard()
        .run(&["drill"])
        .expect(2)
        .says("not marked for drills")
        .says("write `drill = true` at the top of guard.toml");
    project
        .guard()
        .run(&["drill", "--environment", "production"])
        .expect(2)
        .says("write `drill = true` below [environments.production] in guard.toml");
    assert_eq!(project.everything(), before);
    assert!(project.runs().is_empty());
    // The part that does the harm is no way around it.
    project.guard().run(&["drill-part", "inject"]).expect(10);
    assert_eq!(project.everything(), before);
    project
        .guard()
        .run(&[
            "drill",
            "--environment",
            "staging",
            "--fault",
            "rows-deleted",
            "--within",
            "300ms",
        ])
        .expect(0);
    assert_eq!(project.everything(), before);
}

#[test]
fn a_fault_that_is_none_or_is_none_here_is_refused_and_the_list_says_why() {
    let project = marked("");
    project
        .guard()
        .run(&["drill", "--fault", "rows-delete"])
        .expect(2)
        .says("rows-deleted");
    project
        .guard()
        .run(&["drill", "--fault", "database-cut"])
        .expect(2)
        .says("no Compose project");
    let told = result(&project.guard().run(&["drill", "--list", "--json"]).expect(0));
    let faults = told["faults"].as_array().unwrap();
    assert_eq!(faults.len(), guard::model::drill::FAULTS.len());
    let of = |name: &str| faults.iter().find(|fault| fault["fault"] == name).unwrap();
    assert_eq!(of("rows-deleted")["possible"], true);
    assert_eq!(of("http-errors")["possible"], false);
    assert!(of("http-errors")["why_not"].as_str().unwrap().contains("HTTP"));
    assert!(project.runs().is_empty());
}

#[test]
fn each_fault_is_real_and_all_comes_back() {
    let project = marked("");
    let before = project.everything();
    for (fault, code, changed) in [
        ("rows-deleted", 23, "db"),
        ("migration-fails", 20, "db"),
        ("objects-deleted", 23, "objects"),
        ("config-broken", 21, "config"),
    ] {
        let ran = drill(&project, fault).expect(0);
        let told = only(&ran);
        assert_eq!(project.everything(), before, "{fault}");
        assert_eq!(
            (&told["equal"], &told["lost"]),
            (&true.into(), &0.into()),
            "{fault}: {told}"
        );
        assert!(
            told["rto"].as_f64().unwrap() >= told["back"].as_f64().unwrap(),
            "{fault}: {told}"
        );
        // That there was something to put back is told by the run itself.
        let run = project.state().join("runs").join(told["run"].as_str().unwrap());
        assert_eq!(json(&run.join("result.json"))["exit_code"], code, "{fault}");
        let journal = std::fs::read_to_string(run.join("journal.jsonl")).unwrap();
        assert!(
            journal.contains(&format!("\"resource\":\"{changed}\",\"work\":{{\"changed\"")),
            "{fault}: {journal}"
        );
    }
    assert_eq!(book(&project).len(), 4);
    // The next one knows the last one, and so do check and status.
    let again = project
        .guard()
        .run(&["drill", "--fault", "rows-deleted", "--within", "300ms"])
        .expect(0);
    assert!(again.stdout.contains("last time"), "{}", again.everything());
    let checked = project.guard().run(&["check"]).expect(0);
    assert!(
        checked.stdout.contains("a way back takes about"),
        "{}",
        checked.everything()
    );
    let status = result(&project.guard().run(&["status", "--output", "json"]).expect(0));
    assert_eq!(status["last_drill"]["fault"], "rows-deleted");
    assert_eq!(status["totals"]["deployments"], 0, "a drill is no deployment");
}

#[test]
fn a_difference_that_somebody_makes_on_the_way_back_fails_the_proof() {
    for (line, what, lost) in [
        ("sqlite3 app.db 'DELETE FROM users WHERE id = 2'", "db: table users", 1),
        (
            "sqlite3 app.db 'UPDATE users SET name = 9 WHERE id = 2'",
            "db: table users",
            1,
        ),
        (
            "sqlite3 app.db 'CREATE TABLE planted (id)'",
            "db: table planted was not there before",
            0,
        ),
        (
            "echo x > objects/planted.txt",
            "objects: files: 1 files are there that were not there before: planted.txt",
            0,
        ),
        ("chmod 600 objects/b.txt", "objects: files", 1),
        ("echo mode=good planted > conf/app.conf", "config: files", 1),
        (
            "git -c user.name=t -c user.email=t@e commit --quiet --allow-empty -m planted",
            "code: commit is another one",
            0,
        ),
    ] {
        let project = with_services("true", line);
        let ran = drill(&project, "rows-deleted").expect(37);
        let told = only(&ran);
        let differing = told["differing"].to_string();
        assert!(differing.contains(what), "{line}: {differing}");
        assert_eq!(
            (&told["lost"], &told["passed"]),
            (&lost.into(), &false.into()),
            "{line}: {told}"
        );
        let checked = project.guard().run(&["check"]);
        assert!(checked.stdout.contains("rows-deleted"), "{}", checked.everything());
    }
    // What is said to be of no interest is not compared, and the rest is.
    let project = with_services("true", "echo x > objects/planted.txt");
    let ignoring = ["drill", "--fault", "rows-deleted", "--within", "300ms", "--ignore"];
    project
        .guard()
        .run(&[&ignoring[..], &["objects/planted"]].concat())
        .expect(0);
    project.sh("rm objects/planted.txt");
    project
        .guard()
        .run(&[&ignoring[..], &["objects/other"]].concat())
        .expect(37);
}

#[test]
fn what_was_written_since_the_backup_is_counted_as_somebody_outside_counts_it() {
    // When what writes is stopped, somebody else counts what there is beyond the two rows of before.
    let project = with_services(
        "sqlite3 app.db 'SELECT count(*) FROM users WHERE id > 2' > ../outside",
        "true",
    );
    let rows =
        "sqlite3 app.db \\\"INSERT INTO users (name) VALUES ('a'), ('b'), ('c'), ('d'), ('e')\\\"".replace('\\', "");
    let ran = project.guard().run(&[
        "drill",
        "--fault",
        "rows-deleted",
        "--within",
        "300ms",
        "--json",
        "--",
        "sh",
        "-c",
        &rows,
    ]);
    let told = only(&ran.expect(0));
    let outside: u64 = project.sh("cat ../outside").trim().parse().unwrap();
    assert!(outside > 0, "the fault has left some of the new rows");
    assert_eq!(
        (&told["discarded"], &told["lost"]),
        (&outside.into(), &0.into()),
        "{told}"
    );
    // A command that fails is not the fault.
    let ran = project
        .guard()
        .run(&["drill", "--fault", "rows-deleted", "--json", "--", "false"])
        .expect(24);
    let told = only(&ran);
    assert_eq!(told["passed"], false);
    assert!(told["why"].as_str().unwrap().contains("before the fault"), "{told}");
}

#[test]
fn an_unwell_staging_is_not_drilled() {
    let project = marked("");
    project.sh("echo mode=bad > conf/app.conf");
    let before = project.everything();
    drill(&project, "rows-deleted").expect(10);
    assert_eq!(project.everything(), before);
    assert!(book(&project).is_empty());
}

#[test]
fn a_round_is_told_as_junit_and_its_last_drills_as_figures() {
    let project = marked("");
    let ran = project.guard().run(&[
        "drill",
        "--kind",
        "database",
        "--within",
        "300ms",
        "--junit",
        "junit.xml",
    ]);
    ran.expect(0);
    let text = project.sh("cat junit.xml; rm junit.xml");
    assert!(text.contains("tests=\"4\" failures=\"0\" skipped=\"1\""), "{text}");
    for name in ["rows-deleted", "migration-fails", "objects-deleted"] {
        assert!(
            text.contains(&format!("classname=\"guard.drill.database\" name=\"{name}\"")),
            "{text}"
        );
    }
    assert!(
        text.contains("name=\"database-cut\" time=\"0.000\"><skipped message="),
        "{text}"
    );
    project
        .guard()
        .run(&["watch", "--duration", "300ms", "--metrics-file", "../metrics"])
        .expect(0);
    let figures = project.sh("cat ../metrics");
    for line in [
        "guard_drill_last_passed{fault=\"rows-deleted\",kind=\"database\"} 1",
        "guard_drill_last_lost{fault=\"objects-deleted\",kind=\"database\"} 0",
        "guard_drill_last_rto_seconds{fault=\"migration-fails\",kind=\"database\"}",
        "guard_drill_last_timestamp_seconds{fault=\"rows-deleted\",kind=\"database\"}",
    ] {
        assert!(figures.contains(line), "{line} is missing:\n{figures}");
    }
    // A drill that failed is a failure there.
    let broken = with_services("true", "echo x > objects/planted.txt");
    let ran = broken.guard().run(&[
        "drill",
        "--fault",
        "rows-deleted",
        "--within",
        "300ms",
        "--junit",
        "../junit.xml",
    ]);
    ran.expect(37);
    let text = broken.sh("cat ../junit.xml");
    assert!(
        text.contains("failures=\"1\"") && text.contains("planted.txt"),
        "{text}"
    );
}

/// The file system of the data is a small one of its own, and everybody asks it how much room it has.
#[test]
fn a_full_disk_is_full_until_the_run_goes_back() {
    let project = marked("");
    let directory = project.directory().join("objects");
    let mounted =
        project.shell("cp -a objects ../kept && mount -t tmpfs -o size=400m drill objects && cp -a ../kept/. objects/");
    assert!(mounted.status.success(), "{mounted:?}");
    let _mount = Mount(directory);
    let settings = project.sh("cat guard.toml");
    let probe =
        "[\"sh\", \"-c\", \"df --output=avail objects | tail -1 >> ../avail; grep -q mode=good conf/app.conf\"]";
    let settings = settings.replace("[\"grep\", \"-q\", \"mode=good\", \"conf/app.conf\"]", probe);
    // The database stays where it is: the directory is what fills up.
    let settings = settings.replace("[resources.db]\nkind = \"sqlite\"\npath = \"app.db\"\n", "");
    project.write("guard.toml", &settings);
    let before = project.everything();
    let told = only(&drill(&project, "disk-full").expect(0));
    assert_eq!(project.everything(), before, "{told}");
    let seen: Vec<u64> = project
        .sh("cat ../avail")
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect();
    let (least, at_end) = (seen.iter().min().unwrap(), seen.last().unwrap());
    assert!(*least <= 65 * 1024 && *at_end > 300 * 1024, "{seen:?}");
}

/// A mount, taken down when it is dropped.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let down = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(down.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}
