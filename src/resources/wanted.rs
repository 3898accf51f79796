//! Which files are asked for, by patterns: `2026/**`, `*.jpg`, one name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::{ResourceError, Result};

/// Files that are asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    patterns: GlobSet,
    written: Vec<String>,
}

impl Wanted {
    /// Those that match one of these patterns; none where there is none. A pattern without a slash means names in any directory.
    ///
    /// # Errors
    /// One is no pattern.
    pub(super) fn of(written: &[String]) -> Result<Self> {
        let mut patterns = GlobSetBuilder::new();
        let unclear = |written: &str, error: globset::Error| {
            ResourceError::because(format!("{written:?} is no pattern of files"), error)
                .with_hint("`**` is all of them, `*.jpg` a kind, `2026/**` a directory")
        };
        for one in written {
            let below = one.trim_start_matches("./");
            let whole = if below.contains('/') {
                below.to_owned()
            } else {
                format!("**/{below}")
            };
            let glob = GlobBuilder::new(&whole).literal_separator(true).build();
            patterns.add(glob.map_err(|error| unclear(one, error))?);
        }
        let patterns = patterns.build().map_err(|error| unclear(&written.join(","), error))?;
        Ok(Self {
            patterns,
            written: written.to_vec(),
        })
    }

    /// As they were written.
    pub(super) fn written(&self) -> &[String] {
        &self.written
    }

    /// Whether the file at this path is asked for.
    pub(super) fn takes(&self, path: &[u8]) -> bool {
        self.patterns.is_match(Path::new(OsStr::from_bytes(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::Wanted;

    #[test]
    fn a_pattern_without_a_slash_means_names_anywhere() {
        let wanted =
            |patterns: &[&str]| Wanted::of(&patterns.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>()).unwrap();
        let all = wanted(&["**"]);
        assert!(all.takes(b"a") && all.takes(b"a/b/.c"));
        let kind = wanted(&["*.jpg"]);
        assert!(kind.takes(b"2026/a.jpg") && !kind.takes(b"2026/a.png"));
        let one = wanted(&["2026/a.jpg", "./old/**"]);
        assert!(one.takes(b"2026/a.jpg") && one.takes(b"old/x/y") && !one.takes(b"x/2026/a.jpg"));
        assert!(!wanted(&[]).takes(b"a") && Wanted::of(&["a[".to_owned()]).is_err());
    }
}
