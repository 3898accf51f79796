//! Plain lines on stderr, for pipes, logs and CI: no carriage return, no escape sequence, and not too many of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::brush::Brush;
use super::ci::Markup;
use super::display::{Display, Told, What};
use super::line::{Line, Tone, is_heard, safe_text};
use super::pace::{Throttle, Work, whole};
use super::sink::{Sink, safe_lines};
use super::style::{Style, Volume};
use super::words::Narrator;
use guard_model::event::{Event, Level};
use guard_model::fact::{Fact, Record};
use guard_model::health::{Outcome, Tally};
use guard_model::secret::Redaction;
use guard_model::standing::Phase;

/// Between two progress lines of the watch.
const WATCH_PAUSE: Duration = Duration::from_secs(30);
/// Before the first line about a release that is waited for, and between two.
const START_PAUSE: Duration = Duration::from_mins(1);
/// With less than this left, its end is told in a moment.
const START_LEFT: Duration = Duration::from_secs(10);
/// Between two lines about the same long work.
const WORK_PAUSE: Duration = Duration::from_secs(5);

/// The plain display.
pub struct Plain {
    sink: Sink,
    redaction: Redaction,
    volume: Volume,
    brush: Brush,
    narrator: Narrator,
    markup: Option<Box<dyn Markup>>,
    works: BTreeMap<String, (Work, Throttle)>,
    watch: Throttle,
    start: Throttle,
    unsaid: Option<String>,
}

/// `Progress: 120s / 600s | Checks: 12 | Failures: 0 (0.00%) | Consecutive: 0 | Remaining: 480s`.
#[must_use]
pub fn progress_line(elapsed: f64, window: f64, tally: &Tally) -> String {
    let elapsed = elapsed.clamp(0.0, window).floor();
    format!(
        "Progress: {elapsed:.0}s / {window:.0}s | Checks: {} | Failures: {} ({:.2}%) | Consecutive: {} | Remaining: {:.0}s",
        tally.checks,
        tally.failures,
        tally.rate() * 100.0,
        tally.consecutive,
        (window - elapsed).max(0.0)
    )
}

impl Plain {
    /// Plain lines into this sink, marked up for a CI system where one is given.
    #[must_use]
    pub fn new(style: &Style, sink: Sink, redaction: Redaction, markup: Option<Box<dyn Markup>>) -> Self {
        Self {
            sink,
            redaction,
            volume: style.volume,
            brush: Brush::of(style),
            narrator: Narrator::new(&style.program),
            markup,
            works: BTreeMap::new(),
            watch: Throttle::default(),
            start: Throttle::default(),
            unsaid: None,
        }
    }

    fn say(&mut self, lines: Vec<Line>) {
        let mut text = String::new();
        for line in safe_text(lines, &self.redaction)
            .into_iter()
            .filter(|line| is_heard(line.tone, self.volume))
        {
            let tag = self.brush.paint(line.tone.into(), line.tone.tag());
            text.push_str(&self.marked(format!("{tag} {}", line.text), &line));
        }
        self.sink.write(&text);
    }

    fn marked(&self, plain: String, line: &Line) -> String {
        match &self.markup {
            Some(markup) => markup.line(&plain, line),
            None => plain + "\n",
        }
    }

    fn raw(&mut self, text: String) {
        let line = Line::new(Tone::Info, "");
        let text = self.marked(text, &line);
        self.sink.write(&text);
    }

    fn fact(&mut self, record: &Record) {
        if !matches!(record.fact, Fact::Opened { .. } | Fact::Begun { .. })
            && let Some(line) = self.unsaid.take()
        {
            self.raw(line);
        }
        let lines = self.narrator.tell(record);
        if let Some(markup) = &mut self.markup
            && self.volume > Volume::Quiet
        {
            let text = markup.fact(record, &self.narrator.view);
            self.sink.write(&text);
        }
        self.say(lines);
    }

    fn event(&mut self, at: Duration, event: &Event) {
        match event {
            Event::Fact { record, .. } => self.fact(record),
            Event::Note { level, text } => self.say(vec![Line::new((*level).into(), text.clone())]),
            Event::Alert { rule, text, .. } => {
                self.say(vec![Line::new(Level::Warn.into(), format!("{rule}: {text}"))]);
            }
            _ if self.volume == Volume::Quiet => {}
            Event::Output { source, line } => {
                for line in safe_lines(line, &self.redaction) {
                    self.raw(format!("{source} | {line}"));
                }
            }
            Event::Watching { elapsed, window, tally } => {
                let line = progress_line(*elapsed, *window, tally);
                if self.watch.passes(at, WATCH_PAUSE) {
                    self.unsaid = None;
                    self.raw(line);
                } else {
                    self.unsaid = Some(line);
                }
            }
            Event::Standing {
                phase: Phase::Gate,
                elapsed,
                of,
                waits_for,
                ..
            } => {
                let of = of.max(*elapsed);
                let [elapsed, of] =
                    [*elapsed, of].map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
                if elapsed < START_PAUSE {
                    self.start = Throttle::default();
                } else if of.saturating_sub(elapsed) >= START_LEFT && self.start.passes(at, START_PAUSE) {
                    let missing = waits_for.as_deref().map(|what| format!(": {what}")).unwrap_or_default();
                    let line = format!("not up yet after {}, {} at most{missing}", whole(elapsed), whole(of));
                    self.say(vec![Line::new(Tone::Info, line)]);
                }
            }
            Event::Standing { .. } => {}
            Event::Progress {
                step,
                what,
                done,
                total,
            } => {
                let key = format!("{}{what}", step.as_ref().map(ToString::to_string).unwrap_or_default());
                let (work, throttle) = self.works.entry(key).or_insert_with(|| {
                    let mut throttle = Throttle::default();
                    throttle.hold(at);
                    (Work::new(what.as_str()), throttle)
                });
                work.update(at, *done, *total);
                if throttle.passes(at, WORK_PAUSE) {
                    let sentence = work.sentence();
                    self.say(vec![Line::new(Tone::Info, sentence)]);
                }
            }
            Event::Reading(reading) => {
                let word = match reading.outcome {
                    Outcome::Ok => "ok",
                    Outcome::Failed => "failed",
                    Outcome::Unknown => "unknown",
                };
                let what = format!("{}: {word} ({})", reading.probe, reading.note);
                self.say(vec![Line::new(Tone::Detail, what)]);
            }
        }
    }
}

impl Display for Plain {
    fn show(&mut self, told: &Told) {
        match &told.what {
            What::Event(event) => self.event(told.at, event),
            What::Recall(records) => records.iter().for_each(|record| self.narrator.view.take(record)),
            What::Account(account) => self.say(account.lines()),
            What::Question(question, written) => {
                self.sink.ask(question, &self.redaction);
                // Whoever asked may have lost patience.
                let _gone = written.send(());
            }
            What::Data(_) | What::Result(_) | What::Keys(_) => {}
        }
    }

    fn dropped(&mut self, count: u64) {
        self.say(vec![Line::new(
            Tone::Warn,
            format!("{count} lines were not shown: nobody read them in time"),
        )]);
    }

    fn close(&mut self) {
        if let Some(markup) = &mut self.markup {
            let text = markup.close();
            self.sink.write(&text);
        }
    }
}
