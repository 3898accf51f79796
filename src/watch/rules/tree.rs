//! A condition as a tree, and its value over what was seen. What was not seen is unknown, and unknown is not true.

use super::question::{Call, Type};
use super::signals::Signals;
use guard_model::name::ProbeName;

/// What stands between two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    And,
    Or,
    Least,
    Most,
    Over,
    Under,
    Same,
    Differs,
    Plus,
    Minus,
    Times,
    By,
}

/// A condition, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr(pub(super) Node);

/// Every number and span is an `f64`, spans in seconds; truth is 1 and 0. The types are checked when it is made.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Constant(f64),
    Call(Call),
    Not(Box<Node>),
    Negative(Box<Node>),
    Two(Sign, Box<Node>, Box<Node>),
}

impl Expr {
    /// Whether it holds; `None`: nobody can see.
    pub(super) fn holds(&self, signals: &Signals) -> Option<bool> {
        self.0.value(signals).map(|value| value != 0.0)
    }

    /// Its questions with their answers: `failures('web', 5m) = 4, elapsed() = 61 s`.
    pub(super) fn seen(&self, signals: &Signals) -> String {
        let shown: Vec<String> = self
            .calls()
            .iter()
            .map(|call| {
                let value = signals.answer(call).map_or_else(
                    || "unknown".to_owned(),
                    |value| match call.gives {
                        Type::Span if value < 1.0 => format!("{:.0} ms", value * 1000.0),
                        Type::Span => format!("{value:.0} s"),
                        _ => ((value * 1000.0).round() / 1000.0).to_string(),
                    },
                );
                format!("{} = {value}", call.text)
            })
            .collect();
        shown.join(", ")
    }

    /// The first probe that it asks about.
    pub(super) fn probe(&self) -> Option<&ProbeName> {
        self.calls().into_iter().find_map(|call| call.probe.as_ref())
    }

    /// The longest span that it looks back, in seconds.
    pub(super) fn reach(&self) -> f64 {
        self.calls().iter().map(|call| call.span).fold(0.0, f64::max)
    }

    fn calls(&self) -> Vec<&Call> {
        let mut found = Vec::new();
        self.0.collect(&mut found);
        found
    }
}

impl Node {
    fn collect<'n>(&'n self, found: &mut Vec<&'n Call>) {
        match self {
            Self::Constant(_) => {}
            Self::Call(call) => found.push(call),
            Self::Not(inner) | Self::Negative(inner) => inner.collect(found),
            Self::Two(_, left, right) => {
                left.collect(found);
                right.collect(found);
            }
        }
    }

    /// Its value; `None`: unknown. A condition of which one side decides alone needs no other.
    fn value(&self, signals: &Signals) -> Option<f64> {
        match self {
            Self::Constant(value) => Some(*value),
            Self::Call(call) => signals.answer(call),
            Self::Not(inner) => inner.value(signals).map(|value| truth(value == 0.0)),
            Self::Negative(inner) => inner.value(signals).map(|value| -value),
            Self::Two(sign, left, right) => two(*sign, left.value(signals), right.value(signals)),
        }
    }
}

fn truth(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

#[expect(clippy::float_cmp, reason = "whoever writes `==` means it")]
fn two(sign: Sign, left: Option<f64>, right: Option<f64>) -> Option<f64> {
    let is = |side: Option<f64>, wanted: bool| side.is_some_and(|value| (value != 0.0) == wanted);
    match sign {
        Sign::And if is(left, false) || is(right, false) => return Some(0.0),
        Sign::Or if is(left, true) || is(right, true) => return Some(1.0),
        _ => {}
    }
    let (left, right) = (left?, right?);
    let value = match sign {
        Sign::And | Sign::Or => right
            .max(left)
            .min(if sign == Sign::And { right.min(left) } else { 1.0 }),
        Sign::Least => truth(left >= right),
        Sign::Most => truth(left <= right),
        Sign::Over => truth(left > right),
        Sign::Under => truth(left < right),
        Sign::Same => truth(left == right),
        Sign::Differs => truth(left != right),
        Sign::Plus => left + right,
        Sign::Minus => left - right,
        Sign::Times => left * right,
        Sign::By => left / right,
    };
    // A division by nothing is nobody's answer.
    value.is_finite().then_some(value)
}
