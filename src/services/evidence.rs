//! What explains a failure, kept before anything is put back: states, logs, images, disk; without secrets.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use guard_model::secret::{REDACTED, is_secret_name};
use guard_model::text::chain;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::docker::{Part, image_names, inspections_of, logs};
use guard_system::processes::Sink;
use guard_system::systemd;

/// The most that is kept of one container's log: its end. A guess.
const LOG_KEPT: usize = 5 * 1024 * 1024;
/// How long all of it may take: what has not come by then is left out, and that is told. A guess.
const LIMIT: Duration = Duration::from_secs(30);
/// The logs of so many containers are read side by side, each held in memory. A guess.
const LANES: usize = 4;

/// Keeps states, logs since `since`, images and disk use of a project in a private directory; without a project, disk use
/// and processes. Of `units` of systemd the state and the journal are kept. Returns what could not be kept, each a sentence: it never fails, and takes no longer than half a minute.
#[must_use]
pub fn keep_evidence(
    directory: &Path,
    project: Option<&str>,
    units: &[String],
    since: DateTime<Utc>,
    cx: &Context,
) -> Vec<String> {
    let mut keeper = Keeper {
        directory,
        cx,
        until: cx.clock.steady() + LIMIT,
        notes: Vec::new(),
    };
    if let Err(error) = disk::create_private_dir(directory) {
        return vec![chain(&error)];
    }
    // What is of this moment comes first.
    keeper.host();
    let df = Call::new("df").args(["-h"]);
    if let Some(project) = project {
        // The looks at containers come before their logs: they teach the redaction what the logs must not show. Logs may be
        // long, and come last: they cost nothing else its time.
        let named = keeper.containers(project);
        match image_names(cx, Some(keeper.left())) {
            Ok(lines) => keeper.write("images.txt", &(lines.join("\n") + "\n")),
            Err(error) => keeper.missed("images.txt", &error),
        }
        keeper.listing("disk.txt", &df);
        keeper.units(units);
        keeper.logs(&named, since);
    } else {
        keeper.units(units);
        keeper.listing("disk.txt", &df);
        keeper.listing(
            "processes.txt",
            &Call::new("ps").args(["-eo", "pid,ppid,user,lstart,pcpu,pmem,args"]),
        );
    }
    keeper.journals(units, since);
    keeper.notes
}

struct Keeper<'a> {
    directory: &'a Path,
    cx: &'a Context,
    /// When it has to be over, by the steady clock.
    until: Duration,
    notes: Vec<String>,
}

/// What was read of a log: its end, how much came before that, and why there may be more.
struct Log {
    bytes: Vec<u8>,
    cut: usize,
    outcome: Result<(), String>,
}

