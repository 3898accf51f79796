//! What runs: how it is stopped before something is put back, started after, and how its state is kept for later.

mod conflict;
mod error;
mod evidence;
mod front;
mod leftovers;
mod noted;
mod own_check;
mod quiesce;
mod restarts;
mod services;
mod side;
mod sides;
mod stale;
mod standing;
mod start;
mod starters;
mod strategies;
mod strategy;
mod unchanged;
mod updaters;
mod wait;

pub use self::error::{Result, ServiceError};
pub use self::evidence::keep_evidence;
pub use self::front::{Driver, Eyes, FRONTS, Front, FrontError, Serving, share_an_address};
pub use self::leftovers::{held as held_leftovers, hold as hold_leftovers};
pub use self::quiesce::Affected;
pub use self::services::{Further, Services};
pub use self::side::Side;
pub use self::sides::{Roles, Sides};
pub use self::stale::restart_stale;
pub use self::start::Extent;
pub use self::starters::{held as held_starters, hold as hold_starters, release as release_starters, starters};
pub use self::strategies::{BlueGreen, InPlace, STRATEGIES, strategy};
pub use self::strategy::{Moved, Strategy};
pub use self::updaters::{hold as hold_updaters, release as release_updaters, running as updaters};
pub use self::wait::Wanted;
