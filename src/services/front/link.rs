//! A symbolic link that the front follows at each request: to a socket, as nginx's `server unix:/run/front/live`, or to a
//! directory of files. It is swapped by a rename.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::driver::{Driver, FrontError, Serving};
use crate::side::Side;
use guard_system::context::Context;
use guard_system::disk::{self, At};

/// A link, and where it leads for each side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The link.
    pub path: PathBuf,
    /// Its targets, in the order of the sides, as they are written into it.
    pub targets: [PathBuf; 2],
}

impl Driver for Link {
    fn describe(&self) -> String {
        format!("the link {}", self.path.display())
    }

    fn serves(&self, _sides: &[Side; 2], cx: &Context) -> Result<Serving, FrontError> {
        let path = cx.resolve(&self.path);
        let target = match std::fs::read_link(&path) {
            Ok(target) => target,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Serving::Neither(format!("there is no link {}", path.display())));
            }
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
                return Ok(Serving::Neither(format!("{} is no symbolic link", path.display())));
            }
            Err(error) => return Err(error).at("read the link", &path)?,
        };
        let place = |target: &Path| path.parent().unwrap_or_else(|| Path::new("/")).join(target);
        let found = self.targets.iter().position(|one| place(one) == place(&target));
        Ok(found.map_or_else(
            || Serving::Neither(format!("{} leads to {}", path.display(), target.display())),
            Serving::Side,
        ))
    }

    fn switch(&self, to: usize, sides: &[Side; 2], cx: &Context) -> Result<(), FrontError> {
        let path = cx.resolve(&self.path);
        let (Some(target), Some(side)) = (self.targets.get(to), sides.get(to)) else {
            return Ok(());
        };
        if std::fs::symlink_metadata(&path).is_ok_and(|found| !found.is_symlink()) {
            return Err(FrontError::Refused {
                side: side.name.clone(),
                why: format!(
                    "{} is there and is no symbolic link; nothing was changed",
                    path.display()
                ),
            });
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = path.with_file_name(format!(".{name}.guard-{}", cx.token()));
        // One of this run's own, of a try that was cut off.
        if std::fs::symlink_metadata(&beside).is_ok() {
            disk::remove_file(&beside)?;
        }
        symlink(target, &beside).at("make the link", &beside)?;
        disk::replace(&beside, &path)?;
        Ok(())
    }
}
