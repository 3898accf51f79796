//! Whatever a program of the user's can copy and put back: a resource by protocol.

mod copy;
mod program;
mod protocol;
mod swap;
mod sweep;

use std::time::Duration;

use self::copy::Details;
use self::program::{Program, is_broken};
use self::protocol::{Ability, Act, Asked, Checked, Priced, line, lines};
use self::swap::{Source, Staging};
use crate::abilities::{Abilities, Comparison, CopyProof, Leftovers, Price, ServiceNeeds, Size, Sweep};
use crate::contract::Resource;
use crate::definition::{Built, Kind, Site};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::survey::Survey;
use guard_model::artifact::{Artifact, Displaced, Live, Prepared, Work};
use guard_model::fingerprint::Fingerprint;
use guard_model::name::ResourceName;
use guard_model::plan::StageName;
use guard_model::policy::DataRestore;
use guard_model::section::Section;
use guard_model::text;
use guard_system::context::Context;

/// The kind's entry in the list of kinds.
pub(super) const KIND: Kind = Kind {
    key: "command",
    about: "anything else, by a program of yours that copies it and puts it back",
    captured_in: StageName::Databases,
    restored_in: StageName::Data,
    build,
};

/// How long an act may take where nothing is said.
const TIMEOUT: Duration = Duration::from_mins(10);
/// How long an answer may be where nothing is said.
const LIMIT: i64 = 1 << 20;

/// What the program's thing holds: whether a policy for data is about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Data,
    Configuration,
}

/// A resource by protocol.
#[derive(Debug)]
struct ByProgram {
    program: Program,
    holds: Holds,
    needs: Vec<String>,
    stops: Vec<String>,
}

fn build(name: ResourceName, section: &mut Section<'_>, site: &Site) -> Built {
    let words = section.words("command");
    let timeout = section.duration("timeout").unwrap_or(TIMEOUT);
    let limit = section.whole("answer_limit", 1024..=64 << 20).unwrap_or(LIMIT);
    let holds = section.choice(
        "holds",
        &[("data", Holds::Data), ("configuration", Holds::Configuration)],
    );
    let needs = section.texts("needs").unwrap_or_default();
    let stops = section.texts("stops").unwrap_or_default();
    for (key, services) in [("needs", &needs), ("stops", &stops)] {
        if !services.is_empty() && site.compose.is_none() {
            section.problem(
                key,
                "names services of a Compose project, and there is none",
                Some("set [compose] files, or let the program itself stop and start what it needs".to_owned()),
            );
            return None;
        }
    }
    Some(Box::new(ByProgram {
        program: Program {
            name,
            words: words?,
            timeout,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            target: None,
            cut: None,
        },
        holds: holds.unwrap_or(Holds::Data),
        needs,
        stops,
    }))
}

/// An error with its causes in one sentence.
fn whole(error: &ResourceError, cx: &Context) -> String {
    line(&text::chain(error), cx)
}

impl ByProgram {
    /// What going back would cost, where the program tells it.
    fn told(&self, artifact: &Artifact, cx: &Context) -> Result<Option<Vec<String>>> {
        let (program, token) = (copy::as_known(&self.program, artifact, cx)?, cx.token());
        if !program.describe(&token, cx)?.can(Ability::Price) {
            return Ok(None);
        }
        let details = Details::of(artifact)?.details;
        let asked = Asked {
            details: Some(&details),
            ..Asked::default()
        };
        let priced: Priced = program.ask(Act::Price, &asked, &token, cx)?;
        Ok(Some(lines(&priced.price, cx)))
    }

    /// What is to be done where it differs, as the policy has it.
    fn work(&self, differences: Vec<String>, price: Option<&[String]>, data: DataRestore) -> Work {
        if self.holds == Holds::Configuration {
            return Work::Changed(differences);
        }
        match (data, price) {
            (DataRestore::Never, _) => Work::Left("`data_restore = \"never\"`: data is left as it is".to_owned()),
            (DataRestore::IfNoWrites, None) => Work::Withheld(
                "`data_restore = \"if-no-writes\"`, and the program cannot tell what was written: it has no `price`"
                    .to_owned(),
            ),
            (DataRestore::IfNoWrites, Some(price)) if !price.is_empty() => {
                Work::Withheld(format!("`data_restore = \"if-no-writes\"`: {}", price.join(", ")))
            }
            _ => Work::Changed(differences),
        }
    }

