//! JSON lines on stdout: every event as one object, last a result.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;

use super::display::{Display, Told, What};
use super::failure::Account;
use super::pace::Throttle;
use super::sink::Sink;
use guard_model::event::Event;
use guard_model::name::RunId;
use guard_model::secret::Redaction;

/// The version of the objects on stdout.
pub const SCHEMA_VERSION: u32 = 1;

/// Between two objects about the same long work; its last is always told.
const PAUSE: Duration = Duration::from_secs(1);

/// The JSON display.
pub struct Json {
    sink: Sink,
    redaction: Redaction,
    run: Option<RunId>,
    seq: u64,
    last: DateTime<Utc>,
    works: BTreeMap<String, Throttle>,
}

#[derive(Serialize)]
struct Object<'a> {
    schema_version: u32,
    ts: String,
    run_id: Option<&'a RunId>,
    seq: u64,
    #[serde(flatten)]
    body: Value,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Event(&'a Event),
    Own(Own<'a>),
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Own<'a> {
    Failure { account: &'a Account },
    Data { text: &'a str },
    Dropped { count: u64 },
    Result { result: &'a Value },
}

impl Json {
    /// JSON lines into this sink.
    #[must_use]
    pub fn new(sink: Sink, redaction: Redaction) -> Self {
        Self {
            sink,
            redaction,
            run: None,
            seq: 0,
            last: DateTime::UNIX_EPOCH,
            works: BTreeMap::new(),
        }
    }

    fn write(&mut self, body: &Body<'_>) {
        // A body that cannot be written as JSON is a map with odd keys, which no event has.
        let Ok(mut body) = serde_json::to_value(body) else {
            return;
        };
        clean(&mut body, &self.redaction);
        let object = Object {
            schema_version: SCHEMA_VERSION,
            ts: self.last.to_rfc3339_opts(SecondsFormat::Millis, true),
            run_id: self.run.as_ref(),
            seq: self.seq,
            body,
        };
        let Ok(line) = serde_json::to_string(&object) else {
            return;
        };
        self.seq += 1;
        self.sink.write(&(line + "\n"));
    }

    fn is_due(&mut self, at: Duration, event: &Event) -> bool {
        // For the eye only: the readings themselves are told.
        if matches!(event, Event::Standing { .. }) {
            return false;
        }
        let Event::Progress {
            step,
            what,
            done,
            total,
        } = event
        else {
            return true;
        };
        let key = format!("{}{what}", step.as_ref().map(ToString::to_string).unwrap_or_default());
        self.works.entry(key).or_default().passes(at, PAUSE) || Some(*done) == *total
    }
}

/// Redacts the strings of a value. Its keys and its shape are guard's own; redacting the line as a whole could break it.
pub(super) fn clean(value: &mut Value, redaction: &Redaction) {
    match value {
        Value::String(text) => *text = redaction.clean(text),
        Value::Array(items) => items.iter_mut().for_each(|item| clean(item, redaction)),
        Value::Object(fields) => fields.values_mut().for_each(|field| clean(field, redaction)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Display for Json {
    fn show(&mut self, told: &Told) {
        self.last = told.ts;
        match &told.what {
            What::Event(event) => {
                if let Event::Fact { run, .. } = event {
                    self.run = Some(run.clone());
                }
                if self.is_due(told.at, event) {
                    self.write(&Body::Event(event));
                }
            }
            What::Recall(_) | What::Question(..) | What::Keys(_) => {}
            What::Account(account) => self.write(&Body::Own(Own::Failure { account })),
            What::Data(text) => self.write(&Body::Own(Own::Data { text })),
            What::Result(result) => self.write(&Body::Own(Own::Result { result })),
        }
    }

    fn dropped(&mut self, count: u64) {
        self.write(&Body::Own(Own::Dropped { count }));
    }
}
