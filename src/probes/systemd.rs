//! `systemd`: whether units run, stay up, and have not crashed in between: a unit that crashed and came up again calls itself a
//! success, so its restarts and its invocations are counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::basics::{Basics, spoken};
use super::{Built, Expectation, Kind, Probe, Site};
use guard_model::health::{Answer, Class, Numbers};
use guard_model::name::ProbeName;
use guard_model::section::Section;
use guard_model::text::plural;
use guard_system::context::Context;
use guard_system::systemd::{UnitState, full_name, state};

pub(super) const KIND: Kind = Kind {
    key: "systemd",
    about: "units of systemd run and have not crashed",
    build,
    numbers: Numbers::None,
};

/// So many crashes are a loop …
const LOOP: u64 = 3;
/// … until it has held out this long since the last. The same as for containers.
const HELD_OUT: Duration = Duration::from_secs(30);

struct Systemd {
    basics: Basics,
    units: Vec<String>,
    memory: Arc<Mutex<Memory>>,
}

/// What is known from the readings before.
#[derive(Default)]
struct Memory {
    lives: BTreeMap<String, Life>,
    /// Since when something else may have started the units: the deploy command, or the way back.
    since: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
}

/// The life of a unit as it was seen last.
struct Life {
    invocation: String,
    restarts: u64,
    /// How often it was seen to have crashed, and when last, by the steady clock.
    crashes: u64,
    last: Option<Duration>,
}

fn build(name: ProbeName, section: &mut Section<'_>, _site: &Site) -> Built {
    let basics = Basics::read(name, section);
    let units = section.texts("units").unwrap_or_default();
    if units.is_empty() {
        let hint = "units = [\"api.service\"]".to_owned();
        section.problem("units", "names no unit", Some(hint));
        return None;
    }
    if let Some(option) = units.iter().find(|unit| unit.starts_with('-')) {
        section.problem("units", format!("{option:?} is no name of a unit"), None);
        return None;
    }
    Some(Box::new(Systemd {
        basics,
        units: units.iter().map(|unit| full_name(unit)).collect(),
        memory: Arc::default(),
    }))
}

#[async_trait]
impl Probe for Systemd {
    fn name(&self) -> &ProbeName {
        &self.basics.name
    }

    fn decides(&self) -> bool {
        self.basics.decides
    }

    fn describe(&self) -> String {
        format!("systemd's {}", self.units.join(", "))
    }

    async fn read(&self, expectation: &Expectation, cx: &Context) -> Answer {
        let (memory, units) = (Arc::clone(&self.memory), self.units.clone());
        let (since, limit) = ((expectation.since, expectation.back_since), self.basics.timeout);
        let answer = self.basics.blocking(cx, move |cx| {
            let mut states = Vec::new();
            for unit in &units {
                match state(unit, Some(limit), cx) {
                    Ok(found) => states.push((unit.clone(), found)),
                    // That there is no systemd to ask says nothing of the release.
                    Err(error) => return Answer::unknown(Class::NoData, spoken(cx, &error.to_string())),
                }
            }
            let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.judge(&states, since, cx.clock.steady())
        });
        let answer = answer.await;
        if answer.class == Some(Class::TimeoutRead) {
            return Answer::unknown(Class::NoData, "systemd does not answer");
        }
        answer
    }
}

impl Memory {
    fn judge(
        &mut self,
        states: &[(String, UnitState)],
        since: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
        now: Duration,
    ) -> Answer {
        if self.since != since {
            // Whoever has started them in between has meant to.
            self.lives.clear();
            self.since = since;
        }
        let mut mild = None;
        for (unit, state) in states {
            let has_crashed = self.count(unit, state, now);
            let crashes = self.lives.get(unit).filter(|life| {
                let is_lately = |last: Duration| now.saturating_sub(last) < HELD_OUT;
                life.last.is_some_and(is_lately)
            });
            let crashes = crashes.map_or(0, |life| life.crashes);
            match judged(unit, state, has_crashed, crashes) {
                Some((true, answer)) => return answer,
                Some((false, answer)) => mild = mild.or(Some(answer)),
                None => {}
            }
        }
        mild.unwrap_or_else(|| Answer::ok(format!("{} well", plural(states.len() as u64, "unit"))))
    }

