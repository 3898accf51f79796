//! A marker file that nginx or Caddy asks for at each request: where it is, visitors go to one side, else to the other. No
//! request is lost, since nothing is loaded anew.

use std::path::PathBuf;

use super::driver::{Driver, FrontError, Serving};
use crate::side::Side;
use guard_system::context::Context;
use guard_system::disk;

/// A file whose being there means a side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The file.
    pub path: PathBuf,
    /// The number of the side that is served where it is there.
    pub means: usize,
}

impl Driver for Marker {
    fn describe(&self) -> String {
        format!("the marker {}", self.path.display())
    }

    fn serves(&self, _sides: &[Side; 2], cx: &Context) -> Result<Serving, FrontError> {
        let is_there = disk::exists(&cx.resolve(&self.path))?;
        Ok(Serving::Side(if is_there { self.means } else { 1 - self.means }))
    }

    fn switch(&self, to: usize, sides: &[Side; 2], cx: &Context) -> Result<(), FrontError> {
        let path = cx.resolve(&self.path);
        if to == self.means {
            let name = sides.get(to).map(|side| side.name.as_str()).unwrap_or_default();
            disk::write_whole(&path, format!("{name}\n").as_bytes())?;
        } else if disk::exists(&path)? {
            disk::remove_file(&path)?;
        }
        Ok(())
    }
}
