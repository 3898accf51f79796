//! Whether anybody else could have written a file that was made by hand: what it says is going to be believed.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::part::ForeignPart;
use crate::ground::is_open_to_others;
use guard_model::text::typed;
use guard_system::privilege;

impl ForeignPart {
    /// Who else could have written the file, or put it into its place, as a sentence; `None`: only its owner, who is this
    /// user or root.
    #[must_use]
    pub fn stranger(&self) -> Option<String> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        [self.path.as_path(), directory].into_iter().find_map(|path| {
            let shown = path.display();
            let metadata = match std::fs::symlink_metadata(path) {
                Ok(metadata) => metadata,
                Err(error) => return Some(format!("{shown} cannot be looked at: {error}")),
            };
            if metadata.uid() != privilege::user_id() && metadata.uid() != 0 {
                return Some(format!("{shown} belongs to user {}", metadata.uid()));
            }
            let mode = metadata.mode() & 0o7777;
            is_open_to_others(&metadata).then(|| {
                let word = typed(&shown.to_string());
                format!("others can write to {shown} (mode {mode:04o}); `chmod go-w {word}` closes it")
            })
        })
    }
}
