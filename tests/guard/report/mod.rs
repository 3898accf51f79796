//! What is said: to people, to machines, in a terminal, in a pipe, and where nobody reads.

mod browser;
mod capture;
mod ci;
mod endings;
mod live;
mod pipes;
mod plain;
mod records;
mod run_report;
mod safety;
mod styles;
mod tables;
mod terminal;
