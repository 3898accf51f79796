//! The schedule of an observation: each probe asked in time, its answers judged, kept and told as they come.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::acting::{Acting, trace};
use super::intervening::left;
use super::pauses::Pauses;
use guard_model::event::{Event, Level};
use guard_model::fact::Failure;
use guard_model::health::{Answer, Class, Outcome, Reading, Rule, Verdict};
use guard_model::intervention::{Choice, Intervention};
use guard_model::name::ProbeName;
use guard_model::standing::Phase;
use guard_probes::{Expectation, Probe};
use guard_system::context::Context;
use guard_watch::Judge;

/// How many readings of one probe may be under way. With one reading a second and the usual limit of 5 s for each, five are,
/// and one more begins.
const IN_FLIGHT: usize = 6;
/// After a failure the next reading comes at the latest after this, so that a slow schedule still decides in time. As long as
/// the usual interval.
pub(super) const CONFIRMATION: Duration = Duration::from_secs(1);
/// How often is looked whether the loop is to end: short beside a second.
const TICK: Duration = Duration::from_millis(100);
/// How often people are told how the probes stand, and a decision of theirs is looked for.
const GLANCE: Duration = Duration::from_millis(200);

/// What an observation is waiting for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StopWhen {
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
    /// Who ended it, where a person did; there is no verdict then.
    pub(super) person: Option<Intervention>,
    /// Where in the log its readings begin: behind those of what was begun again.
    pub(super) from: u64,
}

/// An observation that is about to begin, or under way.
pub(super) struct ProbeLoop {
    pub(super) until: StopWhen,
    pub(super) rule: Rule,
    pub(super) judge: Judge,
    pub(super) readings: Vec<Reading>,
    pub(super) count: usize,
    pub(super) from: u64,
    pub(super) log: std::fs::File,
    pub(super) expectation: Arc<Expectation>,
    /// Probes of guard's own, whose answers are kept and judged, and shown to nobody.
    pub(super) unshown: Vec<ProbeName>,
    /// Whether a decision of a person's ends it.
    pub(super) hears: bool,
    pub(super) acting: Option<Acting>,
}

/// One probe's place in the schedule.
struct Schedule {
    probe: Arc<dyn Probe>,
    next: Duration,
    in_flight: usize,
    asked: u32,
}

/// What the answer to a question needs to be heard.
#[derive(Clone)]
struct Asking {
    /// Which lane asks.
    number: usize,
    /// When the observation began, by the steady clock.
    begun: Duration,
    sender: mpsc::UnboundedSender<(usize, Reading)>,
}

impl ProbeLoop {
    /// Runs the schedule until what was waited for has come.
    pub(super) async fn run(mut self, probes: &[Arc<dyn Probe>], cx: &Context) -> Result<Observed, Failure> {
        let mut begun = cx.clock.steady();
        let fresh = self.judge.clone();
        let mut pauses = Pauses::new(self.rule.interval, cx);
        let (mut sender, mut arriving) = mpsc::unbounded_channel::<(usize, Reading)>();
        let mut lanes: Vec<Schedule> = probes
            .iter()
            .map(|probe| Schedule {
                probe: probe.clone(),
                next: Duration::ZERO,
                in_flight: 0,
                asked: 0,
            })
            .collect();
        let mut glanced = None;
        loop {
            if let Some(pause) = pauses
                .noticed(cx)
                .filter(|_| !matches!(self.until, StopWhen::Rounds(_)))
            {
                self.begin_again(&fresh, pause, cx);
                (begun, glanced) = (cx.clock.steady(), None);
                // What was asked before the pause is not heard any more: its answer tells of the pause.
                (sender, arriving) = mpsc::unbounded_channel();
                for lane in &mut lanes {
                    (lane.next, lane.in_flight) = (Duration::ZERO, 0);
                }
            }
            let now = cx.clock.steady().saturating_sub(begun);
            let verdict = self.ended(&lanes, now);
            let is_time = glanced.is_none_or(|last| now >= last + GLANCE);
            if is_time {
                glanced = Some(now);
                self.tell_standing(now, cx);
            }
            // What the rule has found stands, whatever a person says in the same moment.
            let person = (is_time && verdict.is_none()).then(|| self.decided(cx)).flatten();
            if verdict.is_some() || person.is_some() {
                return Ok(Observed {
                    asked: now.as_secs_f64(),
                    verdict: verdict.unwrap_or(Verdict::Undecided),
                    person,
                    judge: self.judge,
                    readings: self.readings,
                    count: self.count,
                    from: self.from,
                });
            }
            if cx.stop.is_asked() {
                return Err(Failure {
                    interrupted: true,
                    ..Failure::new("the observation was interrupted")
                });
            }
            for (number, lane) in lanes.iter_mut().enumerate() {
                let asking = Asking {
                    number,
                    begun,
                    sender: sender.clone(),
                };
                self.ask(lane, now, &asking, cx);
            }
            tokio::select! {
                Some((number, reading)) = arriving.recv() => self.take(reading, lanes.get_mut(number), now, cx),
                () = tokio::time::sleep(TICK.min(self.rule.interval)) => {}
            }
        }
    }

