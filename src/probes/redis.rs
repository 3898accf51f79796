//! `redis`: whether a Redis (or Valkey) server answers PING, has loaded its data, and has the role it should.

use std::path::PathBuf;

use async_trait::async_trait;
use tokio::net::TcpStream;

use super::basics::{BODY, Basics, spoken};
use super::secret::secret;
use super::tcp::{address, reach, secured};
use super::tls::{Channel, Tls};
use super::{Built, Expectation, Kind, Probe, Site};
use guard_model::health::{Answer, Class, Numbers};
use guard_model::name::ProbeName;
use guard_model::section::Section;
use guard_system::context::Context;

pub(super) const KIND: Kind = Kind {
    key: "redis",
    about: "a Redis server answers, has loaded its data, and has the expected role",
    build,
    numbers: Numbers::None,
};

struct Redis {
    basics: Basics,
    address: String,
    user: Option<String>,
    password_env: Option<String>,
    password_file: Option<PathBuf>,
    role: Option<&'static str>,
    tls: Option<Tls>,
}

fn build(name: ProbeName, section: &mut Section<'_>, _site: &Site) -> Built {
    let basics = Basics::read(name, section);
    let text = section.text("address").unwrap_or_else(|| "127.0.0.1:6379".to_owned());
    let place = Place::of(section, &text)?;
    let user = section.text("user").or(place.user);
    let (password_env, password_file) = (section.text("password_env"), section.path("password_file"));
    // Redis says `slave`; people who wrote settings since say `replica`.
    let roles = [("master", "master"), ("replica", "slave"), ("slave", "slave")];
    let role = section.choice("expect_role", &roles);
    if user.is_some() && password_env.is_none() && password_file.is_none() {
        section.problem("user", "needs `password_env` or `password_file` beside it", None);
        return None;
    }
    let tls = Tls::read(section, place.is_secure).ok()?;
    let address = address(section, place.address)?;
    Some(Box::new(Redis {
        basics,
        address,
        user,
        password_env,
        password_file,
        role,
        tls,
    }))
}

/// Where the server is, by a host and a port or by a URL.
struct Place {
    address: String,
    user: Option<String>,
    is_secure: bool,
}

impl Place {
    fn of(section: &mut Section<'_>, text: &str) -> Option<Self> {
        let is_secure = text.starts_with("rediss://");
        let Some(rest) = text.strip_prefix("redis://").or_else(|| text.strip_prefix("rediss://")) else {
            return Some(Self {
                address: text.to_owned(),
                user: None,
                is_secure,
            });
        };
        let (user, host) = rest
            .rsplit_once('@')
            .map_or((None, rest), |(user, host)| (Some(user), host));
        if user.is_some_and(|user| user.contains(':')) {
            let hint = Some("name it by `password_env` or `password_file`".to_owned());
            section.problem("address", "no password belongs into the settings", hint);
            return None;
        }
        let host = host.split('/').next().unwrap_or(host);
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        Some(Self {
            address: if has_port {
                host.to_owned()
            } else {
                format!("{host}:6379")
            },
            user: user.filter(|user| !user.is_empty()).map(str::to_owned),
            is_secure,
        })
    }
}

#[async_trait]
impl Probe for Redis {
    fn name(&self) -> &ProbeName {
        &self.basics.name
    }

    fn decides(&self) -> bool {
        self.basics.decides
    }

    fn describe(&self) -> String {
        let how = if self.tls.is_some() { " by TLS" } else { "" };
        format!("PING to redis at {}{how}", self.address)
    }

    async fn read(&self, _expectation: &Expectation, cx: &Context) -> Answer {
        let (stream, left) = match reach(&self.address, self.basics.timeout, cx).await {
            Ok(reached) => reached,
            Err(answer) => return answer,
        };
        match tokio::time::timeout(left, self.exchange(stream, cx)).await {
            Ok(Ok(answer) | Err(answer)) => answer,
            Err(_) => self.basics.silent(),
        }
    }
}