impl Keeper<'_> {
    fn left(&self) -> Duration {
        // A limit of nothing would end what takes a millisecond.
        let left = self.until.saturating_sub(self.cx.clock.steady());
        left.max(Duration::from_millis(200))
    }

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
        match self.cx.outcome(&call.clone().timeout(self.left())) {
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

    /// Keeps what the engine says of the containers. Returns each one's name and id.
    fn containers(&mut self, project: &str) -> Vec<(String, String)> {
        let found = match inspections_of(self.cx, project, Some(self.left())) {
            Ok(found) => found,
            Err(error) => {
                self.missed("the containers' states and logs", &error);
                return Vec::new();
            }
        };
        for value in &found {
            learn(value, self.cx);
        }
        self.write("ps.txt", &states(&found));
        let mut named = Vec::new();
        for mut value in found {
            let text = |pointer: &str| {
                value
                    .pointer(pointer)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let (name, id) = (text("/Name").trim_start_matches('/').replace('/', "_"), text("/Id"));
            hide(&mut value, self.cx);
            match serde_json::to_string_pretty(&value) {
                Ok(text) => self.write(&format!("inspect/{name}.json"), &text),
                Err(error) => self.missed(&name, &error),
            }
            named.push((name, id));
        }
        named
    }

    /// Keeps what systemd says of units.
    fn units(&mut self, units: &[String]) {
        if !units.is_empty() {
            // The rest may hold secrets, as its variables do.
            let properties = "--property=Id,LoadState,ActiveState,SubState,Result,NRestarts,InvocationID,ExecMainCode,\
                              ExecMainStatus,ExecMainStartTimestamp,ExecMainExitTimestamp,FragmentPath";
            let call = Call::new("systemctl")
                .args(["--no-pager", "show", properties, "--"])
                .args(units);
            self.listing("units.txt", &call);
        }
    }

    /// Keeps what units have logged.
    fn journals(&mut self, units: &[String], since: DateTime<Utc>) {
        for unit in units {
            let (cx, left) = (self.cx, self.left());
            let log =
                gathered(|sink| systemd::journal_since(unit, since, left, sink, cx).map_err(|error| chain(&error)));
            self.keep_log(unit, log);
        }
    }

    fn logs(&mut self, named: &[(String, String)], since: DateTime<Utc>) {
        for few in named.chunks(LANES) {
            let (cx, left) = (self.cx, self.left());
            let logs: Vec<Option<Log>> = std::thread::scope(|scope| {
                let reading: Vec<_> = few
                    .iter()
                    .map(|(_, id)| scope.spawn(move || log(id, since, left, cx)))
                    .collect();
                reading.into_iter().map(|one| one.join().ok()).collect()
            });
            for ((name, _), log) in few.iter().zip(logs) {
                match log {
                    Some(log) => self.keep_log(name, log),
                    None => self
                        .notes
                        .push(format!("a bug in guard: reading the log of {name} panicked")),
                }
            }
        }
    }

    fn keep_log(&mut self, name: &str, log: Log) {
        let (mut bytes, cut) = (log.bytes, log.cut);
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
        if log.outcome.is_ok() || !bytes.is_empty() {
            self.write(&file, &format!("{head}{}", String::from_utf8_lossy(&bytes)));
        }
        if let Err(error) = log.outcome {
            let text = self.cx.redaction.clean(&error);
            self.notes.push(format!("{file} may be short: {text}"));
        }
    }
}

fn log(id: &str, since: DateTime<Utc>, limit: Duration, cx: &Context) -> Log {
    let part = Part {
        since: Some(since),
        stamped: true,
        ..Part::default()
    };
    gathered(|sink| logs(cx, id, part, Some(limit), sink).map_err(|error| chain(&error)))
}

/// The end of what is read.
fn gathered(read: impl FnOnce(Sink<'_>) -> Result<(), String>) -> Log {
    let mut kept: Vec<u8> = Vec::new();
    let mut cut = 0_usize;
    let mut shorten = |kept: &mut Vec<u8>, most: usize| {
        if kept.len() > most {
            let surplus = kept.len() - LOG_KEPT;
            kept.drain(..surplus);
            cut += surplus;
        }
    };
    let outcome = read(&mut |bytes| {
        kept.extend_from_slice(bytes);
        // Half as much again, so that the rest is not moved with each piece.
        shorten(&mut kept, LOG_KEPT + LOG_KEPT / 2);
        Ok(())
    });
    shorten(&mut kept, LOG_KEPT);
    Log {
        bytes: kept,
        cut,
        outcome,
    }
}

/// The containers with what each does now, for people: a line for each.
fn states(found: &[Value]) -> String {
    let mut lines: Vec<String> = found
        .iter()
        .map(|value| {
            let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or("-");
            let number = |pointer: &str| value.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
            format!(
                "{}: {}, health {}, exit code {}, restarted {} times, started {}, image {} ({}), id {}\n",
                text("/Name").trim_start_matches('/'),
                text("/State/Status"),
                text("/State/Health/Status"),
                number("/State/ExitCode"),
                number("/RestartCount"),
                text("/State/StartedAt"),
                text("/Config/Image"),
                text("/Image"),
                text("/Id"),
            )
        })
        .collect();
    lines.sort_unstable();
    lines.concat()
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
