//! What a failed exchange means: each cause its own class, told in a few words.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::client::{Strayed, Unresolved};
use crate::basics::spoken;
use crate::connection::connection_failed;
use crate::tls::untrusted;
use guard_model::health::{Answer, Class};
use guard_model::text::duration;
use guard_system::context::Context;

/// The answer that stands for this error.
pub(super) fn answer(error: &reqwest::Error, limit: Duration, cx: &Context) -> Answer {
    let causes = causes(error);
    if let Some(why) = causes.iter().find_map(|cause| cause.downcast_ref::<Strayed>()) {
        return Answer::failed(Class::Redirect, why.to_string());
    }
    if causes.iter().any(|cause| cause.is::<Unresolved>()) {
        return Answer::unknown(Class::Dns, "the name cannot be resolved from here");
    }
    if let Some(error) = causes.iter().find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        return untrusted(error, cx);
    }
    if error.is_timeout() {
        return if error.is_connect() {
            Answer::failed(
                Class::TimeoutConnect,
                format!("no connection within {}", duration(limit)),
            )
        } else {
            Answer::failed(Class::TimeoutRead, format!("no answer within {}", duration(limit)))
        };
    }
    if let Some(answer) = causes
        .iter()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .find_map(connection_failed)
    {
        return answer;
    }
    let said = causes.last().map(ToString::to_string).unwrap_or_default();
    if said.contains("too large") {
        return Answer::failed(Class::Body, "headers over 32 KiB");
    }
    Answer::failed(Class::Reset, spoken(cx, &said))
}

/// The error and all that is beneath it. An `io::Error` hides what it wraps from `source`, so that is asked for too.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> Vec<&'e (dyn Error + 'static)> {
    let mut found = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        found.push(cause);
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => cause.source(),
        };
    }
    found
}
