//! The life of a run, and what the commands have in common: a project, its settings, its locks, what is said when it is over.
//!
//! [`lifecycle`] begins and ends a run; [`takeover`] is the one road of whoever goes on with it.

pub mod adoption;
pub mod assembly;
pub mod audit;
pub mod backup_words;
pub mod choosing;
pub mod cleanup;
pub mod comparison;
pub mod confirmation;
pub mod coverage;
pub mod decision;
pub mod drift;
pub mod encryption;
pub mod failed_release;
pub mod findings;
pub mod freeze;
mod front;
pub mod inspection;
pub mod job_time;
pub mod kept;
pub mod keys;
pub mod lifecycle;
pub mod locks;
pub mod merged_settings;
pub mod notices;
pub mod offsite;
pub mod outcome;
pub mod plan;
pub mod preconditions;
pub mod project;
pub mod registry;
pub mod request;
pub mod results;
pub mod run_report;
pub mod run_settings;
pub mod schema;
pub mod secrets;
pub mod selection;
pub mod session;
pub mod start_time;
pub mod step_runner;
pub mod takeover;
pub mod unfinished;
pub mod vouched;
pub mod watchdog;
pub mod watchdog_process;
