//! Which outage right behind the start of a release is excused, and for how long.

use guard_model::health::Rule;

/// The first outage that begins within so many seconds of the gate is excused: caches fill, leaders are elected. In a short
/// window it is a tenth of that. Guesses; what they leave alone is M6 of docs/watching.md: a start of up to 55 s, and a restart
/// of 28 s behind it.
const EXCUSED_WITHIN: f64 = 60.0;

/// It is excused for so many seconds; in a short window a twentieth of that.
const EXCUSED_FOR: f64 = 30.0;

/// How long an early outage is excused, in seconds: it must not outlast the window that it is judged in.
pub(super) fn excused_for(rule: &Rule) -> f64 {
    EXCUSED_FOR.min(rule.window.as_secs_f64() / 20.0)
}

/// Whether an outage that begins at `begun` is early enough to be excused, where the gate was passed at `opened`.
pub(super) fn is_early(begun: f64, opened: f64, rule: &Rule) -> bool {
    begun - opened <= EXCUSED_WITHIN.min(rule.window.as_secs_f64() / 10.0)
}
