//! A large file, put in parts; an upload that was cut off goes on where it was.

use std::fs::File;
use std::os::unix::fs::FileExt;

use futures_util::{StreamExt, stream};

use super::answers::{Begun, Parts, Uploads, read, xml};
use super::error::{RemoteError, Result};
use super::http::{Answer, Ask, Requests};
use super::setback::complaint;

/// What is longer is put in parts of this length. The storage asks for 5 MiB at least; several of them are in memory at once.
pub const PART: u64 = 8 * 1024 * 1024;
/// No upload has more parts. S3 allows 10,000.
const PARTS: u64 = 9_000;
/// So many parts are put ahead; how many of them are in flight, the memory that they take decides.
const AHEAD: usize = 16;

/// How long the parts of a file of this length are.
#[must_use]
pub fn part_of(length: u64) -> u64 {
    PART.max(length.div_ceil(PARTS))
}

/// A large file that becomes an object, part by part.
pub struct Upload<'u> {
    /// The key that it gets.
    pub key: &'u str,
    /// The file.
    pub file: &'u File,
    /// Its length in bytes.
    pub length: u64,
    /// The length of each part but the last, in bytes.
    pub part: u64,
    /// The headers that belong to the object.
    pub headers: &'u [(String, String)],
}

impl Requests {
    /// Puts a large file in parts. An upload that fails is ended, since nobody keeps its id: its parts are paid for, and no
    /// listing of objects shows them.
    ///
    /// # Errors
    ///
    /// The storage is not reached within its tries, or says no.
    pub async fn put_parts(&self, upload: &Upload<'_>) -> Result<()> {
        let (id, there) = self.begun(upload, None).await?;
        let done = self.parts_of(upload, &id, there).await;
        if done.is_err() {
            // What could not be ended is found by the next look for what is unended.
            let _ended = self.end_upload(upload.key, &id).await;
        }
        done
    }

    /// Puts a large file in parts, and goes on with the upload of this id (`known`) where it is still there. The id of the one
    /// that is under way is handed to `note` before its first part is put; one that fails can be gone on with.
    ///
    /// # Errors
    ///
    /// The storage is not reached within its tries, or says no.
    pub async fn go_on_with_parts(
        &self,
        upload: &Upload<'_>,
        known: Option<&str>,
        note: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let (id, there) = self.begun(upload, known).await?;
        note(&id);
        self.parts_of(upload, &id, there).await
    }

