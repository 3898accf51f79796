//! Tables for people: columns aligned, cut to the width of the terminal.

use console::{measure_text_width, truncate_str};

use crate::model::text::sanitised;

/// Between two columns.
const GAP: usize = 2;
/// A column is not cut below this, unless there is no other way.
const NARROWEST: usize = 6;

/// A table that is built row by row.
#[derive(Debug, Clone)]
pub struct Table {
    headers: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
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
        }
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

    /// The table as text, a line each; `width` is what a line may take in columns, `None` whatever it needs.
    #[must_use]
    pub fn render(&self, width: Option<usize>) -> String {
        let mut widths: Vec<usize> = self.headers.iter().map(|header| measure_text_width(header)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(measure_text_width(cell));
            }
        }
        if let Some(limit) = width {
            fit(&mut widths, limit);
        }
        let mut text = self.line(&self.headers, &widths);
        for row in &self.rows {
            text.push_str(&self.line(row, &widths));
        }
        text
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let padded = cells.iter().zip(widths).zip(&self.right).map(|((cell, width), right)| {
            let cell = truncate_str(cell, *width, "…");
            let room = " ".repeat(width.saturating_sub(measure_text_width(&cell)));
            if *right {
                format!("{room}{cell}")
            } else {
                format!("{cell}{room}")
            }
        });
        let line = padded.collect::<Vec<_>>().join(&" ".repeat(GAP));
        format!("{}\n", line.trim_end())
    }
}

/// Takes columns from the widest, one by one, until the line fits; from all alike once they are narrow.
fn fit(widths: &mut [usize], limit: usize) {
    let gaps = GAP * widths.len().saturating_sub(1);
    let mut floor = NARROWEST;
    while widths.iter().sum::<usize>() + gaps > limit {
        match widths
            .iter_mut()
            .max_by_key(|width| **width)
            .filter(|width| **width > floor)
        {
            Some(widest) => *widest -= 1,
            None if floor > 1 => floor = 1,
            None => return,
        }
    }
}
