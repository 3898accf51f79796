//! `SHA256SUMS`, so that anybody can check a backup without guard: `sha256sum -c SHA256SUMS`.

use guard_model::artifact::FileEntry;

/// Its name in a backup.
pub(super) const FILE: &str = "SHA256SUMS";

/// The lines for some files. A name with a backslash or a line's end is escaped, and its line begins with a backslash, as
/// `sha256sum` itself writes it.
pub(super) fn text<'f>(files: impl Iterator<Item = &'f FileEntry>) -> String {
    let mut text = String::new();
    for file in files {
        let needs_escape = file.path.contains(['\\', '\n', '\r']);
        if needs_escape {
            text.push('\\');
        }
        text.push_str(&file.sha256);
        text.push_str("  ");
        if needs_escape {
            let escaped = file
                .path
                .replace('\\', "\\\\")
                .replace('\n', "\\n")
                .replace('\r', "\\r");
            text.push_str(&escaped);
        } else {
            text.push_str(&file.path);
        }
        text.push('\n');
    }
    text
}
