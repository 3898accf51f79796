//! How far a copy or a restore has come: counted in bytes of content, told now and then.

use guard_system::context::Context;

/// Told at most once in so many bytes: what is shown changes a few times a second, not with every file.
const STEP: u64 = 4 << 20;

/// Work whose bytes are counted.
pub(super) struct Progress<'c> {
    what: String,
    done: u64,
    total: Option<u64>,
    told: u64,
    cx: &'c Context,
}

impl<'c> Progress<'c> {
    /// Work of this name; `total`: bytes in all, as far as is known before it begins.
    pub(super) fn new(what: String, total: Option<u64>, cx: &'c Context) -> Self {
        Self {
            what,
            done: 0,
            total,
            told: 0,
            cx,
        }
    }

    /// So many bytes more are done.
    pub(super) fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.done - self.told >= STEP {
            self.told = self.done;
            self.cx.progress(&self.what, self.done, self.total);
        }
    }
}

impl Drop for Progress<'_> {
    /// The total may have been an estimate: that this was all is said at the end.
    fn drop(&mut self) {
        if self.told > 0 {
            self.cx.progress(&self.what, self.done, Some(self.done));
        }
    }
}
