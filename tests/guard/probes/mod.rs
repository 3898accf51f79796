//! Probes, each kind against what can really be there: servers that misbehave, programs, containers, a database.

#![expect(
    clippy::needless_pass_by_value,
    reason = "settings are written where they are asked for"
)]

mod containers;
mod database;
mod hostile;
mod http;
mod logs;
mod metrics;
mod programs;
pub mod project;
mod redis;
pub mod server;

mod tcp;
pub mod tls;

use std::collections::BTreeMap;
use std::net::TcpListener;

use guard::model::health::Answer;
use guard::model::section::Section;
use guard::model::setting::{Item, Problem, Source, Value};
use guard::probes::{Expectation, Probe, Site, kind};
use guard::system::context::Context;

/// A setting from its JSON form.
pub fn item(value: &serde_json::Value) -> Item {
    let value = match value {
        serde_json::Value::Bool(flag) => Value::Flag(*flag),
        serde_json::Value::Number(number) => number
            .as_i64()
            .map_or_else(|| Value::Real(number.as_f64().unwrap()), Value::Whole),
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Array(items) => Value::List(items.iter().map(item).collect()),
        serde_json::Value::Object(entries) => Value::Table(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), (0..0, item(value))))
                .collect::<BTreeMap<_, _>>(),
        ),
        serde_json::Value::Null => panic!("there is no null in settings"),
    };
    Item { value, at: 0..0 }
}

/// Builds a probe called `web` of this kind, or tells what is wrong with its settings.
pub fn build_for(kind_key: &str, settings: &serde_json::Value, site: &Site) -> Result<Box<dyn Probe>, Vec<Problem>> {
    let source = Source::default();
    let mut problems = Vec::new();
    let mut section = Section::new("probes.web", &source, item(settings), &mut problems);
    let built = (kind(kind_key).expect("a kind").build)("web".parse().unwrap(), &mut section, site);
    section.finish();
    if problems.is_empty() {
        Ok(built.expect("built, since nothing is wrong"))
    } else {
        Err(problems)
    }
}

/// The same, where there is no Compose project.
pub fn build(kind_key: &str, settings: &serde_json::Value) -> Result<Box<dyn Probe>, Vec<Problem>> {
    build_for(kind_key, settings, &Site::default())
}

/// Reads a probe once.
pub fn read(probe: &dyn Probe, expectation: &Expectation, cx: &Context) -> Answer {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let answer = runtime.block_on(probe.read(expectation, cx));
    runtime.shutdown_background();
    answer
}

/// A port on which nobody listens.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
