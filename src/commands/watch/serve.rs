//! A small server for the project's page: `/`, what changes of it as events, and `/metrics`; to this machine only, read only.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use crate::commands::watch::shared::{Shared, locked};
use guard_report::metrics::metrics;
use guard_report::page::{EVENTS, SCRIPT, SCRIPT_PATH, live, page};

/// So many connections are held at once; who comes later waits. Each viewer holds one.
const AT_ONCE: usize = 128;
/// How long one may take for its request.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection lasts at most, whoever does not read it; a browser asks for the events again.
const LASTING: Duration = Duration::from_mins(10);
/// How often the page is drawn for those who look at it, however many they are.
const RHYTHM: Duration = Duration::from_secs(1);
/// Nothing may be fetched from elsewhere, sent or framed; only our own script runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

type Drawn = watch::Receiver<Bytes>;
type Events = std::pin::Pin<Box<dyn stream::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;
type Body = Either<Full<Bytes>, StreamBody<Events>>;

/// Begins to serve; the address that is really listened on.
///
/// # Errors
/// A sentence: the address is not this machine's own, or it is taken.
pub(super) fn serve(address: SocketAddr, board: &Shared, runtime: &Handle) -> Result<SocketAddr, String> {
    if !address.ip().is_loopback() {
        return Err(format!(
            "{address} could be reached from elsewhere; the page is for this machine (127.0.0.1:PORT)"
        ));
    }
    let listener = runtime
        .block_on(TcpListener::bind(address))
        .map_err(|error| format!("could not listen on {address}: {error}"))?;
    let bound = listener.local_addr().map_err(|error| error.to_string())?;
    let drawn = draw(board, runtime);
    let board = Arc::clone(board);
    runtime.spawn(async move {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (board, drawn) = (Arc::clone(&board), drawn.clone());
                    tokio::spawn(async move {
                        let _served = tokio::time::timeout(LASTING, talk(stream, &board, &drawn)).await;
                        drop(place);
                    });
                }
                // Out of descriptors, most likely: others give some back.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    });
    Ok(bound)
}

/// Draws what changes on the page, once for all who look at it, and only while somebody does.
fn draw(board: &Shared, runtime: &Handle) -> Drawn {
    let (sender, receiver) = watch::channel(Bytes::new());
    let board = Arc::clone(board);
    runtime.spawn(async move {
        loop {
            // One is held by the server itself.
            if sender.receiver_count() > 1 {
                let event = event(&live(&locked(&board)));
                sender.send_if_modified(|last| {
                    let is_new = *last != event;
                    *last = event;
                    is_new
                });
            }
            tokio::time::sleep(RHYTHM).await;
        }
    });
    receiver
}

/// A text as an event: each of its lines behind `data:`.
fn event(text: &str) -> Bytes {
    let mut lines: Vec<String> = text.lines().map(|line| format!("data: {line}\n")).collect();
    lines.push("\n".to_owned());
    Bytes::from(lines.concat())
}

async fn talk(stream: TcpStream, board: &Shared, drawn: &Drawn) {
    let service = service_fn(async |request: Request<Incoming>| {
        Ok::<_, Infallible>(answer(
            request.method(),
            request.uri().path(),
            request.headers(),
            board,
            drawn,
        ))
    });
    let _talked = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn answer(method: &Method, path: &str, headers: &HeaderMap, board: &Shared, drawn: &Drawn) -> Response<Body> {
    let text = |status: StatusCode, kind: &'static str, text: String| {
        let body = if *method == Method::HEAD {
            Bytes::new()
        } else {
            Bytes::from(text)
        };
        response(status, kind, Either::Left(Full::new(body)))
    };
    let plain = |status: StatusCode, said: &str| text(status, "text/plain; charset=utf-8", said.to_owned());
    // A page elsewhere can lead a browser here under a name of its own, or from a page of its own; neither is answered.
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    if !is_of_this_machine(host.trim()) {
        return plain(StatusCode::MISDIRECTED_REQUEST, "ask 127.0.0.1\n");
    }
    if is_of_another_page(headers) {
        return plain(StatusCode::FORBIDDEN, "this is for its own page\n");
    }
    if *method != Method::GET && *method != Method::HEAD {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "GET\n");
    }
    match path {
        "/" => text(StatusCode::OK, "text/html; charset=utf-8", page(&locked(board))),
        "/metrics" => text(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            metrics(&locked(board)),
        ),
        SCRIPT_PATH => text(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT.to_owned()),
        EVENTS if *method == Method::GET => {
            let events = StreamBody::new(events(drawn.clone()));
            response(StatusCode::OK, "text/event-stream", Either::Right(events))
        }
        _ => plain(StatusCode::NOT_FOUND, "/ and /metrics are here\n"),
    }
}

