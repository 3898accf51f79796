//! The live display: finished things as permanent lines, and below them a panel that is painted again and again.

use std::time::Duration;

use super::brush::{Brush, Shade};
use super::canvas::Canvas;
use super::display::{Display, Told, What};
use super::line::{Line, Tone, is_heard, safe_text};
use super::pace::Work;
use super::panel::{Panel, Strip};
use super::run_view::State;
use super::sink::{Sink, safe, safe_lines};
use super::style::{Style, Volume};
use super::words::Narrator;
use guard_model::event::{Event, Level};
use guard_model::fact::{Fact, Record};
use guard_model::secret::Redaction;
use guard_model::standing::Phase;
use guard_model::text;

/// Between two paintings.
const FRAME: Duration = Duration::from_millis(90);
/// A display that stood still this long was stopped: what is on the screen is not its own any more.
const STANDSTILL: Duration = Duration::from_secs(3);
/// The size of a terminal that does not say it: columns and rows.
const USUAL: (u16, u16) = (80, 24);

/// The live display.
pub struct Live {
    sink: Sink,
    size: Box<dyn Fn() -> Option<(u16, u16)> + Send>,
    redaction: Redaction,
    volume: Volume,
    brush: Brush,
    narrator: Narrator,
    panel: Panel,
    stage_began: Duration,
    held: Vec<Line>,
    permanent: Vec<String>,
    canvas: Canvas,
    painted: Vec<String>,
    frame: Option<Duration>,
    seen: (u16, u16),
}

impl Live {
    /// A live display on this sink; `size` tells the columns and rows of the terminal behind it.
    #[must_use]
    pub fn new(
        style: &Style,
        sink: Sink,
        size: Box<dyn Fn() -> Option<(u16, u16)> + Send>,
        redaction: Redaction,
    ) -> Self {
        Self {
            sink,
            size,
            redaction,
            volume: style.volume,
            brush: Brush::of(style),
            narrator: Narrator::new(&style.program),
            panel: Panel::default(),
            stage_began: Duration::ZERO,
            held: Vec::new(),
            permanent: Vec::new(),
            canvas: Canvas::new(),
            painted: Vec::new(),
            frame: None,
            seen: (0, 0),
        }
    }

    fn say(&mut self, lines: Vec<Line>) {
        for line in safe_text(lines, &self.redaction)
            .into_iter()
            .filter(|line| is_heard(line.tone, self.volume))
        {
            self.permanent.push(match line.tone {
                Tone::Warn => format!("{} {}", self.brush.paint(Shade::Yellow, "[WARN]"), line.text),
                Tone::Error => format!("{} {}", self.brush.paint(Shade::Red, "[ERROR]"), line.text),
                Tone::Final | Tone::Step => self.brush.paint(Shade::Bold, &line.text),
                Tone::Info => format!("  {}", line.text),
                Tone::Detail => self.brush.paint(Shade::Dim, &format!("  {}", line.text)),
            });
        }
    }

    /// What a stage told is kept until it ends, to stand below its own line.
    fn fact(&mut self, at: Duration, record: &Record) {
        let lines: Vec<Line> = self
            .narrator
            .tell(record)
            .into_iter()
            .filter(|line| line.tone != Tone::Step)
            .collect();
        match &record.fact {
            Fact::Begun { step } => {
                let title = self.narrator.view.stage_of(step).map(super::run_view::StageView::title);
                if let Some(title) =
                    title.filter(|title| self.panel.stage.as_ref().is_none_or(|(known, _)| known != title))
                {
                    self.release();
                    self.panel = Panel {
                        stage: Some((title, Duration::ZERO)),
                        ..Panel::default()
                    };
                    self.stage_began = at;
                }
                self.say(lines);
            }
            Fact::Done { step, .. } | Fact::Failed { step, .. } => {
                self.held.extend(lines);
                let stage = self.narrator.view.stage_of(step);
                let ended = stage.and_then(|stage| Some((stage.title(), stage.took()?, stage.state() == State::Done)));
                if let Some((title, took, good)) = ended {
                    let line = format!(
                        "{} {} ({})",
                        if good { self.brush.done() } else { self.brush.failed() },
                        self.brush.paint(Shade::Bold, &title),
                        text::duration(took)
                    );
                    self.permanent.push(line);
                    self.release();
                    self.panel = Panel::default();
                }
            }
            // It comes while a step goes on, whose panel stays.
            Fact::Standby { .. } => self.say(lines),
            _ => {
                self.release();
                self.panel = Panel::default();
                self.say(lines);
            }
        }
    }

    fn release(&mut self) {
        let held = std::mem::take(&mut self.held);
        self.say(held);
    }

