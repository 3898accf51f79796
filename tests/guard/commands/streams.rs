//! Where the output goes: CI systems, pipes that break, narrow and simple terminals. The run and its exit code are the same.

use std::process::Command;

use crate::support::embedded::Embedded;
use crate::support::program::Program;

/// guard as a line of shell: `guard "$@"` runs it with these words and the environment of `program`.
fn line(project: &Embedded, program: &Program, script: &str, words: &[&str]) -> std::process::Output {
    let guard = program.command(words);
    let mut shell = Command::new("bash");
    let define = format!("guard() {{ '{}' \"$@\"; }}; {script}", env!("CARGO_BIN_EXE_guard"));
    shell
        .args(["-c", &define, "bash"])
        .args(guard.get_args())
        .current_dir(project.directory());
    for (name, value) in guard.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.output().unwrap()
}

#[test]
fn github_gets_groups_annotations_outputs_and_a_summary() {
    let project = Embedded::new();
    let (output, summary) = (project.root().join("output"), project.root().join("summary"));
    let guard = project.guard().env("GITHUB_ACTIONS", "true").env("CI", "true");
    let guard = guard
        .env("GITHUB_OUTPUT", output.to_str().unwrap())
        .env("GITHUB_STEP_SUMMARY", summary.to_str().unwrap());
    let ran = guard
        .run(&["deploy", "--", "./deploy.sh", "all", "sick", "echo '::error::forged'"])
        .expect(21);
    assert!(
        ran.stderr.contains("::group::") && ran.stderr.contains("::error title=guard::"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        ran.stderr.matches("::group::").count(),
        ran.stderr.matches("::endgroup::").count()
    );
    assert!(
        !ran.stderr.lines().any(|line| line.starts_with("::error::forged")),
        "{}",
        ran.stderr
    );
    let output = std::fs::read_to_string(output).unwrap();
    let backup = format!("backup_timestamp={}", project.backups()[0]);
    for pair in ["exit_code=21", "rolled_back=true", "outcome=", "report=/", &backup] {
        assert!(output.contains(pair), "{pair} is missing in:\n{output}");
    }
    assert!(std::fs::read_to_string(summary).unwrap().contains("old, verified"));
}

#[test]
fn gitlab_gets_sections_a_dotenv_and_a_junit_report() {
    let project = Embedded::new();
    let guard = project
        .guard()
        .env("GITLAB_CI", "true")
        .env("CI", "true")
        .env("CI_PROJECT_DIR", project.root().to_str().unwrap());
    let ran = guard.run(&["deploy", "--", "./deploy.sh", "all", "sick"]).expect(21);
    assert!(
        ran.stderr.contains("section_start:") && ran.stderr.contains("section_end:"),
        "{}",
        ran.stderr
    );
    let found = project.sh("find .. -name '*.env' -not -name .env -o -name '*junit*'");
    let (dotenv, junit) = found.lines().partition::<Vec<_>, _>(|path| !path.contains("junit"));
    assert_eq!((dotenv.len(), junit.len()), (1, 1), "{found}");
    assert!(project.sh(&format!("cat {}", dotenv[0])).contains("GUARD_EXIT_CODE=21"));
    let report = project.sh(&format!("cat {}", junit[0]));
    assert!(
        report.contains("<testsuites>") && report.contains("failure"),
        "{report}"
    );
    project.sh(&format!(
        "python3 -c \"import sys, xml.dom.minidom as d; d.parse(sys.argv[1])\" {}",
        junit[0]
    ));
}

#[test]
fn fault_e11_readers_that_go_away_change_nothing() {
    // What is left of a pipe, and the code that guard has to end with.
    let scripts = [
        "guard \"$@\" 2>&1 | true; exit ${PIPESTATUS[0]}",
        "guard \"$@\" 2>&1 | head -n 3 > /dev/null; exit ${PIPESTATUS[0]}",
        "guard \"$@\" >&- 2>&-",
        "guard \"$@\" > /dev/full 2> /dev/full",
        "guard \"$@\" <&- > /dev/null 2>&1",
    ];
    for script in scripts {
        for form in ["plain", "json"] {
            let project = Embedded::new();
            let before = project.everything();
            let ran = line(
                &project,
                &project.guard(),
                script,
                &["--output", form, "deploy", "--", "./deploy.sh", "all", "sick"],
            );
            assert_eq!(ran.status.code(), Some(21), "{script} {form}: {ran:?}");
            assert_eq!(project.everything(), before);
        }
    }
}

#[test]
fn fault_e14_narrow_and_simple_terminals_show_the_same_facts() {
    for (columns, term) in [
        (80, "xterm-256color"),
        (40, "xterm"),
        (20, "vt100"),
        (80, "dumb"),
        (40, ""),
    ] {
        let project = Embedded::new();
        let record = project.root().join("record");
        let inner = format!(
            "stty cols {columns} rows 24; '{}' deploy -- ./deploy.sh all sick; echo code $?",
            env!("CARGO_BIN_EXE_guard")
        );
        let script = format!(
            "TERM='{term}' script -qec \"$INNER\" '{}' < /dev/null > /dev/null; true",
            record.display()
        );
        let guard = project.guard().env("INNER", &inner);
        line(&project, &guard, &script, &[]);
        let shown = String::from_utf8_lossy(&std::fs::read(&record).unwrap()).into_owned();
        assert!(shown.contains("code 21"), "{columns} {term}: {shown}");
        assert!(shown.contains("verified"), "{columns} {term}: {shown}");
        assert!(!shown.contains("\u{1b}[3"), "NO_COLOR is set: {shown:?}");
        if term == "dumb" || term.is_empty() {
            assert!(!shown.contains('\u{1b}'), "{term:?} cannot be painted on: {shown:?}");
        }
    }
}
