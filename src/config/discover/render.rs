//! The commented `guard.toml` of what was found.

use std::fmt::Write as _;

use super::discovery::Discovery;
use super::found::{Entry, Found, quoted};

/// What cannot be found by looking. The recipient is none, so that nobody encrypts for a key that nobody has.
const FURTHER: &str = "
# What else is worth setting; docs/configuration.md says more on each.
#
# A copy elsewhere, which a lost machine does not take along:
# [copy]
# url = \"s3://backups/shop\"
# endpoint = \"https://storage.example.net\"
#
# Encryption; `age-keygen -o offline.key` makes a key, to be kept off this machine, and tells its recipient:
# [encryption]
# recipients = [\"age1...\"]
#
# Who is told when a release is bad:
# [notify.team]
# kind = \"slack\"
# url = \"${TEAM_SLACK_URL}\"
";

/// Where no Compose project says it.
const SERVICES: &str = "#
# How what runs is stopped before data goes back, and started again:
# [services]
# stop = [\"systemctl stop shop\"]
# start = [\"systemctl start shop\"]
";

/// The text of a settings file: valid, in the order in which things are restored, each line explained.
#[must_use]
pub fn render(discovery: &Discovery) -> String {
    let mut text = String::from(
        "# guard.toml: what guard copies before a deployment, how it judges the release, and how it walks back.\n\
         # Written by `guard init` from what it found here; it is yours to change. `guard check` proves it.\n\
         # Editors complete and check it: `guard schema --into guard.schema.json`, and as the first line here\n\
         # `#:schema ./guard.schema.json`.\n",
    );
    for note in &discovery.notes {
        push(
            &mut text,
            format_args!("\n# Not taken up: {}", note.replace(['\n', '\r'], " ")),
        );
    }
    if !discovery.notes.is_empty() {
        text.push('\n');
    }
    if discovery.probes.is_empty() {
        text.push_str(
            "\n# Nothing was found that could be asked, so a release would be unverified. Better than this line is a probe:\n\
             # [probes.web]\n# kind = \"http\"\n# url = \"http://127.0.0.1:3000/health\"\nverify = \"none\"\n",
        );
    }
    if !discovery.compose_files.is_empty() {
        let files: Vec<String> = discovery.compose_files.iter().map(|file| quoted(file)).collect();
        text.push_str("\n# The Compose project.\n[compose]\n");
        line(
            &mut text,
            &format!("files = [{}]", files.join(", ")),
            "in this order, as `docker compose -f` takes them",
        );
    }
    for found in &discovery.resources {
        table(&mut text, "resources", found);
    }
    if discovery.resources.is_empty() {
        text.push_str(
            "\n# Nothing was found that could be copied and put back. A resource is written like this:\n\
             # [resources.db]\n# kind = \"postgres\"\n# url = \"postgres://app:${DB_PASSWORD}@127.0.0.1/app\"\n",
        );
    }
    for found in &discovery.probes {
        table(&mut text, "probes", found);
    }
    if !discovery.probes.is_empty() {
        text.push_str(
            "\n# Your own proof that the release works, run once after the deployment; a failure walks back.\n\
             # [verify]\n# commands = [\"./scripts/smoke.sh\"]\n\
             # What every release changes: a deploy command that leaves it as it was has failed.\n\
             # expect_change = [\"code\"]\n",
        );
    }
    text.push_str("\n# How long the release is watched, and what makes it bad.\n[monitor]\n");
    line(&mut text, "duration = \"10m\"", "the watch after the deployment");
    line(&mut text, "interval = \"1s\"", "between two readings of one probe");
    line(&mut text, "consecutive_failures = 3", "so many in a row are an outage");
    line(
        &mut text,
        "error_threshold = 0.10",
        "a ratio: more than ten per cent failing is too much",
    );
    text.push_str(
        "# min_samples = 20                # readings before a ratio says anything; fewer in a short watch\n",
    );
    text.push_str("\n# Which backups are kept: one goes when neither line keeps it.\n[retention]\n");
    line(
        &mut text,
        "keep = 10",
        "of each resource the newest known-good ones, and as many others",
    );
    line(
        &mut text,
        "keep_days = 30",
        "and all of the last days; without this line only the number counts",
    );
    text.push_str(FURTHER);
    if discovery.compose_files.is_empty() {
        text.push_str(SERVICES);
    }
    text
}

fn table(text: &mut String, room: &str, found: &Found) {
    push(
        text,
        format_args!("\n# {}\n[{room}.{}]\n", plain(&found.about), key(&found.name)),
    );
    push(text, format_args!("kind = {}\n", quoted(found.kind)));
    for Entry { key, value, comment } in &found.entries {
        line(text, &format!("{key} = {value}"), comment);
    }
}

/// A name with a dot would be two keys.
fn key(name: &str) -> String {
    if name.contains('.') {
        quoted(name)
    } else {
        name.to_owned()
    }
}

/// A comment is one line, whatever the names in it are.
fn plain(text: &str) -> String {
    guard_model::text::sanitised(text)
}

fn line(text: &mut String, setting: &str, comment: &str) {
    push(text, format_args!("{setting:<32}  # {}\n", plain(comment)));
}

fn push(text: &mut String, part: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _infallible = text.write_fmt(part);
}
