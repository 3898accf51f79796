//! Caddy by its admin API: the upstream of the handler that carries an `@id` is exchanged. Caddy loads its whole configuration
//! anew for that, and requests are lost.

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::driver::{Driver, FrontError, Serving};
use crate::side::Side;
use guard_model::text::{chain, shortened};
use guard_system::context::Context;
use guard_system::http;

/// How long it may take to answer.
const LIMIT: Duration = Duration::from_secs(10);

/// A `reverse_proxy` handler by its `@id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caddy {
    /// The admin API: `http://127.0.0.1:2019`.
    pub admin: Url,
    /// The handler's `@id`.
    pub id: String,
}

impl Caddy {
    fn upstreams(&self) -> Result<Url, FrontError> {
        let place = self.admin.join(&format!("/id/{}/upstreams", self.id));
        place.map_err(|error| FrontError::Silent(format!("{}: {error}", self.admin)))
    }

    fn ask(&self, method: &str, body: Option<String>) -> Result<http::Answered, FrontError> {
        let url = self.upstreams()?;
        http::ask(method, &url, body, LIMIT)
            .map_err(|error| FrontError::Silent(format!("{method} {url}: {}", chain(&error))))
    }
}

impl Driver for Caddy {
    fn describe(&self) -> String {
        format!("{} of Caddy", self.id)
    }

    fn serves(&self, sides: &[Side; 2], _cx: &Context) -> Result<Serving, FrontError> {
        let answered = self.ask("GET", None)?;
        if answered.status != 200 {
            let said = shortened(answered.text().trim(), 200);
            return Ok(Serving::Neither(format!(
                "GET /id/{}/upstreams: {} {said}",
                self.id, answered.status
            )));
        }
        let upstreams: Value = serde_json::from_slice(&answered.body).unwrap_or_default();
        let dials: Vec<&str> = upstreams
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| one.get("dial").and_then(Value::as_str))
            .collect();
        let side = |dial: &str| sides.iter().position(|side| dial_of(side) == dial);
        Ok(match dials.as_slice() {
            [dial] => side(dial).map_or_else(
                || Serving::Neither(format!("{} dials {dial}", self.describe())),
                Serving::Side,
            ),
            many if many.len() > 1 && many.iter().all(|dial| side(dial).is_some()) => {
                Serving::Both(format!("{} dials {}", self.describe(), many.join(", ")))
            }
            other => Serving::Neither(format!("{} dials {}", self.describe(), other.join(", "))),
        })
    }

    fn switch(&self, to: usize, sides: &[Side; 2], _cx: &Context) -> Result<(), FrontError> {
        let Some(side) = sides.get(to) else { return Ok(()) };
        let body = json!([{ "dial": dial_of(side) }]).to_string();
        let answered = self.ask("PATCH", Some(body))?;
        if answered.status == 200 {
            return Ok(());
        }
        Err(FrontError::Refused {
            side: side.name.clone(),
            why: format!(
                "Caddy answered {} {}; it goes on as it was",
                answered.status,
                shortened(answered.text().trim(), 200)
            ),
        })
    }

    fn loss(&self) -> Option<&'static str> {
        Some(
            "Caddy loads its whole configuration anew at each switch, and drops a few connections; a marker file loses none",
        )
    }
}

/// How Caddy writes a side's address.
fn dial_of(side: &Side) -> String {
    match side.address.strip_prefix("unix:") {
        Some(path) => format!("unix/{path}"),
        None => side.address.clone(),
    }
}