    /// The id of the upload, and for one that goes on the answer that lists its parts.
    async fn begun(&self, upload: &Upload<'_>, known: Option<&str>) -> Result<(String, Option<Answer>)> {
        let key = upload.key;
        let what = format!("write {key}");
        if let Some(id) = known {
            let ask = Ask {
                method: "GET",
                key,
                query: vec![("uploadId", id.to_owned())],
                ..Ask::default()
            };
            let there = self.answer(&what, &ask).await.ok();
            if let Some(there) = there.filter(|answer| answer.status.is_success()) {
                return Ok((id.to_owned(), Some(there)));
            }
        }
        let ask = Ask {
            method: "POST",
            key,
            query: vec![("uploads", String::new())],
            headers: upload
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone()))
                .collect(),
            ..Ask::default()
        };
        let answer = self.answer(&what, &ask).await?;
        if !answer.status.is_success() {
            let why = complaint(answer.status, &answer.text);
            return Err(RemoteError::new(format!("could not {what}"), why));
        }
        Ok((read::<Begun>(&what, &answer.text)?.upload_id, None))
    }

    /// Puts the parts that are not there yet, some side by side, and makes the object of them.
    async fn parts_of(&self, upload: &Upload<'_>, id: &str, there: Option<Answer>) -> Result<()> {
        let &Upload {
            key,
            file,
            length,
            part,
            ..
        } = upload;
        let what = format!("write {key}");
        let failed = |why: String| RemoteError::new(format!("could not {what}"), why);
        // A list that cannot be read is none: then all parts are put again.
        let there: Parts = there.and_then(|answer| xml(&answer.text).ok()).unwrap_or_default();
        let stopped = || failed("guard was asked to stop".to_owned());
        let put = async |number: u64| -> Result<(u64, String)> {
            let from = (number - 1) * part;
            let count = part.min(length - from);
            if let Some(etag) = there.held(number, count) {
                return Ok((number, etag.to_owned()));
            }
            let _room = self.room(count).await;
            if self.cx.stop.is_asked() {
                return Err(stopped());
            }
            let mut body = vec![0; usize::try_from(count).unwrap_or_default()];
            file.read_exact_at(&mut body, from)
                .map_err(|error| failed(error.to_string()))?;
            let ask = Ask {
                method: "PUT",
                key,
                query: vec![("partNumber", number.to_string()), ("uploadId", id.to_owned())],
                body: body.into(),
                ..Ask::default()
            };
            let answer = self.answer(&what, &ask).await?;
            let etag = answer.etag.filter(|_| answer.status.is_success());
            etag.map(|etag| (number, etag))
                .ok_or_else(|| failed(complaint(answer.status, &answer.text)))
        };
        let mut etags: Vec<(u64, String)> = Vec::new();
        let mut refused = None;
        // Those that are in flight when one is refused are waited for: what ends the upload must not come before them.
        let is_refused = std::cell::Cell::new(false);
        let parts = stream::iter(1..=length.div_ceil(part)).take_while(|_| std::future::ready(!is_refused.get()));
        let mut put = std::pin::pin!(parts.map(put).buffered(AHEAD));
        while let Some(part_put) = put.next().await {
            match part_put {
                Ok((number, etag)) => {
                    etags.push((number, etag));
                    let done = (number * part).min(length);
                    self.cx.progress(&format!("copy {key}"), done, Some(length));
                }
                Err(error) => {
                    is_refused.set(true);
                    refused.get_or_insert(error);
                }
            }
        }
        if let Some(error) = refused {
            return Err(error);
        }
        let parts = etags.iter().map(|(number, etag)| {
            let etag = quick_xml::escape::escape(etag);
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
        });
        let body = format!(
            "<CompleteMultipartUpload>{}</CompleteMultipartUpload>",
            parts.collect::<String>()
        );
        let ask = Ask {
            method: "POST",
            key,
            query: vec![("uploadId", id.to_owned())],
            body: body.into(),
            answers_early: true,
            ..Ask::default()
        };
        let answer = self.answer(&what, &ask).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        // Done by a try whose answer did not arrive.
        if answer.status == reqwest::StatusCode::NOT_FOUND && self.length(key).await? == Some(length) {
            return Ok(());
        }
        Err(failed(complaint(answer.status, &answer.text)))
    }

    /// Ends an upload in parts that is not to become an object; one that is not there is fine.
    ///
    /// # Errors
    /// The storage refuses.
    pub async fn end_upload(&self, key: &str, id: &str) -> Result<()> {
        let what = format!("end an upload of {key}");
        let ask = Ask {
            method: "DELETE",
            key,
            query: vec![("uploadId", id.to_owned())],
            ..Ask::default()
        };
        let answer = self.answer(&what, &ask).await?;
        if answer.status.is_success() || answer.status == reqwest::StatusCode::NOT_FOUND {
            return Ok(());
        }
        Err(RemoteError::new(
            format!("could not {what}"),
            complaint(answer.status, &answer.text),
        ))
    }

    /// Uploads in parts below a prefix that are not ended: the key, the upload, and when it began as the storage tells it.
    /// `None`: this storage does not tell.
    ///
    /// # Errors
    /// The storage cannot be asked.
    pub async fn unended(&self, prefix: &str) -> Result<Option<Vec<Unended>>> {
        let what = format!("list uploads in {}", self.name);
        let mut found = Vec::new();
        let mut next: Option<(String, String)> = None;
        loop {
            let mut query = vec![
                ("uploads", String::new()),
                ("prefix", prefix.to_owned()),
                ("encoding-type", "url".to_owned()),
            ];
            if let Some((key, id)) = next.take() {
                query.extend([("key-marker", key), ("upload-id-marker", id)]);
            }
            let ask = Ask {
                method: "GET",
                query,
                expects: super::http::LONGEST,
                ..Ask::default()
            };
            // Several servers have no such list, each with an error of its own.
            let Ok(answer) = self.answer(&what, &ask).await else {
                return Ok(None);
            };
            if !answer.status.is_success() {
                return Ok(None);
            }
            let Ok(page) = Uploads::read(&answer.text) else {
                return Ok(None);
            };
            let uploads = page.upload.into_iter().filter(|upload| upload.key.starts_with(prefix));
            found.extend(uploads.map(|upload| Unended {
                key: upload.key,
                id: upload.id,
                begun: upload.initiated,
            }));
            next = page
                .next_key_marker
                .filter(|_| page.is_truncated)
                .map(|key| (key, page.next_upload_id_marker.unwrap_or_default()));
            if next.is_none() {
                return Ok(Some(found));
            }
        }
    }
}

/// An upload in parts that is not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unended {
    /// The key that it would have.
    pub key: String,
    /// The storage's own id of it.
    pub id: String,
    /// When it began, as the storage writes it.
    pub begun: Option<String>,
}
