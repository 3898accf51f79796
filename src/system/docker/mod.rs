//! The Docker engine and Compose, through their own command lines: contexts, hosts and credentials work as the user set them.

mod check;
mod client;
mod compose;
mod engine;
mod health;
mod inside;
mod pin;
mod place;
mod recorded;
mod usage;

pub use check::Check;
pub use client::{DockerError, LABEL, docker, explained, named_in_engine};
pub use compose::{Compose, MAINTAINED_COMPOSE};
pub use engine::{
    Container, Image, Mount, Volume, container_by_service, containers_of, exec, image, not_running, volume, volumes_of,
};
pub use health::{health_checks, time_to_health};
pub use inside::{COMMAND, Inside, MOUNT};
pub use pin::{PIN_LABEL, Pin, pin, tag, unpin, untag};
pub use place::Engine;
pub(crate) use place::led;
pub use recorded::{Before, Recorded, RecordedContainer};
pub use usage::{containers_using, is_on_this_host, volumes_matching};
