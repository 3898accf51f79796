//! The time that a CI job has: where it ends before the watch can, that is said before, and not found out by the kill.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::project::Project;
use guard_model::event::Level;
use guard_model::text;
use guard_system::environment::Environment;

/// How much of the job's time a way back may need behind the watch. A guess.
const WAY_BACK: Duration = Duration::from_mins(2);

/// How long the job may still take. GitLab tells it; elsewhere the settings may, counted from the beginning of guard.
#[must_use]
fn left(
    environment: &Environment,
    set: Option<Duration>,
    since_begun: Duration,
    now: DateTime<Utc>,
) -> Option<Duration> {
    if let Some(limit) = set {
        return Some(limit.saturating_sub(since_begun));
    }
    let limit: u64 = environment.text("CI_JOB_TIMEOUT")?.parse().ok()?;
    let begun = environment.text("CI_JOB_STARTED_AT")?;
    let begun = DateTime::parse_from_rfc3339(begun).ok()?.with_timezone(&Utc);
    let gone = (now - begun).to_std().unwrap_or_default();
    Some(Duration::from_secs(limit).saturating_sub(gone))
}

/// Warns where the watch, and the way back behind it, do not fit into what is left of the job.
pub fn warn(project: &Project) {
    let cx = &project.cx;
    let since_begun = cx.clock.steady();
    let Some(left) = left(&cx.environment, project.settings.job_time, since_begun, cx.clock.now()) else {
        return;
    };
    let window = project.rule().window;
    let shown = |span| text::duration(span);
    let what = if left < window {
        format!(
            "the watch takes {}, and the job's time ends in {}",
            shown(window),
            shown(left)
        )
    } else if left < window + WAY_BACK {
        format!(
            "the job's time ends in {}: behind the watch of {} nothing is left for a way back",
            shown(left),
            shown(window)
        )
    } else {
        return;
    };
    let then = if project.settings.watcher {
        "when the job is cut off, the watcher goes on with the run, as long as this machine is there"
    } else {
        "when the job is cut off, `guard resume` has to be typed, since there is no watcher"
    };
    let note = format!("{what}; {then}. Give the job more time, or the watch less (--monitor-duration)");
    cx.note(Level::Warn, note);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_job_is_what_the_runner_or_the_settings_say() {
        let now = DateTime::parse_from_rfc3339("2025-10-22T15:40:00Z")
            .unwrap()
            .with_timezone(&Utc);
        let gitlab = [
            ("CI_JOB_TIMEOUT", "3600"),
            ("CI_JOB_STARTED_AT", "2025-10-22T17:30:00+02:00"),
        ];
        let gitlab = Environment::of_pairs(gitlab);
        let minutes = Duration::from_mins;
        assert_eq!(left(&gitlab, None, minutes(3), now), Some(minutes(50)));
        assert_eq!(left(&gitlab, Some(minutes(5)), minutes(3), now), Some(minutes(2)));
        assert_eq!(left(&gitlab, Some(minutes(5)), minutes(9), now), Some(Duration::ZERO));
        assert_eq!(left(&Environment::default(), None, minutes(3), now), None);
        let odd = Environment::of_pairs([("CI_JOB_TIMEOUT", "1h"), ("CI_JOB_STARTED_AT", "today")]);
        assert_eq!(left(&odd, None, minutes(3), now), None);
    }
}