    /// In what what is live differs from a copy; what cannot be read differs.
    fn differences(program: &Program, artifact: &Artifact, cx: &Context) -> Result<(Vec<String>, Option<String>)> {
        match program.fingerprint(&cx.token(), cx) {
            Ok(now) => Ok((now.differences(&artifact.fingerprint), None)),
            Err(error) if is_broken(&error) && !cx.stop.is_asked() => {
                Ok((vec!["all of it".to_owned()], Some(whole(&error, cx))))
            }
            Err(error) => Err(error),
        }
    }
}

/// What is said where nobody counts.
fn uncounted() -> Vec<String> {
    vec!["what was written since the backup is not counted: its program has no `price`".to_owned()]
}

impl Resource for ByProgram {
    fn name(&self) -> &ResourceName {
        &self.program.name
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities {
            proof: Some(self),
            comparison: Some(self),
            leftovers: Some(self),
            price: Some(self),
            services: Some(self),
            size: Some(self),
            sweep: Some(self),
            ..Abilities::default()
        }
    }

    fn survey(&self, cx: &Context) -> Survey {
        let mut survey = Survey::default();
        let token = cx.token();
        let looked = self.program.describe(&token, cx).and_then(|description| {
            let now = self.program.fingerprint(&token, cx)?;
            Ok((description, now))
        });
        let (description, now) = match looked {
            Ok(found) => found,
            Err(error) => {
                let advice = error.hint.clone();
                let advice = advice.unwrap_or_else(|| "mend the program, then run `guard check` again".to_owned());
                survey.refuse(whole(&error, cx), advice);
                return survey;
            }
        };
        let mut facts = lines(&description.facts, cx);
        facts.insert(0, format!("by {}", self.program.program()));
        facts.push(text::plural(
            u64::try_from(now.parts().count()).unwrap_or(u64::MAX),
            "part",
        ));
        if !description.can(Ability::Undo) {
            facts.push("what a way back replaces is copied before".to_owned());
        }
        survey.fact(facts.join(", "));
        for found in &description.obstacles {
            let (what, advice) = (line(&found.what, cx), line(&found.advice, cx));
            if found.refuses {
                survey.refuse(what, advice);
            } else {
                survey.warn(what, advice);
            }
        }
        survey.copy_bytes = description.copy_bytes;
        survey.side_bytes = description.side_bytes;
        survey
    }

