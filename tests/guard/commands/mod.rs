//! The real binary on a small project without containers, asked for everything that it can do.

mod adopting;
mod deploying;
mod endings;
mod interrupted;
mod killed;
mod looking;
mod refused;
mod streams;
mod surroundings;
mod unusable;
mod watched;
mod watcher;
