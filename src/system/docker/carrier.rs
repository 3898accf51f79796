//! A container that never runs, made from an empty image: a way into a volume that needs no helper image and no network.

use super::{DockerError, LABEL, docker, explained};
use crate::system::call::Call;
use crate::system::context::Context;

/// Where the volume stands in the carrier.
const MOUNT: &str = "/volume";
/// The image's name. It is empty: importing it needs no registry, and nothing in it could run.
const IMAGE: &str = "guard/empty:carrier";

/// A never-started container with one volume; removed when it is dropped, and findable by its label after a crash.
pub struct Carrier {
    id: String,
    cx: Context,
}

impl Carrier {
    /// Makes a carrier for a volume.
    ///
    /// # Errors
    /// The engine does not answer or refuses.
    pub fn of_volume(cx: &Context, volume: &str) -> Result<Self, DockerError> {
        if super::image(cx, IMAGE)?.is_none() {
            // An archive of no entries: two blocks of zeros.
            let call = docker().args(["import", "-", IMAGE]).input(vec![0; 1024]);
            cx.output(&call).map_err(explained)?;
        }
        let label = format!("{LABEL}={}", cx.token());
        let mount = format!("type=volume,source={volume},target={MOUNT}");
        let call = docker().args([
            "create",
            "--label",
            &label,
            "--network",
            "none",
            "--mount",
            &mount,
            IMAGE,
            "never-started",
        ]);
        let id = cx.output(&call).map_err(explained)?.text();
        Ok(Self {
            id,
            cx: cx.unstoppable(),
        })
    }

    /// A call that writes the volume as an uncompressed tar, its entries under `volume/`, to standard output.
    #[must_use]
    pub fn pack(&self) -> Call {
        docker().args(["cp", "--archive", &format!("{}:{MOUNT}", self.id), "-"])
    }

    /// A call that reads an uncompressed tar, its entries under `volume/`, into the volume from standard input.
    #[must_use]
    pub fn unpack(&self) -> Call {
        docker().args(["cp", "--archive", "-", &format!("{}:/", self.id)])
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        // What cannot be removed now carries the label, and the next run removes it.
        let _labelled = self.cx.outcome(&docker().args(["rm", "--force", &self.id]));
    }
}

/// Removes the carriers that a run left behind when it was killed.
///
/// # Errors
/// The engine does not answer.
pub fn remove_left_carriers(cx: &Context) -> Result<(), DockerError> {
    let filter = format!("label={LABEL}={}", cx.token());
    let left = cx
        .output(&docker().args(["ps", "--all", "--quiet", "--filter", &filter]))
        .map_err(explained)?;
    for id in left.text().lines() {
        cx.output(&docker().args(["rm", "--force", id])).map_err(explained)?;
    }
    Ok(())
}
