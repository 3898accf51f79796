//! The readers of what storage answers, for the fuzz target of them: `fuzz/targets/storage.rs`.

use super::answers::{Complaint, Listing, Parts, Uploads, is_error, xml};

/// Reads an answer as each of the shapes that it may have.
pub fn answer(text: &[u8]) {
    let _ = is_error(text);
    if let Ok((listing, next)) = Listing::read(text) {
        assert!(next.is_none_or(|token| !token.is_empty()));
        drop(listing);
    }
    let _ = Uploads::read(text);
    let _ = xml::<Complaint>(text);
    if let Ok(parts) = xml::<Parts>(text) {
        let _ = parts.held(1, 0);
    }
}
