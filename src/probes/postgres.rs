//! `postgres`: whether a database answers a query, asked by `psql` on this host or in the service's container.

use async_trait::async_trait;
use url::Url;

use super::basics::{Basics, run, spoken};
use super::{Built, Expectation, Kind, Probe, Site};
use guard_model::health::{Answer, Class, Numbers};
use guard_model::name::ProbeName;
use guard_model::secret::Secret;
use guard_model::section::Section;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::docker::{container_by_service, exec};

pub(super) const KIND: Kind = Kind {
    key: "postgres",
    about: "a database answers a query",
    build,
    numbers: Numbers::None,
};

struct Postgres {
    basics: Basics,
    question: Question,
    place: Place,
}

/// What is asked, and what has to come back.
#[derive(Clone)]
struct Question {
    query: String,
    expect: Option<String>,
}

/// Where the database is.
#[derive(Clone)]
enum Place {
    /// In the container of a service: `psql` runs there.
    Service {
        project: String,
        service: String,
        user: String,
        database: String,
        password_env: Option<String>,
    },
    /// At an address.
    Url(Secret),
    /// At an address that a variable holds.
    UrlEnv(String),
}

fn build(name: ProbeName, section: &mut Section<'_>, site: &Site) -> Built {
    let basics = Basics::read(name, section);
    let question = Question {
        query: section.text("query").unwrap_or_else(|| "SELECT 1".to_owned()),
        expect: section.text("expect"),
    };
    let url = section.secret("url");
    let url_env = section.text("url_env");
    let user = section.word("user").unwrap_or_else(|| "postgres".to_owned());
    let database = section.word("database").unwrap_or_else(|| user.clone());
    let password_env = section.text("password_env");
    let place = match (section.word("service"), url, url_env) {
        (Some(service), None, None) => {
            let Some(compose) = &site.compose else {
                section.problem("service", "there is no Compose project; name a `url` instead", None);
                return None;
            };
            Place::Service {
                project: compose.project.clone(),
                service,
                user,
                database,
                password_env,
            }
        }
        (None, Some(url), None) if is_postgres(url.expose()) => Place::Url(url),
        (None, Some(_), None) => {
            section.problem("url", "expected an address like `postgres://user@host/database`", None);
            return None;
        }
        (None, None, Some(name)) => Place::UrlEnv(name),
        _ => {
            section.problem("service", "name one of `service`, `url` and `url_env`", None);
            return None;
        }
    };
    Some(Box::new(Postgres {
        basics,
        question,
        place,
    }))
}

fn is_postgres(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "postgres" | "postgresql"))
}

#[async_trait]
impl Probe for Postgres {
    fn name(&self) -> &ProbeName {
        &self.basics.name
    }

    fn decides(&self) -> bool {
        self.basics.decides
    }

    fn describe(&self) -> String {
        let query = &self.question.query;
        match &self.place {
            Place::Service { service, database, .. } => format!("`{query}` in {database} of {service}"),
            Place::Url(url) => {
                let host = Url::parse(url.expose())
                    .ok()
                    .and_then(|url| url.host_str().map(str::to_owned));
                format!("`{query}` at {}", host.unwrap_or_else(|| "the database".to_owned()))
            }
            Place::UrlEnv(name) => format!("`{query}` at the address in {name}"),
        }
    }

    async fn read(&self, _expectation: &Expectation, cx: &Context) -> Answer {
        let (place, question) = (self.place.clone(), self.question.clone());
        let basics = Basics {
            name: self.basics.name.clone(),
            ..self.basics
        };
        let work = move |cx: &Context| {
            let call = match place.call(&question, &basics, cx) {
                Ok(call) => basics.limited(call),
                Err(answer) => return answer,
            };
            match run(cx, &call) {
                Ok(output) => question.judge(cx, output.status.success(), &output.text(), &output.stderr),
                Err(error) => basics.call_failed(cx, &error),
            }
        };
        self.basics.blocking(cx, work).await
    }
}

impl Question {
    fn judge(&self, cx: &Context, has_succeeded: bool, said: &str, complaint: &str) -> Answer {
        if !has_succeeded {
            return failed(cx, complaint);
        }
        match &self.expect {
            Some(expected) if said != expected => {
                let note = format!("answered {said:?} (expected {expected:?})");
                Answer::failed(Class::Query, spoken(cx, &note))
            }
            _ => Answer::ok("answered"),
        }
    }
}

