//! `guard check`: proves the way back before anyone goes forward; also the first thing that `guard deploy` does.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use guard_config::Effective;
use guard_engine::steps::ask_once;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::health::Outcome as Answered;
use guard_model::setting::nearest_or_all;
use guard_model::text;
use guard_probes::Probe;
use guard_report::tables::Table;
use guard_run::assembly::Owned;
use guard_run::findings::Report;
use guard_run::inspection::{in_the_way, look, look_at};
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::Check;
use guard_run::service_choice::{self, Belonging};
use guard_run::session::{Session, width_of_stdout};
use guard_run::{freeze, locks};
use guard_system::control_group::{Reach, reach};
use guard_system::lock::Lock;

/// A health check that may say nothing for longer is told: so long is waited for a release of which nothing is known.
const LONG_START: Duration = Duration::from_mins(1);

/// Checks everything, and shows it as a table.
///
/// # Errors
/// Something is in the way.
pub(super) fn check(asked: &Check, project: &Project, session: &Session) -> Outcome {
    project.sound()?;
    let resources = project.resources()?;
    if let Some(name) = &asked.resource {
        return promises(name, &resources, project, session);
    }
    let is_empty = resources.is_empty();
    let mut report = if asked.service.is_empty() {
        look(project, &resources, None, true)
    } else {
        at_services(&asked.service, resources, project)?
    };
    if is_empty {
        report.refuse(
            "resources",
            "none is declared: there is nothing to go back to",
            format!("{} init --print", session.style.program),
        );
    }
    if asked.service.is_empty() {
        probes(project, &mut report)?;
        for target in project.targets()? {
            report.fact(&format!("notify {}", target.name()), target.describe());
        }
    }
    if let Some(freeze) = freeze::in_force(&project.state)? {
        report.warn(
            "freeze",
            format!("deployments are frozen: {}", freeze.message),
            "guard unlock",
        );
    }
    if let Ok(Some(owner)) = Lock::holder(&project.state.join("lock")) {
        report.warn("lock", format!("held: {owner}"), "wait, or --lock-wait");
    }
    standing_by(project, &mut report);
    let is_verbose = matches!(session.style.volume, guard_report::style::Volume::Verbose);
    let is_open = report.refusals().next().is_none();
    if session.style.json {
        let value = value(&report, if is_verbose { &project.settings.effective } else { &[] });
        return if is_open {
            Ok(session.answer(value))
        } else {
            Err(shut(&report, &session.style.program).with_details(value))
        };
    }
    session.reporter.data(table(&report));
    if is_verbose {
        let mut origins = Table::new(["setting", "value", "from"]);
        for effective in &project.settings.effective {
            origins = origins.row([
                effective.key.to_owned(),
                effective.value.clone(),
                effective.origin.to_string(),
            ]);
        }
        session
            .reporter
            .data(format!("\n{}", origins.render(Some(width_of_stdout()))));
    }
    if is_open {
        if report.untried.is_empty() {
            let of = asked.service.join(", ");
            let of = if of.is_empty() { of } else { format!(" for {of}") };
            project.cx.note(Level::Info, format!("the way back is open{of}"));
        } else {
            let names: Vec<&str> = report.untried.iter().map(|(about, _)| about.as_str()).collect();
            let text = format!(
                "nothing is in the way, and {} was never restored yet: the next backup tries it before anything is deployed",
                names.join(", ")
            );
            project.cx.note(Level::Warn, text);
        }
        return Ok(ExitCode::DONE);
    }
    Err(shut(&report, &session.style.program))
}

