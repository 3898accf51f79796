//! The figures of the harness: how many were asked for, and one line for each that was reached.

/// How many of something are wanted: the variable of this name, or what an everyday run does.
pub fn wanted(name: &str, everyday: u64) -> u64 {
    let asked = std::env::var(name).ok();
    asked.map_or(everyday, |text| text.parse().expect("a number"))
}

/// Whether the long series is wanted.
pub fn is_full() -> bool {
    std::env::var_os("GUARD_FAULTS_FULL").is_some()
}

/// Says what was reached; `scripts/faults` makes a table of these lines.
pub fn reached(id: &str, goal: &str, reached: &str, again: &str) {
    eprintln!("FIGURE\t{id}\t{goal}\t{reached}\t{again}");
}
