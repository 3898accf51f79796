//! What is asked of a bucket: to put, to get, to look, to list.

use std::io::Write;

use bytes::Bytes;
use reqwest::StatusCode;

use super::answers::{Complaint, Listing, xml};
use super::http::{Answer, Ask, LONGEST, Requests};
use super::setback::{Setback, complaint};
use super::{RemoteError, Result};
use crate::disk::Digest;

fn unwritten(key: &str, answer: &Answer) -> RemoteError {
    RemoteError::new(format!("could not write {key}"), complaint(answer.status, &answer.text))
}

impl Requests {
    /// Puts a small object, over whatever is there.
    ///
    /// # Errors
    ///
    /// The storage is not reached within its tries, or says no.
    pub async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        let ask = Ask {
            method: "PUT",
            key,
            body,
            ..Ask::default()
        };
        let answer = self.answer(&format!("write {key}"), &ask).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(unwritten(key, &answer))
    }

    /// Puts a small object where none is; `false`: there is one already.
    ///
    /// # Errors
    ///
    /// The storage is not reached within its tries, or says no.
    pub async fn put_new(&self, key: &str, body: Bytes) -> Result<bool> {
        let ask = Ask {
            method: "PUT",
            key,
            body,
            only_new: true,
            ..Ask::default()
        };
        let answer = self.answer(&format!("write {key}"), &ask).await?;
        match answer.status {
            status if status.is_success() => Ok(true),
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Ok(false),
            _ => Err(unwritten(key, &answer)),
        }
    }

    /// The length of an object; `None`: there is none.
    ///
    /// # Errors
    ///
    /// The storage is not reached within its tries, or says no.
    pub async fn length(&self, key: &str) -> Result<Option<u64>> {
        let ask = Ask {
            method: "HEAD",
            key,
            ..Ask::default()
        };
        let once = async || {
            let response = self
                .send(&ask)
                .await
                .map_err(|error| Setback::unheard(&error))?
                .response;
            let status = response.status();
            let length = response
                .headers()
                .get("content-length")
                .and_then(|length| length.to_str().ok()?.parse().ok());
            match status {
                StatusCode::NOT_FOUND => Ok(None),
                status if status.is_success() => Ok(Some(length.unwrap_or_default())),
                status => Err(Setback::of_answer(status, b"")),
            }
        };
        self.tried(&format!("look at {key}"), once).await
    }

    /// A small object whole; `None`: there is none.
    ///
    /// # Errors
    ///
    /// The storage is not reached within its tries, or says no.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let ask = Ask {
            method: "GET",
            key,
            expects: LONGEST,
            ..Ask::default()
        };
        let answer = self.answer(&format!("read {key}"), &ask).await?;
        let is_of_bucket = || xml(&answer.text).is_ok_and(|said: Complaint| said.code == "NoSuchBucket");
        if !answer.status.is_success() && is_of_bucket() {
            return Err(RemoteError::new(
                format!("could not read {key}"),
                complaint(answer.status, &answer.text),
            ));
        }
        Ok(answer.status.is_success().then_some(answer.text))
    }

    /// Writes an object of this length into a file; its digest and length are those that are listed, or it is an error.
    ///
    /// # Errors
    ///
    /// The storage is not reached within its tries, or says no.
    pub async fn fetch(
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
        let once = async || {
            let mut file = to().map_err(|error| Setback::lasting(error.to_string()))?;
            let mut digest = Digest::default();
            let mut reply = self.send(&ask).await.map_err(|error| Setback::unheard(&error))?;
            let response = &mut reply.response;
            let status = response.status();
            if !status.is_success() {
                return Err(Setback::of_answer(status, b""));
            }
            while let Some(bytes) = response.chunk().await.map_err(|error| Setback::unheard(&error))? {
                digest.update(&bytes);
                if digest.bytes() > length {
                    return Err(Setback::lasting("it is longer than the manifest says"));
                }
                file.write_all(&bytes)
                    .map_err(|error| Setback::lasting(error.to_string()))?;
                if self.cx.stop.is_asked() {
                    return Err(Setback::lasting("guard was asked to stop"));
                }
            }
            if digest.bytes() < length {
                return Err(Setback::lasting("it is shorter than the manifest says"));
            }
            if digest.hex() == sha256 {
                Ok(())
            } else {
                Err(Setback::lasting("its SHA-256 is not the manifest's"))
            }
        };
        self.tried(&format!("read {key}"), once).await
    }

    /// The names below a prefix that ends with `/`, up to the next `/`.
    ///
    /// # Errors
    ///
    /// The storage is not reached within its tries, or says no.
    pub async fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        self.pages(&[("delimiter", "/"), ("prefix", prefix)], &mut |page| {
            let names = page.common_prefixes.into_iter();
            found.extend(names.filter_map(|name| {
                let name = name.prefix.strip_prefix(prefix)?;
                Some(name.trim_end_matches('/').to_owned())
            }));
        })
        .await?;
        Ok(found)
    }

    /// Lists, page by page. Names come as in an address, where the storage can do that: XML cannot say every byte.
    pub(super) async fn pages(&self, query: &[(&'static str, &str)], take: &mut dyn FnMut(Listing)) -> Result<()> {
        let below = query
            .iter()
            .find(|(name, _)| *name == "prefix")
            .map_or("", |(_, prefix)| prefix);
        let what = format!("list {}/{below}", self.name);
        let refused = |why: String| RemoteError::new(format!("could not {what}"), why);
        let mut token: Option<String> = None;
        loop {
            let mut query: Vec<(&str, String)> =
                query.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            query.extend([("list-type", "2".to_owned()), ("encoding-type", "url".to_owned())]);
            query.extend(token.take().map(|token| ("continuation-token", token)));
            let ask = Ask {
                method: "GET",
                query,
                expects: LONGEST,
                ..Ask::default()
            };
            let answer = self.answer(&what, &ask).await?;
            if !answer.status.is_success() {
                return Err(refused(complaint(answer.status, &answer.text)));
            }
            let (page, next) = Listing::read(&answer.text).map_err(refused)?;
            take(page);
            token = next;
            if token.is_none() {
                return Ok(());
            }
        }
    }
}
