//! `log`: how many lines of a file or of containers are errors, counted from a mark before the deployment.

mod containers;
mod file;
mod journal;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use regex::bytes::Regex;

use super::basics::{Basics, spoken};
use super::limits::number;
use super::{Built, Expectation, Kind, Probe, Site};
use containers::Containers;
use file::Tail;
use guard_model::health::{Answer, Class, Numbers};
use guard_model::name::ProbeName;
use guard_model::section::Section;
use guard_system::context::Context;
use journal::Journal;

pub(super) const KIND: Kind = Kind {
    key: "log",
    about: "few lines of a log are errors",
    build,
    numbers: Numbers::One,
};

/// Over so much time errors are counted.
const SPAN: Duration = Duration::from_mins(1);
/// The most that one reading reads; what is more counts with the next one.
const MOST: usize = 4 * 1024 * 1024;
/// The longest line that is looked at; what is longer is looked at in part.
const LINE: usize = 64 * 1024;
/// Lines that a share needs. As many as the share of failed probes needs by default.
const ENOUGH: u64 = 20;
/// What an error looks like where nobody says.
const USUAL: &str = r"(?i)\b(error|exception|fatal|panic|critical)\b";

struct Log {
    basics: Basics,
    shown: String,
    state: Arc<Mutex<State>>,
}

struct State {
    source: Source,
    errors: Regex,
    ignored: Option<Regex>,
    per_minute: f64,
    share: Option<f64>,
    /// When so many lines and errors came, and the beginning of a line that is not whole yet.
    counted: VecDeque<(Duration, u64, u64)>,
    rest: Vec<u8>,
    last: String,
    /// The way back of which the old release's lines are counted.
    back_since: Option<DateTime<Utc>>,
}

enum Source {
    File(Tail),
    Containers(Containers),
    Journal(Journal),
}

impl Source {
    fn more(&mut self, limit: Duration, cx: &Context) -> Result<Vec<u8>, String> {
        match self {
            Self::File(tail) => tail.more(MOST, cx),
            Self::Containers(containers) => containers.more(MOST, limit, cx),
            Self::Journal(journal) => journal.more(MOST, limit, cx),
        }
    }
}

fn build(name: ProbeName, section: &mut Section<'_>, site: &Site) -> Built {
    let basics = Basics::read(name, section);
    let errors = pattern(section, "pattern").or_else(|| Regex::new(USUAL).ok())?;
    let ignored = pattern(section, "ignore");
    let per_minute = number(section, "max_per_minute");
    let share = number(section, "max_share");
    if share.is_some_and(|share| !(0.0..1.0).contains(&share)) {
        section.problem(
            "max_share",
            "is a ratio, at least 0 and under 1",
            Some("0.05 is five errors in a hundred lines".to_owned()),
        );
        return None;
    }
    let (path, services, units) = (section.path("path"), section.texts("services"), section.texts("units"));
    let (source, shown) = match (path, services, units) {
        (Some(path), None, None) => {
            let shown = format!("errors in {}", path.display());
            (Source::File(Tail::new(path)), shown)
        }
        (None, None, Some(units)) if !units.is_empty() => {
            let shown = format!("errors in the journal of {}", units.join(", "));
            (Source::Journal(Journal::new(&units)), shown)
        }
        (None, Some(services), None) => {
            let Some(compose) = &site.compose else {
                section.problem("services", "there is no Compose project; name a `path` instead", None);
                return None;
            };
            let shown = format!("errors in the logs of {}", services.join(", "));
            (
                Source::Containers(Containers::new(compose.project.clone(), services)),
                shown,
            )
        }
        _ => {
            section.problem("path", "name one of `path`, `services` and `units`", None);
            return None;
        }
    };
    Some(Box::new(Log {
        basics,
        shown,
        state: Arc::new(Mutex::new(State {
            source,
            errors,
            ignored,
            // With a share alone, the count decides nothing.
            per_minute: per_minute.unwrap_or(if share.is_some() { f64::INFINITY } else { 10.0 }),
            share,
            counted: VecDeque::new(),
            rest: Vec::new(),
            last: String::new(),
            back_since: None,
        })),
    }))
}

