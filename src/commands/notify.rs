//! `guard notify`: a test notice to everybody who is told of runs.

use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::notice::{Occasion, Severity};
use guard_notify::Notifier;
use guard_run::notices::NoticeHeader;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::Notify;

/// `guard notify`: a test notice to everybody, and what came of it.
///
/// # Errors
/// Nobody is to be told, or somebody could not be.
pub(super) fn test(asked: &Notify, project: &Project) -> Outcome {
    let targets = project.targets()?;
    if targets.is_empty() {
        let refusal = Refusal::new(
            ExitCode::REFUSED,
            "nobody is to be told: the settings have no `[notify.NAME]`",
        );
        return Err(refusal.because("docs/configuration.md shows one of each kind"));
    }
    let severity = match asked.severity.as_str() {
        "info" => Severity::Info,
        "warning" => Severity::Warning,
        _ => Severity::Critical,
    };
    let notifier = Notifier::new(targets, project.cx.clone(), project.runtime.clone());
    let who = format!("sent by {}", project.actor.user);
    let title = "A test: notices of guard arrive here".to_owned();
    let notice = NoticeHeader::of(project, None).notice(Occasion::Test, severity, &project.cx, title, vec![who]);
    notifier.tell(&notice);
    notifier.settle();
    let (told, missed) = notifier.counts();
    if missed > 0 {
        return Err(Refusal::new(
            ExitCode::REFUSED,
            format!("{missed} of {} could not be told", told + missed),
        ));
    }
    project.cx.note(Level::Info, format!("{told} told; none missed"));
    Ok(ExitCode::DONE)
}
