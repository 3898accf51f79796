//! What a drill has shown: in sentences, for machines, as a `JUnit` report, and as figures for Prometheus.

use std::fmt::Write;
use std::time::Duration;

use quick_xml::escape::escape;

use guard_model::drill::DrillResult;
use guard_model::text;

/// Seconds for people.
fn seconds(seconds: f64) -> String {
    text::duration(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default())
}

/// The sentences of one drill; `last` is the newest earlier one of the same fault that passed.
#[must_use]
pub fn lines(result: &DrillResult, last: Option<&DrillResult>) -> Vec<String> {
    let outcome = if result.passed { "passed" } else { "FAILED" };
    let why = result.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let mut lines = vec![format!(
        "drill {} ({}): {outcome}{why} (exit code {})",
        result.fault,
        result.kind.as_str(),
        result.exit
    )];
    let before = |of: fn(&DrillResult) -> Option<f64>| {
        let before = last
            .and_then(of)
            .map(|before| format!(", last time {}", seconds(before)));
        before.unwrap_or_default()
    };
    lines.push(match result.rto {
        Some(rto) => {
            let parts = [("noticed", result.noticed), ("back", result.back)];
            let parts = parts
                .into_iter()
                .filter_map(|(what, took)| Some(format!("{what} in {}", seconds(took?))));
            format!(
                "RTO {}{}: {}",
                seconds(rto),
                before(|drill| drill.rto),
                parts.collect::<Vec<_>>().join(", ")
            )
        }
        None => format!(
            "RTO not known: production was not seen well again{}",
            before(|drill| drill.rto)
        ),
    });
    let kept = match result.kept {
        0 => String::new(),
        kept => format!(", {kept} kept"),
    };
    lines.push(format!(
        "RPO {} rows or files of before the backup lost; of those written since, {} discarded{kept}",
        result.lost, result.discarded,
    ));
    if result.equal && !result.compared.is_empty() {
        lines.push(format!("as before: {}", result.compared.join("; ")));
    }
    let differing = result.differing.iter().map(|what| format!("not as before: {what}"));
    lines.extend(differing);
    lines.extend(result.not_compared.iter().map(|what| format!("not compared: {what}")));
    lines.into_iter().map(|line| text::sanitised(&line)).collect()
}

/// A fault that was left out of a round, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The fault's name.
    pub fault: String,
    /// Why, in a sentence.
    pub why: String,
}

fn xml(text: &str) -> String {
    escape(text::sanitised(text)).into_owned()
}

/// A round of drills as a `JUnit` report: each fault is a case.
#[must_use]
pub fn junit(results: &[DrillResult], skipped: &[Skipped]) -> String {
    let failures = results.iter().filter(|result| !result.passed).count();
    let time: f64 = results.iter().filter_map(|result| result.rto).sum();
    let mut xml_text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"guard drill\" tests=\"{}\" \
         failures=\"{failures}\" skipped=\"{}\" time=\"{time:.3}\">\n",
        results.len() + skipped.len(),
        skipped.len()
    );
    // A string takes whatever is written to it.
    for result in results {
        let seconds = result.rto.unwrap_or_default();
        let said = lines(result, None).join("\n");
        let outcome = if result.passed {
            String::new()
        } else {
            let why = result
                .differing
                .first()
                .or(result.why.as_ref())
                .cloned()
                .unwrap_or_default();
            format!("<failure message=\"{}\"/>", xml(&why))
        };
        let said: Vec<String> = said.lines().map(xml).collect();
        let _written = writeln!(
            xml_text,
            "<testcase classname=\"guard.drill.{}\" name=\"{}\" time=\"{seconds:.3}\">{outcome}<system-out>{}</system-out></testcase>",
            result.kind.as_str(),
            xml(&result.fault),
            said.join("\n"),
        );
    }
    for one in skipped {
        let _written = writeln!(
            xml_text,
            "<testcase classname=\"guard.drill\" name=\"{}\" time=\"0.000\"><skipped message=\"{}\"/></testcase>",
            xml(&one.fault),
            xml(&one.why)
        );
    }
    xml_text.push_str("</testsuite>\n</testsuites>\n");
    xml_text
}

/// One kind of figure: its name, what it is, and its value for a drill.
type Figure = (&'static str, &'static str, fn(&DrillResult) -> Option<f64>);

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds since 1970 and counts of rows, far below 2^52"
)]
const FIGURES: &[Figure] = &[
    (
        "guard_drill_last_timestamp_seconds",
        "When the newest drill of this fault was over.",
        |drill| Some(drill.at.timestamp() as f64),
    ),
    (
        "guard_drill_last_passed",
        "Whether the newest drill of this fault passed.",
        |drill| Some(f64::from(u8::from(drill.passed))),
    ),
    (
        "guard_drill_last_rto_seconds",
        "From the fault until production was well again, in the newest drill of this fault.",
        |drill| drill.rto,
    ),
    (
        "guard_drill_last_lost",
        "Rows and files of before the backup that the newest drill of this fault lost.",
        |drill| Some(drill.lost as f64),
    ),
];

/// The figures of the newest drill of each fault; `all` is in the order of time.
#[must_use]
pub fn metrics(all: &[DrillResult]) -> String {
    let mut newest = std::collections::BTreeMap::new();
    for drill in all {
        newest.insert(drill.fault.as_str(), drill);
    }
    let mut text = String::new();
    if newest.is_empty() {
        return text;
    }
    for (name, about, value) in FIGURES {
        let _written = writeln!(text, "# HELP {name} {about}\n# TYPE {name} gauge");
        for (fault, drill) in &newest {
            if let Some(value) = value(drill) {
                let kind = drill.kind.as_str();
                let _written = writeln!(text, "{name}{{fault=\"{fault}\",kind=\"{kind}\"}} {value}");
            }
        }
    }
    text
}
