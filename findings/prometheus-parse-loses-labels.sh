#!/usr/bin/env bash
# prometheus-parse 0.2.5 (crates.io).
#
# Guess: every sample of a valid exposition is there once it was parsed without an error, with the labels that it had.
# Seen:  the answer is Ok. A label's value ends at its first comma; with an equals sign in its value the label is gone; with a
#        brace the whole sample is; and an escaped quotation mark keeps its backslash. So two series become one name with the
#        same labels.
# So labels are read by the rules of the format, quotation marks first, and samples are counted against the lines.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "parse"
version = "0.0.0"
edition = "2021"

[dependencies]
prometheus-parse = "=0.2.5"
TOML
cat >src/main.rs <<'RUST'
fn main() {
    let lines = std::io::stdin().lines();
    let scrape = prometheus_parse::Scrape::parse(lines).expect("it parses");
    for sample in scrape.samples {
        let label = sample.labels.get("path").unwrap_or("(none)");
        println!("{} {label}", sample.metric);
    }
}
RUST
cargo build --quiet
cat >metrics <<'TEXT'
plain{path="/"} 1
comma{path="/a,b"} 1
equals{path="/?page=2"} 1
brace{path="/{id}"} 1
quote{path="a\"b"} 1
TEXT
target/debug/parse <metrics | tee said
printf '%s\n' 'plain /' 'comma /a' 'equals (none)' 'quote a\"b' | cmp - said
