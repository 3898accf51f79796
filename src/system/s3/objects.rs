//! What is asked of a bucket whose objects are a resource: to list them, to read them as they were listed, to copy and to
//! remove them.

use std::fs::File;
use std::io;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::{Response, StatusCode};

use super::error::{RemoteError, Result};
use super::http::{Ask, Reply, Requests};
use super::parts::{PART, Upload, part_of};
use super::setback::{Setback, complaint, told};
use super::sign;

/// What an object is known by.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Object {
    /// Its whole key.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
    /// The storage's own mark of its content, without quotes.
    pub etag: String,
}

/// So many objects are asked for ahead; of these, as many requests are in flight as the storage bears.
const AHEAD: usize = 200;

/// Headers that belong to an object, by their names in lower case.
const KEPT: [&str; 5] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
];
/// Headers of the user's own begin so.
const OWN: &str = "x-amz-meta-";

/// Headers that belong to an object, by their names in lower case.
pub type Headers = Vec<(String, String)>;

/// The content of an object, as it arrives. Its request is in flight while it is there.
pub struct Content(Reply);

impl Content {
    /// What has come next; `None`: that was all.
    ///
    /// # Errors
    /// It breaks off.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let next = self.0.response.chunk().await;
        next.map_err(|error| io::Error::other(told(&error)))
    }
}

/// An object that was opened.
pub struct Opened {
    /// The headers that belong to it.
    pub headers: Headers,
    /// The storage's mark of what comes.
    pub etag: String,
    /// What comes.
    pub content: Content,
}

