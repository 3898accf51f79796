//! `guard drill`: in staging, a deployment with a fault on purpose, turned back, and proven to be as before.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::commands::all_projects::URGENCY;
use guard_journal::Run;
use guard_model::drill::{DrillKind, DrillResult, FAULTS, Fault};
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::name::RunKind;
use guard_model::policy::{DataRestore, OnFailure, OnInconclusive, Policy};
use guard_model::setting::nearest_or_all;
use guard_report::drill::{Skipped, junit, lines};
use guard_report::tables::Table;
use guard_run::assembly::{Owned, places};
use guard_run::drill::agents::{self, WORD};
use guard_run::drill::book;
use guard_run::drill::conclude::exit;
use guard_run::drill::counts::{Counts, When};
use guard_run::drill::inject;
use guard_run::drill::lift::end;
use guard_run::drill::possible::possible;
use guard_run::drill::record::{self, DrillRecord, Through, detour};
use guard_run::drill::target;
use guard_run::lifecycle::{NewRun, claim_backup, start};
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::flags::Flags;
use guard_run::request::{Drill, DrillPart};
use guard_run::run_settings::{Place, RunSettings};
use guard_run::session::{Session, width_of_stdout};
use guard_run::takeover::{remaining, take_over};
use guard_run::{freeze, inspection, locks, plan, preconditions, watchdog};
use guard_system::call::Call;
use guard_system::disk;

/// How long the probes have to notice a fault, where nobody says. A guess: a person would look by then.
const WITHIN: Duration = Duration::from_mins(1);
/// How often is looked whether the watcher has finished what a killed guard has left.
const TICK: Duration = Duration::from_millis(100);
/// How long a watcher may take between its last sign and its lock.
const GRACE: Duration = Duration::from_secs(3);
/// How long the last word waits for a slow reader.
const PATIENCE: Duration = Duration::from_secs(1);
/// The fault by which guard itself is killed.
const KILLS_GUARD: &str = "guard-killed";

/// Whether a part of a drill needs the project: the injection does, what makes a fault last does not.
pub(super) fn needs_project(asked: &DrillPart) -> bool {
    asked.words.first().is_some_and(|word| word == inject::WORD)
}

/// Makes a fault last.
///
/// # Errors
/// It cannot.
pub(super) fn agent(asked: &DrillPart, session: &Session) -> Outcome {
    agents::be(&asked.words, session)
}

/// Injects a fault, as the deploy command of a drill.
///
/// # Errors
/// It cannot, or the fault is one that fails.
pub(super) fn inject(asked: &DrillPart, project: &Project) -> Outcome {
    // Behind the word and the dashes that end guard's own flags.
    let command = asked.words.get(1..).unwrap_or_default();
    let command = command.strip_prefix(&["--".to_owned()]).unwrap_or(command);
    inject::inject(command, project)
}

/// What a round of drills has come to.
#[derive(Default)]
struct Round {
    results: Vec<DrillResult>,
    skipped: Vec<Skipped>,
    exits: Vec<ExitCode>,
}

impl Round {
    /// The exit code of all of it: that which needs a person most.
    fn exit(&self) -> ExitCode {
        let grave = URGENCY.iter().find(|urgent| self.exits.contains(urgent));
        let first = self.exits.iter().find(|exit| **exit != ExitCode::DONE);
        grave.or(first).copied().unwrap_or(ExitCode::DONE)
    }
}

/// Whether nothing more may be broken behind a drill that has ended like this.
fn needs_person(exit: ExitCode) -> bool {
    matches!(exit.number(), 30..=37 | 70)
}

/// Drills.
///
/// # Errors
/// Refused before anything was done, or a person is needed.
pub(super) fn drill(asked: &Drill, mut project: Project, session: &Session) -> Outcome {
    project.sound()?;
    let resources = project.resources()?;
    if asked.list {
        return list(&project, &resources, session);
    }
    refuse_unmarked(&project)?;
    freeze::refuse_frozen(&project.state)?;
    let mut round = Round::default();
    let faults = chosen(asked, &project, &resources, &mut round)?;
    drop(resources);
    for fault in faults {
        let outcome = if fault.name == KILLS_GUARD && !asked.alone {
            killed(fault, asked, &project, session)
        } else {
            once(fault, asked, &mut project, session)
        };
        let (result, exit) = match outcome {
            Ok(done) => done,
            // What was drilled so far is not lost.
            Err(refusal) if round.results.is_empty() => return Err(refusal),
            Err(refusal) => {
                session.reporter.account(&refusal.account);
                (None, refusal.exit)
            }
        };
        round.exits.push(exit);
        if let Some(result) = result {
            tell(&result, &project, session);
            round.results.push(result);
        }
        if needs_person(exit) {
            project
                .cx
                .note(Level::Warn, "no further fault is injected: a person has to look first");
            break;
        }
    }
    finish(&round, asked, &project, session)
}

