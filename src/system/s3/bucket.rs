//! What is asked of a bucket: to put, to get, to look, to list.

use std::io::Write;

use reqwest::StatusCode;

use super::http::{Ask, Bucket, LONGEST, all, complaint, told};
use super::{RemoteError, Result};
use crate::system::disk::Digest;

impl Bucket {
    /// Puts a small object; `false`: `only_new` was asked for and it is there already.
    pub(crate) fn put(&self, key: &str, body: &[u8], only_new: bool) -> Result<bool> {
        let ask = Ask {
            method: "PUT",
            key,
            body,
            only_new,
            ..Ask::default()
        };
        let answer = self.answer(&format!("write {key}"), &ask)?;
        match answer.status {
            status if status.is_success() => Ok(true),
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Ok(false),
            status => Err(RemoteError::new(
                format!("could not write {key}"),
                complaint(status, &answer.text),
            )),
        }
    }

    /// The length of an object; `None`: there is none.
    pub(crate) fn length(&self, key: &str) -> Result<Option<u64>> {
        let ask = Ask {
            method: "HEAD",
            key,
            ..Ask::default()
        };
        self.tried(&format!("look at {key}"), || {
            self.runtime.block_on(async {
                let response = self.send(&ask).await.map_err(|error| (told(&error), true))?;
                let status = response.status();
                let length = response
                    .headers()
                    .get("content-length")
                    .and_then(|length| length.to_str().ok()?.parse().ok());
                match status {
                    StatusCode::NOT_FOUND => Ok(None),
                    status if status.is_success() => Ok(Some(length.unwrap_or_default())),
                    status => Err((complaint(status, b""), status.is_server_error())),
                }
            })
        })
    }

    /// A small object whole; `None`: there is none.
    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let ask = Ask {
            method: "GET",
            key,
            expects: LONGEST,
            ..Ask::default()
        };
        let answer = self.answer(&format!("read {key}"), &ask)?;
        if String::from_utf8_lossy(&answer.text).contains("<Code>NoSuchBucket</Code>") && !answer.status.is_success() {
            return Err(RemoteError::new(
                format!("could not read {key}"),
                complaint(answer.status, &answer.text),
            ));
        }
        Ok(answer.status.is_success().then_some(answer.text))
    }

    /// Writes an object of this length into a file; its digest and length are those that are listed, or it is an error.
    pub(crate) fn fetch(
        &self,
        key: &str,
        length: u64,
        sha256: &str,
        mut to: impl FnMut() -> Result<Box<dyn Write>>,
    ) -> Result<()> {
        let ask = Ask {
            method: "GET",
            key,
            expects: length,
            ..Ask::default()
        };
        self.tried(&format!("read {key}"), || {
            let mut file = to().map_err(|error| (error.to_string(), false))?;
            let mut digest = Digest::default();
            self.runtime.block_on(async {
                let mut response = self.send(&ask).await.map_err(|error| (told(&error), true))?;
                let status = response.status();
                if !status.is_success() {
                    return Err((complaint(status, b""), status.is_server_error()));
                }
                while let Some(bytes) = response.chunk().await.map_err(|error| (told(&error), true))? {
                    digest.update(&bytes);
                    if digest.bytes() > length {
                        return Err(("it is longer than the manifest says".to_owned(), false));
                    }
                    file.write_all(&bytes).map_err(|error| (error.to_string(), false))?;
                    if self.cx.stop.is_asked() {
                        return Err(("guard was asked to stop".to_owned(), false));
                    }
                }
                Ok(())
            })?;
            if digest.bytes() < length {
                return Err(("it is shorter than the manifest says".to_owned(), false));
            }
            if digest.hex() == sha256 {
                Ok(())
            } else {
                Err(("its SHA-256 is not the manifest's".to_owned(), false))
            }
        })
    }

    /// The names below a prefix that ends with `/`, up to the next `/`.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut query = vec![
                ("list-type", "2".to_owned()),
                ("delimiter", "/".to_owned()),
                ("prefix", prefix.to_owned()),
            ];
            query.extend(token.take().map(|token| ("continuation-token", token)));
            let ask = Ask {
                method: "GET",
                query,
                expects: LONGEST,
                ..Ask::default()
            };
            let answer = self.answer(&format!("list {prefix}"), &ask)?;
            if !answer.status.is_success() {
                return Err(RemoteError::new(
                    format!("could not list {prefix}"),
                    complaint(answer.status, &answer.text),
                ));
            }
            let text = String::from_utf8_lossy(&answer.text).into_owned();
            let names = all(&text, "<CommonPrefixes>\\s*<Prefix>([^<]*)</Prefix>");
            found.extend(
                names
                    .iter()
                    .filter_map(|name| Some(name.strip_prefix(prefix)?.trim_end_matches('/').to_owned())),
            );
            token = all(&text, "<NextContinuationToken>([^<]*)<").pop();
            if token.is_none() {
                return Ok(found);
            }
        }
    }
}
