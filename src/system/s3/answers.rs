//! What S3-compatible storage answers in XML: the parts that guard reads, in the shapes of Amazon's API reference.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{RemoteError, Result};

/// `ListBucketResult`, version 2.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Listing {
    pub(super) contents: Vec<Entry>,
    pub(super) common_prefixes: Vec<Common>,
    next_continuation_token: Option<String>,
    /// `url`: keys and prefixes are encoded as in addresses, since XML cannot say every byte.
    encoding_type: Option<String>,
}

/// An object in a listing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) size: u64,
    #[serde(default, rename = "ETag")]
    pub(super) etag: Option<String>,
}

/// What several keys begin with, up to the delimiter.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Common {
    pub(super) prefix: String,
}

impl Listing {
    /// Reads a page, and says how the next one is asked for.
    pub(super) fn read(text: &[u8]) -> std::result::Result<(Self, Option<String>), String> {
        let mut listing: Self = xml(text)?;
        if listing.encoding_type.as_deref() == Some("url") {
            let keys = listing.contents.iter_mut().map(|entry| &mut entry.key);
            let prefixes = listing.common_prefixes.iter_mut().map(|common| &mut common.prefix);
            for name in keys.chain(prefixes) {
                *name = decoded(name)?;
            }
        }
        let token = listing.next_continuation_token.take();
        Ok((listing, token.filter(|token| !token.is_empty())))
    }
}

/// A name as it stands in an address, where a space may be a `+`.
fn decoded(name: &str) -> std::result::Result<String, String> {
    let plain = name.replace('+', " ");
    let plain = percent_encoding::percent_decode_str(&plain).decode_utf8();
    plain
        .map(Into::into)
        .map_err(|_| format!("{name:?} is a key that is not UTF-8"))
}

/// `ListMultipartUploadsResult`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Uploads {
    pub(super) upload: Vec<Upload>,
    pub(super) is_truncated: bool,
    pub(super) next_key_marker: Option<String>,
    pub(super) next_upload_id_marker: Option<String>,
    encoding_type: Option<String>,
}

/// An upload in parts that is not ended.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Upload {
    pub(super) key: String,
    #[serde(rename = "UploadId")]
    pub(super) id: String,
    #[serde(default)]
    pub(super) initiated: Option<String>,
}

impl Uploads {
    /// Reads a page.
    pub(super) fn read(text: &[u8]) -> std::result::Result<Self, String> {
        let mut page: Self = xml(text)?;
        if page.encoding_type.as_deref() == Some("url") {
            for upload in &mut page.upload {
                upload.key = decoded(&upload.key)?;
            }
        }
        Ok(page)
    }
}

/// `InitiateMultipartUploadResult`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Begun {
    pub(super) upload_id: String,
}

/// `ListPartsResult`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Parts {
    part: Vec<Part>,
}

/// A part that an upload holds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Part {
    #[serde(rename = "PartNumber")]
    number: u64,
    size: u64,
    #[serde(rename = "ETag")]
    etag: String,
}

impl Parts {
    /// The mark of a part of this length.
    pub(super) fn held(&self, number: u64, bytes: u64) -> Option<&str> {
        let part = self
            .part
            .iter()
            .find(|part| part.number == number && part.size == bytes);
        part.map(|part| part.etag.as_str())
    }
}

/// `Error`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Complaint {
    pub(super) code: String,
    pub(super) message: String,
}

/// Whether this is an error; a storage may tell one in an answer that says 200, where the work began before.
pub(super) fn is_error(text: &[u8]) -> bool {
    text.windows(6).any(|word| word == b"<Error")
}

/// Reads an answer, or says what is wrong with it.
pub(super) fn xml<T: DeserializeOwned>(text: &[u8]) -> std::result::Result<T, String> {
    let text = std::str::from_utf8(text).map_err(|_| "its answer is not UTF-8".to_owned())?;
    quick_xml::de::from_str(text).map_err(|error| format!("its answer cannot be read: {error}"))
}

/// The same, for an answer to `what`.
pub(super) fn read<T: DeserializeOwned>(what: &str, text: &[u8]) -> Result<T> {
    xml(text).map_err(|why| RemoteError::new(format!("could not {what}"), why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(body: &str) -> Vec<String> {
        let text = format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{body}</ListBucketResult>"
        );
        let (page, _) = Listing::read(text.as_bytes()).unwrap();
        page.contents.into_iter().map(|entry| entry.key).collect()
    }

    #[test]
    fn a_key_is_what_it_was_however_the_storage_tells_it() {
        let entry = |key: &str| format!("<Contents><Key>{key}</Key><Size>3</Size></Contents>");
        let told = format!(
            "{}<EncodingType>url</EncodingType>{}",
            entry("a%2Bb+c%0A%26%C3%A4"),
            entry("%20d//e/")
        );
        assert_eq!(keys(&told), ["a+b c\n&ä", " d//e/"]);
        let told = format!(
            "{}<Name>shop</Name>{}",
            entry("a+b%20&amp;&#10;&quot;"),
            entry("<![CDATA[<c>]]>")
        );
        assert_eq!(keys(&told), ["a+b%20&\n\"", "<c>"]);
    }

    #[test]
    fn a_page_says_whether_there_is_another_one() {
        let next = |token: &str| {
            let text = format!("<ListBucketResult><IsTruncated>true</IsTruncated>{token}</ListBucketResult>");
            Listing::read(text.as_bytes()).unwrap().1
        };
        let token = "<NextContinuationToken>1&amp;2</NextContinuationToken>";
        assert_eq!(next(token).as_deref(), Some("1&2"));
        assert_eq!(next("<NextContinuationToken/>"), None);
        assert_eq!(next(""), None);
    }

    #[test]
    fn what_is_no_such_answer_is_an_error() {
        for text in [
            "",
            "<html><body>please log in</body>",
            "<ListBucketResult><Contents><Key>a</Key>",
            "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>",
            "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>%FF</Key><Size>1</Size></Contents></ListBucketResult>",
        ] {
            assert!(Listing::read(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_part_of_the_same_length_is_held() {
        let text = b"<ListPartsResult><Bucket>b</Bucket><Part><PartNumber>1</PartNumber><Size>5</Size><ETag>&quot;x&quot;</ETag></Part></ListPartsResult>";
        let parts: Parts = xml(text).unwrap();
        assert_eq!(parts.held(1, 5), Some("\"x\""));
        assert_eq!((parts.held(1, 4), parts.held(2, 5)), (None, None));
    }
}
