//! How a database is filled: in how many jobs, and how much of the time the server is given something to do.

/// Jobs where nobody says how many: as many as there are processors, and not more than a server will bear unasked.
pub(crate) fn usual_jobs() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(cores.min(4)).unwrap_or(1)
}

/// How a database is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// Jobs side by side; 1 loads all in one transaction.
    pub(crate) jobs: u32,
    /// The share of the time, in percent, for which the server is given something to do; under 100 there is one job.
    pub(crate) share: u32,
}

impl Load {
    /// As fast as these jobs can.
    pub(crate) fn full(jobs: u32) -> Self {
        Self { jobs, share: 100 }
    }
}