    fn event(&mut self, at: Duration, event: &Event) {
        match event {
            Event::Fact { record, .. } => self.fact(at, record),
            Event::Note { level, text } => self.say(vec![Line::new((*level).into(), text.clone())]),
            Event::Alert { rule, text, .. } => {
                self.say(vec![Line::new(Level::Warn.into(), format!("{rule}: {text}"))]);
            }
            Event::Output { source, line } => {
                let bar = self.brush.paint(Shade::Dim, &format!("{source} |"));
                let lines = safe_lines(line, &self.redaction);
                self.permanent
                    .extend(lines.into_iter().map(|line| format!("  {bar} {line}")));
            }
            Event::Watching { elapsed, window, tally } => self.panel.watch = Some((*elapsed, *window, *tally)),
            Event::Reading(reading) => {
                let happened =
                    strip_of(&mut self.panel.strips, reading.probe.as_str()).and_then(|strip| strip.take(reading));
                if let Some(text) = happened {
                    let text = safe(&text, &self.redaction);
                    self.panel.happened(text);
                }
            }
            Event::Standing {
                phase,
                elapsed,
                of,
                probes,
                waits_for,
            } => {
                self.panel.gate = (*phase == Phase::Gate).then_some((*elapsed, *of));
                self.panel.waits_for = waits_for.as_ref().map(|what| safe(what, &self.redaction));
                for standing in probes {
                    if let Some(strip) = strip_of(&mut self.panel.strips, standing.probe.as_str()) {
                        strip.standing = Some(standing.clone());
                    }
                }
            }
            Event::Progress { what, done, total, .. } => {
                let what = safe(what, &self.redaction);
                let works = &mut self.panel.works;
                if !works.iter().any(|work| work.what == what) {
                    works.push(Work::new(what.as_str()));
                }
                // A total is often an estimate: more than it is not the end, and the end is told as exactly all.
                let is_over = Some(*done) == *total;
                works
                    .iter_mut()
                    .filter(|work| work.what == what)
                    .for_each(|work| work.update(at, *done, *total));
                works.retain(|work| !is_over || work.what != what);
            }
        }
    }

    fn paint(&mut self, panel: Vec<String>) {
        if self.permanent.is_empty() && panel == self.painted {
            return;
        }
        // A terminal that became narrower may have broken the old lines into more than these, or may have cut them: some of
        // the old panel may stay on the screen, but never is a line erased that has to stay.
        let permanent = std::mem::take(&mut self.permanent);
        let text = self.canvas.frame(&permanent, &panel);
        self.painted = panel;
        self.sink.write(&text);
    }
}

/// The strip of this name; a new one where there is none.
fn strip_of<'s>(strips: &'s mut Vec<Strip>, name: &str) -> Option<&'s mut Strip> {
    if !strips.iter().any(|strip| strip.name == name) {
        strips.push(Strip::new(name));
    }
    strips.iter_mut().find(|strip| strip.name == name)
}

impl Display for Live {
    fn show(&mut self, told: &Told) {
        match &told.what {
            What::Event(event) => self.event(told.at, event),
            What::Recall(records) => records.iter().for_each(|record| self.narrator.view.take(record)),
            What::Account(account) => self.say(account.lines()),
            // The terminal may be the same one: the panel must not stand between the lines of a table.
            What::Data(_) => self.close(),
            What::Question(question, written) => {
                self.close();
                self.sink.ask(question, &self.redaction);
                // Whoever asked may have lost patience.
                let _gone = written.send(());
            }
            What::Keys(keys) => self.panel.keys.clone_from(keys),
            What::Result(_) => {}
        }
    }

    fn tick(&mut self, at: Duration) {
        let since = self.frame.map(|frame| at.saturating_sub(frame));
        if since.is_some_and(|since| since < FRAME) {
            return;
        }
        if since.is_some_and(|since| since > STANDSTILL) {
            self.canvas = Canvas::new();
            self.painted.clear();
        }
        self.frame = Some(at);
        if let Some((_, elapsed)) = &mut self.panel.stage {
            *elapsed = Duration::from_secs(at.saturating_sub(self.stage_began).as_secs());
        }
        let size = (self.size)().unwrap_or(USUAL);
        if std::mem::replace(&mut self.seen, size) != size {
            // Somebody drags the terminal's edge: painting at every width on the way would leave a trace of each.
            return;
        }
        let (columns, rows) = size;
        let panel = self
            .panel
            .lines(usize::from(columns), usize::from(rows.saturating_sub(2)), self.brush);
        self.paint(panel);
    }

    fn dropped(&mut self, count: u64) {
        self.say(vec![Line::new(
            Tone::Detail,
            format!("{count} lines were not shown: the terminal was too slow"),
        )]);
    }

    fn close(&mut self) {
        self.release();
        self.paint(Vec::new());
    }
}
