//! The judge of a watch: takes readings one by one, and at any moment says what they mean.

use super::excuse::excused_for;
use super::rules::{Fired, Rules, Trace, UserRule};
use super::track::Track;
use super::words::seconds;
use guard_model::health::{Class, Decision, FindingCause, Outcome, Reading, Rule, Started, Tally, Verdict};
use guard_model::name::ProbeName;
use guard_model::standing::Standing;

/// So many answers in a row that a container has ended make a release dead on arrival. As many as failures in a row make an
/// outage by default.
const ENDED: u32 = 3;
/// So many of them take away the excuse that an early outage has. A guess.
const HOPELESS: u32 = 2;
/// A container that was starting so many seconds, or three intervals, ago is taken to be starting still: the engine may take
/// as long to say it. Only what is shown hangs on it; the figure is a guess.
const STILL: f64 = 5.0;

/// Judges readings by a rule. What it says depends on nothing but the readings, in the order in which they came, and
/// the moment of the question; a judge that has found the release bad does not change its mind.
#[derive(Debug, Clone)]
pub struct Judge {
    rule: Rule,
    tracks: Vec<Track>,
    /// When the gate was passed, in seconds since the watch began.
    opened: Option<f64>,
    settled: Option<Verdict>,
    checks: u64,
    failures: u64,
    unknown: u64,
    rules: Rules,
    started: Started,
    /// When a container was last seen whose own health check had not said anything, and which, in words.
    starting: Option<(f64, String)>,
}

impl Judge {
    /// A judge of these probes, the ones whose failures decide. Readings of others are passed over.
    #[must_use]
    pub fn new(rule: Rule, probes: Vec<ProbeName>) -> Self {
        let tracks: Vec<Track> = probes.into_iter().map(|name| Track::new(name, &rule)).collect();
        Self {
            // With nobody to wait for, the gate stands open.
            opened: tracks.is_empty().then_some(0.0),
            rule,
            tracks,
            settled: None,
            checks: 0,
            failures: 0,
            unknown: 0,
            rules: Rules::default(),
            started: Started::default(),
            starting: None,
        }
    }

    /// Lets findings speak of the release that was started like this.
    #[must_use]
    pub fn of_started(mut self, started: Started) -> Self {
        self.started = started;
        self
    }

    /// Lets rules of the user's decide as well, from the gate on. To be called before the first reading is taken.
    #[must_use]
    pub fn with_rules(mut self, rules: Vec<UserRule>) -> Self {
        self.rules = Rules::new(rules);
        self
    }