fn pattern(section: &mut Section<'_>, key: &str) -> Option<Regex> {
    let text = match key {
        "ignore" => section.text("ignore"),
        _ => section.text("pattern"),
    }?;
    Regex::new(&text)
        .map_err(|_| section.problem(key, format!("{text:?} is not a regular expression"), None))
        .ok()
}

#[async_trait]
impl Probe for Log {
    fn name(&self) -> &ProbeName {
        &self.basics.name
    }

    fn decides(&self) -> bool {
        self.basics.decides
    }

    fn describe(&self) -> String {
        self.shown.clone()
    }

    async fn read(&self, expectation: &Expectation, cx: &Context) -> Answer {
        let back_since = expectation.back_since;
        let (state, limit) = (Arc::clone(&self.state), self.basics.timeout);
        let answer = self.basics.blocking(cx, move |cx| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.back_since != back_since {
                state.back_since = back_since;
                state.pass_over(limit, cx);
            }
            state.look(limit, cx)
        });
        let answer = answer.await;
        // That a log cannot be read in time says nothing about what stands in it.
        if answer.class == Some(Class::TimeoutRead) {
            return Answer::unknown(Class::NoData, "the log could not be read in time");
        }
        answer
    }
}

impl State {
    /// Reads what is there without counting it, and forgets what was counted.
    fn pass_over(&mut self, limit: Duration, cx: &Context) {
        let begun = cx.clock.steady();
        while cx.clock.steady().saturating_sub(begun) < limit / 2 {
            let read = self.source.more(limit, cx);
            if read.is_ok_and(|bytes| bytes.len() >= MOST) {
                continue;
            }
            break;
        }
        self.counted.clear();
        self.rest.clear();
    }

    fn look(&mut self, limit: Duration, cx: &Context) -> Answer {
        let bytes = match self.source.more(limit, cx) {
            Ok(bytes) => bytes,
            Err(why) => return Answer::unknown(Class::NoData, spoken(cx, &why)),
        };
        let now = cx.clock.steady();
        let (lines, errors) = self.count(&bytes, cx);
        self.counted.push_back((now, lines, errors));
        while self
            .counted
            .front()
            .is_some_and(|(at, ..)| now.saturating_sub(*at) > SPAN)
        {
            self.counted.pop_front();
        }
        self.judge()
    }

    fn count(&mut self, bytes: &[u8], cx: &Context) -> (u64, u64) {
        let text = [std::mem::take(&mut self.rest).as_slice(), bytes].concat();
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (whole, rest) = text.split_at(end);
        self.rest = rest.get(..rest.len().min(LINE)).unwrap_or_default().to_vec();
        let (mut lines, mut errors) = (0, 0);
        for line in whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            lines += 1;
            let line = line.get(..line.len().min(LINE)).unwrap_or_default();
            let is_ignored = self.ignored.as_ref().is_some_and(|ignored| ignored.is_match(line));
            if !is_ignored && self.errors.is_match(line) {
                errors += 1;
                self.last = spoken(cx, &String::from_utf8_lossy(line));
            }
        }
        (lines, errors)
    }

    fn judge(&self) -> Answer {
        let sum = |part: fn(&(Duration, u64, u64)) -> u64| self.counted.iter().map(part).sum::<u64>();
        let (lines, errors) = (sum(|entry| entry.1), sum(|entry| entry.2));
        #[expect(clippy::cast_precision_loss, reason = "counts of lines")]
        let (count, share) = (errors as f64, errors as f64 / lines.max(1) as f64);
        let is_over = self.share.is_some_and(|most| lines >= ENOUGH && share > most);
        let note = format!("{errors} errors in {lines} lines within {} s", SPAN.as_secs());
        if count > self.per_minute || is_over {
            return Answer::failed(Class::Log, format!("{note}: {}", self.last)).with_number(count);
        }
        Answer::ok(note).with_number(count)
    }
}
