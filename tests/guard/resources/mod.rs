//! Every kind of resource, held to the same promises.

pub mod built;
pub mod command;
mod compose;
mod example;
mod files;
mod git;
mod images;
mod left;
mod mariadb;
mod objects;
mod postgres;
pub mod promises;
mod redis;
mod registry;
mod sqlite;
mod stopped;
mod volume;
