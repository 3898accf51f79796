//! `guard watch --simulate`: the rule in force, tried on typical faults.

use serde_json::json;

use guard_model::exit::ExitCode;
use guard_report::tables::Table;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::session::{Session, width_of_stdout};
use guard_watch::simulate::{Figures, SCENES, Scene, figures};
use guard_watch::words;

/// Tries the rule in force on every scene.
///
/// # Errors
/// There are too many trials, or none.
pub(super) fn simulate(trials: u32, project: &Project, session: &Session) -> Outcome {
    if !(1..=1_000_000).contains(&trials) {
        return Err(Refusal::new(ExitCode::USAGE, "`--trials` is 1 to 1000000"));
    }
    let rule = project.rule();
    let mut table = Table::new(["", "what happens", "found bad", "after", "95 %", "should"])
        .right(2)
        .right(3)
        .right(4);
    let mut rows = Vec::new();
    for scene in SCENES {
        let figures = figures(scene, &rule, trials);
        let seconds = |share| {
            figures
                .after(share)
                .map_or_else(String::new, |after| format!("{after:.0} s"))
        };
        let should = if scene.is_bad { "be found" } else { "stay" };
        let bad = format!("{:.2} %", figures.bad());
        table = table.row([
            mark(&figures, scene),
            scene.what,
            &bad,
            &seconds(0.5),
            &seconds(0.95),
            should,
        ]);
        rows.push(json!({
            "figure": scene.figure, "key": scene.key, "what": scene.what, "should_be_found": scene.is_bad,
            "found_percent": figures.bad(), "median": figures.after(0.5), "p95": figures.after(0.95), "p99": figures.after(0.99),
        }));
    }
    if session.style.json {
        return Ok(session.answer(json!({ "rule": words(&rule), "trials": trials, "scenes": rows })));
    }
    session
        .reporter
        .data(format!("{}\n\n{}", words(&rule), table.render(Some(width_of_stdout()))));
    Ok(ExitCode::DONE)
}

/// Whether the rule does what a person would want, all but always.
fn mark(figures: &Figures, scene: &Scene) -> &'static str {
    match scene.is_bad {
        true if figures.bad() >= 99.0 => "ok",
        false if figures.bad() <= scene.promise.max(1.0) => "ok",
        _ => "!",
    }
}
