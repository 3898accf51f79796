//! The world as guard reaches it, held against the world.

mod roads;