/// Says what a drill has shown: it is what the command is asked for, so it goes to standard output.
fn tell(result: &DrillResult, project: &Project, session: &Session) {
    if session.style.json {
        return;
    }
    let all = book::all(&project.state).unwrap_or_default();
    let told = lines(result, book::last_of(&result.fault, &result.run, &all));
    session.reporter.data(format!("{}\n", told.join("\n  ")));
}

/// The reports of a round, and its exit code.
fn finish(round: &Round, asked: &Drill, project: &Project, session: &Session) -> Outcome {
    for skipped in &round.skipped {
        project
            .cx
            .note(Level::Info, format!("left out: {}: {}", skipped.fault, skipped.why));
    }
    if let Some(path) = &asked.junit {
        let text = junit(&round.results, &round.skipped);
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        disk::write_whole(&path, text.as_bytes()).map_err(|error| Refusal::of_error(round.exit(), &error))?;
    }
    let exit = round.exit();
    if session.style.json {
        let skipped: Vec<Value> = round
            .skipped
            .iter()
            .map(|one| json!({ "fault": one.fault, "why": one.why }))
            .collect();
        let value = json!({
            "drills": round.results,
            "skipped": skipped,
            "exit_code": exit.number(),
            "production": exit.meaning().map(|meaning| meaning.production),
        });
        session.reporter.finish(Some(value), PATIENCE);
    }
    Ok(exit)
}

/// Refuses where nobody has said that this is a place for faults.
fn refuse_unmarked(project: &Project) -> Result<(), Refusal> {
    if project.settings.drill {
        return Ok(());
    }
    let name = &project.settings.source.name;
    let (what, line) = match &project.settings.environment_name {
        Some(environment) => (
            format!("the environment {environment} is not marked for drills"),
            format!("write `drill = true` below [environments.{environment}] in {name}"),
        ),
        None => (
            "this project is not marked for drills".to_owned(),
            format!(
                "write `drill = true` at the top of {name}, or below [environments.staging] and give `--environment staging`"
            ),
        ),
    };
    Err(Refusal::new(ExitCode::USAGE, what)
        .because("a drill breaks things on purpose, so it is done only where somebody has said so")
        .because(line))
}

/// The faults that were asked for, in the order of the catalogue. Those that cannot be injected here are left out of a round, and
/// refused where they were named.
fn chosen(
    asked: &Drill,
    project: &Project,
    resources: &[Owned],
    round: &mut Round,
) -> Result<Vec<&'static Fault>, Refusal> {
    for name in &asked.fault {
        if Fault::named(name).is_none() {
            let all: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
            let refusal = Refusal::new(ExitCode::USAGE, format!("there is no fault {name:?}"));
            return Err(refusal.because(nearest_or_all(name, &all)));
        }
    }
    let kind = DrillKind::ALL
        .into_iter()
        .find(|kind| asked.kind.as_deref() == Some(kind.as_str()));
    let mut chosen = Vec::new();
    let mut kinds = BTreeSet::new();
    for fault in FAULTS {
        let is_named = asked.fault.iter().any(|name| name == fault.name);
        let is_wanted = if asked.all {
            true
        } else if let Some(kind) = kind {
            fault.kind == kind
        } else if asked.fault.is_empty() {
            // One of each kind: the first that can be injected here.
            !kinds.contains(&fault.kind)
        } else {
            is_named
        };
        if !is_wanted {
            continue;
        }
        match possible(fault, project, resources) {
            Ok(()) => {
                kinds.insert(fault.kind);
                chosen.push(fault);
            }
            Err(why) if is_named => {
                let what = format!("the fault {} cannot be injected here", fault.name);
                return Err(Refusal::new(ExitCode::USAGE, what).because(why));
            }
            Err(why) => round.skipped.push(Skipped {
                fault: fault.name.to_owned(),
                why,
            }),
        }
    }
    if chosen.is_empty() {
        let mut refusal = Refusal::new(
            ExitCode::REFUSED,
            "no fault of those that were asked for can be injected here",
        );
        for skipped in &round.skipped {
            refusal = refusal.because(format!("{}: {}", skipped.fault, skipped.why));
        }
        return Err(refusal);
    }
    Ok(chosen)
}

