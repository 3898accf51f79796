//! The real binary on a small project without containers, asked for everything that it can do.

mod aborted;
mod adopting;
mod deploying;
mod elsewhere;
mod endings;
mod everywhere;
mod hosts;
mod interrupted;
mod killed;
mod learning;
mod looking;
mod refused;
mod rules;
mod shared;
mod signals;
mod streams;
mod surroundings;
mod unusable;
mod watched;
mod watcher;
mod watching;