impl Redis {
    async fn exchange(&self, stream: TcpStream, cx: &Context) -> Result<Answer, Answer> {
        let mut line = Line {
            channel: secured(stream, self.tls.as_ref(), &self.address, cx).await?,
            heard: Vec::new(),
            cx: cx.clone(),
        };
        let password = secret(cx, self.password_env.as_deref(), self.password_file.as_deref())?;
        if let Some(password) = &password {
            let words: Vec<&str> = std::iter::once("AUTH")
                .chain(self.user.as_deref())
                .chain([password.as_str()])
                .collect();
            let reply = line.ask(&words).await?;
            if reply != "+OK" {
                return Err(refused(cx, &reply));
            }
        }
        let reply = line.ask(&["PING"]).await?;
        if reply != "+PONG" {
            return Err(refused(cx, &reply));
        }
        let info = line.ask(&["INFO"]).await?;
        if let Some(said) = info.strip_prefix('-') {
            // An account may be kept from INFO; it has answered, which is what can be seen then.
            return match self.role {
                None => Ok(Answer::ok("PONG")),
                Some(_) => Err(Answer::unknown(Class::NoData, spoken(cx, &format!("INFO: {said}")))),
            };
        }
        let field = |name: &str| {
            let mut lines = info.lines();
            lines
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .unwrap_or_default()
        };
        if field("loading") == "1" || field("async_loading") == "1" {
            return Err(Answer::failed(Class::Unhealthy, "it is still loading its data"));
        }
        let role = field("role");
        if let Some(expected) = self.role.filter(|expected| *expected != role) {
            let note = format!("its role is {role:?} (expected {expected:?})");
            return Err(Answer::failed(Class::Body, spoken(cx, &note)));
        }
        if role == "slave" && field("master_link_status") == "down" {
            return Err(Answer::failed(
                Class::Unhealthy,
                "a replica that does not reach its master",
            ));
        }
        Ok(Answer::ok(spoken(cx, &format!("PONG, {role}"))))
    }
}

/// What an error reply means.
fn refused(cx: &Context, reply: &str) -> Answer {
    let said = reply.strip_prefix('-').unwrap_or(reply);
    let class = match said.split(' ').next().unwrap_or_default() {
        "LOADING" | "MASTERDOWN" | "BUSY" => Class::Unhealthy,
        _ if reply.starts_with('-') => Class::Query,
        _ => Class::Body,
    };
    Answer::failed(class, spoken(cx, said))
}

/// A conversation: words out, one reply in.
struct Line {
    channel: Channel,
    cx: Context,
    heard: Vec<u8>,
}

impl Line {
    async fn ask(&mut self, words: &[&str]) -> Result<String, Answer> {
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text = text + "$" + &word.len().to_string() + "\r\n" + word + "\r\n";
        }
        self.channel.write(text.as_bytes(), &self.cx).await?;
        let first = self.until_end().await?;
        let Some(length) = first.strip_prefix('$') else {
            return Ok(first);
        };
        let length = length.parse::<usize>().ok().filter(|length| *length < BODY);
        let length = length.ok_or_else(|| Answer::failed(Class::Body, "a reply that is no Redis server's"))?;
        while self.heard.len() < length + 2 {
            self.more().await?;
        }
        let body: Vec<u8> = self.heard.drain(..length + 2).take(length).collect();
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// The next line, without its end.
    async fn until_end(&mut self) -> Result<String, Answer> {
        loop {
            if let Some(end) = self.heard.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.heard.drain(..end + 2).take(end).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            if self.heard.len() >= BODY {
                return Err(Answer::failed(Class::Body, "a reply that is no Redis server's"));
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), Answer> {
        match self.channel.read(&mut self.heard, &self.cx).await? {
            0 => Err(Answer::failed(Class::Reset, "the connection was closed")),
            _ => Ok(()),
        }
    }
}
