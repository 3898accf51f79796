//! What the errors of a connection mean, and which addresses stood behind a name.

use std::io;
use std::net::IpAddr;

use guard_model::health::{Answer, Class};

/// A failure to connect to a name says which addresses stood behind it: one family may be down and the other not.
pub(super) async fn with_addresses(answer: Answer, host: &str, port: u16) -> Answer {
    let is_about_connecting = matches!(
        answer.class,
        Some(Class::Refused | Class::TimeoutConnect | Class::Unreachable)
    );
    if !is_about_connecting || host.parse::<IpAddr>().is_ok() {
        return answer;
    }
    let Ok(found) = tokio::net::lookup_host((host, port)).await else {
        return answer;
    };
    let mut shown: Vec<String> = found.map(|address| address.to_string()).collect();
    shown.dedup();
    Answer {
        note: format!("{} ({})", answer.note, shown.join(", ")),
        ..answer
    }
}

/// What an error of a connection means; `None` where its kind says nothing.
pub(super) fn connection_failed(error: &io::Error) -> Option<Answer> {
    use io::ErrorKind as Kind;
    Some(match error.kind() {
        Kind::ConnectionRefused => Answer::failed(Class::Refused, "connection refused"),
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown | Kind::AddrNotAvailable => {
            Answer::unknown(Class::Unreachable, "no route to the host from here")
        }
        Kind::PermissionDenied => Answer::unknown(Class::Unreachable, "this machine forbids the connection"),
        Kind::TimedOut => Answer::failed(Class::TimeoutConnect, "no connection: the network gave up waiting"),
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => {
            Answer::failed(Class::Reset, "the connection was broken")
        }
        _ => return None,
    })
}
