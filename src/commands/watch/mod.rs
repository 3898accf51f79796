//! `guard watch`: production watched without a deployment; a watch judged again; a rule tried on typical faults.

mod entry;
mod live;
mod overview;
mod replay;
mod serve;
mod shared;
mod simulate;

pub(super) use entry::watch;
