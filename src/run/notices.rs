//! The notices of a run: a sender hears its facts, and tells those outside of each turn that it takes, once.

use std::sync::{Arc, Mutex, PoisonError};

use crate::outcome::Refusal;
use crate::project::Project;
use guard_journal::Run;
use guard_model::event::{Audience, Event, Voice};
use guard_model::fact::{Ending, Fact, Record, RollbackCause};
use guard_model::name::{RunId, RunKind};
use guard_model::notice::{Notice, Occasion, Severity};
use guard_model::policy::OnFailure;
use guard_notify::Notifier;
use guard_report::closing::{Closing, reason};
use guard_report::run_view::RunView;
use guard_system::context::Context;
use guard_system::privilege;

/// Tells of one run.
#[derive(Clone)]
pub struct NoticeSender(Arc<Inner>);

struct Inner {
    notifier: Notifier,
    next: Voice,
    view: Mutex<RunView>,
    header: NoticeHeader,
    program: String,
}

/// What every notice of a project says of itself.
#[derive(Clone)]
pub struct NoticeHeader {
    project: String,
    environment: Option<String>,
    host: String,
    run: Option<RunId>,
}

impl NoticeHeader {
    /// The header of this project, and of a run where the notice is about one.
    #[must_use]
    pub fn of(project: &Project, run: Option<&Run>) -> Self {
        Self {
            project: project.settings.project.clone(),
            environment: project.settings.environment_name.clone(),
            host: privilege::host_name(),
            run: run.map(|run| run.id.clone()),
        }
    }

    /// A notice below this header.
    #[must_use]
    pub fn notice(
        &self,
        occasion: Occasion,
        severity: Severity,
        cx: &Context,
        title: String,
        lines: Vec<String>,
    ) -> Notice {
        let word = serde_json::to_value(occasion).unwrap_or_default();
        let run = self.run.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
        Notice {
            id: format!("{run}/{}", word.as_str().unwrap_or_default()),
            occasion,
            severity,
            at: cx.clock.now(),
            project: self.project.clone(),
            environment: self.environment.clone(),
            host: self.host.clone(),
            run: self.run.clone(),
            title,
            lines,
        }
    }
}

impl NoticeSender {
    /// A sender for this run; `before` is what an earlier process has recorded, and told, of it.
    ///
    /// # Errors
    /// A target's table is wrong.
    pub fn new(run: &Run, cx: &Context, before: &[Record], project: &Project, program: &str) -> Result<Self, Refusal> {
        Ok(Self(Arc::new(Inner {
            notifier: Notifier::new(project.targets()?, cx.clone(), project.runtime.clone()),
            next: project.cx.voice.clone(),
            view: Mutex::new(RunView::of(before)),
            header: NoticeHeader::of(project, Some(run)),
            program: program.to_owned(),
        })))
    }

    /// The voice of the run: whoever listened before hears everything, and the sender the facts.
    #[must_use]
    pub fn voice(&self) -> Voice {
        let listener: Arc<dyn Audience> = self.0.clone();
        Voice::new(listener)
    }

    /// Tells that the run stopped where a person has to go on, without an ending of its own.
    pub fn needs_person(&self, refusal: &Refusal) {
        let production = refusal
            .exit
            .meaning()
            .map_or("as the journal says", |meaning| meaning.production);
        let mut lines = refusal.account.why.clone();
        lines.push(format!(
            "Production is {production} (exit code {}).",
            refusal.exit.number()
        ));
        lines.extend(
            refusal
                .account
                .next
                .iter()
                .map(|next| format!("{}: {}", next.purpose, next.command)),
        );
        let title = format!("A person is needed: {}", refusal.account.failed);
        self.0.tell(Occasion::NeedsPerson, Severity::Critical, title, lines);
    }

    /// Waits, for seconds at most, until everybody was told or given up.
    pub fn drain(&self) {
        self.0.notifier.settle();
    }
}

