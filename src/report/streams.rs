//! The streams that are written to.

use std::io::{self, Write};

/// The streams to write to.
pub struct Streams {
    /// Data.
    pub out: Box<dyn Write + Send>,
    /// What is said to people.
    pub err: Box<dyn Write + Send>,
    /// The columns and rows of the terminal that `err` leads to, asked for every frame.
    pub size: Box<dyn Fn() -> Option<(u16, u16)> + Send>,
}

impl Streams {
    /// Those of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            size: Box::new(size_of_stderr),
        }
    }
}

/// Columns and rows of the terminal at standard error; `None` where it is none.
#[must_use]
pub fn size_of_stderr() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stderr()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}
