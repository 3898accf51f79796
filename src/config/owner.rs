//! Whose settings guard follows: as root not a stranger's, because what they name would run as root.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::layer::Request;
use guard_model::setting::Problem;

/// Users whose projects root may work in, by their numbers, with spaces or commas between them. Only the environment can say
/// it: the project is what is not trusted.
pub(super) const TRUSTED: &str = "GUARD_TRUSTED_UIDS";

/// Refuses, where guard runs as root, a project whose directory or settings file belongs to somebody else than root, the user
/// who called `sudo`, or one of [`TRUSTED`]; the file comes with its name in messages.
///
/// # Errors
/// It belongs to a stranger, or a number cannot be read.
pub(super) fn refuse_stranger(request: &Request, directory: &Path, file: (&Path, &str)) -> Result<(), Problem> {
    if !request.is_root {
        return Ok(());
    }
    let mut trusted = vec![0];
    for name in ["SUDO_UID", TRUSTED] {
        let text = request.environment.text(name).unwrap_or_default();
        for number in text.split([' ', ',']).filter(|number| !number.is_empty()) {
            trusted.push(number.parse().map_err(|_| Problem {
                place: name.to_owned(),
                message: format!("{number:?} is no user's number"),
                hint: Some("as in `GUARD_TRUSTED_UIDS=1000`".to_owned()),
                excerpt: None,
            })?);
        }
    }
    let directory_shown = directory.display().to_string();
    for (path, shown) in [(directory, directory_shown.as_str()), file] {
        if let Some(owner) = owner(path).filter(|owner| !trusted.contains(owner)) {
            return Err(Problem {
                place: shown.to_owned(),
                message: format!(
                    "belongs to user {owner}, and guard runs as root: whoever that is could have root run anything"
                ),
                hint: Some(format!(
                    "run guard as that user or with sudo from their session, or `chown root {shown}`; `{TRUSTED}={owner}` says \
                     that root may trust them"
                )),
                excerpt: None,
            });
        }
    }
    Ok(())
}

/// The owner of what is there; what is not there is refused by whoever needs it.
fn owner(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|metadata| metadata.uid())
}