/// Looks at some services alone: what is behind them, what belongs to them, and their probes.
fn at_services(services: &[String], resources: Vec<Owned>, project: &Project) -> Result<Report, Refusal> {
    let known = service_choice::known(project);
    for service in services {
        let belongs = Belonging::of(service, &resources, project);
        let is_named = known.contains(service) || resources.iter().any(|owned| belongs.concerns(owned));
        if !is_named {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let refusal = Refusal::new(ExitCode::USAGE, format!("there is no service {service:?}"));
            return Err(refusal.because(nearest_or_all(service, &known)));
        }
    }
    let all: Vec<Belonging> = services
        .iter()
        .map(|one| Belonging::of(one, &resources, project))
        .collect();
    let of_them = resources
        .into_iter()
        .filter(|owned| all.iter().any(|one| one.concerns(owned)));
    let mut report = look_at(services, project, &of_them.collect::<Vec<_>>());
    // A service without a probe has no more to tell.
    let mut asked = Vec::new();
    for service in services {
        let own = service_choice::of_services(project.probes()?, std::slice::from_ref(service), project);
        match own {
            Ok(own) => asked.extend(own),
            Err(_) => report.fact(&format!("service {service}"), "no probe is about it"),
        }
    }
    ask(&asked, project, &mut report);
    Ok(report)
}

/// `--resource`: one resource, and whether it keeps its promises.
fn promises(name: &str, resources: &[Owned], project: &Project, session: &Session) -> Outcome {
    let _lock = locks::begin(project, "guard check --resource")?;
    let Some(owned) = resources.iter().find(|owned| owned.resource.name().as_str() == name) else {
        let names: Vec<&str> = resources.iter().map(|owned| owned.resource.name().as_str()).collect();
        return Err(Refusal::new(ExitCode::USAGE, format!("no resource is called {name:?}"))
            .because(nearest_or_all(name, &names)));
    };
    let (resource, cx) = owned.resource.at(&project.cx);
    let mut survey = resource.survey(&cx);
    if survey.obstacles.iter().all(|obstacle| !obstacle.refuses) {
        resource.sweep(&cx, &mut survey);
    }
    let mut report = Report::default();
    report.take(name, survey);
    let refusal = report.refusals().next().is_some().then(|| {
        let mut refusal = Refusal::new(
            ExitCode::REFUSED,
            format!("{name} does not keep what a resource promises"),
        );
        refusal.account.why = in_the_way(&report);
        let command = format!("{} check --resource {}", session.style.program, text::typed(name));
        refusal.next("when that is mended", command)
    });
    if session.style.json {
        let value = value(&report, &[]);
        return match refusal {
            None => Ok(session.answer(value)),
            Some(refusal) => Err(refusal.with_details(value)),
        };
    }
    session.reporter.data(table(&report));
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    project
        .cx
        .note(Level::Info, format!("{name}: every promise that was tried is kept"));
    Ok(ExitCode::DONE)
}

/// The same for whoever reads JSON.
fn value(report: &Report, effective: &[Effective]) -> Value {
    let facts = report
        .facts
        .iter()
        .map(|(about, fact)| json!({ "about": about, "fact": fact }));
    let findings = report.findings.iter().map(|finding| {
        let obstacle = &finding.obstacle;
        json!({ "about": finding.about, "what": obstacle.what, "advice": obstacle.advice, "refuses": obstacle.refuses })
    });
    let mut value = json!({
        "way_back": way_back(report),
        "facts": facts.collect::<Vec<_>>(),
        "findings": findings.collect::<Vec<_>>(),
        "untried": report.untried.iter().map(|(about, untried)| json!({ "about": about, "what": untried })).collect::<Vec<_>>(),
    });
    if let (Some(map), false) = (value.as_object_mut(), effective.is_empty()) {
        let settings = effective
            .iter()
            .map(|one| json!({ "key": one.key, "value": one.value, "from": one.origin.to_string() }));
        map.insert("settings".to_owned(), settings.collect());
    }
    value
}

/// Whether the way back is open: `untried` where nothing is in the way and something was never restored yet.
fn way_back(report: &Report) -> &'static str {
    match report.refusals().next() {
        Some(_) => "closed",
        None if report.untried.is_empty() => "open",
        None => "untried",
    }
}