/// The decisions of a drill: it always goes back, and with data where the fault is about that.
fn policy(fault: &Fault, project: &Project) -> Policy {
    let mut policy = project.settings.policy.clone();
    policy.on_failure = OnFailure::Rollback;
    policy.on_unknown = OnFailure::Rollback;
    policy.on_interrupt = OnFailure::Rollback;
    policy.on_drift = OnFailure::Rollback;
    policy.on_inconclusive = OnInconclusive::Rollback;
    if fault.needs_data_back {
        policy.data_restore = DataRestore::Always;
    }
    policy
}

/// How this program is called about the same place once more.
fn ourselves(project: &Project) -> Result<Vec<String>, Refusal> {
    let failed = |error: &std::io::Error| Refusal::of_error(ExitCode::REFUSED, error);
    let program = std::env::current_exe().map_err(|error| failed(&error))?;
    let settings = &project.settings;
    let shown = |path: &Path| path.display().to_string();
    let mut words = vec![shown(&program), "-C".to_owned(), shown(&settings.directory)];
    if !settings.discovered {
        let file = settings.directory.join(&settings.source.name);
        words.extend(["--config".to_owned(), shown(&file)]);
    }
    if let Some(environment) = &settings.environment_name {
        words.extend(["--environment".to_owned(), environment.clone()]);
    }
    words.extend(["--output", "plain"].map(str::to_owned));
    Ok(words)
}

type Done = Result<(Option<DrillResult>, ExitCode), Refusal>;

/// Drills one fault, as a run of this process.
fn once(fault: &'static Fault, asked: &Drill, project: &mut Project, session: &Session) -> Done {
    let probes = project.settings.probes.clone();
    let expected = std::mem::take(&mut project.settings.verify.expect_change);
    if !asked.command.is_empty() {
        project.settings.verify.expect_change.clone_from(&expected);
    }
    let done = in_this_process(fault, asked, project, session);
    project.settings.probes = probes;
    project.settings.verify.expect_change = expected;
    project.detours.clear();
    done
}

fn in_this_process(fault: &'static Fault, asked: &Drill, project: &mut Project, session: &Session) -> Done {
    if !session.is_program {
        return Err(Refusal::new(
            ExitCode::REFUSED,
            "a drill is done by the program, and not from another one",
        ));
    }
    let mut command = ourselves(project)?;
    command.extend(["--quiet", WORD, inject::WORD, "--"].map(str::to_owned));
    command.extend(asked.command.iter().cloned());
    if asked.command.is_empty() && project.strategy()?.moves_traffic() {
        let refusal = Refusal::new(
            ExitCode::USAGE,
            "a drill of two sides needs a deploy command, which brings the idle side up",
        );
        return Err(refusal.because(format!(
            "write it behind dashes: `{} drill -- ./scripts/deploy.sh`",
            session.style.program
        )));
    }
    let _lock = locks::begin(project, "guard drill")?;
    preconditions::refuse_unfinished(project, &session.style.program)?;
    let resources = project.resources()?;
    let checked = if asked.command.is_empty() {
        &command
    } else {
        &asked.command
    };
    inspection::refuse_obstacles(project, &resources, Some(checked))?;
    let _held = locks::resources(project, &resources, Duration::ZERO)?;
    let (timestamp, run) = claim_backup(RunKind::Deploy, project)?;
    let mut record = DrillRecord {
        fault: fault.name.to_owned(),
        within: asked.within.unwrap_or(WITHIN),
        ignored: asked.ignore.clone(),
        agents: Vec::new(),
        acts: Vec::new(),
        injected_at: None,
        done: None,
    };
    let prepared = prepare(fault, &mut record, &run, &resources, project);
    let description = format!("drill: {}", fault.name);
    project.cx.note(Level::Info, format!("{description}: {}", fault.about));
    let outcome = prepared.and_then(|()| {
        let plan = plan::deploy(
            timestamp,
            &places(&resources),
            !project.settings.verify.commands.is_empty(),
            project.strategy()?.moves_traffic(),
            policy(fault, project),
            command,
        );
        let new = NewRun {
            plan,
            reason: Some(description.clone()),
            description: Some(description),
            resources,
            undoing: Vec::new(),
            adopting: std::collections::BTreeMap::new(),
        };
        start(new, &run, project, session)
    });
    if outcome.is_err() && !matches!(run.state(), Ok(guard_journal::State::Open)) {
        // The run never began: nobody comes who would take this away.
        let _started = end(&run.directory, &record, &project.cx);
    }
    let exit = outcome?;
    let result = record::result_of(&run.directory).map_err(|error| Refusal::of_error(exit, &error))?;
    Ok((result, exit))
}

