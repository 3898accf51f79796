//! The client programs: whether they are there, fit the server, and are free of holes that are known.

use super::reach::Reach;
use super::versions::{is_too_new, major};
use crate::error::Result;
use crate::survey::Survey;
use guard_system::context::Context;

/// A hole in the client programs, and the first versions without it, one for each major version that was mended.
struct Hole {
    name: &'static str,
    what: &'static str,
    mended: &'static [(u32, u32)],
}

/// Those that concern who dumps and restores.
const HOLES: [Hole; 3] = [
    Hole {
        name: "CVE-2026-6477",
        what: "a hostile server can overwrite its memory while large objects are dumped",
        mended: &[(14, 23), (15, 18), (16, 14), (17, 10), (18, 4)],
    },
    Hole {
        name: "CVE-2025-8714",
        what: "what a hostile server had dumped can run commands on this host when it is restored",
        mended: &[(13, 22), (14, 19), (15, 14), (16, 10), (17, 6)],
    },
    Hole {
        name: "CVE-2024-7348",
        what: "another user of the server can have it run SQL with the rights of who dumps",
        mended: &[(12, 20), (13, 16), (14, 13), (15, 8), (16, 4)],
    },
];

/// What helps against a hole.
#[derive(Debug, PartialEq, Eq)]
enum Cure {
    /// This version and later ones of the same major version.
    Version(String),
    /// A newer major version: this one was never mended.
    Newer,
}

impl Hole {
    /// Whether this version has the hole, and which one has not.
    fn is_in(&self, version: &str) -> Option<Cure> {
        let ours = major(version);
        let minor = version.split('.').nth(1).map_or(0, major);
        let newest = self.mended.iter().map(|(major, _)| *major).max().unwrap_or_default();
        match self.mended.iter().find(|(major, _)| *major == ours) {
            Some((major, mended)) => (minor < *mended).then(|| Cure::Version(format!("{major}.{mended}"))),
            None => (ours < newest).then_some(Cure::Newer),
        }
    }
}

/// Asks the programs for their versions, and compares them with the server's: its number, and its own words.
pub(super) fn ask(reach: &Reach, number: u32, server: &str, cx: &Context, survey: &mut Survey) -> Result<()> {
    for program in ["pg_dump", "pg_restore"] {
        let version = reach.version(program, cx)?;
        let (ours, theirs) = (major(&version), number / 10_000);
        if ours < theirs {
            survey.refuse(
                format!("{program} {version} is older than the server, {server}"),
                format!(
                    "install the client programs of Postgres {theirs}, or use `service` to run the container's own"
                ),
            );
        }
        if program == "pg_restore" && is_too_new(&version, number) {
            survey.refuse(
                format!(
                    "pg_restore {version} begins with a setting that Postgres {server} does not know, so nothing could be put back"
                ),
                format!("install the client programs of Postgres {theirs}, or put them first on PATH"),
            );
        }
        for hole in &HOLES {
            let advice = match hole.is_in(&version) {
                Some(Cure::Version(mended)) => format!("update the client programs: {mended} and later are mended"),
                Some(Cure::Newer) => {
                    format!("Postgres {ours} is not maintained any more: install newer client programs")
                }
                None => continue,
            };
            survey.warn(
                format!("{program} {version} has the hole {}: {}", hole.name, hole.what),
                advice,
            );
        }
        survey.fact(format!("{program} {version}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Cure, HOLES};

    #[test]
    fn fault_g24_holes_are_known_by_version() {
        let names = |version: &str| {
            let found = HOLES.iter().filter(|hole| hole.is_in(version).is_some());
            found.map(|hole| hole.name).collect::<Vec<_>>()
        };
        assert!(names("15.18").is_empty() && names("18.4").is_empty() && names("19beta1").is_empty());
        assert_eq!(names("15.17"), ["CVE-2026-6477"]);
        assert_eq!(names("15.13"), ["CVE-2026-6477", "CVE-2025-8714"]);
        assert_eq!(names("15.7").len(), 3);
        assert_eq!(names("18beta1"), ["CVE-2026-6477"]);
        assert_eq!(names("11.22").len(), 3, "nobody mends those any more");
        assert_eq!(HOLES[0].is_in("15.7"), Some(Cure::Version("15.18".to_owned())));
        assert_eq!(HOLES[0].is_in("12.20"), Some(Cure::Newer));
    }
}
