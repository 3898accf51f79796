//! Production watched as it is, for a while or until somebody stops it: told, measured, shown.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use crate::commands::watch::shared::{Shared, locked};
use crate::commands::watch::{overview, serve};
use guard_engine::steps::{Errands, Monitor, READINGS, WATCHES};
use guard_model::event::{Audience, Event, Level, Voice};
use guard_model::exit::ExitCode;
use guard_model::health::{Started, Verdict};
use guard_model::notice::{Occasion, Severity};
use guard_model::text::duration;
use guard_notify::Notifier;
use guard_report::board::Board;
use guard_report::metrics::metrics;
use guard_run::notices::NoticeHeader;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::Watch;
use guard_run::service_choice::of_services;
use guard_run::session::Session;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::lock::Lock;
use guard_system::supervisor::Supervisor;

/// Readings are kept up to so many bytes, then begun anew.
const MOST_KEPT: u64 = 64 * 1024 * 1024;
/// How often figures are written.
const PAUSE: Duration = Duration::from_secs(5);
/// Nobody answers for so long: the watch itself hangs, and the supervisor may end it.
const SILENT: i64 = 120;

/// Hears what is told, writes it on the board, and passes it on.
struct Scribe {
    next: Voice,
    board: Shared,
    notifier: Notifier,
    header: NoticeHeader,
}

impl Audience for Scribe {
    fn tell(&self, event: &Event) {
        self.next.tell(event);
        match event {
            Event::Reading(reading) => locked(&self.board).take(reading),
            Event::Alert { rule, severity, text } => {
                let title = format!("{rule} holds");
                self.report(Occasion::Alert, *severity, title, vec![text.clone()]);
            }
            _ => {}
        }
    }
}

impl Scribe {
    fn report(&self, occasion: Occasion, severity: Severity, title: String, lines: Vec<String>) {
        let cx = self.notifier.context();
        locked(&self.board).event(
            cx.clock.now(),
            std::iter::once(&title)
                .chain(&lines)
                .cloned()
                .collect::<Vec<_>>()
                .join(": "),
        );
        let mut notice = self.header.notice(occasion, severity, cx, title, lines);
        notice.id = format!("watch/{}/{}", notice.id, notice.at.timestamp_millis());
        self.notifier.tell(&notice);
    }
}

/// Watches.
///
/// # Errors
/// Production was found not well within the time that was asked for, or nothing could be watched.
pub(super) fn live(asked: &Watch, project: &Project, session: &Session) -> Outcome {
    let monitor = Monitor {
        probes: of_services(project.probes()?, &asked.service, project)?,
        rule: project.rule(),
        rules: project.rules()?,
        project: project.compose.as_ref().map(|compose| compose.project.clone()),
        units: project.services().units(),
        runtime: project.runtime.clone(),
        errands: Errands::default(),
        starts: Vec::new(),
        started: Started::default(),
        hears: false,
    };
    if monitor.probes.is_empty() {
        let refusal = Refusal::new(ExitCode::USAGE, "there is nothing to watch: the settings have no probe");
        return Err(refusal.because("add `[probes.NAME]`, or `--health-url URL`"));
    }
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::REFUSED, error);
    let scratch = project.state.join("watch");
    disk::create_private_dir(&scratch).map_err(|error| refused(&error))?;
    let board: Shared = Arc::new(Mutex::new(Board::new(
        &project.settings.project,
        project.cx.clock.now(),
    )));
    let mut cx = project.cx.clone();
    cx.scratch = scratch;
    let scribe = Arc::new(Scribe {
        next: project.cx.voice.clone(),
        board: Arc::clone(&board),
        notifier: Notifier::new(project.targets()?, cx.clone(), session.runtime.clone()),
        header: NoticeHeader::of(project, None),
    });
    let audience: Arc<dyn Audience> = scribe.clone();
    cx.voice = Voice::new(audience);
    let supervisor = Arc::new(Supervisor::of(&cx.environment));
    if asked.listen.is_some() || asked.metrics_file.is_some() {
        overview::follow(project, &board, &session.style.program)?;
    }
    if let Some(address) = asked.listen {
        let bound =
            serve::serve(address, &board, &project.runtime).map_err(|why| Refusal::new(ExitCode::USAGE, why))?;
        cx.note(
            Level::Info,
            format!("http://{bound}/ shows the watch, http://{bound}/metrics its figures"),
        );
    }
    attend(
        &supervisor,
        &board,
        asked.metrics_file.as_deref(),
        &cx,
        &project.runtime,
    );
    cx.note(
        Level::Info,
        guard_watch::words(&monitor.rule).replacen("rolls back", "finds production not well", 1),
    );
    supervisor.ready();
    let outcome = rounds(
        asked.duration.is_some(),
        &monitor,
        &scribe,
        &supervisor,
        &project.state,
        &cx,
    );
    supervisor.stopping();
    if let Some(path) = &asked.metrics_file {
        write_metrics(&cx.resolve(path), &board, &cx);
    }
    monitor.errands.settle();
    scribe.notifier.settle();
    match outcome {
        Ok(()) if session.style.json => Ok(session.answer(json!({ "outcome": "well" }))),
        Ok(()) => Ok(ExitCode::DONE),
        Err(refusal) => Err(refusal),
    }
}

