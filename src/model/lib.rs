//! The nouns of guard as pure data: plans, facts, artifacts, readings. Knows nobody, does nothing.

pub mod artifact;
pub mod drill;
pub mod event;
pub mod exit;
pub mod fact;
pub mod fingerprint;
pub mod foreign;
pub mod health;
pub mod intervention;
pub mod name;
pub mod notice;
pub mod now;
pub mod plan;
pub mod policy;
pub mod problem;
pub mod secret;
pub mod section;
pub mod setting;
pub mod standing;
pub mod tables;
pub mod text;