    /// Lets each probe fail as often as it did before the deployment: its threshold is raised to the upper bound of the
    /// share that these readings show. To be called before the first reading is taken.
    #[must_use]
    pub fn with_baseline<'r>(mut self, before: impl IntoIterator<Item = &'r Reading>) -> Self {
        let mut counts = vec![(0, 0); self.tracks.len()];
        for reading in before {
            let place = self.tracks.iter().position(|track| track.name == reading.probe);
            if let Some((failed, known)) = place.and_then(|place| counts.get_mut(place)) {
                *failed += u64::from(reading.outcome == Outcome::Failed);
                *known += u64::from(reading.outcome != Outcome::Unknown);
            }
        }
        for (track, (failed, known)) in self.tracks.iter_mut().zip(counts) {
            track.rate.tolerate(failed, known);
        }
        self
    }

    /// Lets these answers from before the deployment say how long an answer takes. To be called before the first reading is
    /// taken; too few of them say nothing.
    #[must_use]
    pub fn with_pace<'r>(mut self, before: impl IntoIterator<Item = &'r Reading>) -> Self {
        let mut spans = vec![Vec::new(); self.tracks.len()];
        let before: Vec<&Reading> = before.into_iter().collect();
        self.rules.before(&before);
        for reading in before.into_iter().filter(|reading| reading.outcome == Outcome::Ok) {
            let place = self.tracks.iter().position(|track| track.name == reading.probe);
            if let Some(spans) = place.and_then(|place| spans.get_mut(place)) {
                spans.push(reading.latency.as_secs_f64());
            }
        }
        for (track, spans) in self.tracks.iter_mut().zip(spans) {
            track.pace = super::pace::Pace::of(spans, &self.rule);
        }
        self
    }

    /// Lets the window begin at once: for a release that has come up before this judge was asked.
    #[must_use]
    pub fn behind_the_gate(mut self) -> Self {
        self.opened = Some(0.0);
        self
    }

    /// Takes the next reading.
    pub fn take(&mut self, reading: &Reading) {
        let answered = reading.t + reading.latency.as_secs_f64();
        // What had run out before this answer came has run out, whenever it is asked.
        if self.settled.is_none() {
            self.settled = Some(self.timed(answered)).filter(|verdict| *verdict != Verdict::Undecided);
        }
        // Whoever sees it: a container that is starting may be needed by any probe.
        if reading.class == Some(Class::Starting) && self.starting.as_ref().is_none_or(|(last, _)| *last <= reading.t) {
            self.starting = Some((reading.t, reading.note.clone()));
        }
        self.weigh(reading, answered);
        if let (None, Some(opened)) = (&self.settled, self.opened)
            && reading.t >= opened
        {
            self.settled = self.rules.take(reading, answered, opened).map(Verdict::Bad);
        }
    }

    /// The rules that fired since this was asked last.
    pub fn fired(&mut self) -> Vec<Fired> {
        self.rules.fired()
    }

    /// What the rules have seen since this was asked last.
    pub fn traces(&mut self) -> Vec<Trace> {
        self.rules.traces()
    }

    /// Weighs a reading by the rule that everybody has.
    fn weigh(&mut self, reading: &Reading, answered: f64) {
        let place = self.tracks.iter().position(|track| track.name == reading.probe);
        let (Some(place), None) = (place, &self.settled) else {
            return;
        };
        // An answer to a question from before the gate says nothing about the time after it.
        if self.opened.is_some_and(|opened| reading.t < opened) {
            return;
        }
        if reading.outcome == Outcome::Unknown {
            self.unknown += 1;
            return;
        }
        self.checks += 1;
        self.failures += u64::from(reading.outcome == Outcome::Failed);
        if let Some(track) = self.tracks.get_mut(place) {
            if let Some(opened) = self.opened {
                let found = track.take(reading, answered, opened, &self.rule);
                self.settled = found.or_else(|| self.outage(opened)).map(Verdict::Bad);
            } else {
                track.note(reading, answered);
                if track.ended >= ENDED {
                    let sentence = format!("{}: {}", track.name, track.complaint);
                    self.settled = Some(Verdict::Bad(track.finding(FindingCause::DeadOnArrival, sentence)));
                } else if let Some(sentence) = track
                    .stays_bad(answered, &self.rule)
                    .or_else(|| track.stays_unhealthy(reading, answered, &self.rule))
                {
                    self.settled = Some(Verdict::Bad(track.finding(FindingCause::DeadOnArrival, sentence)));
                }
                self.open_if_well(answered);
            }
        }
    }

    /// What the readings so far say at this moment, in seconds since the watch began.
    #[must_use]
    pub fn verdict(&self, now: f64) -> Verdict {
        self.settled.clone().unwrap_or_else(|| self.timed(now))
    }

    /// The counts: of the gate until it is passed, then since it was.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let longest = self.tracks.iter().map(|track| track.streak.count()).max();
        Tally {
            checks: self.checks,
            failures: self.failures,
            consecutive: longest.unwrap_or(0) as u64,
            unknown: self.unknown,
            worst: self.opened.and_then(|_| {
                let shares = self.tracks.iter().map(|track| track.rate.share_of_all());
                shares.max_by(f64::total_cmp)
            }),
        }
    }

    /// How each probe that decides stands, for people to look at.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        self.tracks.iter().map(Track::standing).collect()
    }

    /// What is missing for the release to have come up, in words; `None` behind the gate, or before anything is known.
    #[must_use]
    pub fn waits_for(&self, now: f64) -> Option<String> {
        if self.gate_passed() {
            return None;
        }
        let wins = self.wins();
        let late = self.tracks.iter().filter(|track| track.wins < wins);
        let complaints = late.filter(|track| !track.complaint.is_empty());
        let mut missing: Vec<String> = complaints
            .map(|track| format!("{}: {}", track.name, track.complaint))
            .collect();
        if let Some((_, note)) = self.starting.as_ref().filter(|_| self.is_starting(now))
            && !missing.iter().any(|one| one.contains(note))
        {
            missing.push(note.clone());
        }
        (!missing.is_empty()).then(|| missing.join("; "))
    }

    /// How long the release may take to come up at most, as far as is known at this moment, in seconds since the watch began.
    #[must_use]
    pub fn gate_limit(&self, now: f64) -> f64 {
        match self.rule.longest_start.filter(|_| self.is_starting(now)) {
            Some(longest) => longest.as_secs_f64().max(self.rule.gate.as_secs_f64()),
            None => self.deadline(),
        }
    }

    fn is_starting(&self, now: f64) -> bool {
        let still = STILL.max(self.rule.interval.as_secs_f64() * 3.0);
        self.starting.as_ref().is_some_and(|(last, _)| now - last <= still)
    }

    /// When the gate is over: its time counts from the moment at which the last container has stopped starting.
    fn deadline(&self) -> f64 {
        let gate = self.rule.gate.as_secs_f64();
        match (self.rule.longest_start, &self.starting) {
            (Some(longest), Some((last, _))) => (last + gate).min(longest.as_secs_f64()).max(gate),
            _ => gate,
        }
    }

    /// Whether the release has come up.
    #[must_use]
    pub fn gate_passed(&self) -> bool {
        self.opened.is_some()
    }

    /// When the window ends, in seconds since the watch began; `None` until the gate is passed.
    #[must_use]
    pub fn ends_at(&self) -> Option<f64> {
        self.opened.map(|opened| opened + self.rule.window.as_secs_f64())
    }

    /// How many successes in a row open the gate.
    fn wins(&self) -> u32 {
        match self.rule.decision {
            Decision::Guard => 2,
            Decision::Classic => 1,
        }
    }

    fn open_if_well(&mut self, answered: f64) {
        let wins = self.wins();
        if self.settled.is_some() || self.tracks.iter().any(|track| track.wins < wins) {
            return;
        }
        self.opened = Some(answered);
        (self.checks, self.failures, self.unknown) = (0, 0, 0);
        for track in &mut self.tracks {
            track.streak = super::streak::Streak::default();
            track.ended = 0;
        }
    }

    fn outage(&self, opened: f64) -> Option<guard_model::health::Finding> {
        if self.rule.decision == Decision::Classic {
            return None;
        }
        let is_hopeless = self.tracks.iter().any(|track| track.ended >= HOPELESS);
        self.tracks
            .iter()
            .find_map(|track| track.outage(opened, is_hopeless, &self.rule))
    }

    /// What time alone says.
    fn timed(&self, now: f64) -> Verdict {
        let Some(end) = self.ends_at() else {
            return if now > self.deadline() {
                self.dead()
            } else {
                Verdict::Undecided
            };
        };
        if now <= end {
            return Verdict::Undecided;
        }
        // How much longer than its window a watch can be, while an outage that began in the window is in doubt.
        let overtime = excused_for(&self.rule).max(self.rule.persist.as_secs_f64());
        if now <= end + overtime && self.tracks.iter().any(|track| track.is_in_doubt(&self.rule)) {
            return Verdict::Undecided;
        }
        self.ended()
    }

    /// The release did not come up in time; or nobody could see whether it did.
    fn dead(&self) -> Verdict {
        let wins = self.wins();
        let mut late = self.tracks.iter().filter(|track| track.wins < wins);
        let within = seconds(self.deadline());
        let since = match self.started {
            Started::Deployed => "after the deployment",
            Started::Back => "after the old release was started",
        };
        if let Some(track) = late.clone().find(|track| track.has_known) {
            let why = if track.complaint.is_empty() {
                "too few answers"
            } else {
                &track.complaint
            };
            let sentence = format!(
                "{} was not well {within} {since} ({why}); `monitor.gate` says how long a start may take",
                track.name
            );
            return Verdict::Bad(track.finding(FindingCause::DeadOnArrival, sentence));
        }
        let name = late.next().map(|track| track.name.to_string()).unwrap_or_default();
        Verdict::Inconclusive(format!("{name} could not see anything within {within}"))
    }

    /// The window is over.
    fn ended(&self) -> Verdict {
        let is_classic = self.rule.decision == Decision::Classic;
        let excess = self
            .tracks
            .iter()
            .filter(|_| !is_classic)
            .find_map(|track| track.rate.observed().map(|excess| track.too_much(excess)));
        if let Some(finding) = excess {
            return Verdict::Bad(finding);
        }
        let blind = |track: &&Track| {
            if is_classic {
                track.rate.known == 0
            } else {
                !track.rate.is_enough()
            }
        };
        if let Some(track) = self.tracks.iter().find(blind) {
            return Verdict::Inconclusive(format!(
                "{} gave {} known answers in {}, and {} are needed",
                track.name,
                track.rate.known,
                seconds(self.rule.window.as_secs_f64()),
                self.rule.min_samples.max(1)
            ));
        }
        if self.tracks.is_empty() {
            return Verdict::Inconclusive("no probe decides".to_owned());
        }
        Verdict::Healthy
    }
}

/// Judges a whole watch at once: the readings in the order in which they came, and the moment of the question, in
/// seconds since the watch began. The same as taking them one by one.
#[must_use]
pub fn judge<'r>(
    rule: &Rule,
    probes: &[ProbeName],
    readings: impl IntoIterator<Item = &'r Reading>,
    now: f64,
) -> Verdict {
    let mut judge = Judge::new(rule.clone(), probes.to_vec());
    for reading in readings {
        judge.take(reading);
    }
    judge.verdict(now)
}
