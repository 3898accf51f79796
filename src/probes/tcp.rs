//! `tcp`: whether a port takes a connection, and, where asked, says the right thing.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;

use super::basics::{BODY, Basics, spoken};
use super::connection::{connection_failed, with_addresses};
use super::tls::{Channel, Tls};
use super::{Built, Expectation, Kind, Probe, Site};
use guard_model::health::{Answer, Class, Numbers};
use guard_model::name::ProbeName;
use guard_model::section::Section;
use guard_model::text::duration;
use guard_system::context::Context;

pub(super) const KIND: Kind = Kind {
    key: "tcp",
    about: "a port takes a connection, and answers as expected",
    build,
    numbers: Numbers::None,
};

struct Tcp {
    basics: Basics,
    address: String,
    send: Option<String>,
    expect: Option<String>,
    tls: Option<Tls>,
}

fn build(name: ProbeName, section: &mut Section<'_>, _site: &Site) -> Built {
    let basics = Basics::read(name, section);
    let send = section.text("send");
    let expect = section.text("expect");
    let tls = Tls::read(section, false);
    let text = section.required_text("address")?;
    let address = address(section, text)?;
    let tls = tls.ok()?;
    Some(Box::new(Tcp {
        basics,
        address,
        send,
        expect,
        tls,
    }))
}

#[async_trait]
impl Probe for Tcp {
    fn name(&self) -> &ProbeName {
        &self.basics.name
    }

    fn decides(&self) -> bool {
        self.basics.decides
    }

    fn describe(&self) -> String {
        let how = if self.tls.is_some() { " by TLS" } else { "" };
        format!("a connection to {}{how}", self.address)
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

impl Tcp {
    async fn exchange(&self, stream: TcpStream, cx: &Context) -> Result<Answer, Answer> {
        let mut channel = secured(stream, self.tls.as_ref(), &self.address, cx).await?;
        if let Some(text) = &self.send {
            channel.write(text.as_bytes(), cx).await?;
        }
        let Some(expected) = &self.expect else {
            return Ok(Answer::ok("connected"));
        };
        let mut heard = Vec::new();
        loop {
            let count = channel.read(&mut heard, cx).await?;
            if heard
                .windows(expected.len())
                .any(|window| window == expected.as_bytes())
            {
                return Ok(Answer::ok("answered as expected"));
            }
            if count == 0 || heard.len() >= BODY {
                let start = heard.get(..heard.len().min(60)).unwrap_or_default();
                let said = spoken(cx, &String::from_utf8_lossy(start));
                let note = format!("answered {said:?} (expected {expected:?})");
                return Err(Answer::failed(Class::Body, note));
            }
        }
    }
}

/// The connection, with TLS where it is wanted.
pub(super) async fn secured(
    stream: TcpStream,
    tls: Option<&Tls>,
    address: &str,
    cx: &Context,
) -> Result<Channel, Answer> {
    match tls {
        Some(tls) => tls.over(stream, host_of(address), cx).await,
        None => Ok(Channel::Plain(stream)),
    }
}

/// The host of an address, without its port and brackets.
fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

fn broken(error: &io::Error) -> Answer {
    connection_failed(error).unwrap_or_else(|| Answer::failed(Class::Reset, error.to_string()))
}

/// Connects within the limit; with the stream comes what is left of that for the exchange.
pub(super) async fn reach(address: &str, limit: Duration, cx: &Context) -> Result<(TcpStream, Duration), Answer> {
    let begun = cx.clock.steady();
    let Ok(connected) = tokio::time::timeout(limit, connect(address)).await else {
        let note = format!("no connection within {}", duration(limit));
        return Err(Answer::failed(Class::TimeoutConnect, note));
    };
    let left = limit.saturating_sub(cx.clock.steady().saturating_sub(begun));
    connected.map(|stream| (stream, left))
}

/// Connects to the first address that takes it: a name can stand for two families.
async fn connect(address: &str) -> Result<TcpStream, Answer> {
    let addresses: Vec<SocketAddr> = match tokio::net::lookup_host(address).await {
        Ok(addresses) => addresses.collect(),
        Err(_) => Vec::new(),
    };
    let mut answer = Answer::unknown(Class::Dns, format!("{address} cannot be resolved from here"));
    for candidate in addresses {
        match TcpStream::connect(candidate).await {
            Ok(stream) => return Ok(stream),
            Err(error) => answer = broken(&error),
        }
    }
    let port = address.rsplit_once(':').map_or("", |(_, port)| port);
    Err(with_addresses(answer, host_of(address), port.parse().unwrap_or_default()).await)
}

/// Reads `address`: a host and a port.
pub(super) fn address(section: &mut Section<'_>, text: String) -> Option<String> {
    let is_whole = text
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
    if !is_whole {
        let hint = Some("expected `127.0.0.1:5432`, `[::1]:5432` or `host:5432`".to_owned());
        section.problem("address", format!("{text:?} is not a host and a port"), hint);
    }
    is_whole.then_some(text)
}