    /// Notes the life of a unit; whether it has crashed since the reading before.
    fn count(&mut self, unit: &str, state: &UnitState, now: Duration) -> bool {
        let life = self.lives.entry(unit.to_owned()).or_insert_with(|| Life {
            invocation: state.invocation.clone(),
            restarts: state.restarts,
            crashes: 0,
            last: None,
        });
        // A start by hand counts from 0 again, and is another life all the same. What has no life yet is only coming up.
        let more = state.restarts.saturating_sub(life.restarts);
        let is_other = state.invocation != life.invocation && !life.invocation.is_empty() && state.is_running();
        let crashed = more.max(u64::from(is_other));
        if crashed > 0 {
            life.crashes += crashed;
            life.last = Some(now);
        }
        life.restarts = state.restarts;
        if !state.invocation.is_empty() && (state.is_running() || more > 0) {
            life.invocation.clone_from(&state.invocation);
        }
        crashed > 0
    }
}

/// What is wrong with a unit, and whether there is nothing to wait for.
fn judged(unit: &str, state: &UnitState, has_crashed: bool, crashes: u64) -> Option<(bool, Answer)> {
    let failed = |class: Class, what: String| Answer::failed(class, format!("{unit} {what}"));
    if let Some(trouble) = state.trouble() {
        return Some((true, Answer::failed(Class::NoData, format!("{unit}: {trouble}"))));
    }
    if state.active == "failed" {
        let what = format!("has failed ({}, {})", state.result, state.exit_status);
        return Some((true, failed(Class::Container, what)));
    }
    if state.sub == "auto-restart" || state.sub == "auto-restart-queued" {
        let what = format!("is restarting after {} ({})", state.result, state.exit_status);
        return Some((true, failed(Class::Container, what).of_restart()));
    }
    if crashes >= LOOP {
        return Some((
            true,
            failed(Class::Container, format!("restarted {crashes} times")).of_restart(),
        ));
    }
    if has_crashed {
        return Some((false, failed(Class::Container, "was restarted".to_owned()).of_restart()));
    }
    match state.active.as_str() {
        "active" | "reloading" | "refreshing" => None,
        _ if state.is_done() => None,
        "activating" => Some((false, failed(Class::Starting, "is still starting".to_owned()))),
        "inactive" => Some((true, failed(Class::Container, "is stopped".to_owned()))),
        other => Some((false, failed(Class::Unhealthy, format!("is {other}")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guard_model::health::Outcome;

    fn running(invocation: &str, restarts: u64) -> UnitState {
        UnitState {
            load: "loaded".to_owned(),
            active: "active".to_owned(),
            sub: "running".to_owned(),
            result: "success".to_owned(),
            restarts,
            invocation: invocation.to_owned(),
            kind: "simple".to_owned(),
            ..UnitState::default()
        }
    }

    fn told(memory: &mut Memory, state: UnitState, second: u64) -> Answer {
        memory.judge(
            &[("api.service".to_owned(), state)],
            (None, None),
            Duration::from_secs(second),
        )
    }

    #[test]
    fn a_unit_that_crashed_and_came_up_again_is_a_success_to_systemd_and_none_here() {
        let mut memory = Memory::default();
        assert_eq!(told(&mut memory, running("a", 0), 0).outcome, Outcome::Ok);
        let crashed = told(&mut memory, running("b", 1), 1);
        assert_eq!(crashed.note, "api.service was restarted");
        assert!(crashed.is_restart);
        assert_eq!(told(&mut memory, running("b", 1), 2).outcome, Outcome::Ok);
        told(&mut memory, running("c", 2), 3);
        let looping = told(&mut memory, running("d", 3), 4);
        assert_eq!(looping.note, "api.service restarted 3 times");
        assert_eq!(
            told(&mut memory, running("d", 3), 40).outcome,
            Outcome::Ok,
            "it has held out"
        );
    }

    #[test]
    fn one_that_was_started_by_hand_is_another_life_and_what_a_deployment_starts_is_none() {
        let mut memory = Memory::default();
        told(&mut memory, running("a", 2), 0);
        assert_eq!(told(&mut memory, running("b", 0), 1).note, "api.service was restarted");
        let deployed = memory.judge(
            &[("api.service".to_owned(), running("c", 0))],
            (Some(DateTime::UNIX_EPOCH), None),
            Duration::from_secs(2),
        );
        assert_eq!(deployed.outcome, Outcome::Ok);
    }
}
