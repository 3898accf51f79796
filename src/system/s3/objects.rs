//! What is asked of a bucket whose objects are a resource: to list them, to read them as they were listed, to copy and to
//! remove them.

use std::fs::File;
use std::io::{self, Read};

use reqwest::{Response, StatusCode};
use tokio::runtime::Handle;

use super::error::{RemoteError, Result};
use super::http::{Ask, Bucket};
use super::parts::Upload;
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
/// An object over this length is put in parts. A guess; the storage asks for 5 MiB at least.
const PART: u64 = 16 * 1024 * 1024;
/// No upload has more parts. S3 allows 10,000.
const PARTS: u64 = 9_000;

/// Headers that belong to an object, by their names in lower case.
pub type Headers = Vec<(String, String)>;

/// The content of an object, as it arrives.
pub struct Source {
    response: Response,
    runtime: Handle,
    rest: Vec<u8>,
    at: usize,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.rest.len() {
            let next = self.runtime.block_on(self.response.chunk());
            let Some(bytes) = next.map_err(|error| io::Error::other(told(&error)))? else {
                return Ok(0);
            };
            (self.rest, self.at) = (bytes.to_vec(), 0);
        }
        let count = { self.rest.get(self.at..).unwrap_or_default() }.read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

/// The mark without its quotes, as a listing or a header has it.
fn bare(etag: &str) -> String {
    etag.trim().trim_matches('"').to_owned()
}

impl Bucket {
    /// All objects below a prefix, in the order of their keys. Where the listing tells no marks, each is asked for.
    ///
    /// # Errors
    /// The storage cannot be asked, or its answer not understood.
    pub fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        let mut found = Vec::new();
        self.pages(&[("prefix", prefix)], &mut |page| {
            found.extend(page.contents.into_iter().map(|entry| Object {
                key: entry.key,
                size: entry.size,
                etag: entry.etag.map(|etag| bare(&etag)).unwrap_or_default(),
            }));
        })?;
        let mut marked = Vec::new();
        for object in found {
            if object.etag.is_empty() {
                // One that is gone by now is passed over, as if it had gone before.
                let looked = self.look(&object.key)?;
                if looked.is_none() {
                    self.is_gone(&object.key)?;
                }
                marked.extend(looked);
            } else {
                marked.push(object);
            }
        }
        marked.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(marked)
    }

    /// Makes sure that an object which the storage did not give is one that is not there: a listing that still names it says
    /// otherwise.
    ///
    /// # Errors
    /// It is listed, and again not given.
    pub fn is_gone(&self, key: &str) -> Result<()> {
        for wait in [200, 1000] {
            let mut is_listed = false;
            self.pages(&[("prefix", key)], &mut |page| {
                is_listed |= page.contents.iter().any(|entry| entry.key == key);
            })?;
            if !is_listed {
                return Ok(());
            }
            self.cx.clock.sleep(std::time::Duration::from_millis(wait));
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
    pub fn look(&self, key: &str) -> Result<Option<Object>> {
        let ask = Ask {
            method: "HEAD",
            key,
            ..Ask::default()
        };
        self.tried(&format!("look at {key}"), || {
            self.runtime.block_on(async {
                let response = self.send(&ask).await.map_err(|error| Setback::unheard(&error))?;
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
            })
        })
    }

    /// Opens an object as it was listed, with the headers that belong to it; `None`: it is gone, or another one by now.
    ///
    /// # Errors
    /// The storage cannot be asked.
    pub fn open_object(&self, object: &Object) -> Result<Option<(Headers, Source)>> {
        let ask = Ask {
            method: "GET",
            key: &object.key,
            expects: object.size,
            ..Ask::default()
        };
        self.tried(&format!("read {}", object.key), || {
            self.runtime.block_on(async {
                let response = self.send(&ask).await.map_err(|error| Setback::unheard(&error))?;
                let status = response.status();
                if status == StatusCode::NOT_FOUND {
                    return Ok(None);
                }
                if !status.is_success() {
                    return Err(Setback::of_answer(status, b""));
                }
                if header(&response, "etag").is_some_and(|etag| bare(&etag) != object.etag) {
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
                let source = Source {
                    response,
                    runtime: self.runtime.clone(),
                    rest: Vec::new(),
                    at: 0,
                };
                Ok(Some((headers, source)))
            })
        })
    }

    /// Puts an object of this length out of a file, with the headers that belong to it.
    ///
    /// # Errors
    /// The file cannot be read, or the storage refuses.
    pub fn put_object(&self, key: &str, headers: &[(String, String)], file: &File, size: u64) -> Result<()> {
        use std::os::unix::fs::FileExt;
        if size > PART {
            let part = PART.max(size.div_ceil(PARTS));
            return self.put_parts(&Upload {
                key,
                file,
                length: size,
                part,
                headers,
            });
        }
        let what = format!("write {key}");
        let mut body = vec![0; usize::try_from(size).unwrap_or_default()];
        file.read_exact_at(&mut body, 0)
            .map_err(|error| RemoteError::new(format!("could not {what}"), error.to_string()))?;
        let ask = Ask {
            method: "PUT",
            key,
            body: &body,
            headers: headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone()))
                .collect(),
            ..Ask::default()
        };
        let answer = self.answer(&what, &ask)?;
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
    pub fn copy_object(&self, from: &str, size: u64, to: &str) -> Result<()> {
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
        let answer = self.answer(&what, &ask)?;
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
    pub fn remove_object(&self, key: &str) -> Result<()> {
        let what = format!("remove {key}");
        let ask = Ask {
            method: "DELETE",
            key,
            ..Ask::default()
        };
        let answer = self.answer(&what, &ask)?;
        if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        Err(RemoteError::new(
            format!("could not {what}"),
            complaint(answer.status, &answer.text),
        ))
    }
}
