//! The schedule of an observation: each probe asked in time, its answers judged, kept and told as they come.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::acting::{Acting, trace};
use crate::model::event::{Event, Level};
use crate::model::fact::Failure;
use crate::model::health::{Answer, Outcome, Reading, Rule, Verdict};
use crate::probes::{Expectation, Probe};
use crate::system::context::Context;
use crate::watch::Judge;

/// How many readings of one probe may be under way.
const IN_FLIGHT: usize = 6;
/// After a failure the next reading comes at the latest after this, so that a slow schedule still decides in time.
pub(super) const CONFIRMATION: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);

/// What an observation is waiting for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// So many readings of each probe.
    Rounds(u32),
    /// The release has passed the gate, or is dead on arrival.
    Gate,
    /// The rule has decided, or the window has ended.
    Verdict,
}

/// What an observation brought.
pub(super) struct Observed {
    pub(super) judge: Judge,
    pub(super) verdict: Verdict,
    /// Those of a few rounds; of a longer watch they are only kept on disk.
    pub(super) readings: Vec<Reading>,
    /// How many there were.
    pub(super) count: usize,
    /// The moment of the verdict, in seconds since the observation began.
    pub(super) asked: f64,
}

/// An observation that is about to begin, or under way.
pub(super) struct Observation {
    pub(super) until: Until,
    pub(super) rule: Rule,
    pub(super) judge: Judge,
    pub(super) readings: Vec<Reading>,
    pub(super) count: usize,
    pub(super) log: std::fs::File,
    pub(super) expectation: Arc<Expectation>,
    pub(super) acting: Option<Acting>,
}

/// One probe's place in the schedule.
struct Lane {
    probe: Arc<dyn Probe>,
    next: Duration,
    in_flight: usize,
    asked: u32,
}

impl Observation {
    /// Runs the schedule until what was waited for has come.
    pub(super) async fn run(mut self, probes: &[Arc<dyn Probe>], cx: &Context) -> Result<Observed, Failure> {
        let begun = cx.clock.steady();
        let (sender, mut arriving) = mpsc::unbounded_channel::<(usize, Reading)>();
        let mut lanes: Vec<Lane> = probes
            .iter()
            .map(|probe| Lane {
                probe: probe.clone(),
                next: Duration::ZERO,
                in_flight: 0,
                asked: 0,
            })
            .collect();
        loop {
            let now = cx.clock.steady().saturating_sub(begun);
            if let Some(verdict) = self.ended(&lanes, now) {
                return Ok(Observed {
                    asked: now.as_secs_f64(),
                    verdict,
                    judge: self.judge,
                    readings: self.readings,
                    count: self.count,
                });
            }
            if cx.stop.is_asked() {
                return Err(Failure {
                    interrupted: true,
                    ..Failure::new("the observation was interrupted")
                });
            }
            for (number, lane) in lanes.iter_mut().enumerate() {
                self.ask(number, lane, now, begun, &sender, cx);
            }
            tokio::select! {
                Some((number, reading)) = arriving.recv() => self.take(reading, lanes.get_mut(number), now, cx),
                () = tokio::time::sleep(TICK.min(self.rule.interval)) => {}
            }
        }
    }

    /// The verdict, when what was waited for has come.
    fn ended(&self, lanes: &[Lane], now: Duration) -> Option<Verdict> {
        let verdict = self.judge.verdict(now.as_secs_f64());
        match self.until {
            Until::Rounds(rounds) => {
                let done = lanes.iter().all(|lane| lane.asked >= rounds && lane.in_flight == 0);
                done.then_some(Verdict::Undecided)
            }
            Until::Gate if self.judge.gate_passed() => Some(verdict),
            // A gate at which nobody can see anything ends as well: with the verdict that there is none.
            Until::Gate | Until::Verdict => (verdict != Verdict::Undecided).then_some(verdict),
        }
    }

    /// Asks a probe when its time has come.
    fn ask(
        &self,
        number: usize,
        lane: &mut Lane,
        now: Duration,
        begun: Duration,
        sender: &mpsc::UnboundedSender<(usize, Reading)>,
        cx: &Context,
    ) {
        let wanted = match self.until {
            Until::Rounds(rounds) => lane.asked < rounds,
            _ => true,
        };
        if now < lane.next || lane.in_flight >= IN_FLIGHT || !wanted {
            return;
        }
        // By the schedule and not by the last answer, so that a slow probe does not thin out its own readings.
        lane.next = if now > lane.next + self.rule.interval * 2 {
            now + self.rule.interval
        } else {
            lane.next + self.rule.interval
        };
        lane.in_flight += 1;
        lane.asked += 1;
        let (probe, sender, cx, expectation) =
            (lane.probe.clone(), sender.clone(), cx.clone(), self.expectation.clone());
        tokio::spawn(async move {
            let (at, asked) = (cx.clock.now(), cx.clock.steady());
            let Answer { outcome, class, note } = probe.read(&expectation, &cx).await;
            let latency = cx.clock.steady().saturating_sub(asked);
            let t = asked.saturating_sub(begun).as_secs_f64();
            let reading = Reading {
                probe: probe.name().clone(),
                at,
                t,
                outcome,
                class,
                note: cx.redaction.clean(&note),
                latency,
            };
            // Nobody waits any more when the observation is over.
            let _over = sender.send((number, reading));
        });
    }

    fn take(&mut self, reading: Reading, lane: Option<&mut Lane>, now: Duration, cx: &Context) {
        if let Some(lane) = lane {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            if reading.outcome == Outcome::Failed && self.until == Until::Verdict {
                lane.next = lane.next.min(now + CONFIRMATION.min(self.rule.interval));
            }
        }
        let written = serde_json::to_string(&reading)
            .map_err(std::io::Error::from)
            .and_then(|line| writeln!(self.log, "{line}"));
        if let Err(error) = written {
            cx.note(
                Level::Warn,
                format!("a reading could not be kept for the report: {error}"),
            );
        }
        self.judge.take(&reading);
        trace(&self.judge.traces(), cx);
        for fired in self.judge.fired() {
            if let Some(acting) = &self.acting {
                acting.act(fired, cx);
            }
        }
        cx.voice.tell(&Event::Reading(reading.clone()));
        if self.until == Until::Verdict {
            let (elapsed, window) = (now.as_secs_f64(), self.rule.window.as_secs_f64());
            cx.voice.tell(&Event::Watching {
                elapsed,
                window,
                tally: self.judge.tally(),
            });
        }
        self.count += 1;
        // A watch may go on for days; what it saw is on disk.
        if matches!(self.until, Until::Rounds(_)) {
            self.readings.push(reading);
        }
    }
}