/// Watches window after window, until something ends it.
fn rounds(
    is_limited: bool,
    monitor: &Monitor,
    scribe: &Scribe,
    supervisor: &Supervisor,
    state: &Path,
    cx: &Context,
) -> Result<(), Refusal> {
    loop {
        supervisor.status("production is well");
        let watched = monitor.watch(cx);
        let sentence = match watched {
            Err(failure) if failure.interrupted && !is_limited => return Ok(()),
            Err(failure) if failure.interrupted => {
                return Err(Refusal::new(
                    ExitCode::INTERRUPTED_EARLY,
                    "the watch was interrupted before its time was over",
                ));
            }
            Err(failure) => return Err(Refusal::of_failure(ExitCode::REFUSED, &failure)),
            Ok((Verdict::Bad(finding), _)) => finding.sentence,
            Ok((Verdict::Inconclusive(why), _)) if is_limited => {
                return Err(Refusal::new(
                    ExitCode::REFUSED,
                    format!("whether production is well is not known: {why}"),
                ));
            }
            Ok((Verdict::Inconclusive(why), _)) => {
                cx.note(Level::Warn, format!("whether production is well is not known: {why}"));
                continue;
            }
            Ok(_) if is_limited => {
                cx.note(
                    Level::Info,
                    format!("production was well for {}", duration(monitor.rule.window)),
                );
                return Ok(());
            }
            Ok(_) => {
                tidy(cx);
                continue;
            }
        };
        supervisor.status(&format!("production is not well: {sentence}"));
        {
            let mut board = locked(&scribe.board);
            board.trouble = Some(sentence.clone());
            board.findings += 1;
        }
        // While guard itself deploys, its own watch says what there is to say.
        let is_deploying = matches!(Lock::holder(&state.join("lock")), Ok(Some(_)));
        if !is_deploying {
            scribe.report(
                Occasion::Unwell,
                Severity::Critical,
                "Production is not well".to_owned(),
                vec![sentence.clone()],
            );
        }
        if is_limited {
            return Err(Refusal::new(ExitCode::REFUSED, "production is not well").because(sentence));
        }
        cx.note(Level::Error, format!("production is not well: {sentence}"));
        if !await_well(monitor, cx)? {
            return Ok(());
        }
        locked(&scribe.board).trouble = None;
        cx.note(Level::Info, "production is well again");
        if !is_deploying {
            scribe.report(
                Occasion::Well,
                Severity::Info,
                "Production is well again".to_owned(),
                Vec::new(),
            );
        }
    }
}

/// Waits until production is well again; says whether it is, or somebody stopped the watch.
fn await_well(monitor: &Monitor, cx: &Context) -> Result<bool, Refusal> {
    loop {
        match monitor.await_well(Duration::from_hours(1), cx) {
            Ok(true) => return Ok(true),
            Ok(false) => tidy(cx),
            Err(failure) if failure.interrupted => return Ok(false),
            Err(failure) => return Err(Refusal::of_failure(ExitCode::REFUSED, &failure)),
        }
    }
}

/// Begins the files of readings anew where they have grown too large.
fn tidy(cx: &Context) {
    let path = cx.scratch.join(READINGS);
    if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > MOST_KEPT) {
        for name in [READINGS, WATCHES] {
            if let Err(error) = disk::remove_file(&cx.scratch.join(name)) {
                cx.note(Level::Warn, format!("the readings grow on: {error}"));
            }
        }
    }
}

/// Tells the supervisor that the watch is alive, as long as answers come, and writes the figures, both in the background.
fn attend(
    supervisor: &Arc<Supervisor>,
    board: &Shared,
    metrics_file: Option<&Path>,
    cx: &Context,
    runtime: &tokio::runtime::Handle,
) {
    if let Some(rhythm) = supervisor.rhythm() {
        let (supervisor, board, clock) = (Arc::clone(supervisor), Arc::clone(board), Arc::clone(&cx.clock));
        runtime.spawn(async move {
            loop {
                let last = {
                    let board = locked(&board);
                    board.last.unwrap_or(board.begun)
                };
                if (clock.now() - last).num_seconds() < SILENT {
                    supervisor.alive();
                }
                tokio::time::sleep(rhythm).await;
            }
        });
    }
    if let Some(path) = metrics_file {
        let (path, board, cx) = (cx.resolve(path), Arc::clone(board), cx.clone());
        runtime.spawn(async move {
            loop {
                write_metrics(&path, &board, &cx);
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
}

/// Writes the figures, for whoever collects them: they hold no secrets and may be read by everybody.
fn write_metrics(path: &Path, board: &Shared, cx: &Context) {
    use std::os::unix::fs::PermissionsExt;
    let text = metrics(&locked(board));
    let written = disk::write_whole(path, text.as_bytes()).map_err(|error| error.to_string());
    let opened = written.and_then(|()| {
        let everybody = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(path, everybody).map_err(|error| error.to_string())
    });
    if let Err(why) = opened {
        cx.note(Level::Warn, format!("the figures could not be written: {why}"));
    }
}
