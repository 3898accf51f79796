//! `guard demo`: a good and a bad deployment of a small project that guard carries in itself; no Docker, no network, no shell.

mod part;
mod project;
mod releases;
mod site;
mod tour;

pub(super) use part::part;
pub(super) use tour::tour;
