//! `http`: whether an address answers as it should: status, body, version. `prometheus` asks over the same exchange.

mod client;
mod exchange;
mod expected;
mod failure;
mod origin;
mod prometheus;
mod settings;

pub(super) use prometheus::KIND as PROMETHEUS;
pub(super) use settings::KIND;
