//! A large file, put in parts; an upload that was cut off goes on where it was.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::answers::{Begun, Parts, is_error, read, xml};
use super::http::{Ask, Bucket, complaint};
use super::{RemoteError, Result};

impl Bucket {
    /// Puts a large file in parts, with these headers; an upload that was cut off goes on where it was.
    #[expect(clippy::too_many_arguments, reason = "each is a thing of its own")]
    pub(crate) fn put_parts(
        &self,
        key: &str,
        file: &File,
        length: u64,
        part: u64,
        known: Option<&str>,
        headers: &[(String, String)],
        begun: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let what = format!("write {key}");
        let uploads = |id: &str| vec![("uploadId", id.to_owned())];
        let there = known.map(|id| {
            self.answer(
                &what,
                &Ask {
                    method: "GET",
                    key,
                    query: uploads(id),
                    ..Ask::default()
                },
            )
        });
        let there = there
            .and_then(std::result::Result::ok)
            .filter(|answer| answer.status.is_success());
        let id = if let (Some(_), Some(id)) = (&there, known) {
            id.to_owned()
        } else {
            let ask = Ask {
                method: "POST",
                key,
                query: vec![("uploads", String::new())],
                headers: headers
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.clone()))
                    .collect(),
                ..Ask::default()
            };
            let answer = self.answer(&what, &ask)?;
            if !answer.status.is_success() {
                let why = complaint(answer.status, &answer.text);
                return Err(RemoteError::new(format!("could not {what}"), why));
            }
            read::<Begun>(&what, &answer.text)?.upload_id
        };
        begun(&id);
        // A list that cannot be read is none: then all parts are put again.
        let there: Parts = there.and_then(|answer| xml(&answer.text).ok()).unwrap_or_default();
        let mut etags = Vec::new();
        for number in 1..=length.div_ceil(part) {
            let from = (number - 1) * part;
            let count = part.min(length - from);
            if let Some(etag) = there.held(number, count) {
                etags.push((number, etag.to_owned()));
                continue;
            }
            if self.cx.stop.is_asked() {
                return Err(RemoteError::new(format!("could not {what}"), "guard was asked to stop"));
            }
            let mut body = vec![0; usize::try_from(count).unwrap_or_default()];
            file.read_exact_at(&mut body, from)
                .map_err(|error| RemoteError::new(format!("could not {what}"), error.to_string()))?;
            let query = vec![("partNumber", number.to_string()), ("uploadId", id.clone())];
            let answer = self.answer(
                &what,
                &Ask {
                    method: "PUT",
                    key,
                    query,
                    body: &body,
                    ..Ask::default()
                },
            )?;
            let etag = answer.etag.filter(|_| answer.status.is_success());
            etags.push((
                number,
                etag.ok_or_else(|| {
                    RemoteError::new(format!("could not {what}"), complaint(answer.status, &answer.text))
                })?,
            ));
            self.cx.progress(&format!("copy {key}"), from + count, Some(length));
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
            query: uploads(&id),
            body: body.as_bytes(),
            ..Ask::default()
        };
        let answer = self.answer(&what, &ask)?;
        if answer.status.is_success() && !is_error(&answer.text) {
            Ok(())
        } else {
            Err(RemoteError::new(
                format!("could not {what}"),
                complaint(answer.status, &answer.text),
            ))
        }
    }
}
