//! The part of `docker compose config --format json` that discovery looks at. It holds secrets, and none is taken over.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Undoes the doubling of `$` by which Compose makes its answer fit to be read by Compose again.
pub(super) fn unescape(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace("$$", "$"),
        Value::Array(values) => values.iter_mut().for_each(unescape),
        Value::Object(entries) => entries.values_mut().for_each(unescape),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[derive(Deserialize)]
pub(super) struct Project {
    #[serde(default)]
    pub(super) services: BTreeMap<String, Service>,
    #[serde(default)]
    pub(super) volumes: BTreeMap<String, Option<Volume>>,
}

#[derive(Deserialize)]
pub(super) struct Volume {
    #[serde(default)]
    pub(super) external: Value,
    /// Its name in the engine.
    #[serde(default)]
    pub(super) name: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Service {
    #[serde(default)]
    pub(super) image: Option<String>,
    #[serde(default)]
    environment: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    pub(super) volumes: Vec<Mount>,
    #[serde(default)]
    ports: Vec<Port>,
    #[serde(default)]
    healthcheck: Option<HealthCheck>,
}

#[derive(Deserialize)]
pub(super) struct Mount {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) source: Option<String>,
    #[serde(default)]
    pub(super) target: String,
    #[serde(default)]
    pub(super) read_only: bool,
}

#[derive(Deserialize)]
struct Port {
    #[serde(default)]
    host_ip: Option<String>,
    target: u16,
    #[serde(default)]
    published: Value,
    #[serde(default)]
    protocol: Option<String>,
}

#[derive(Deserialize)]
struct HealthCheck {
    #[serde(default)]
    test: Value,
    #[serde(default)]
    disable: bool,
}

/// A TCP port that can be reached from this host.
pub(super) struct Published {
    /// As it stands in a URL.
    pub(super) host: String,
    pub(super) port: u16,
    /// The port in the container.
    pub(super) target: u16,
}

impl Service {
    /// A variable of the container that is text and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        let value = self.environment.as_ref()?.get(name)?.as_str()?;
        (!value.is_empty()).then_some(value)
    }

    /// The image's own name: `postgres` for `registry.example/library/postgres:17@sha256:…`.
    pub(super) fn image_name(&self) -> &str {
        let image = self.image.as_deref().unwrap_or_default();
        let image = image.split('@').next().unwrap_or(image);
        let last = image.rsplit('/').next().unwrap_or(image);
        last.split(':').next().unwrap_or(last)
    }

    /// The ports with a number of their own on this host; a range, or a port that the engine picks, has none.
    pub(super) fn published(&self) -> Vec<Published> {
        self.ports
            .iter()
            .filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "tcp"))
            .filter_map(|port| {
                let published = match &port.published {
                    Value::String(text) => text.parse().ok()?,
                    Value::Number(number) => u16::try_from(number.as_u64()?).ok()?,
                    _ => return None,
                };
                let host = match port.host_ip.as_deref() {
                    None | Some("" | "0.0.0.0" | "::") => "127.0.0.1".to_owned(),
                    Some(address) if address.contains(':') => format!("[{address}]"),
                    Some(address) => address.to_owned(),
                };
                (published != 0).then_some(Published {
                    host,
                    port: published,
                    target: port.target,
                })
            })
            .collect()
    }

    /// The words of the health check, where the files give one.
    pub(super) fn health_check(&self) -> Option<String> {
        let check = self.healthcheck.as_ref().filter(|check| !check.disable)?;
        match &check.test {
            Value::String(line) => Some(line.clone()),
            Value::Array(words) => {
                let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
                (words.first() != Some(&"NONE")).then(|| words.join(" "))
            }
            _ => None,
        }
    }
}
