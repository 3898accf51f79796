//! What a step brought, in words.

use std::time::Duration;

use super::line::{Line, Tone};
use guard_model::artifact::{Artifact, Displaced, Prepared, Work};
use guard_model::fact::StepOutput;
use guard_model::health::Tally;
use guard_model::plan::{Action, StepId};
use guard_model::text;

/// How many things of a list are named; the rest is counted.
const NAMED: usize = 5;

/// The lines that tell what a step brought; `took` is how long it ran.
#[must_use]
pub fn lines(step: &StepId, action: Option<&Action>, yields: &StepOutput, took: Option<Duration>) -> Vec<Line> {
    let took = took.map(text::duration);
    let after = took.as_ref().map(|took| format!(" after {took}")).unwrap_or_default();
    let within = took.as_ref().map(|took| format!(" in {took}")).unwrap_or_default();
    match yields {
        StepOutput::Nothing => match action {
            Some(Action::Verify) => vec![info(format!("The verification passed{after}"))],
            Some(Action::Evidence) => vec![info(format!("The evidence is kept{after}"))],
            Some(Action::Start) => vec![info(format!("The services are started{after}"))],
            _ => vec![Line::new(Tone::Detail, format!("{step} is done{after}"))],
        },
        StepOutput::Baseline { tally, complaints } if complaints.is_empty() => {
            vec![info(format!(
                "Production is well before the deployment: {}",
                counts(tally)
            ))]
        }
        StepOutput::Baseline { complaints, .. } => complaints
            .iter()
            .map(|complaint| Line::new(Tone::Warn, format!("Before the deployment: {complaint}")))
            .collect(),
        StepOutput::Captured(artifact) => captured(artifact, took.as_deref()),
        StepOutput::Deployed(deployed) => {
            let mut lines = vec![info(format!("The deploy command ended well{after}"))];
            lines.extend(
                deployed
                    .expect_version
                    .iter()
                    .map(|version| info(format!("Version {version} is expected to answer"))),
            );
            lines.extend(deployed.irreversible.iter().map(|what| irreversible(what)));
            lines
        }
        StepOutput::Watched {
            tally,
            inconclusive,
            person: Some(person),
        } => {
            let tone = if inconclusive.is_some() { Tone::Warn } else { Tone::Info };
            vec![Line::new(
                tone,
                format!("{}{after}: {}", person.sentence(), counts(tally)),
            )]
        }
        StepOutput::Watched {
            tally,
            inconclusive: None,
            ..
        } => {
            vec![info(format!("The release stayed well{after}: {}", counts(tally)))]
        }
        StepOutput::Watched {
            tally,
            inconclusive: Some(why),
            ..
        } => {
            vec![Line::new(
                Tone::Warn,
                format!("The watch proved nothing: {why} ({})", counts(tally)),
            )]
        }
        StepOutput::Prepared(prepared) => self::prepared(prepared),
        StepOutput::Displaced(displaced) => self::displaced(displaced, &within),
        StepOutput::DisplacedAgain(all) => all.iter().flat_map(|one| self::displaced(one, &within)).collect(),
        StepOutput::Quiesced(services) if services.is_empty() => vec![info("Nothing had to be stopped".to_owned())],
        StepOutput::Quiesced(services) => vec![info(format!("Stopped: {}", services.join(", ")))],
        StepOutput::Proven(findings) => findings.iter().map(|finding| info(finding.clone())).collect(),
        StepOutput::Priced { resource, price } if price.is_empty() => {
            vec![info(format!("{resource}: going back cost no row"))]
        }
        StepOutput::Priced { resource, price } => {
            let told = price
                .iter()
                .map(|price| Line::new(Tone::Warn, format!("{resource}: {price}")));
            told.collect()
        }
    }
}

fn info(text: String) -> Line {
    Line::new(Tone::Info, text)
}

/// `600 checks, 2 failures (0.33%)`, and how often nothing could be seen.
#[must_use]
pub fn counts(tally: &Tally) -> String {
    let unknown = if tally.unknown == 0 {
        String::new()
    } else {
        format!(", {} unknown", text::count(tally.unknown))
    };
    format!(
        "{}, {} ({:.2}%){unknown}",
        text::plural(tally.checks, "check"),
        text::plural(tally.failures, "failure"),
        tally.rate() * 100.0
    )
}

/// The line that tells what no rollback can take back.
#[must_use]
pub fn irreversible(what: &str) -> Line {
    Line::new(Tone::Warn, format!("Cannot be undone: {what}"))
}

fn captured(artifact: &Artifact, took: Option<&str>) -> Vec<Line> {
    let took = took.map(|took| format!(", {took}")).unwrap_or_default();
    let size = text::bytes(artifact.bytes());
    let mut lines = vec![info(format!(
        "{}: {} ({size}{took})",
        artifact.resource, artifact.summary
    ))];
    let not_kept = artifact.not_kept.iter().take(NAMED);
    lines.extend(not_kept.map(|what| Line::new(Tone::Warn, format!("{}: not kept: {what}", artifact.resource))));
    if let Some(more) = artifact.not_kept.len().checked_sub(NAMED).filter(|more| *more > 0) {
        lines.push(Line::new(
            Tone::Warn,
            format!("{}: {more} more not kept; the manifest lists them", artifact.resource),
        ));
    }
    lines
}

fn prepared(prepared: &Prepared) -> Vec<Line> {
    let name = &prepared.resource;
    match &prepared.work {
        Work::Unchanged if prepared.price.is_empty() => {
            vec![info(format!("{name}: is as it was, nothing to put back"))]
        }
        // What came since is kept, and that is all that differs.
        Work::Unchanged => {
            let kept = prepared.price.iter().map(|price| info(format!("{name}: {price}")));
            std::iter::once(info(format!("{name}: nothing to put back")))
                .chain(kept)
                .collect()
        }
        Work::Left(why) => vec![Line::new(Tone::Warn, format!("{name}: is left as it is: {why}"))],
        work @ (Work::Withheld(_) | Work::Gone(_)) => {
            let why = work.forbids().unwrap_or_default();
            vec![Line::new(Tone::Warn, format!("{name}: must not be put back: {why}"))]
        }
        Work::Changed(parts) => {
            let more = parts.len().saturating_sub(NAMED);
            let more = if more == 0 {
                String::new()
            } else {
                format!(" and {more} more")
            };
            let named = parts.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
            let what = if parts.is_empty() {
                "changed".to_owned()
            } else {
                format!("changed: {named}{more}")
            };
            let mut lines = vec![info(format!("{name}: will be put back ({what})"))];
            lines.extend(
                prepared
                    .price
                    .iter()
                    .map(|price| Line::new(Tone::Warn, format!("{name}: {price}"))),
            );
            lines
        }
    }
}

fn displaced(displaced: &Displaced, within: &str) -> Vec<Line> {
    let name = &displaced.resource;
    if displaced.details.is_null() && displaced.kept_as.is_empty() {
        return vec![Line::new(Tone::Detail, format!("{name}: nothing had to be put back"))];
    }
    let mut lines = vec![info(format!("{name}: put back{within}"))];
    lines.extend(
        displaced
            .kept_as
            .iter()
            .map(|place| info(format!("{name}: the failed state is kept as {place}"))),
    );
    lines
}
