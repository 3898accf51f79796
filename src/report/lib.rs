//! What is said, to people and to machines: records in words, the display, the reports of a run.
//!
//! [`words`] turns records into sentences, [`closing`] an ending into the last ones; [`printer`] shows them without ever
//! holding up the run; [`run_report`] and [`result`] are written when it is over.

pub mod board;
mod brush;
pub mod bug;
mod canvas;
pub mod ci;
pub mod closing;
pub mod display;
mod displays;
pub mod drill;
pub mod failure;
pub mod json;
pub mod line;
pub mod live;
pub mod metrics;
mod moment;
pub mod outputs;
pub mod overview;
pub mod pace;
pub mod page;
pub mod panel;
pub mod plain;
pub mod printer;
pub mod queue;
pub mod readings;
pub mod result;
pub mod run_report;
pub mod run_view;
mod sentences;
pub mod sink;
mod streams;
mod strip;
pub mod style;
pub mod tables;
pub mod words;
