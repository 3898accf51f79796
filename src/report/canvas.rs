//! The panel on the terminal, drawn by `indicatif` as one bar of several lines, each frame in one piece.
//!
//! What `indicatif` sees is no terminal but a text that grows: it fills each line to the terminal's edge, which leaves
//! rubbish behind when the terminal becomes narrower, so the fillings are left out here, and the lines are cut before.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

/// What is painted over again and again, and the lines that stay above it.
pub(super) struct Canvas {
    bar: ProgressBar,
    paper: Paper,
}

impl Canvas {
    /// An empty one, at the beginning of a line.
    pub(super) fn new() -> Self {
        let paper = Paper::default();
        let target = ProgressDrawTarget::term_like(Box::new(paper.clone()));
        let bar = ProgressBar::with_draw_target(None, target);
        // A template of one known word is always one.
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self { bar, paper }
    }

    /// The text that writes these lines to stay, and below them the panel in the place of the one before. No line of the
    /// panel is as wide as the terminal.
    pub(super) fn frame(&mut self, permanent: &[String], panel: &[String]) -> String {
        if panel.is_empty() {
            self.bar.finish_and_clear();
        } else if self.bar.is_finished() {
            self.bar.reset();
        }
        // The panel first: the old one was cut for a terminal that may have become narrower.
        if !panel.is_empty() {
            self.bar.set_message(panel.join("\n"));
        }
        if !permanent.is_empty() {
            self.bar.println(permanent.join("\n"));
        }
        let mut pen = self.paper.pen();
        if panel.is_empty() && std::mem::take(&mut pen.is_line_over) {
            pen.text.push_str("\r\n");
        }
        std::mem::take(&mut pen.text)
    }
}

/// What has been drawn and is not on the terminal yet.
#[derive(Debug, Default)]
struct Pen {
    text: String,
    /// What comes next fills the line.
    is_filling: bool,
    /// What comes next begins a new line.
    is_line_over: bool,
    /// Everything from here on is erased.
    is_clear: bool,
}

#[derive(Debug, Clone, Default)]
struct Paper(Arc<Mutex<Pen>>);

impl Paper {
    fn pen(&self) -> MutexGuard<'_, Pen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn go(&self, count: usize, way: char) {
        let mut pen = self.pen();
        if count > 0 && !pen.is_clear {
            pen.is_line_over = false;
            let move_there = format!("\u{1b}[{count}{way}");
            pen.text.push_str(&move_there);
        }
    }
}

impl TermLike for Paper {
    /// Wider than any terminal, so that a line counts as one. What a terminal that became narrower has made of the lines on
    /// it, nobody can know: it may have broken them or cut them, and no line that has to stay is to be erased.
    fn width(&self) -> u16 {
        4096
    }

    fn height(&self) -> u16 {
        // The panel is cut to the terminal's height before.
        u16::MAX
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        self.go(count, 'A');
        Ok(())
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        self.go(count, 'B');
        Ok(())
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        self.go(count, 'C');
        Ok(())
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        self.go(count, 'D');
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        let mut pen = self.pen();
        pen.text.push_str(text);
        pen.text.push_str("\r\n");
        Ok(())
    }

    /// A line and its filling come by turns.
    fn write_str(&self, text: &str) -> io::Result<()> {
        let mut pen = self.pen();
        pen.is_clear = false;
        if pen.is_filling {
            pen.is_line_over = true;
        } else {
            if std::mem::take(&mut pen.is_line_over) {
                pen.text.push_str("\r\n");
            }
            pen.text.push_str(text);
        }
        pen.is_filling = !pen.is_filling;
        Ok(())
    }

    /// `indicatif` clears line by line from the panel's first on; what a narrower terminal made of them may be more.
    fn clear_line(&self) -> io::Result<()> {
        let mut pen = self.pen();
        if !std::mem::replace(&mut pen.is_clear, true) {
            pen.is_line_over = false;
            pen.text.push_str("\r\u{1b}[J");
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.pen().is_clear = false;
        Ok(())
    }
}