fn header(response: &Response, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

/// The mark without its quotes, as a listing or a header has it.
fn bare(etag: &str) -> String {
    etag.trim().trim_matches('"').to_owned()
}

impl Requests {
    /// All objects below a prefix, in the order of their keys, as the listing tells them: some storages tell no marks there, and
    /// those are empty then.
    ///
    /// # Errors
    /// The storage cannot be asked, or its answer not understood.
    pub async fn listed(&self, prefix: &str) -> Result<Vec<Object>> {
        let mut found = Vec::new();
        self.pages(&[("prefix", prefix)], &mut |page| {
            found.extend(page.contents.into_iter().map(|entry| Object {
                key: entry.key,
                size: entry.size,
                etag: entry.etag.map(|etag| bare(&etag)).unwrap_or_default(),
            }));
        })
        .await?;
        found.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(found)
    }

    /// The same, each with its mark: where the listing tells none, each is asked for.
    ///
    /// # Errors
    /// The storage cannot be asked, or its answer not understood.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        let marked = stream::iter(self.listed(prefix).await?).map(|object| self.marked(object));
        let marked: Vec<Option<Object>> = marked.buffered(AHEAD).try_collect().await?;
        Ok(marked.into_iter().flatten().collect())
    }

    /// An object with its mark. One that is gone by now is passed over, as if it had gone before.
    async fn marked(&self, object: Object) -> Result<Option<Object>> {
        if !object.etag.is_empty() {
            return Ok(Some(object));
        }
        let looked = self.look(&object.key).await?;
        if looked.is_none() {
            self.is_gone(&object.key).await?;
        }
        Ok(looked)
    }

    /// Makes sure that an object which the storage did not give is one that is not there: a listing that still names it says
    /// otherwise.
    ///
    /// # Errors
    /// It is listed, and again not given.
    pub async fn is_gone(&self, key: &str) -> Result<()> {
        for wait in [200, 1000] {
            let mut is_listed = false;
            self.pages(&[("prefix", key)], &mut |page| {
                is_listed |= page.contents.iter().any(|entry| entry.key == key);
            })
            .await?;
            if !is_listed {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        }
        Err(RemoteError::new(
            format!("could not read {key}"),
            "the storage lists it, and answers that it is not there when it is asked for it",
        ))
    }

    /// What an object is known by; `None`: there is none.
    ///
    /// # Errors
    /// The storage cannot be asked.
    pub async fn look(&self, key: &str) -> Result<Option<Object>> {
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
            match response.status() {
                StatusCode::NOT_FOUND => Ok(None),
                status if status.is_success() => Ok(Some(Object {
                    key: key.to_owned(),
                    size: header(&response, "content-length")
                        .and_then(|length| length.parse().ok())
                        .unwrap_or_default(),
                    etag: header(&response, "etag").map(|etag| bare(&etag)).unwrap_or_default(),
                })),
                status => Err(Setback::of_answer(status, b"")),
            }
        };
        self.tried(&format!("look at {key}"), once).await
    }

    /// Opens an object as it was listed, with the headers that belong to it and its mark; `None`: it is gone, or another one by
    /// now. Of one that was listed without a mark, only the length is compared.
    ///
    /// # Errors
    /// The storage cannot be asked.
    pub async fn open_object(&self, object: &Object) -> Result<Option<Opened>> {
        let ask = Ask {
            method: "GET",
            key: &object.key,
            expects: object.size,
            ..Ask::default()
        };
        let once = async || {
            let reply = self.send(&ask).await.map_err(|error| Setback::unheard(&error))?;
            let response = &reply.response;
            let status = response.status();
            if status == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            if !status.is_success() {
                return Err(Setback::of_answer(status, b""));
            }
            let etag = header(response, "etag").map(|etag| bare(&etag));
            let is_another = if object.etag.is_empty() {
                header(response, "content-length").is_some_and(|length| length != object.size.to_string())
            } else {
                etag.as_ref().is_some_and(|etag| *etag != object.etag)
            };
            if is_another {
                return Ok(None);
            }
            let belongs = |name: &str| KEPT.contains(&name) || name.starts_with(OWN);
            let headers = response
                .headers()
                .iter()
                .filter(|(name, _)| belongs(name.as_str()))
                .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
            let mut headers: Headers = headers.collect();
            headers.sort();
            Ok(Some(Opened {
                headers,
                etag: etag.unwrap_or_else(|| object.etag.clone()),
                content: Content(reply),
            }))
        };
        self.tried(&format!("read {}", object.key), once).await
    }

    /// Puts an object of this length out of a file, with the headers that belong to it.
    ///
    /// # Errors
    /// The file cannot be read, or the storage refuses.
    pub async fn put_object(&self, key: &str, headers: &[(String, String)], file: &File, size: u64) -> Result<()> {
        use std::os::unix::fs::FileExt;
        if size > PART {
            return self
                .put_parts(&Upload {
                    key,
                    file,
                    length: size,
                    part: part_of(size),
                    headers,
                })
                .await;
        }
        let what = format!("write {key}");
        let _room = self.room(size).await;
        let mut body = vec![0; usize::try_from(size).unwrap_or_default()];
        file.read_exact_at(&mut body, 0)
            .map_err(|error| RemoteError::new(format!("could not {what}"), error.to_string()))?;
        let ask = Ask {
            method: "PUT",
            key,
            body: body.into(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone()))
                .collect(),
            ..Ask::default()
        };
        let answer = self.answer(&what, &ask).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(RemoteError::new(
            format!("could not {what}"),
            complaint(answer.status, &answer.text),
        ))
    }

    /// Copies an object inside of the bucket, with the headers that belong to it. No content passes through this host.
    ///
    /// # Errors
    /// There is none, or the storage refuses.
    pub async fn copy_object(&self, from: &str, size: u64, to: &str) -> Result<()> {
        let what = format!("copy {from} to {to}");
        let source = sign::encoded(&format!("/{}/{from}", self.name), true);
        let ask = Ask {
            method: "PUT",
            key: to,
            expects: size,
            headers: vec![("x-amz-copy-source", source)],
            // A copy that fails after it began is told in an answer that says 200.
            answers_early: true,
            ..Ask::default()
        };
        let answer = self.answer(&what, &ask).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(RemoteError::new(
            format!("could not {what}"),
            complaint(answer.status, &answer.text),
        ))
    }

    /// Removes an object; one that is not there is fine.
    ///
    /// # Errors
    /// The storage refuses.
    pub async fn remove_object(&self, key: &str) -> Result<()> {
        let what = format!("remove {key}");
        let ask = Ask {
            method: "DELETE",
            key,
            ..Ask::default()
        };
        let answer = self.answer(&what, &ask).await?;
        if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        Err(RemoteError::new(
            format!("could not {what}"),
            complaint(answer.status, &answer.text),
        ))
    }
}
