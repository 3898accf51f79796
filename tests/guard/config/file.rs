//! The file itself: syntax, limits, endings, modes.

use std::os::unix::fs::PermissionsExt;

use guard::config::Settings;

use super::{FINE, Project, holds};

#[test]
fn fault_k2_syntax_errors_are_told_with_line_and_column_and_all_of_them() {
    let refusal = Project::new("verify = @\n[monitor]\nduration = 1.2.3\ninterval = \"1s\"\n").refusal();
    holds(&refusal, &["guard.toml:1:10: ", "guard.toml:3:15: "]);
    let refusal = Project::new("verify = \"none\"\n[monitor]\ninterval = \"1s\"\ninterval = \"2s\"\n").refusal();
    holds(&refusal, &["guard.toml:4:1: duplicate key"]);
    let refusal = Project::new("verify = \"none\"\n[monitor]\n[monitor]\n").refusal();
    holds(&refusal, &["guard.toml:3:", "duplicate"]);
}

#[test]
fn crlf_and_a_byte_order_mark_are_fine_and_columns_stay_right() {
    let text = "\u{feff}verify = \"none\"\r\n[monitor]\r\nduration = \"2m\"\r\n";
    assert_eq!(Project::new(text).settings().monitor.window.as_secs(), 120);
    let refusal = Project::new("\u{feff}verify = 3\r\n[monitor]\r\nmin_samples = \"x\"\r\n").refusal();
    holds(&refusal, &["guard.toml:1:10", "guard.toml:3:15"]);
}

#[test]
fn what_is_no_utf_8_is_told_with_its_line() {
    let project = Project::bare();
    std::fs::write(project.path("guard.toml"), b"verify = \"none\"\n# caf\xe9\n").unwrap();
    assert_eq!(project.refusal(), "guard.toml:2: is not UTF-8 (save it as UTF-8)\n");
    std::fs::write(project.path("guard.toml"), b"\xff\xfev\0e\0").unwrap();
    holds(&project.refusal(), &["guard.toml:1: is not UTF-8"]);
    std::fs::write(project.path("guard.toml"), b"verify = \"no\0ne\"\n").unwrap();
    holds(&project.refusal(), &["guard.toml:1:"]);
}

#[test]
fn a_file_of_ten_megabytes_is_refused() {
    let project = Project::new(&format!("{FINE}# {}\n", "x".repeat(10_000_000)));
    holds(&project.refusal(), &["guard.toml: is larger than 1000000 bytes"]);
    let allowed = Project::new(&format!("{FINE}# {}\n", "x".repeat(900_000)));
    assert!(allowed.settings().verify.none);
}

#[test]
fn deep_nesting_is_refused_in_every_form() {
    let lists = format!("x = {}{}\n", "[".repeat(40), "]".repeat(40));
    let tables = format!("x = {}1{}\n", "{a = ".repeat(40), "}".repeat(40));
    let dots = format!("x.{}a = 1\n", "a.".repeat(40));
    let header = format!("[x.{}a]\n", "a.".repeat(40));
    for text in [lists, tables, dots, header] {
        holds(
            &Project::new(&text).refusal(),
            &["guard.toml:", "nested deeper than 32 levels"],
        );
    }
    for bottomless in [
        format!("x = {}\n", "[".repeat(400_000)),
        format!("[{}a]\n", "a.".repeat(400_000)),
        format!("x = {}\n", "{a=".repeat(300_000)),
    ] {
        holds(&Project::new(&bottomless).refusal(), &["guard.toml:1:"]);
    }
}

/// Whatever is cut off or spoilt, the file loads or is refused with a place; it never brings guard down.
#[test]
fn a_torn_or_spoilt_file_is_told_and_never_a_crash() {
    let document = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let document = std::fs::read_to_string(document).unwrap();
    let project = Project::bare();
    let file = project.path("guard.toml");
    let (mut loaded, mut refused) = (0, 0);
    for example in document
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
    {
        let bytes = example.as_bytes();
        let torn = (0..bytes.len()).map(|end| bytes[..end].to_vec());
        let spoilt = (0..bytes.len()).map(|at| {
            let mut bytes = bytes.to_vec();
            bytes[at] = b"\"[]{}=.\n$\x00\xff\xc3-9"[at % 14];
            bytes
        });
        for text in torn.chain(spoilt) {
            std::fs::write(&file, text).unwrap();
            match project.load() {
                Ok(_) => loaded += 1,
                Err(problems) => {
                    refused += 1;
                    assert!(
                        problems
                            .iter()
                            .all(|problem| !problem.place.is_empty() && !problem.message.is_empty())
                    );
                }
            }
        }
    }
    assert!(loaded > 100 && refused > 1000, "{loaded} {refused}");
}

#[test]
fn a_number_or_a_date_that_no_setting_can_be_is_told() {
    let text = format!("{FINE}[monitor]\nmin_samples = 99999999999999999999\nduration = 2025-10-22\n");
    holds(
        &Project::new(&text).refusal(),
        &["guard.toml:3:15", "guard.toml:4:12", "put it in quotes"],
    );
}

