//! What GitHub and GitLab get.

use guard::model::event::{Event, Level};
use guard::report::ci::gitlab::junit;
use guard::report::ci::publish;
use guard::report::result::Outcome;
use guard::report::style::{Ci, Form};
use insta::assert_snapshot;

use super::capture::{said, style};
use super::records::walked_back;

#[test]
fn github_gets_groups_and_annotations() {
    let mut github = style(Form::Plain);
    github.ci = Some(Ci::GitHub {
        summary: None,
        output: None,
    });
    let text = said(github, walked_back().events());
    let lines: Vec<&str> = text.lines().collect();
    let marks: Vec<&str> = lines.iter().filter(|line| line.starts_with("::")).copied().collect();
    assert_eq!(
        marks,
        [
            "::group::Step 1: back up databases",
            "::endgroup::",
            "::group::Step 2: back up volumes",
            "::endgroup::",
            "::group::Step 3: deploy",
            "::warning title=guard::Cannot be undone: 3 mails sent",
            "::endgroup::",
            "::group::Step 4: watch",
            "::error title=guard::Step 4: watch: watch failed: backend failed 12 times in a row over 11 s (connection refused)",
            "::endgroup::",
            "::warning title=guard::The watch found the release bad: turning back",
            "::group::Back, Step 1: keep the evidence, and prepare beside what is live",
            "::warning title=guard::db: discards 3 rows in users since 15:30:07",
            "::endgroup::",
            "::group::Back, Step 2: stop services",
            "::endgroup::",
            "::group::Back, Step 3: put databases and volumes back",
            "::endgroup::",
            "::group::Back, Step 4: prove",
            "::endgroup::",
            "::error title=guard::The watch found the release bad",
            "::error title=guard::Production is old, verified (exit code 22).",
        ]
    );
    assert!(
        lines.contains(&"[ERROR]   now, to see what is kept of the failed state: guard status"),
        "{text}"
    );
    assert!(!text.contains("add-mask"));
}

#[test]
fn messages_are_escaped_for_github() {
    let mut github = style(Form::Plain);
    github.ci = Some(Ci::GitHub {
        summary: None,
        output: None,
    });
    let text = said(
        github,
        vec![Event::Note {
            level: Level::Error,
            text: "100% of /data,\nthen: more".into(),
        }],
    );
    assert_eq!(text, "::error title=guard::100%25 of /data,\n[ERROR]     then: more\n");
    assert_eq!(guard::report::ci::github::escaped("50%\r\n"), "50%25%0D%0A");
}

#[test]
fn gitlab_gets_sections() {
    let mut gitlab = style(Form::Plain);
    gitlab.ci = Some(Ci::GitLab {
        dotenv: "x".into(),
        junit: "y".into(),
        report: "z.html".into(),
    });
    let text = said(gitlab, walked_back().events());
    let begins = text.matches("section_start:").count();
    assert_eq!((begins, text.matches("section_end:").count()), (8, 8));
    assert!(
        text.contains("\u{1b}[0Ksection_start:1761147000:guard_ahead_1\r\u{1b}[0KStep 1: back up databases\n"),
        "{text:?}"
    );
    assert!(
        text.contains("\u{1b}[0Ksection_end:1761147097:guard_back_4\r\u{1b}[0K\n"),
        "{text:?}"
    );
}

fn outcome() -> Outcome {
    Outcome::of(
        &walked_back().0,
        Some(std::path::Path::new("/state/runs/a\nb=c/incident.md")),
        "guard",
    )
}

#[test]
fn github_gets_outputs_and_a_summary() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("output"), "earlier=1\n").unwrap();
    let ci = Ci::GitHub {
        summary: Some(path("summary")),
        output: Some(path("output")),
    };
    publish(&ci, &outcome(), "# Run x", "").unwrap();
    assert_eq!(
        std::fs::read_to_string(path("output")).unwrap(),
        "earlier=1\noutcome=rolled-back\nexit_code=22\nbackup_timestamp=20251022_153000\nrolled_back=true\n\
         report=/state/runs/a\\nb=c/incident.md\n"
    );
    assert_eq!(std::fs::read_to_string(path("summary")).unwrap(), "# Run x\n");
    let nowhere = Ci::GitHub {
        summary: Some(path("summary")),
        output: Some(path("no/such/output")),
    };
    publish(&nowhere, &outcome(), "again", "").expect_err("the failure is told");
    assert_eq!(
        std::fs::read_to_string(path("summary")).unwrap(),
        "# Run x\nagain\n",
        "and the other was written"
    );
}

#[test]
fn gitlab_gets_a_dotenv_and_a_junit_report() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    publish(
        &Ci::GitLab {
            dotenv: path("guard.env"),
            junit: path("j.xml"),
            report: path("r.html"),
        },
        &outcome(),
        "# Run x",
        "<!doctype html>",
    )
    .unwrap();
    let dotenv = std::fs::read_to_string(path("guard.env")).unwrap();
    assert!(dotenv.ends_with('\n'), "{dotenv:?}");
    assert_snapshot!("gitlab_dotenv", dotenv);
    assert_eq!(std::fs::read_to_string(path("r.html")).unwrap(), "<!doctype html>");
    assert_eq!(std::fs::read_to_string(path("r.md")).unwrap(), "# Run x");
    let report = std::fs::read_to_string(path("j.xml")).unwrap();
    assert_snapshot!("gitlab_junit", report);
    let mut hostile = outcome();
    hostile.failure = Some(guard::model::fact::Failure::new("<a & \"b\">\u{1}\u{1b}[31m"));
    let report = junit(&hostile);
    assert!(report.contains("&lt;a &amp; &quot;b&quot;&gt;\\u{1}"), "{report}");
    assert!(!report.contains(['\u{1}', '\u{1b}']), "{report}");
}
