//! The user's own rules: a condition over the readings, and what follows when it holds. Pure, like the rest of the room.
//!
//! `lexer` cuts a text into words, `parser` makes a typed tree of them, `signals` remembers readings, `tree` is evaluated
//! over them, `state` knows since when each rule holds.

mod call;
mod complaint;
mod functions;
mod lexer;
mod parser;
mod question;
mod rule;
mod signals;
mod state;
mod tree;

pub use complaint::Complaint;
pub use functions::FUNCTIONS;
pub use parser::parse;
pub use rule::{Then, UserRule};
pub(super) use state::Rules;
pub use state::{Fired, Trace};
pub use tree::Expr;
