//! Which style fits where.

use guard::report::style::{Ci, Color, Flags, Form, Output, Style, Terminal, Volume};
use guard::system::environment::Environment;

fn detect(pairs: &[(&str, &str)], terminal: Option<u16>, flags: Flags) -> Style {
    let terminal = Terminal {
        is_terminal: terminal.is_some(),
        columns: terminal,
    };
    Style::detect(&Environment::of_pairs(pairs.iter().copied()), terminal, flags)
}

const XTERM: (&str, &str) = ("TERM", "xterm-256color");

#[test]
fn live_only_where_a_person_looks_at_a_capable_terminal() {
    let usual = Flags::default();
    let live = |pairs: &[(&str, &str)], terminal, flags| detect(pairs, terminal, flags).form == Form::Live;
    assert!(live(&[XTERM], Some(80), usual));
    assert!(live(&[XTERM], Some(40), usual));
    assert!(!live(&[XTERM], Some(20), usual), "too narrow");
    assert!(!live(&[XTERM], None, usual), "a pipe");
    assert!(!live(&[("TERM", "dumb")], Some(80), usual));
    assert!(!live(&[], Some(80), usual), "TERM is not set");
    assert!(!live(&[XTERM, ("NO_COLOR", "1")], Some(80), usual));
    assert!(!live(&[XTERM, ("CI", "true")], Some(80), usual));
    assert!(!live(&[XTERM, ("GITHUB_ACTIONS", "true")], Some(80), usual));
    assert!(!live(
        &[XTERM],
        Some(80),
        Flags {
            output: Some(Output::Plain),
            ..usual
        }
    ));
    assert!(!live(
        &[XTERM],
        Some(80),
        Flags {
            output: Some(Output::Json),
            ..usual
        }
    ));
    assert!(!live(
        &[XTERM],
        Some(80),
        Flags {
            volume: Volume::Quiet,
            ..usual
        }
    ));
    assert!(live(
        &[XTERM, ("NO_COLOR", "1")],
        Some(80),
        Flags {
            output: Some(Output::Human),
            ..usual
        }
    ));
    assert!(
        !live(
            &[XTERM],
            None,
            Flags {
                output: Some(Output::Human),
                ..usual
            }
        ),
        "human in a pipe is plain"
    );
}

#[test]
fn colours_only_where_they_are_wanted() {
    let usual = Flags::default();
    assert!(detect(&[XTERM], Some(80), usual).colour);
    assert!(!detect(&[XTERM], None, usual).colour);
    assert!(
        !detect(
            &[XTERM],
            Some(80),
            Flags {
                color: Color::Never,
                ..usual
            }
        )
        .colour
    );
    assert!(
        detect(
            &[],
            None,
            Flags {
                color: Color::Always,
                ..usual
            }
        )
        .colour
    );
    let human = Flags {
        output: Some(Output::Human),
        ..usual
    };
    assert!(!detect(&[XTERM, ("NO_COLOR", "1")], Some(80), human).colour);
}

#[test]
fn with_json_people_are_told_only_what_is_wrong() {
    let style = detect(
        &[],
        None,
        Flags {
            output: Some(Output::Json),
            ..Flags::default()
        },
    );
    assert_eq!((style.json, style.volume), (true, Volume::Quiet));
    let flags = Flags {
        output: Some(Output::Json),
        volume: Volume::Verbose,
        ..Flags::default()
    };
    assert_eq!(detect(&[], None, flags).volume, Volume::Verbose);
}

#[test]
fn ci_systems_are_known_by_their_variables() {
    let style = detect(
        &[
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_OUTPUT", "/out"),
            ("GITHUB_STEP_SUMMARY", "/sum"),
        ],
        None,
        Flags::default(),
    );
    assert_eq!(
        style.ci,
        Some(Ci::GitHub {
            summary: Some("/sum".into()),
            output: Some("/out".into())
        })
    );
    let style = detect(
        &[
            ("GITLAB_CI", "true"),
            ("CI_PROJECT_DIR", "/builds/x"),
            ("GUARD_GITLAB_JUNIT", "/elsewhere.xml"),
        ],
        None,
        Flags::default(),
    );
    let expected = Ci::GitLab {
        dotenv: "/builds/x/guard.env".into(),
        junit: "/elsewhere.xml".into(),
        report: "/builds/x/guard-report.html".into(),
    };
    assert_eq!(style.ci, Some(expected));
    assert_eq!(detect(&[], None, Flags::default()).ci, None);
}

#[test]
fn ascii_where_the_locale_is_not_utf8() {
    assert!(detect(&[("LANG", "de_DE.UTF-8")], None, Flags::default()).unicode);
    assert!(detect(&[("LC_ALL", "C.utf8"), ("LANG", "C")], None, Flags::default()).unicode);
    assert!(!detect(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")], None, Flags::default()).unicode);
    assert!(!detect(&[], None, Flags::default()).unicode);
}
