//! `command`: a program's exit code, or a number that it prints.

use async_trait::async_trait;

use super::basics::{Basics, run, spoken};
use super::limits::Limits;
use super::{Built, Expectation, Kind, Probe, Site};
use guard_model::health::{Answer, Class, Numbers};
use guard_model::name::ProbeName;
use guard_model::section::Section;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::processes::Output;

pub(super) const KIND: Kind = Kind {
    key: "command",
    about: "a program ends with exit code 0, or prints a number within limits",
    build,
    numbers: Numbers::One,
};

struct Command {
    basics: Basics,
    words: Vec<String>,
    limits: Option<Limits>,
}

fn build(name: ProbeName, section: &mut Section<'_>, _site: &Site) -> Built {
    let basics = Basics::read(name, section);
    let limits = Limits::read(section).ok()?;
    Some(Box::new(Command {
        basics,
        words: section.words("command")?,
        limits,
    }))
}

#[async_trait]
impl Probe for Command {
    fn name(&self) -> &ProbeName {
        &self.basics.name
    }

    fn decides(&self) -> bool {
        self.basics.decides
    }

    fn describe(&self) -> String {
        // The arguments may hold secrets, so only the program is told.
        format!(
            "command `{}`",
            self.words.first().map(String::as_str).unwrap_or_default()
        )
    }

    async fn read(&self, _expectation: &Expectation, cx: &Context) -> Answer {
        let Some(mut call) = Call::of_words(&self.words) else {
            return Answer::unknown(Class::Spawn, "there is no command");
        };
        for (name, value) in cx.announced.iter() {
            call = call.env(name, value);
        }
        let call = self.basics.limited(call);
        let limits = self.limits;
        let basics = Basics {
            name: self.basics.name.clone(),
            ..self.basics
        };
        self.basics
            .blocking(cx, move |cx| match run(cx, &call) {
                Ok(output) => judged(cx, &output, limits),
                Err(error) => basics.call_failed(cx, &error),
            })
            .await
    }
}

fn judged(cx: &Context, output: &Output, limits: Option<Limits>) -> Answer {
    if !output.status.success() {
        let said = output.stderr.lines().rev().find(|line| !line.trim().is_empty());
        let note = said.map_or_else(|| output.exit(), |line| format!("{}: {line}", output.exit()));
        return Answer::failed(Class::Exit, spoken(cx, &note));
    }
    let Some(limits) = limits else {
        return Answer::ok(output.exit());
    };
    let text = output.text();
    // No number is no evidence, neither for the release nor against it.
    let Some(number) = text.parse::<f64>().ok().filter(|number| !number.is_nan()) else {
        return Answer::unknown(
            Class::NoData,
            spoken(cx, &format!("printed {text:?}, which is no number")),
        );
    };
    limits.judge(number, "")
}
