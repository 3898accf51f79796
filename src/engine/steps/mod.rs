//! Those who do the steps: each action goes to the resource, probe or command that it is about.

mod acting;
mod aftermath;
mod command;
mod copying;
mod dispatch;
mod drift;
mod failure;
mod hearing;
mod intervening;
mod limit;
mod monitor;
mod now;
mod others;
mod pace;
mod pauses;
mod preparing;
mod probe_loop;
mod proving;
mod relay;
mod services;
mod standbys;
mod standing_by;
mod step_runner;
mod swapping;
mod watching;

pub use acting::Errands;
pub use command::{DEPLOY_LOG, check_log};
pub use copying::SETTINGS;
pub use drift::{Left, RELEASED, Released, drift, left_by, not_known};
pub use intervening::{INTERVENTION, leave, left};
pub use monitor::{Monitor, READINGS, WATCHES, replay, watches};
pub use pace::{PACES, Pacer};
pub use standbys::Standbys;
pub use step_runner::{SealInput, StepRunner};
pub use swapping::has_gone_in;
pub use watching::ask_once;