impl Inner {
    fn tell(&self, occasion: Occasion, severity: Severity, title: String, lines: Vec<String>) {
        let notice = self
            .header
            .notice(occasion, severity, self.notifier.context(), title, lines);
        self.notifier.tell(&notice);
    }

    fn hear(&self, record: &Record) {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.take(record);
        let Some(plan) = view.opened.as_ref().map(|opened| &opened.plan) else {
            return;
        };
        match &record.fact {
            Fact::Opened { reason, .. } if plan.kind != RunKind::Backup => {
                let what = match plan.kind {
                    RunKind::Deploy => "A deployment began",
                    RunKind::Undo => "The last rollback is being undone",
                    _ => "A rollback by hand began",
                };
                self.tell(
                    Occasion::Began,
                    Severity::Info,
                    what.to_owned(),
                    reason.iter().cloned().collect(),
                );
            }
            // A release that is left where it is turns nowhere; the run's last words say so at once.
            Fact::RollbackBegan { why, then }
                if *why != RollbackCause::Asked && *then != Some(OnFailure::Hold) && plan.kind != RunKind::Backup =>
            {
                let cause = view.cause().map(|stage_failure| stage_failure.failure.sentence());
                let title = format!("{}: turning back", reason(*why));
                self.tell(
                    Occasion::TurnedBack,
                    Severity::Warning,
                    title,
                    cause.into_iter().collect(),
                );
            }
            Fact::Closed { ending, .. } => {
                if let Some((occasion, severity)) = weight(*ending, plan.kind) {
                    let closing = Closing::of(&view, *ending, &self.program);
                    let account = closing.account(&view, *ending);
                    let mut lines = if ending.is_good() { Vec::new() } else { account.why };
                    lines.push(format!(
                        "Production is {} (exit code {}).",
                        closing.production,
                        closing.code.number()
                    ));
                    lines.extend(
                        closing
                            .next
                            .iter()
                            .map(|next| format!("{}: {}", next.purpose, next.command)),
                    );
                    self.tell(occasion, severity, closing.sentence, lines);
                }
            }
            _ => {}
        }
    }
}

impl Audience for Inner {
    fn tell(&self, event: &Event) {
        self.next.tell(event);
        match event {
            Event::Fact { record, .. } => self.hear(record),
            Event::Alert { rule, severity, text } => {
                let (title, lines) = (format!("{rule} holds"), vec![text.clone()]);
                let cx = self.notifier.context();
                let mut notice = self.header.notice(Occasion::Alert, *severity, cx, title, lines);
                // Alerts come more than once.
                notice.id = format!("{}/{rule}/{}", notice.id, notice.at.timestamp_millis());
                self.notifier.tell(&notice);
            }
            _ => {}
        }
    }
}

/// What an ending is to those outside; `None`: nothing.
fn weight(ending: Ending, kind: RunKind) -> Option<(Occasion, Severity)> {
    Some(match ending {
        Ending::Captured => return None,
        Ending::Deployed => (Occasion::Kept, Severity::Info),
        Ending::RolledBack(RollbackCause::Asked) | Ending::NothingToUndo(RollbackCause::Asked) => {
            (Occasion::RolledBack, Severity::Info)
        }
        Ending::RolledBack(_) | Ending::NothingToUndo(_) => (Occasion::RolledBack, Severity::Warning),
        Ending::Untouched(RollbackCause::Interrupted) if kind == RunKind::Backup => return None,
        Ending::Untouched(_) | Ending::Unprepared(_) => (Occasion::Untouched, Severity::Warning),
        Ending::Inconclusive | Ending::Abandoned => (Occasion::NeedsPerson, Severity::Warning),
        Ending::Withheld(_) | Ending::Unready(_) | Ending::RestoredUnhealthy(_) | Ending::Stuck(_) => {
            (Occasion::NeedsPerson, Severity::Critical)
        }
    })
}
