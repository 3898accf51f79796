//! Tables for people: columns aligned, no line wider than the terminal, and nothing cut off.

use std::borrow::Cow;

use console::measure_text_width;
use textwrap::{Options, WordSeparator, WordSplitter};

use guard_model::text::sanitised;

/// Between two columns.
const GAP: usize = 2;
/// In front of the lines below a row's first cell.
const INDENT: usize = 2;
/// In front of a remark.
const REMARK: &str = "-> ";
/// A word that is longer, as a path is, may be broken, so that it does not make a column of the whole terminal.
const LONGEST_WORD: usize = 26;
/// What a line may take where it is read by no terminal: in the log of a CI job, in a file, in a pipe.
pub const WIDTH_OF_PIPES: usize = 120;

/// A table that is built row by row.
#[derive(Debug, Clone)]
pub struct Table {
    headers: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
    has_remarks: bool,
}

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new<H: Into<String>>(headers: impl IntoIterator<Item = H>) -> Self {
        let headers: Vec<String> = headers.into_iter().map(Into::into).collect();
        Self {
            right: vec![false; headers.len()],
            headers,
            rows: Vec::new(),
            has_remarks: false,
        }
    }

    /// Makes the last column one of remarks on the column before it: they stand below that where the line is too short for
    /// both, so that two long sentences do not run down side by side.
    #[must_use]
    pub fn with_remarks(mut self) -> Self {
        self.has_remarks = self.headers.len() > 1;
        self
    }

    /// Aligns a column, counted from 0, to the right, as numbers are.
    #[must_use]
    pub fn right(mut self, column: usize) -> Self {
        if let Some(right) = self.right.get_mut(column) {
            *right = true;
        }
        self
    }

    /// Adds a row. Missing cells are empty, surplus ones are left out; what a terminal would obey is escaped.
    #[must_use]
    pub fn row<C: Into<String>>(mut self, cells: impl IntoIterator<Item = C>) -> Self {
        let mut row: Vec<String> = cells.into_iter().map(|cell| sanitised(&cell.into())).collect();
        row.resize(self.headers.len(), String::new());
        self.rows.push(row);
        self
    }

    /// Whether it has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text; `width` is what a line may take in columns, `None` whatever it needs. Nothing is left out of a
    /// cell: what does not fit beside the others goes on in the next line of its column, and where the columns do not even
    /// fit with a word each, a row is written below its first cell, a line for each of the others.
    #[must_use]
    pub fn render(&self, width: Option<usize>) -> String {
        let columns = self.headers.len();
        let (mut widths, needs) = self.measured(columns);
        let Some(limit) = width else {
            return self.in_columns(&widths);
        };
        if self.has_remarks && total(&widths) > limit {
            let (mut widths, needs) = self.measured(columns - 1);
            if fit(&mut widths, &needs, limit) {
                return self.with_remarks_below(&widths, limit);
            }
        } else if fit(&mut widths, &needs, limit) {
            return self.in_columns(&widths);
        }
        self.stacked(limit)
    }

    /// What the first columns take where nothing is broken, and the least that they need.
    fn measured(&self, columns: usize) -> (Vec<usize>, Vec<usize>) {
        let mut widths = vec![0; columns];
        let mut needs = vec![0; columns];
        for row in std::iter::once(&self.headers).chain(&self.rows) {
            for (at, cell) in row.iter().take(columns).enumerate() {
                widths[at] = widths[at].max(measure_text_width(cell));
                let word = cell.split(' ').map(measure_text_width).max().unwrap_or_default();
                needs[at] = needs[at].max(word.min(LONGEST_WORD));
            }
        }
        (widths, needs)
    }

    fn in_columns(&self, widths: &[usize]) -> String {
        let rows = std::iter::once(&self.headers).chain(&self.rows);
        rows.map(|row| self.lines(row, widths)).collect()
    }

    /// All columns but the last, whose cells stand below that before it.
    fn with_remarks_below(&self, widths: &[usize], limit: usize) -> String {
        let before = &widths[..widths.len() - 1];
        let indent = total(before) + if before.is_empty() { 0 } else { GAP };
        let room = limit.saturating_sub(indent + REMARK.len()).max(1);
        let mut text = String::new();
        for row in std::iter::once(&self.headers).chain(&self.rows) {
            let Some((remark, cells)) = row.split_last() else {
                continue;
            };
            text.push_str(&self.lines(cells, widths));
            if remark.is_empty() {
                continue;
            }
            let mut mark = REMARK;
            for part in wrapped(remark, room) {
                text.push_str(format!("{:indent$}{mark:width$}{part}", "", width = REMARK.len()).trim_end());
                text.push('\n');
                mark = "";
            }
        }
        text
    }

    /// A row in as many lines as its longest cell has.
    fn lines(&self, cells: &[String], widths: &[usize]) -> String {
        let parts: Vec<Vec<String>> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| wrapped(cell, *width))
            .collect();
        let height = parts.iter().map(Vec::len).max().unwrap_or(1).max(1);
        let mut text = String::new();
        for line in 0..height {
            let padded = parts.iter().zip(widths).zip(&self.right).map(|((part, width), right)| {
                let part = part.get(line).map_or("", String::as_str);
                let room = " ".repeat(width.saturating_sub(measure_text_width(part)));
                if *right {
                    format!("{room}{part}")
                } else {
                    format!("{part}{room}")
                }
            });
            let joined = padded.collect::<Vec<_>>().join(&" ".repeat(GAP));
            text.push_str(joined.trim_end());
            text.push('\n');
        }
        text
    }

    /// Each row below its first cell that says anything, with the headers in front of the others.
    fn stacked(&self, limit: usize) -> String {
        let label = self.headers.iter().map(|header| measure_text_width(header)).max();
        let room = INDENT + label.unwrap_or_default() + GAP;
        let mut text = String::new();
        for row in &self.rows {
            let mut cells = self.headers.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
            for part in cells.next().map(|(_, cell)| wrapped(cell, limit)).unwrap_or_default() {
                text.push_str(&part);
                text.push('\n');
            }
            for (header, cell) in cells {
                let mut front = format!("{:INDENT$}{header}", "");
                for part in wrapped(cell, limit.saturating_sub(room).max(1)) {
                    let gap = " ".repeat(room.saturating_sub(measure_text_width(&front)));
                    let line = format!("{front}{gap}{part}");
                    text.push_str(line.trim_end());
                    text.push('\n');
                    front.clear();
                }
            }
        }
        text
    }
}

/// A text in lines of at most this width, broken between words, and within one only where it alone is wider.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    if measure_text_width(text) <= width {
        return vec![text.to_owned()];
    }
    let options = Options::new(width.max(1))
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::wrap(text, options).into_iter().map(Cow::into_owned).collect()
}

/// What columns of these widths take in a line.
fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// Takes columns from the widest that has more than it needs, until the line fits; whether it does.
fn fit(widths: &mut [usize], needs: &[usize], limit: usize) -> bool {
    while total(widths) > limit {
        let spare = widths.iter_mut().zip(needs).filter(|(width, need)| **width > **need);
        match spare.max_by_key(|(width, _)| **width) {
            Some((widest, _)) => *widest -= 1,
            None => return false,
        }
    }
    true
}
