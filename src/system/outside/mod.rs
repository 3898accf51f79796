//! guard asked from another machine: the road there by SSH, the program that is brought along, and what is kept of it at the host.

mod frames;
mod program;
mod road;
mod target;
mod visit;

pub use frames::{Frame, Frames, Hello, MAGIC, Said, Start};
pub use program::{Bringing, machine};
pub use road::{Calls, Road, RoadError};
pub use target::Target;
pub use visit::{CALLED_AS, End, VISIT, Visit};
