//! What is said: to people, to machines, in a terminal, in a pipe, and where nobody reads.

mod capture;
mod ci;
mod endings;
mod incident;
mod live;
mod pipes;
mod plain;
mod records;
mod safety;
mod styles;
mod tables;
mod terminal;
