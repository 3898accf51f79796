//! Rows as they travel: the text form of `COPY`, and what CSV, SQL and arrays make of it.

use crate::postgres::sql::literal;

/// One row as a server gave it: a place, a key, a digest, whether it is the release's own, and columns in `COPY`'s text form.
#[derive(Debug, Clone)]
pub(super) struct Row {
    line: Vec<u8>,
    /// The digest of the key, by which rows are ordered.
    pub(super) place: i64,
    key: (usize, usize),
    digest: (usize, usize),
    /// The release has written it itself, as far as can be told.
    pub(super) is_own: bool,
    /// Where its columns begin.
    rest: usize,
}

impl Row {
    /// Takes a line apart; `None` where it has not the form.
    pub(super) fn of_line(line: Vec<u8>) -> Option<Self> {
        let tab = |from: usize| Some(from + line.get(from..)?.iter().position(|byte| *byte == b'\t')?);
        let first = tab(0)?;
        let second = tab(first + 1)?;
        let third = tab(second + 1)?;
        // Without further columns this ends the line.
        let fourth = tab(third + 1).unwrap_or(line.len());
        let place = std::str::from_utf8(line.get(..first)?).ok()?.parse().ok()?;
        Some(Self {
            place,
            key: (first + 1, second),
            digest: (second + 1, third),
            is_own: line.get(third + 1..fourth) == Some(b"t".as_slice()),
            rest: fourth + 1,
            line,
        })
    }

    /// The length of its line.
    pub(super) fn bytes(&self) -> u64 {
        self.line.len() as u64
    }

    pub(super) fn key(&self) -> &[u8] {
        self.line.get(self.key.0..self.key.1).unwrap_or_default()
    }

    pub(super) fn digest(&self) -> &[u8] {
        self.line.get(self.digest.0..self.digest.1).unwrap_or_default()
    }

    /// The values of its columns; `None` is null.
    pub(super) fn values(&self) -> Vec<Option<String>> {
        let columns = self.line.get(self.rest..);
        columns
            .map(|line| line.split(|byte| *byte == b'\t').map(unescaped).collect())
            .unwrap_or_default()
    }
}

/// A field without `COPY`'s escapes; `None` for null.
pub(super) fn unescaped(field: &[u8]) -> Option<String> {
    if field == b"\\N" {
        return None;
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.iter();
    while let Some(byte) = rest.next() {
        let byte = if *byte == b'\\' {
            match rest.next() {
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 11,
                Some(other) => *other,
                None => b'\\',
            }
        } else {
            *byte
        };
        bytes.push(byte);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A line for `COPY … FROM`: the number of a row, and its values as one array, which holds any number of columns.
pub(super) fn staged(number: u64, values: &[Option<String>]) -> String {
    let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
    let array = array(&values);
    let array = array
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
        .replace('\t', "\\t");
    format!("{number}\t{array}\n")
}

/// Values as one array, in the server's text form.
pub(super) fn array(values: &[Option<&str>]) -> String {
    let values: Vec<String> = values
        .iter()
        .map(|value| match value {
            None => "NULL".to_owned(),
            Some(value) => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
        })
        .collect();
    format!("{{{}}}", values.join(","))
}

/// A line of CSV: null is empty, an empty text is `""`.
pub(super) fn csv(values: &[Option<String>]) -> String {
    let values: Vec<String> = values
        .iter()
        .map(|value| match value {
            None => String::new(),
            Some(value) if value.is_empty() || value.contains([',', '"', '\n', '\r']) || value.trim() != value => {
                format!("\"{}\"", value.replace('"', "\"\""))
            }
            Some(value) => value.clone(),
        })
        .collect();
    format!("{}\n", values.join(","))
}

/// A value as SQL.
pub(super) fn sql(value: Option<&str>) -> String {
    value.map_or_else(|| "NULL".to_owned(), literal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_taken_apart() {
        let row = Row::of_line(b"-7\t(a\\tb)\t99\tt\tone\t\\N\ttwo\\nlines".to_vec()).unwrap();
        assert!(row.is_own);
        assert_eq!((row.place, row.key(), row.digest()), (-7, &b"(a\\tb)"[..], &b"99"[..]));
        let expected = [Some("one".to_owned()), None, Some("two\nlines".to_owned())];
        assert_eq!(row.values(), expected);
        let short = Row::of_line(b"1\tk\t2\tf".to_vec()).unwrap();
        assert!(!short.is_own);
        assert_eq!((short.digest(), short.values().len()), (&b"2"[..], 0));
        assert!(Row::of_line(b"no row".to_vec()).is_none());
    }

    #[test]
    fn values_keep_their_meaning_in_every_form() {
        let odd = [
            Some("a,\"b\"\\\n\t".to_owned()),
            None,
            Some(String::new()),
            Some("NULL".to_owned()),
        ];
        assert_eq!(csv(&odd), "\"a,\"\"b\"\"\\\n\t\",,\"\",NULL\n");
        assert_eq!(
            staged(3, &odd),
            "3\t{\"a,\\\\\"b\\\\\"\\\\\\\\\\n\\t\",NULL,\"\",\"NULL\"}\n"
        );
        assert_eq!(sql(Some("it's")), "'it''s'");
        assert_eq!(sql(None), "NULL");
    }
}
