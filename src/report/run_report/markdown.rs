//! The report as Markdown: for a terminal, a ticket, the step summary of GitHub and an artifact of GitLab.

use std::fmt::Write as _;

use super::checklist::Checked;
use super::safe::Safe;
use super::told::{RunReport, Standing};
use crate::run_view::State;
use guard_model::text;

/// The report as Markdown. Its first paragraph says what became of the run; its last line is the end of the timeline.
#[must_use]
pub fn markdown(report: &RunReport) -> String {
    let mut text = format!("# Run {}\n\n", report.run);
    head(&mut text, report);
    section(&mut text, "When", &report.when, "The records say no times.");
    releases(&mut text, report);
    section(
        &mut text,
        "What was put back",
        &report.put_back,
        "Nothing was put back.",
    );
    section(&mut text, "What was lost", &report.lost, "Nothing that guard knows of.");
    if !report.carried.is_empty() {
        section(&mut text, "What stays of what came since", &report.carried, "");
    }
    section(
        &mut text,
        "What cannot be undone",
        &report.irreversible,
        "The deploy command announced nothing of that kind.",
    );
    section(
        &mut text,
        "What was kept, and where",
        &report.kept,
        "No failed state was put aside.",
    );
    section(&mut text, "What the probes saw", &report.probes, "No probe was asked.");
    if let Some(down) = &report.down {
        let _infallible = writeln!(text, "- downtime: {down}");
    }
    phases(&mut text, report);
    checklist(&mut text, report);
    post_mortem(&mut text, report);
    timeline(&mut text, report);
    text
}

