//! What explains a failure, kept before anything is put back: states, logs, images, disk; without secrets.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use guard_model::secret::{REDACTED, is_secret_name};
use guard_model::text::chain;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::docker::docker;

/// The most that is kept of one container's log: its end. A guess.
const LOG_KEPT: usize = 5 * 1024 * 1024;
/// How long one look may take; evidence must not hold up the way back. A guess.
const LIMIT: Duration = Duration::from_secs(30);

/// Keeps states, logs since `since`, images and disk use of a project in a private directory; without a project, disk use
/// and processes. Returns what could not be kept, each a sentence: it never fails.
#[must_use]
pub fn keep_evidence(directory: &Path, project: Option<&str>, since: DateTime<Utc>, cx: &Context) -> Vec<String> {
    let mut keeper = Keeper {
        directory,
        cx,
        notes: Vec::new(),
    };
    if let Err(error) = disk::create_private_dir(directory) {
        return vec![chain(&error)];
    }
    if let Some(project) = project {
        // The looks at containers come first: they teach the redaction what the logs must not show.
        keeper.containers(project, since);
        keeper.listing(
            "ps.txt",
            &docker().args(["compose", "--project-name", project, "ps", "--all", "--no-trunc"]),
        );
        keeper.listing("images.txt", &docker().args(["image", "ls", "--no-trunc", "--digests"]));
    } else {
        keeper.listing(
            "processes.txt",
            &Call::new("ps").args(["-eo", "pid,ppid,user,lstart,pcpu,pmem,args"]),
        );
    }
    keeper.listing("disk.txt", &Call::new("df").args(["-h"]));
    keeper.host();
    keeper.notes
}

struct Keeper<'a> {
    directory: &'a Path,
    cx: &'a Context,
    notes: Vec<String>,
}

impl Keeper<'_> {
    fn missed(&mut self, name: &str, error: &dyn std::error::Error) {
        let text = self.cx.redaction.clean(&chain(error));
        self.notes.push(format!("{name} was not kept: {text}"));
    }

    fn write(&mut self, name: &str, text: &str) {
        let path = self.directory.join(name);
        let made = path.parent().map_or(Ok(()), disk::create_private_dir);
        if let Err(error) = made.and_then(|()| disk::write_whole(&path, self.cx.redaction.clean(text).as_bytes())) {
            self.missed(name, &error);
        }
    }

    fn listing(&mut self, name: &str, call: &Call) {
        // `df` has an exit code for one file system that it could not see; the rest is worth keeping.
        match self.cx.outcome(&call.clone().timeout(LIMIT)) {
            Ok(output) if output.status.success() || !output.stdout.is_empty() => {
                self.write(name, &String::from_utf8_lossy(&output.stdout));
            }
            Ok(output) => self.notes.push(format!(
                "{name} was not kept: {} {}",
                output.exit(),
                output.stderr.trim()
            )),
            Err(error) => self.missed(name, &error),
        }
    }

    /// What the kernel says of load, memory and pressure; what it does not know is left out.
    fn host(&mut self) {
        let mut text = String::new();
        for name in ["loadavg", "meminfo", "pressure/cpu", "pressure/memory", "pressure/io"] {
            let path = Path::new("/proc").join(name);
            if let Ok(Some(said)) = disk::read_text_optional(&path) {
                text = format!("{text}== {}\n{said}", path.display());
            }
        }
        self.write("host.txt", &text);
    }

    fn containers(&mut self, project: &str, since: DateTime<Utc>) {
        let filter = format!("label=com.docker.compose.project={project}");
        let call = docker()
            .args(["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter])
            .timeout(LIMIT);
        let ids = match self.cx.output(&call) {
            Ok(output) => output.text(),
            Err(error) => return self.missed("the containers' logs", &error),
        };
        let mut found = Vec::new();
        for id in ids.lines() {
            match self
                .cx
                .output(&docker().args(["container", "inspect", id]).timeout(LIMIT))
            {
                Ok(output) => match serde_json::from_slice::<Value>(&output.stdout) {
                    Ok(Value::Array(values)) => found.extend(values),
                    Ok(_) => self
                        .notes
                        .push(format!("the look at {id} was not kept: its form is unknown")),
                    Err(error) => self.missed(id, &error),
                },
                Err(error) => self.missed(id, &error),
            }
        }
        for value in &found {
            learn(value, self.cx);
        }
        for mut value in found {
            let name = value.pointer("/Name").and_then(Value::as_str).unwrap_or_default();
            let name = name.trim_start_matches('/').replace('/', "_");
            let id = value
                .pointer("/Id")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            hide(&mut value, self.cx);
            match serde_json::to_string_pretty(&value) {
                Ok(text) => self.write(&format!("inspect/{name}.json"), &text),
                Err(error) => self.missed(&name, &error),
            }
            self.log(&name, &id, since);
        }
    }

    fn log(&mut self, name: &str, id: &str, since: DateTime<Utc>) {
        let since = since.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let call = docker()
            .args(["logs", "--timestamps", "--since", &since, id])
            .merged()
            .timeout(LIMIT);
        let mut kept: VecDeque<u8> = VecDeque::new();
        let mut cut = 0_usize;
        let result = self.cx.stream(&call, &mut |bytes| {
            kept.extend(bytes);
            let surplus = kept.len().saturating_sub(LOG_KEPT);
            kept.drain(..surplus);
            cut += surplus;
            Ok(())
        });
        let mut bytes: Vec<u8> = kept.into();
        let mut head = String::new();
        if cut > 0 {
            // The first line may begin within a secret, which nobody could recognise then.
            let line = bytes
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(bytes.len(), |at| at + 1);
            bytes.drain(..line);
            head = format!("[the first {} bytes are left out]\n", cut + line);
        }
        let file = format!("logs/{name}.log");
        // What came before a log broke off is worth keeping.
        if result.is_ok() || !bytes.is_empty() {
            self.write(&file, &format!("{head}{}", String::from_utf8_lossy(&bytes)));
        }
        match result {
            Ok(output) if output.status.success() => {}
            Ok(output) => self.notes.push(format!(
                "{file} may be short: `docker logs` ended with {}",
                output.exit()
            )),
            Err(error) => self.missed(&file, &error),
        }
    }
}

fn variables(value: &Value) -> impl Iterator<Item = (&str, &str)> {
    let env = value.pointer("/Config/Env").and_then(Value::as_array);
    env.into_iter()
        .flatten()
        .filter_map(|entry| entry.as_str()?.split_once('='))
}

/// Teaches the redaction the values of the container's variables that have a secret's name.
fn learn(value: &Value, cx: &Context) {
    for (name, secret) in variables(value) {
        if is_secret_name(name) {
            cx.redaction.learn(secret);
        } else if let Ok(url) = url::Url::parse(secret)
            && let Some(password) = url.password()
        {
            cx.redaction.learn(password);
        }
    }
}

/// Replaces what a secret's name or value gives away, wherever it stands.
fn hide(value: &mut Value, cx: &Context) {
    match value {
        Value::String(text) => {
            let hidden = match text.split_once('=') {
                Some((name, _)) if !name.contains(char::is_whitespace) && is_secret_name(name) => {
                    format!("{name}={REDACTED}")
                }
                _ => cx.redaction.clean(text),
            };
            *text = hidden;
        }
        Value::Array(values) => values.iter_mut().for_each(|value| hide(value, cx)),
        Value::Object(entries) => {
            for (name, value) in entries {
                if value.is_string() && is_secret_name(name) {
                    *value = Value::from(REDACTED);
                } else {
                    hide(value, cx);
                }
            }
        }
        _ => {}
    }
}