/// Counts what there is, and has the probes ask through proxies where the fault needs that; all of it written down first.
fn prepare(
    fault: &Fault,
    record: &mut DrillRecord,
    run: &Run,
    resources: &[Owned],
    project: &mut Project,
) -> Result<(), Refusal> {
    let failed = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::REFUSED, error);
    record.write(&run.directory).map_err(|error| failed(&error))?;
    let mut counts = Counts::default();
    counts.take(
        resources.iter().map(|owned| &owned.resource),
        (None, &record.ignored),
        &project.cx,
    );
    for (name, why) in &counts.not_counted {
        project
            .cx
            .note(Level::Warn, format!("{name} is not compared in this drill: {why}"));
    }
    if counts.found.is_empty() {
        let refusal = Refusal::new(
            ExitCode::REFUSED,
            "nothing could be counted, so nothing would be proven",
        );
        let why = counts.not_counted.iter().map(|(name, why)| format!("{name}: {why}"));
        return Err(why.fold(refusal, Refusal::because));
    }
    counts
        .keep(When::Before, &run.directory)
        .map_err(|error| failed(&error))?;
    if !matches!(fault.name, "http-errors" | "http-slow") {
        return Ok(());
    }
    for (probe, url) in target::proxied(project) {
        let (agent, port) =
            agents::start(&run.directory, "proxy", &[url.to_string()]).map_err(|error| failed(&error))?;
        record.agents.push(agent.clone());
        record.write(&run.directory).map_err(|error| failed(&error))?;
        let mut own = url.clone();
        let is_set = own.set_host(Some("127.0.0.1")).is_ok() && own.set_port(port.parse().ok()).is_ok();
        if !is_set {
            return Err(Refusal::new(
                ExitCode::REFUSED,
                format!("no proxy can stand before the probe {probe}"),
            ));
        }
        let url = own.to_string();
        project.detours.insert(probe, Through { url, agent });
    }
    detour(&mut project.settings, &project.detours);
    Ok(())
}

/// Drills a fault that kills guard: in a process of its own, whose run is finished by its watcher, or by this one.
fn killed(fault: &'static Fault, asked: &Drill, project: &Project, session: &Session) -> Done {
    let mut words = ourselves(project)?;
    words.extend(["drill", "--alone", "--fault", fault.name].map(str::to_owned));
    if let Some(within) = asked.within {
        words.extend(["--within".to_owned(), format!("{}ms", within.as_millis())]);
    }
    for ignored in &asked.ignore {
        words.extend(["--ignore".to_owned(), ignored.clone()]);
    }
    if asked.standby.no_watcher {
        words.push("--no-watcher".to_owned());
    }
    words.push("--".to_owned());
    words.extend(asked.command.iter().cloned());
    let Some(call) = Call::of_words(&words) else {
        return Err(Refusal::new(ExitCode::BUG, "there are no words"));
    };
    let before = newest(project)?;
    let voice = &project.cx;
    let mut rest = String::new();
    let ran = voice.stream(&call.in_our_group().merged(), &mut |bytes: &[u8]| {
        rest.push_str(&String::from_utf8_lossy(bytes));
        while let Some((line, more)) = rest
            .split_once('\n')
            .map(|(line, more)| (line.to_owned(), more.to_owned()))
        {
            voice.note(Level::Info, line);
            rest = more;
        }
        Ok(())
    });
    let ran = ran.map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
    let Some(run) = newest(project)?.filter(|run| before.as_ref().is_none_or(|before| before.id != run.id)) else {
        let code = ran.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(70);
        return Err(Refusal::new(exit(code), "the drill could not be begun; see above"));
    };
    project.cx.note(
        Level::Info,
        format!("the guard of {} has ended ({})", run.id, ran.exit()),
    );
    until_finished(&run, project, session)?;
    let result = record::result_of(&run.directory).map_err(|error| Refusal::of_error(ExitCode::CUT_OFF, &error))?;
    let code = result.as_ref().map(|result| exit(result.exit));
    let ending = run.state().ok().and_then(|state| match state {
        guard_journal::State::Closed(ending) => Some(ending.exit_code()),
        _ => None,
    });
    Ok((result, code.or(ending).unwrap_or(ExitCode::CUT_OFF)))
}

