//! The strategies that there are. One more is a file of its own and a line here: see docs/adding-a-strategy.md.

mod blue_green;
mod in_place;

pub use blue_green::BlueGreen;
pub use in_place::InPlace;

use crate::strategy::Strategy;

/// All of them. The first is the one of settings that name none.
pub const STRATEGIES: [&dyn Strategy; 2] = [&InPlace, &BlueGreen];

/// The strategy that settings name; `None`: there is none of that name.
#[must_use]
pub fn strategy(name: Option<&str>) -> Option<&'static dyn Strategy> {
    let is_named = |one: &&&'static dyn Strategy| name.is_none_or(|name| one.name() == name);
    STRATEGIES.iter().find(is_named).copied()
}