    /// What a person has decided. A release that has not come up cannot be accepted yet.
    fn decided(&mut self, cx: &Context) -> Option<Intervention> {
        let heard = if self.hears { left(&cx.scratch) } else { Ok(None) };
        let heard = heard.map_err(|why| {
            self.hears = false;
            let note = format!("what a person has decided cannot be read ({why}); to go back, end guard with Ctrl-C");
            cx.note(Level::Warn, note);
        });
        let intervention = heard.ok().flatten()?;
        (self.until == StopWhen::Verdict || intervention.choice != Choice::Accept).then_some(intervention)
    }

    /// Tells where the probes stand.
    fn tell_standing(&self, now: Duration, cx: &Context) {
        let (phase, of) = match self.until {
            StopWhen::Rounds(_) => return,
            StopWhen::Gate => (Phase::Gate, self.judge.gate_limit(now.as_secs_f64())),
            StopWhen::Verdict => (Phase::Window, self.rule.window.as_secs_f64()),
        };
        cx.voice.tell(&Event::Standing {
            phase,
            elapsed: now.as_secs_f64(),
            of,
            probes: self.judge.standings(),
            waits_for: self.judge.waits_for(now.as_secs_f64()),
        });
    }

    /// Forgets what was seen before a pause: a window with a hole in it proves nothing.
    fn begin_again(&mut self, fresh: &Judge, pause: Duration, cx: &Context) {
        let what = if self.until == StopWhen::Gate {
            "the wait"
        } else {
            "the watch"
        };
        let pause = pause.as_secs();
        cx.note(
            Level::Warn,
            format!(
                "nobody looked for {pause} s, because the machine slept or guard was suspended: {what} begins again"
            ),
        );
        self.judge = fresh.clone();
        self.count = 0;
        self.from = self.log.metadata().map_or(self.from, |metadata| metadata.len());
    }

    /// The verdict, when what was waited for has come.
    fn ended(&self, lanes: &[Schedule], now: Duration) -> Option<Verdict> {
        let verdict = self.judge.verdict(now.as_secs_f64());
        match self.until {
            StopWhen::Rounds(rounds) => {
                let done = lanes.iter().all(|lane| lane.asked >= rounds && lane.in_flight == 0);
                done.then_some(Verdict::Undecided)
            }
            StopWhen::Gate if self.judge.gate_passed() => Some(verdict),
            // A gate at which nobody can see anything ends as well: with the verdict that there is none.
            StopWhen::Gate | StopWhen::Verdict => (verdict != Verdict::Undecided).then_some(verdict),
        }
    }

    /// Asks a probe when its time has come.
    fn ask(&self, lane: &mut Schedule, now: Duration, asking: &Asking, cx: &Context) {
        let wanted = match self.until {
            StopWhen::Rounds(rounds) => lane.asked < rounds,
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
        let (probe, asking, cx, expectation) =
            (lane.probe.clone(), asking.clone(), cx.clone(), self.expectation.clone());
        tokio::spawn(async move {
            let (at, asked) = (cx.clock.now(), cx.clock.steady());
            let (asked_of, there) = (probe.clone(), cx.clone());
            // A task of its own: a probe that panics has to be counted as answered, or its round would never end.
            let answer = tokio::spawn(async move { asked_of.read(&expectation, &there).await }).await;
            let broken = |_| Answer::unknown(Class::NoData, "the probe itself broke off");
            let answer = answer.unwrap_or_else(broken);
            let latency = cx.clock.steady().saturating_sub(asked);
            let t = asked.saturating_sub(asking.begun).as_secs_f64();
            let reading = Reading {
                probe: probe.name().clone(),
                at,
                t,
                outcome: answer.outcome,
                class: answer.class,
                note: cx.redaction.clean(&answer.note),
                latency,
                figures: answer.figures,
                number: answer.number,
                is_restart: answer.is_restart,
            };
            // Nobody waits any more when the observation is over.
            let _over = asking.sender.send((asking.number, reading));
        });
    }

    fn take(&mut self, reading: Reading, lane: Option<&mut Schedule>, now: Duration, cx: &Context) {
        if let Some(lane) = lane {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            if reading.outcome == Outcome::Failed && self.until == StopWhen::Verdict {
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
        if !self.unshown.contains(&reading.probe) {
            cx.voice.tell(&Event::Reading(reading.clone()));
        }
        if self.until == StopWhen::Verdict {
            let (elapsed, window) = (now.as_secs_f64(), self.rule.window.as_secs_f64());
            cx.voice.tell(&Event::Watching {
                elapsed,
                window,
                tally: self.judge.tally(),
            });
        }
        self.count += 1;
        // A watch may go on for days; what it saw is on disk.
        if matches!(self.until, StopWhen::Rounds(_)) {
            self.readings.push(reading);
        }
    }
}