fn newest(project: &Project) -> Result<Option<Run>, Refusal> {
    project
        .runs
        .newest()
        .map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))
}

/// Waits for the watcher of a run, and finishes what nobody finishes.
fn until_finished(run: &Run, project: &Project, session: &Session) -> Result<(), Refusal> {
    let mut alone_since = None;
    while remaining(run)?.is_some() {
        let now = project.cx.clock.steady();
        let is_watched = watchdog::process_of(run).is_some();
        // A watcher that goes on stands by no more, and has not locked yet.
        let since = *alone_since.get_or_insert(now);
        let grace = if project.settings.watcher {
            GRACE
        } else {
            Duration::ZERO
        };
        if is_watched {
            alone_since = None;
        } else if now.saturating_sub(since) >= grace {
            match locks::begin(project, "guard drill") {
                Ok(_lock) => {
                    if let Some(left) = remaining(run)? {
                        project
                            .cx
                            .note(Level::Info, "nobody stands by: the drill finishes the run itself");
                        let as_begun = as_begun(run, project, session)?;
                        take_over(run, left, &as_begun, session)?;
                    }
                    return Ok(());
                }
                // The watcher is at it.
                Err(refusal) if refusal.exit == ExitCode::LOCKED => {}
                Err(refusal) => return Err(refusal),
            }
        }
        project.cx.clock.sleep(TICK);
    }
    Ok(())
}

fn as_begun(run: &Run, project: &Project, session: &Session) -> Result<Project, Refusal> {
    let settings = RunSettings::read(run)?
        .ok_or_else(|| Refusal::new(ExitCode::CUT_OFF, "the run has no request.json to be finished by"))?;
    let place = Place {
        directory: &project.settings.directory,
        state_dir: &project.settings.state_dir,
        backup_dir: &project.settings.backup_dir,
    };
    settings.project(&place, &Flags::new(), session)
}

/// The catalogue, as it is here.
fn list(project: &Project, resources: &[Owned], session: &Session) -> Outcome {
    let all = book::all(&project.state).map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
    let now = project.cx.clock.now();
    let mut table = Table::new(["fault", "kind", "what is done", "here", "last drill"]);
    let mut values = Vec::new();
    for fault in FAULTS {
        let here = possible(fault, project, resources);
        let last = all.iter().rev().find(|drill| drill.fault == fault.name);
        let told = last.map_or_else(
            || "never".to_owned(),
            |drill| {
                let outcome = if drill.passed { "passed" } else { "FAILED" };
                let rto = drill
                    .rto
                    .map(|rto| format!(", RTO {}", book::seconds(rto)))
                    .unwrap_or_default();
                format!("{}: {outcome}{rto}", book::ago(drill.at, now))
            },
        );
        values.push(
            json!({ "fault": fault.name, "kind": fault.kind, "about": fault.about, "proves": fault.proves,
            "possible": here.is_ok(), "why_not": here.as_ref().err(), "last": last }),
        );
        let cells = [fault.name, fault.kind.as_str(), fault.about].map(str::to_owned);
        let [name, kind, about] = cells;
        let here = here.err().map_or_else(|| "yes".to_owned(), |why| format!("no: {why}"));
        table = table.row([name, kind, about, here, told]);
    }
    if session.style.json {
        return Ok(session.answer(json!({ "marked": project.settings.drill, "faults": values })));
    }
    session.reporter.data(table.render(Some(width_of_stdout())));
    if !project.settings.drill {
        project
            .cx
            .note(Level::Info, "drills are refused here until `drill = true` is set");
    }
    Ok(ExitCode::DONE)
}
