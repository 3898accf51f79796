//! Signs requests to S3-compatible storage: AWS Signature Version 4, with the digest of the body in it.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;

use crate::disk::{hex, sha256_hex};
use guard_model::secret::Secret;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The public half.
    pub access_key: String,
    /// The secret half.
    pub secret_key: Secret,
    /// For credentials that are lent for some time.
    pub session_token: Option<Secret>,
}

/// A request, as it is signed.
pub(super) struct Request<'r> {
    pub(super) method: &'r str,
    /// As it stands in the address, with its port.
    pub(super) host: &'r str,
    /// Encoded, from the first `/`.
    pub(super) path: &'r str,
    /// Names and values, not encoded.
    pub(super) query: &'r [(&'r str, String)],
    /// Of the body.
    pub(super) sha256: &'r str,
    /// Further headers, by their names in lower case.
    pub(super) headers: &'r [(&'r str, String)],
}

/// What stays as it is in an address, beside letters and digits.
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same in a path.
const PATH: AsciiSet = PLAIN.remove(b'/');

/// Everything but letters, digits and `-._~` as `%XX`; `/` stays where it is a path.
pub(super) fn encoded(text: &str, is_path: bool) -> String {
    utf8_percent_encode(text, if is_path { &PATH } else { &PLAIN }).to_string()
}

/// The query as it stands in the address, sorted as it is signed.
pub(super) fn query(pairs: &[(&str, String)]) -> String {
    let mut pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name, false), encoded(value, false)))
        .collect();
    pairs.sort();
    pairs.join("&")
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes a key of any length.
    Hmac::<Sha256>::new_from_slice(key).map_or_else(
        |_| Vec::new(),
        |mut mac| {
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        },
    )
}

/// The headers that a request needs.
pub(super) fn headers(
    request: &Request<'_>,
    who: &Credentials,
    region: &str,
    now: DateTime<Utc>,
) -> Vec<(String, String)> {
    let (day, moment) = (
        now.format("%Y%m%d").to_string(),
        now.format("%Y%m%dT%H%M%SZ").to_string(),
    );
    let mut signed = vec![
        ("host".to_owned(), request.host.to_owned()),
        ("x-amz-content-sha256".to_owned(), request.sha256.to_owned()),
        ("x-amz-date".to_owned(), moment.clone()),
    ];
    if let Some(token) = &who.session_token {
        signed.push(("x-amz-security-token".to_owned(), token.expose().to_owned()));
    }
    let further = request.headers.iter();
    signed.extend(further.map(|(name, value)| ((*name).to_owned(), value.clone())));
    signed.sort();
    let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    // A value is signed with its spaces made one.
    let plain = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines = signed.iter().map(|(name, value)| format!("{name}:{}\n", plain(value)));
    let canonical = [
        request.method,
        request.path,
        &query(request.query),
        &lines.collect::<String>(),
        &names,
        request.sha256,
    ]
    .join("\n");
    let scope = format!("{day}/{region}/s3/aws4_request");
    let text = format!(
        "AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}",
        sha256_hex(canonical.as_bytes())
    );
    let first = format!("AWS4{}", who.secret_key.expose()).into_bytes();
    let key = [day.as_str(), region, "s3", "aws4_request"]
        .iter()
        .fold(first, |key, part| mac(&key, part));
    let signature = hex(&mac(&key, &text));
    let access_key = &who.access_key;
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}");
    signed.retain(|(name, _)| name != "host");
    signed.push(("authorization".to_owned(), authorization));
    signed
}
