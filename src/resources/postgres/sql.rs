//! Words for Postgres: identifiers, literals and connection strings quoted.

/// An identifier, always quoted.
pub(super) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string literal that means the same under either setting of `standard_conforming_strings`.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// `key='value' …` for libpq. A name like `-rf` or `a=b` stays a name in it.
pub(super) fn conninfo<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let words: Vec<String> = pairs
        .into_iter()
        .map(|(key, value)| format!("{key}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'")))
        .collect();
    words.join(" ")
}

/// Sets `known` to the cluster's identifier as a literal, or to NULL where the user may not know it.
pub(crate) const IDENTIFIER: &str = r"
SELECT coalesce(has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE'), false) AS may \gset
\if :may
SELECT quote_literal(system_identifier::text) AS known FROM pg_control_system() \gset
\else
\set known NULL
\endif
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_close_nothing_early() {
        assert_eq!(ident(r#"we"ird"#), r#""we""ird""#);
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"a\'b"), r"E'a\\''b'");
        assert_eq!(conninfo([("dbname", r"a'b\c=d")]), r"dbname='a\'b\\c=d'");
    }
}
