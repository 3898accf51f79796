//! The Docker engine and Compose. The engine is asked through its socket, where it has one on this host, and else through its own
//! command line, as Compose always is: contexts, hosts and credentials work as the user set them.

mod acts;
mod check;
mod client;
mod compose;
mod configuration;
mod engine;
mod frames;
mod health;
mod inside;
mod known;
mod logs;
mod pin;
mod place;
mod recorded;
mod road;
mod socket;
mod usage;
mod within;

pub use acts::{
    create, pause, remove, rename, restart, run_inside, set_restart_policy, start, stop, tag, unpause, untag,
};
pub use check::Check;
pub use client::{DockerError, LABEL, docker, explained, named_in_engine};
pub use compose::{Compose, MAINTAINED_COMPOSE};
pub use configuration::files_named;
pub use engine::{
    Container, Image, Labelled, Listed, Mount, Volume, container_by_id, container_by_service, containers_of, exec,
    image, image_names, images, inspections_of, labelled_images, not_running, running_containers, volume,
    volumes_labelled, volumes_of,
};
pub use health::{health_checks, time_to_health};
pub use inside::{COMMAND, Inside, MOUNT};
pub use known::{Configurations, Roads};
pub use logs::{Part, logs};
pub use pin::{PIN_LABEL, Pin, pin, unpin};
pub use place::Engine;
pub(crate) use place::led;
pub use recorded::{Before, Recorded, RecordedContainer};
pub use road::has_socket;
pub use usage::{containers_using, is_on_this_host};
pub(crate) use within::{await_programs, exec_of};
