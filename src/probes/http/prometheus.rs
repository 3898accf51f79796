//! `prometheus`: a query of a Prometheus server, whose answer is a number within limits. No data is no evidence.

use async_trait::async_trait;
use reqwest::Method;
use serde_json::Value;
use url::Url;

use super::client::Manner;
use super::exchange::Http;
use super::expected::Expected;
use super::settings;
use crate::basics::{Basics, spoken};
use crate::limits::Limits;
use crate::{Built, Expectation, Kind, Probe, Site};
use guard_model::health::{Answer, Class, Numbers, Outcome};
use guard_model::name::ProbeName;
use guard_model::section::Section;
use guard_model::text::shortened;
use guard_system::context::Context;

pub(crate) const KIND: Kind = Kind {
    key: "prometheus",
    about: "a query of a Prometheus server gives a number within limits",
    build,
    numbers: Numbers::One,
};

struct Prometheus {
    http: Http,
    query: String,
    limits: Limits,
    /// The oldest sample that counts, in seconds, and the question how old it is.
    max_age: Option<(f64, Http)>,
}

fn build(name: ProbeName, section: &mut Section<'_>, _site: &Site) -> Built {
    let basics = Basics::read(name, section);
    let ca_file = section.path("ca_file");
    let uses_proxy = section.flag("proxy").unwrap_or(false);
    let max_age = section.duration("max_age").map(|age| age.as_secs_f64());
    let limits = Limits::read(section);
    let url = section.required_text("url");
    let query = section.required_text("query")?;
    let Some(limits) = limits.ok()? else {
        section.problem(
            "number",
            "is missing: which numbers are well?",
            Some("`number = { max = 0.05 }`".to_owned()),
        );
        return None;
    };
    let base = url.and_then(|text| Url::parse(text.trim_end_matches('/')).ok());
    let base = base.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(mut url) = base else {
        section.problem("url", "expected an address like `http://127.0.0.1:9090`", None);
        return None;
    };
    url.set_path(&format!("{}/api/v1/query", url.path().trim_end_matches('/')));
    let asking = |query: &str, section: &mut Section<'_>| {
        let mut url = url.clone();
        url.query_pairs_mut().append_pair("query", query);
        Http {
            manner: Manner {
                url,
                timeout: basics.timeout,
                redirects: 0,
                ca_file: ca_file.clone(),
                uses_proxy,
            },
            basics: Basics {
                name: basics.name.clone(),
                ..basics
            },
            method: Method::GET,
            headers: settings::headers(section),
            expected: Expected {
                statuses: Vec::new(),
                body: None,
                json: None,
                version: None,
            },
            kept: std::sync::Mutex::new(None),
            client: std::sync::Mutex::new(None),
        }
    };
    // An instant query answers with the moment of the question; only `timestamp()` tells the sample's own.
    let age = max_age.map(|age| (age, asking(&format!("timestamp({query})"), section)));
    Some(Box::new(Prometheus {
        http: asking(&query, section),
        query,
        limits,
        max_age: age,
    }))
}

#[async_trait]
impl Probe for Prometheus {
    fn name(&self) -> &ProbeName {
        &self.http.basics.name
    }

    fn decides(&self) -> bool {
        self.http.basics.decides
    }

    fn describe(&self) -> String {
        let query = shortened(&self.query, 60);
        format!("`{query}` at {}", self.http.manner.url.host_str().unwrap_or_default())
    }

    async fn read(&self, _expectation: &Expectation, cx: &Context) -> Answer {
        let asked = tokio::time::timeout(self.http.basics.timeout, self.exchange(cx)).await;
        match asked {
            Ok(Ok(answer) | Err(answer)) => answer,
            Err(_) => Answer::unknown(Class::NoData, "Prometheus does not answer"),
        }
    }
}

/// The samples that a query gives. That the metrics' server is down, or the query wrong, says nothing about the release.
async fn asked(http: &Http, cx: &Context) -> Result<Vec<Sample>, Answer> {
    let unseen = |note: String| Answer::unknown(Class::NoData, spoken(cx, &note));
    let heard = http
        .ask(cx)
        .await
        .map_err(|answer| unseen(format!("Prometheus: {}", answer.note)))?;
    let Ok(body) = serde_json::from_slice::<Value>(&heard.body) else {
        return Err(unseen(format!("Prometheus: {} without JSON", heard.status)));
    };
    if body.pointer("/status").and_then(Value::as_str) != Some("success") {
        let error = body.pointer("/error").and_then(Value::as_str).unwrap_or("no success");
        return Err(unseen(format!("Prometheus: {} {error}", heard.status)));
    }
    Ok(samples(&body))
}

/// A number, and of which series.
struct Sample {
    number: f64,
    series: String,
}

fn samples(body: &Value) -> Vec<Sample> {
    let result = body.pointer("/data/result");
    let kind = body.pointer("/data/resultType").and_then(Value::as_str);
    let pair = |value: &Value, series: String| {
        Some(Sample {
            number: value.get(1)?.as_str()?.parse().ok()?,
            series,
        })
    };
    match (kind, result) {
        (Some("scalar"), Some(value)) => pair(value, String::new()).into_iter().collect(),
        (Some("vector"), Some(Value::Array(series))) => {
            let several = series.len() > 1;
            let of = |value: &Value| if several { labels(value) } else { String::new() };
            series
                .iter()
                .filter_map(|value| pair(value.get("value")?, of(value)))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn labels(value: &Value) -> String {
    let labels = value.get("metric").and_then(Value::as_object).into_iter().flatten();
    let shown: Vec<String> = labels
        .filter(|(name, _)| *name != "__name__")
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    shortened(&format!("{}: ", shown.join(" ")), 60)
}

impl Prometheus {
    async fn exchange(&self, cx: &Context) -> Result<Answer, Answer> {
        if let Some((most, http)) = &self.max_age {
            #[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
            let now = cx.clock.now().timestamp_millis() as f64 / 1000.0;
            let oldest = asked(http, cx)
                .await?
                .iter()
                .map(|sample| now - sample.number)
                .fold(0.0, f64::max);
            if oldest > *most {
                return Err(Answer::unknown(
                    Class::NoData,
                    format!("the sample is {oldest:.0} s old"),
                ));
            }
        }
        Ok(self.judge(&asked(&self.http, cx).await?, cx))
    }

    /// One series out of its limits fails; one that cannot be judged leaves the whole unknown.
    fn judge(&self, samples: &[Sample], cx: &Context) -> Answer {
        let mut answer: Option<Answer> = None;
        for sample in samples {
            let one = self.limits.judge(sample.number, &sample.series);
            if one.outcome == Outcome::Failed {
                return Answer {
                    note: spoken(cx, &one.note),
                    ..one
                };
            }
            if one.outcome == Outcome::Unknown || answer.is_none() {
                answer = Some(one);
            }
        }
        answer.map_or_else(
            || Answer::unknown(Class::NoData, "the query gives no data"),
            |answer| Answer {
                note: spoken(cx, &answer.note),
                ..answer
            },
        )
    }
}
