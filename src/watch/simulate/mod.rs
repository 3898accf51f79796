//! What a rule makes of typical faults: thousands of watches with seeded luck, through the real judge, without a clock.

mod luck;
mod said;
mod scenes;
mod trial;

pub use luck::Luck;
pub use said::{Said, World};
pub use scenes::{SCENES, Scene};
pub use trial::{Figures, figures, trial};