#[test]
fn fault_k10_a_file_that_everyone_may_write_to_is_refused() {
    let project = Project::new(FINE);
    let file = project.path("guard.toml");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    holds(
        &project.refusal(),
        &[
            "guard.toml: everyone may write to it (mode 0666)",
            "chmod o-w guard.toml",
        ],
    );
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o664)).unwrap();
    assert!(project.settings().warnings.is_empty());
}

#[test]
fn fault_m10_root_does_not_follow_a_stranger_s_settings() {
    let project = Project::new(FINE);
    let file = project.path("guard.toml");
    let directory = file.parent().unwrap().to_owned();
    // Who is not root is a stranger to root already.
    let owner = if rustix::process::geteuid().is_root() {
        65_534
    } else {
        rustix::process::geteuid().as_raw()
    };
    let is_refused = |more: &[(&str, &str)], is_root: bool| {
        let mut request =
            more.iter()
                .chain(&[("GUARD_STATE_DIR", "state")])
                .fold(project.request(), |mut request, (name, value)| {
                    let known = request
                        .environment
                        .texts()
                        .map(|(name, value)| (name.to_owned(), value.to_owned()));
                    let known: Vec<(String, String)> =
                        known.chain([((*name).to_owned(), (*value).to_owned())]).collect();
                    request.environment = guard::system::environment::Environment::of_pairs(known);
                    request
                });
        request.is_root = is_root;
        Settings::of_file(&request)
            .map(drop)
            .map_err(|problems| super::told(&problems))
    };
    for path in [&file, &directory] {
        std::os::unix::fs::chown(path, Some(owner), Some(owner)).unwrap();
        let told = is_refused(&[], true).expect_err("a stranger's");
        holds(
            &told,
            &[
                &format!("belongs to user {owner}"),
                &format!("GUARD_TRUSTED_UIDS={owner}"),
            ],
        );
        assert_eq!(is_refused(&[], false), Ok(()));
        assert_eq!(is_refused(&[("SUDO_UID", &owner.to_string())], true), Ok(()));
        assert_eq!(
            is_refused(&[("GUARD_TRUSTED_UIDS", &format!("1, {owner}"))], true),
            Ok(())
        );
        assert!(is_refused(&[("GUARD_TRUSTED_UIDS", "1,2")], true).is_err());
        let told = is_refused(&[("GUARD_TRUSTED_UIDS", "ops")], true).expect_err("no number");
        holds(&told, &["GUARD_TRUSTED_UIDS", "\"ops\" is no user's number"]);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(path, Some(0), Some(0)).unwrap();
            assert_eq!(is_refused(&[], true), Ok(()));
        }
    }
}

#[test]
fn a_secret_in_a_file_that_others_may_read_is_worth_a_warning() {
    let literal = "verify = \"none\"\n[notify]\nslack_webhook_url = \"https://hooks.example/CANARY99\"\n\
                   [resources.db]\nkind = \"postgres\"\nurl = \"postgres://app:literalCANARY@db/app\"\n";
    let project = Project::new(literal);
    let file = project.path("guard.toml");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let settings = project.settings();
    let told = super::told(&settings.warnings);
    holds(
        &told,
        &[
            "guard.toml:3:21: a secret is written here",
            "guard.toml:6:7: a secret",
            "chmod go= guard.toml",
        ],
    );
    assert!(!told.contains("CANARY"), "{told}");
    assert!(settings.secrets.iter().any(|secret| secret.expose() == "literalCANARY"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(project.settings().warnings.is_empty());

    let named = literal
        .replace("literalCANARY", "${DB_PASSWORD}")
        .replace("https://hooks.example/CANARY99", "${HOOK}");
    let project = Project::new(&named)
        .with("DB_PASSWORD", "secretsecret")
        .with("HOOK", "https://h.example/x");
    std::fs::set_permissions(project.path("guard.toml"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(project.settings().warnings.is_empty());
}

#[test]
fn only_a_missing_file_is_no_file() {
    let project = Project::bare();
    assert!(Settings::of_file(&project.request()).unwrap().is_none());
    std::fs::create_dir(project.path("guard.toml")).unwrap();
    holds(&project.refusal(), &["guard.toml: is not a regular file"]);
    std::fs::remove_dir(project.path("guard.toml")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, project.path("guard.toml"), 0o600.into()).unwrap();
    holds(&project.refusal(), &["guard.toml: is not a regular file"]);
    std::fs::remove_file(project.path("guard.toml")).unwrap();
    std::os::unix::fs::symlink("guard.toml", project.path("guard.toml")).unwrap();
    holds(&project.refusal(), &["guard.toml: could not read the settings"]);
    let named = Project::bare().flag("config", "other.toml");
    let problems = Settings::of_file(&named.request()).expect_err("a named file has to exist");
    holds(&super::told(&problems), &["other.toml: there is no such file"]);
}