/// A text as Markdown that means no more than its words: no tag, no link, no emphasis, and no cell of a table ends within it.
/// What stands in backticks stays a command.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut is_code = false;
    // An odd backtick opens nothing, and two in a row would close only behind two.
    let codes = if text.contains("``") {
        0
    } else {
        text.matches('`').count() / 2 * 2
    };
    let mut seen = 0;
    for c in text.chars() {
        match c {
            '`' if seen < codes => {
                seen += 1;
                is_code = !is_code;
                out.push(c);
            }
            '`' => out.push_str("\\`"),
            '|' => out.push_str("\\|"),
            '<' if !is_code => out.push_str("&lt;"),
            '[' | ']' | '*' | '\\' if !is_code => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

fn line(text: &Safe) -> String {
    plain(&text.as_str().replace('\n', " / "))
}

/// A fence that no line of the text closes.
fn fence(lines: &[&str]) -> String {
    let longest = lines
        .iter()
        .filter_map(|line| line.split(|c| c != '`').map(str::len).max())
        .max();
    "`".repeat(longest.unwrap_or_default().max(2) + 1)
}

fn head(text: &mut String, report: &RunReport) {
    if let Some(failed) = &report.failed {
        let _infallible = writeln!(text, "**What failed.** {}", plain(&failed.sentence()));
    } else {
        let _infallible = writeln!(text, "**What happened.** {}", line(&report.headline));
    }
    if !report.why.is_empty() {
        text.push_str("\n**Why.**\n\n");
        for why in &report.why {
            let mut parts = why.as_str().split('\n').map(plain);
            let _infallible = writeln!(text, "- {}", parts.next().unwrap_or_default());
            for part in parts {
                let _infallible = writeln!(text, "  {part}");
            }
        }
    }
    for excerpt in &report.excerpts {
        if report.standing == Standing::Good {
            continue;
        }
        let _infallible = writeln!(text, "\nThe last lines of {}:\n", line(&excerpt.of));
        let lines: Vec<&str> = excerpt.lines.iter().map(Safe::as_str).collect();
        let fence = fence(&lines);
        let _infallible = writeln!(text, "{fence}text");
        for (at, said) in lines.iter().enumerate() {
            let mark = if excerpt.telling == Some(at) { ">" } else { " " };
            let _infallible = writeln!(text, "{mark} {said}");
        }
        let _infallible = writeln!(text, "{fence}");
    }
    if !report.did.is_empty() {
        let did: Vec<String> = report.did.iter().map(line).collect();
        let _infallible = writeln!(text, "\n**What guard did.** {}", did.join(" "));
    }
    let mut commands = report.next.iter();
    if let Some(next) = commands.next() {
        let fence = fence(&[next.command.as_str()]);
        let _infallible = writeln!(
            text,
            "\n**What you can do now,** {}:\n\n{fence}\n{}\n{fence}",
            line(&next.purpose),
            next.command
        );
    }
    for (at, next) in commands.enumerate() {
        let before = if at == 0 { "\n**Further:**\n\n" } else { "" };
        // Within one more backtick than any run of them in it, as Markdown has it.
        let ticks = "`".repeat(fence(&[next.command.as_str()]).len() - 2);
        let _infallible = writeln!(
            text,
            "{before}- {}: {ticks}{}{ticks}",
            line(&next.purpose),
            next.command
        );
    }
}

fn section(text: &mut String, title: &str, lines: &[Safe], otherwise: &str) {
    let _infallible = writeln!(text, "\n## {title}\n");
    if lines.is_empty() {
        let _infallible = writeln!(text, "{otherwise}");
    }
    for said in lines {
        let _infallible = writeln!(text, "- {}", line(said));
    }
}

fn releases(text: &mut String, report: &RunReport) {
    let cell = |value: &Option<Safe>| value.as_ref().map_or_else(|| "–".to_owned(), line);
    if !report.changes.is_empty() {
        text.push_str(
            "\n## Which release was live\n\n| | before | after the deploy command | now |\n|---|---|---|---|\n",
        );
        for change in &report.changes {
            let mark = if change.changed { " (changed)" } else { "" };
            let _infallible = writeln!(
                text,
                "| {}{mark} | {} | {} | {} |",
                line(&change.what),
                cell(&change.before),
                cell(&change.after),
                cell(&change.left)
            );
        }
    }
    if !report.services.is_empty() {
        text.push_str("\n## Services\n\n| service | now | in this run |\n|---|---|---|\n");
        for service in &report.services {
            let now = match service.runs {
                Some(true) => "runs",
                Some(false) => "stopped",
                None => "nobody looked",
            };
            let how = if service.how.as_str().is_empty() {
                String::new()
            } else {
                format!(" ({})", line(&service.how))
            };
            let done = if service.done.is_empty() {
                "not touched by guard"
            } else {
                service.done
            };
            let _infallible = writeln!(text, "| {} | {now}{how} | {done} |", line(&service.name));
        }
    }
}

fn phases(text: &mut String, report: &RunReport) {
    text.push_str("\n## Phases\n\n| direction | phase | state | took |\n|---|---|---|---|\n");
    let shown = report.phases.iter().filter(|phase| phase.state != State::Waiting);
    for phase in shown {
        let took = phase.seconds.map_or_else(
            || "–".to_owned(),
            |seconds| text::duration(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default()),
        );
        let direction = if phase.is_back { "back" } else { "ahead" };
        let _infallible = writeln!(
            text,
            "| {direction} | {} | {} | {took} |",
            phase.title,
            phase.state.as_str()
        );
    }
}

fn checklist(text: &mut String, report: &RunReport) {
    text.push_str("\n## What was verified\n\n");
    for check in &report.checklist {
        let (mark, word) = match check.checked {
            Checked::Well => ("x", ""),
            Checked::NotWell => (" ", "**NOT WELL:** "),
            Checked::Open => (" ", "not known: "),
        };
        let how = if check.how.as_str().is_empty() {
            String::new()
        } else {
            format!(" ({})", line(&check.how))
        };
        let _infallible = writeln!(text, "- [{mark}] {word}{}{how}", line(&check.what));
    }
}

fn post_mortem(text: &mut String, report: &RunReport) {
    if report.standing == Standing::Good {
        return;
    }
    text.push_str("\n## Post-mortem, to fill in\n\n");
    for (title, known, ask) in frame(report) {
        let _infallible = writeln!(text, "### {title}\n");
        for known in known {
            let _infallible = writeln!(text, "- {}", plain(&known));
        }
        let _infallible = writeln!(text, "- _{ask}_\n");
    }
    text.push_str("### Actions\n\n| what | who | until |\n|---|---|---|\n|  |  |  |\n");
}

/// The parts of a post-mortem: its title, what is known of it, and what a person has to add.
pub(super) fn frame(report: &RunReport) -> Vec<(&'static str, Vec<String>, &'static str)> {
    let texts = |lines: &[Safe]| lines.iter().map(Safe::to_string).collect::<Vec<_>>();
    let mut impact: Vec<String> = report.down.iter().map(Safe::sentence).collect();
    impact.extend(texts(&report.lost));
    impact.extend(
        report
            .irreversible
            .iter()
            .map(|what| format!("cannot be undone: {what}")),
    );
    let of_when = |word: &str| {
        texts(&report.when)
            .into_iter()
            .filter(|line| line.starts_with(word))
            .collect::<Vec<_>>()
    };
    let detection = [of_when("first sign"), of_when("found")].concat();
    vec![
        ("Impact", impact, "Who noticed, and what could they not do?"),
        (
            "Detection",
            detection,
            "Could it have been found earlier, or before the deployment?",
        ),
        (
            "Cause",
            texts(&report.why),
            "Why did the release do that? Why did nothing before it find it?",
        ),
        ("What went well", Vec::new(), "What helped?"),
        ("What did not", Vec::new(), "What was slow, unclear or luck?"),
    ]
}

fn timeline(text: &mut String, report: &RunReport) {
    text.push_str("\n## Timeline\n\n");
    if report.timeline.is_empty() {
        text.push_str("There are no records.\n");
    }
    let middle = report.timeline.len() / 2;
    for (at, said) in report.timeline.iter().enumerate() {
        if report.left_out > 0 && at == middle {
            let _infallible = writeln!(
                text,
                "- … {} are left out",
                text::plural(report.left_out as u64, "line")
            );
        }
        let _infallible = writeln!(text, "- {} {} {}", said.at, said.tag, line(&said.text));
    }
    for unread in &report.unread {
        let _infallible = writeln!(text, "- not in this report: {}", line(unread));
    }
}
