//! What a policy leaves alone is in the last lines of a run that had nothing to put back; and what only a shell would read is told.

use crate::support::embedded::Embedded;

const ROWS: &str = "project = \"shop\"\nverify = \"none\"\n[resources.db]\nkind = \"sqlite\"\npath = \"app.db\"\n";

#[test]
fn rows_that_are_left_alone_are_named_at_the_end_with_the_command_that_puts_them_back() {
    let project = Embedded::with(ROWS);
    let count = || {
        project
            .sh("sqlite3 app.db 'SELECT count(*) FROM users'")
            .trim()
            .to_owned()
    };
    let release = ["deploy", "--", "sh", "-c", "sqlite3 app.db 'DELETE FROM users'; exit 1"];
    let told = project.guard().run(&release).expect(24).everything();
    assert!(!told.contains("nothing had been changed"), "{told}");
    assert!(told.contains("db differs from the backup and was left alone"), "{told}");
    assert_eq!(count(), "0");
    let told = project.guard().run(&["rollback", "--yes"]).expect(0).everything();
    assert!(told.contains("db differs from the backup and was left alone"), "{told}");
    assert!(!told.contains("Everything is as backup"), "{told}");
    // To the letter, but for the question.
    let command = told
        .split('`')
        .find(|words| words.starts_with("guard rollback --backup-timestamp="));
    let words: Vec<&str> = command.unwrap_or_else(|| panic!("{told}")).split(' ').skip(1).collect();
    project.guard().run(&[&words[..], &["--yes"]].concat()).expect(0);
    assert_eq!(count(), "2");
}

#[test]
fn a_command_that_only_a_shell_would_understand_is_told_before() {
    let project = Embedded::with(&format!(
        "{ROWS}[services]\nstop = [\"true $(cat pid); true\"]\nstart = [\"sh -c 'true; true'\"]\n"
    ));
    let told = project.guard().run(&["check"]).everything();
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("\"true\" is given \"$(cat\" as it stands"), "{told}");
    assert!(told.contains("no shell runs a command"), "{told}");
    assert!(!told.contains("\"sh\" is given"), "{told}");
}
