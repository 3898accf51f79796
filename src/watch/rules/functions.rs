//! The functions that a rule can ask, one table: their names, what they take, what they give.

use super::question::{Ask, Type};

/// What a function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// A probe's name, in quotes.
    Probe,
    /// A span of time that is written out: `5m`.
    Span,
    /// A number of minutes that is written out, as older rules have it.
    Minutes,
}

/// A function.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// What it takes, in order.
    pub takes: &'static [Takes],
    /// What it gives.
    pub(super) gives: Type,
    /// What is asked.
    pub(super) ask: Ask,
    /// Whether `.value` stands behind it, as in older rules.
    pub(super) has_value: bool,
    /// What it is, in a few words.
    pub about: &'static str,
}

const fn function(name: &'static str, takes: &'static [Takes], gives: Type, ask: Ask, about: &'static str) -> Function {
    Function {
        name,
        takes,
        gives,
        ask,
        has_value: false,
        about,
    }
}

/// All of them.
pub const FUNCTIONS: &[Function] = &[
    function(
        "failures",
        &[Takes::Probe, Takes::Span],
        Type::Number,
        Ask::Failures,
        "how many readings failed within a span",
    ),
    function(
        "streak",
        &[Takes::Probe],
        Type::Number,
        Ask::Streak,
        "how many readings in a row have failed up to now",
    ),
    function(
        "outage",
        &[Takes::Probe],
        Type::Span,
        Ask::Outage,
        "for how long they have",
    ),
    function(
        "rate",
        &[Takes::Probe, Takes::Span],
        Type::Number,
        Ask::Rate,
        "the share of readings within a span that failed",
    ),
    function(
        "latency",
        &[Takes::Probe, Takes::Span],
        Type::Span,
        Ask::Latency,
        "the median time that good answers took within a span",
    ),
    function(
        "baseline",
        &[Takes::Probe],
        Type::Span,
        Ask::Baseline,
        "the same from before the deployment",
    ),
    function(
        "metric",
        &[Takes::Probe],
        Type::Number,
        Ask::Metric,
        "the number that a command, prometheus or log probe told last; of a host probe, `metric('NAME.disk')`, .cpu or .memory",
    ),
    function(
        "log_errors",
        &[Takes::Probe],
        Type::Number,
        Ask::Metric,
        "the errors that a log probe counted in the last minute",
    ),
    function(
        "restarts",
        &[Takes::Probe, Takes::Span],
        Type::Number,
        Ask::Restarts,
        "how many readings of a container probe saw a restart within a span",
    ),
    function(
        "elapsed",
        &[],
        Type::Span,
        Ask::Elapsed,
        "the time since the release came up",
    ),
    function(
        "get_failure_count",
        &[Takes::Probe, Takes::Minutes],
        Type::Number,
        Ask::Failures,
        "the older name of failures, with minutes as a number",
    ),
    Function {
        has_value: true,
        ..function(
            "get_latest_metric",
            &[Takes::Probe],
            Type::Number,
            Ask::Metric,
            "the older name of metric, with .value behind it",
        )
    },
];