/// What `psql` complains of, as a class. Its words are in English: `LC_ALL=C` is set for it.
fn failed(cx: &Context, complaint: &str) -> Answer {
    let line = complaint
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("psql failed");
    let text = complaint.to_lowercase();
    let note = spoken(cx, line);
    if text.contains("could not translate host name") {
        Answer::unknown(Class::Dns, note)
    } else if text.contains("no route to host") || text.contains("network is unreachable") {
        Answer::unknown(Class::Unreachable, note)
    } else if text.contains("executable file not found") || text.contains("no such container") {
        Answer::unknown(Class::Spawn, note)
    } else if text.contains("cannot connect to the docker daemon") {
        Answer::unknown(Class::NoData, note)
    } else if text.contains("connection refused") || text.contains("no such file or directory") {
        Answer::failed(Class::Refused, note)
    } else if [
        "certificate verify failed",
        "root certificate file",
        "ssl error: evp lib",
    ]
    .iter()
    .any(|told| text.contains(told))
    {
        // The library behind `psql` does not say whether it is the issuer or the date; of an issuer that is only called like
        // the trusted one it says no more than the part of it that failed.
        Answer::failed(Class::TlsUntrusted, note)
    } else if text.contains("does not match host name") {
        Answer::failed(Class::TlsName, note)
    } else if text.contains("timeout expired") {
        Answer::failed(Class::TimeoutConnect, note)
    } else {
        Answer::failed(Class::Query, note)
    }
}

impl Place {
    /// The call of `psql`. Where to and who travel in the environment, so that no password shows in `ps`; the server
    /// is told the deadline as well, because ending a client does not end its query.
    fn call(&self, question: &Question, basics: &Basics, cx: &Context) -> Result<Call, Answer> {
        let words = [
            "psql",
            "-X",
            "-A",
            "-t",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            &question.query,
        ];
        let millis = basics.timeout.as_millis().max(1);
        let seconds = basics.timeout.as_secs().max(1).to_string();
        let options = format!("-c statement_timeout={millis}");
        let mut env = vec![
            ("LC_ALL", "C"),
            ("PGCONNECT_TIMEOUT", &seconds),
            ("PGOPTIONS", &options),
        ];
        match self {
            Self::Service {
                project,
                service,
                user,
                database,
                password_env,
            } => {
                env.extend([("PGUSER", user.as_str()), ("PGDATABASE", database.as_str())]);
                if let Some(name) = password_env {
                    env.push(("PGPASSWORD", variable(cx, name)?));
                }
                let found = container_by_service(cx, project, service)
                    .map_err(|error| Answer::unknown(Class::NoData, spoken(cx, &error.to_string())))?;
                let down = |note| Answer::failed(Class::Refused, note);
                let container = found.ok_or_else(|| down(format!("{service} has no container")))?;
                if !container.is_running() {
                    return Err(down(format!("{service} is {}", container.state)));
                }
                Ok(exec(&container.id, &env, false, &words))
            }
            Self::Url(url) => here(cx, url.expose(), &env, &words),
            Self::UrlEnv(name) => here(cx, variable(cx, name)?, &env, &words),
        }
    }
}

fn variable<'c>(cx: &'c Context, name: &str) -> Result<&'c str, Answer> {
    let value = cx.environment.text(name);
    let value = value.ok_or_else(|| Answer::unknown(Class::NoData, format!("the variable {name} is not set")))?;
    cx.redaction.learn(value);
    Ok(value)
}

/// A call of the host's `psql` for the database at this address.
fn here(cx: &Context, address: &str, env: &[(&str, &str)], words: &[&str]) -> Result<Call, Answer> {
    let bad = || Answer::unknown(Class::NoData, "the address of the database cannot be read");
    let mut url = Url::parse(address).map_err(|_| bad())?;
    if url.query_pairs().any(|(key, _)| key == "password") {
        let note =
            "the database's password stands in the address's query, where `ps` would show it; write it before the @";
        return Err(Answer::unknown(Class::NoData, note));
    }
    let mut call = Call::of_words(words).ok_or_else(bad)?;
    if let Some(password) = url.password() {
        let password = decoded(password).ok_or_else(bad)?;
        cx.redaction.learn(&password);
        call = call.env("PGPASSWORD", password);
    }
    url.set_password(None).map_err(|()| bad())?;
    call = call.arg("-d").arg(url.as_str());
    for (name, value) in env {
        call = call.env(name, value);
    }
    Ok(call)
}

/// A part of a URL without its `%` escapes; `None` where it is not UTF-8 then.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}