    fn fingerprint(&self, cx: &Context) -> Result<Fingerprint> {
        self.program.fingerprint(&cx.token(), cx)
    }

    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        copy::capture(&self.program, slot, KIND.key, cx)
    }

    fn prepare(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Prepared> {
        let prepared = |work, details, price| Prepared {
            resource: self.program.name.clone(),
            work,
            details,
            price,
        };
        let (program, directory) = copy::opened(&self.program, artifact, slot, cx)?;
        let (differences, broken) = Self::differences(&program, artifact, cx)?;
        if differences.is_empty() {
            return Ok(prepared(Work::Unchanged, serde_json::Value::Null, Vec::new()));
        }
        let price = match &broken {
            Some(why) => Some(vec![format!("replaces what cannot be read: {why}")]),
            None => self.told(artifact, cx)?,
        };
        let work = self.work(differences, price.as_deref(), data);
        let price = price.unwrap_or_else(|| {
            if self.holds == Holds::Data {
                uncounted()
            } else {
                Vec::new()
            }
        });
        if !work.is_needed() {
            return Ok(prepared(work, serde_json::Value::Null, price));
        }
        let details = Details::of(artifact)?.details;
        let from = Source {
            directory: &directory,
            details: &details,
        };
        let before = copy::look(&directory);
        let staging = swap::stage(&program, &from, &cx.token(), cx)?;
        if copy::look(&directory) != before {
            return Err(ResourceError::new(format!(
                "{} changed the files of the copy itself, which are only to be read",
                program.shown(Act::Stage)
            ))
            .with_hint("let it copy them into `staging`; `guard verify` says whether the backup is still whole"));
        }
        let staging = serde_json::to_value(&staging)
            .map_err(|error| ResourceError::because("could not describe what was staged", error))?;
        Ok(prepared(work, staging, price))
    }

    fn restore(&self, prepared: &Prepared, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Displaced> {
        if !prepared.work.is_needed() {
            return Ok(Displaced {
                resource: self.program.name.clone(),
                details: serde_json::Value::Null,
                kept_as: Vec::new(),
            });
        }
        let (program, directory) = copy::opened(&self.program, artifact, slot, cx)?;
        let details = Details::of(artifact)?.details;
        let from = Source {
            directory: &directory,
            details: &details,
        };
        swap::exchange(&program, &from, &staging(prepared)?, Some(&artifact.fingerprint), cx)
    }

    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live> {
        let program = copy::as_known(&self.program, artifact, cx)?;
        Ok(match program.fingerprint(&cx.token(), cx) {
            Err(error) => Live::Unknown(whole(&error, cx)),
            Ok(now) if now == artifact.fingerprint => Live::Matches,
            Ok(now) => Live::Differs(now.differences(&artifact.fingerprint)),
        })
    }

    fn undo(&self, displaced: &Displaced, cx: &Context) -> Result<Displaced> {
        if displaced.details.is_null() {
            return Ok(displaced.clone());
        }
        swap::undo(&self.program, displaced, cx)
    }

    fn forget(&self, displaced: &Displaced, cx: &Context) -> Result<()> {
        if displaced.details.is_null() {
            return Ok(());
        }
        swap::forget(&self.program, displaced, cx)
    }
}

fn staging(prepared: &Prepared) -> Result<Staging> {
    serde_json::from_value(prepared.details.clone())
        .map_err(|error| ResourceError::because("could not read what was staged", error))
}

impl Comparison for ByProgram {
    /// By the fingerprint, and by the program's own look at the copy: either may see what the other does not.
    fn compare(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Live> {
        let known = self.check(artifact, cx)?;
        if known != Live::Matches {
            return Ok(known);
        }
        let (program, directory) = copy::opened(&self.program, artifact, slot, cx)?;
        let details = Details::of(artifact)?.details;
        let asked = Asked {
            directory: Some(&directory),
            details: Some(&details),
            ..Asked::default()
        };
        Ok(match program.ask::<Checked>(Act::Check, &asked, &cx.token(), cx) {
            Err(error) if error.copy_is_bad => return Err(error),
            Err(error) => Live::Unknown(whole(&error, cx)),
            Ok(checked) if checked.differs.is_empty() => Live::Matches,
            Ok(checked) => Live::Differs(lines(&checked.differs, cx)),
        })
    }
}

impl CopyProof for ByProgram {
    fn rehearse(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        self.prove(artifact, slot, cx)?;
        let (program, directory) = copy::opened(&self.program, artifact, slot, cx)?;
        let details = Details::of(artifact)?.details;
        let from = Source {
            directory: &directory,
            details: &details,
        };
        sweep::rehearse(&program, &from, &artifact.fingerprint, cx)
    }
}

impl Leftovers for ByProgram {
    fn discard(&self, prepared: &Prepared, cx: &Context) -> Result<()> {
        if prepared.details.is_null() {
            return Ok(());
        }
        swap::discard(&self.program, &staging(prepared)?, cx)
    }
}

impl Price for ByProgram {
    fn price(&self, artifact: &Artifact, cx: &Context) -> Result<Vec<String>> {
        Ok(self.told(artifact, cx)?.unwrap_or_else(|| {
            if self.holds == Holds::Data {
                uncounted()
            } else {
                Vec::new()
            }
        }))
    }

    fn outlook(&self, artifact: &Artifact, _: &Slot, data: DataRestore, cx: &Context) -> Result<Vec<String>> {
        let program = copy::as_known(&self.program, artifact, cx)?;
        let (differences, broken) = Self::differences(&program, artifact, cx)?;
        if differences.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(why) = broken {
            return Ok(vec![format!("replaces what cannot be read: {why}")]);
        }
        if self.holds == Holds::Data && data == DataRestore::Never {
            return Ok(vec!["stays as it is: `data_restore = \"never\"`".to_owned()]);
        }
        self.price(artifact, cx)
    }
}

impl Size for ByProgram {
    fn weigh(&self, displaced: &Displaced, _: &Context) -> Result<Option<u64>> {
        if displaced.details.is_null() {
            return Ok(Some(0));
        }
        swap::weigh(displaced)
    }
}

impl ServiceNeeds for ByProgram {
    fn needs_running(&self) -> Vec<String> {
        self.needs.clone()
    }

    fn stops(&self) -> Vec<String> {
        self.stops.clone()
    }
}

impl Sweep for ByProgram {
    fn sweep(&self, cx: &Context, survey: &mut Survey) {
        sweep::sweep(&self.program, survey, cx);
    }
}