/// What was drawn last, and then each time that it has changed.
fn events(mut drawn: Drawn) -> Events {
    drawn.mark_changed();
    Box::pin(stream::unfold(drawn, async |mut drawn| {
        loop {
            drawn.changed().await.ok()?;
            let event = drawn.borrow_and_update().clone();
            // Nothing was drawn yet, as nobody looked.
            if !event.is_empty() {
                return Some((Ok(Frame::data(event)), drawn));
            }
        }
    }))
}

fn response(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, hyper::header::HeaderValue::from_static(value));
    }
    response
}

/// Whether a browser says that another page asks: by its origin, or by `Sec-Fetch-Site`. Who follows a link is welcome.
fn is_of_another_page(headers: &HeaderMap) -> bool {
    let told = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_foreign_origin = told("origin").is_some_and(|origin| {
        let host = origin.strip_prefix("http://").unwrap_or_default();
        Some(host) != told("host")
    });
    let is_followed = told("sec-fetch-mode") == Some("navigate") && told("sec-fetch-dest") == Some("document");
    is_foreign_origin || (told("sec-fetch-site") == Some("cross-site") && !is_followed)
}

/// Whether a `Host` header names this machine itself: `localhost` or an address of the loopback, as a whole.
fn is_of_this_machine(host: &str) -> bool {
    let Ok(url) = url::Url::parse(&format!("http://{host}/")) else {
        return false;
    };
    let is_bare = url.username().is_empty() && url.password().is_none() && url.path() == "/" && url.query().is_none();
    is_bare
        && match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
}

#[cfg(test)]
mod tests {
    use super::{event, is_of_another_page, is_of_this_machine};

    #[test]
    fn an_event_keeps_its_lines_together() {
        assert_eq!(event("a\nb"), "data: a\ndata: b\n\n");
    }

    #[test]
    fn another_page_is_not_answered_and_a_link_is_followed() {
        let asks = |told: &[(&'static str, &'static str)]| {
            let headers = told.iter().map(|(name, value)| {
                (
                    hyper::header::HeaderName::from_static(name),
                    hyper::header::HeaderValue::from_static(value),
                )
            });
            is_of_another_page(&headers.collect())
        };
        let host = ("host", "127.0.0.1:9300");
        assert!(!asks(&[host]));
        assert!(!asks(&[
            host,
            ("origin", "http://127.0.0.1:9300"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(asks(&[host, ("origin", "http://127.0.0.1:80")]) && asks(&[host, ("origin", "null")]));
        let framed = [
            host,
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "iframe"),
        ];
        assert!(asks(&framed) && asks(&[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]));
        let linked = [
            host,
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert!(!asks(&linked));
    }

    #[test]
    fn a_name_that_only_begins_like_this_machine_is_a_strangers() {
        for ours in [
            "localhost",
            "localhost:9000",
            "127.0.0.1:18977",
            "127.0.0.2",
            "[::1]:80",
            "LOCALHOST",
        ] {
            assert!(is_of_this_machine(ours), "{ours}");
        }
        for theirs in [
            "",
            "127.example",
            "localhost.example",
            "127.0.0.1.example",
            "example",
            "localhost@example",
            "192.0.2.1",
            "127.0.0.1/x",
        ] {
            assert!(!is_of_this_machine(theirs), "{theirs}");
        }
    }
}