fn table(report: &Report) -> String {
    let mut table = Table::new(["", "about", "finding", "what to do"]).with_remarks();
    for (about, fact) in &report.facts {
        table = table.row(["ok", about, fact, ""]);
    }
    for (about, untried) in &report.untried {
        table = table.row(["!", about, untried, "guard backup"]);
    }
    for finding in &report.findings {
        let mark = if finding.obstacle.refuses { "NO" } else { "!" };
        table = table.row([mark, &finding.about, &finding.obstacle.what, &finding.obstacle.advice]);
    }
    table.render(Some(width_of_stdout()))
}

/// What `guard check` ends with where the way is shut: the table says everything, so each obstacle is named and no more.
fn shut(report: &Report, program: &str) -> Refusal {
    let mut refusal = Refusal::new(ExitCode::REFUSED, "the way back is not open: no run would begin");
    refusal.account.why = in_the_way(report);
    refusal.next("when that is mended", format!("{program} check"))
}

fn probes(project: &Project, report: &mut Report) -> Result<(), Refusal> {
    ask(&project.probes()?, project, report);
    for rule in project.rules()? {
        report.fact(rule.name.as_str(), rule.words());
    }
    if project.probes()?.is_empty() {
        report.fact("watch", "no probe is set: nobody sees whether a release is well");
        return Ok(());
    }
    report.fact("watch", guard_watch::words(&project.rule()));
    for warning in guard_watch::warnings(&project.rule()) {
        report.warn("watch", warning, "see docs/watching.md");
    }
    if project.settings.gate.is_none() {
        long_start(project, report);
    }
    Ok(())
}

/// Asks probes once.
fn ask(probes: &[Arc<dyn Probe>], project: &Project, report: &mut Report) {
    for (probe, answer) in ask_once(probes, &project.runtime, &project.cx) {
        let about = probe.name().as_str().to_owned();
        let note = project.cx.redaction.clean(&answer.note);
        if answer.outcome == Answered::Ok {
            report.fact(&about, format!("{}: {note}", probe.describe()));
        } else {
            let is_needed = probe.decides() && !project.settings.allow_unhealthy_baseline;
            let what = format!("{}: {note}", probe.describe());
            let advice = "mend it, or deploy with --allow-unhealthy-baseline";
            if is_needed {
                report.refuse(&about, what, advice);
            } else {
                report.warn(&about, what, advice);
            }
        }
    }
}

/// Tells what ends the watcher together with guard: the unit or the session that this is called in, as a deployment from here
/// would be.
fn standing_by(project: &Project, report: &mut Report) {
    if !project.settings.watcher {
        return;
    }
    match reach() {
        Reach::Free => {}
        Reach::Scope { unit, is_mortal, .. } => {
            report.fact("watcher", format!("outlives {unit}, in a scope of its own"));
            if is_mortal {
                report.warn(
                    "watcher",
                    "ends when its user logs out, and a run that is cut off then waits for `guard resume`",
                    "loginctl enable-linger",
                );
            }
        }
        Reach::Held { unit, why } => report.warn(
            "watcher",
            format!("ends together with {unit}, and a run that is cut off then waits for `guard resume`; {why}"),
            "loginctl enable-linger",
        ),
    }
}

/// Tells how long a release may be waited for where the health check of a container lets it be long.
fn long_start(project: &Project, report: &mut Report) {
    let services = project.services();
    let further = services.further.iter().map(|further| Some(further.name.as_str()));
    let found = std::iter::once(None).chain(further).filter_map(|name| {
        let (services, there) = services.of_project(name, &project.cx);
        // An engine that does not answer is told already.
        services.slowest_check(&there).ok().flatten()
    });
    let slowest = found.max_by_key(|(_, check)| check.longest());
    if let Some((container, check)) = slowest.filter(|(_, check)| check.longest() > LONG_START) {
        let (most, gate) = (check.longest(), project.rule().gate);
        report.fact(
            "watch",
            format!(
                "a start is waited for {} at most: the health check of {container} may say nothing for {} ({}), and {} follow; \
                 `monitor.gate` sets a shorter time",
                text::duration(most.saturating_add(gate)),
                text::duration(most),
                check.words(),
                text::duration(gate)
            ),
        );
    }
}
