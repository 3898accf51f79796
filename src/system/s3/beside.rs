//! What a storage keeps beside the content of objects, and no copy holds: tags, access rules, earlier versions.

use serde::Deserialize;

use super::answers::xml;
use super::http::{Ask, Requests};

/// An answer about rules is no longer than this; what is longer is an object that a server without such rules has given.
const LONGEST: usize = 256 * 1024;

/// What stands beside one object, as far as the storage tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beside {
    /// How many tags.
    pub tags: u64,
    /// How many grants beside that of its owner.
    pub grants: u64,
}

/// `AccessControlPolicy`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Rules {
    access_control_list: Grants,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Grants {
    grant: Vec<Grant>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Grant {
    #[serde(rename = "Permission")]
    _permission: String,
}

/// `VersioningConfiguration`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Versioning {
    status: String,
}

impl Requests {
    /// Looks beside an object. What the storage does not tell, as many have none of it, counts as nothing.
    #[must_use]
    pub async fn beside(&self, key: &str) -> Beside {
        let head = Ask {
            method: "HEAD",
            key,
            ..Ask::default()
        };
        let tags = self.once(&head).await.and_then(|(tags, _)| tags).unwrap_or_default();
        let grants = self.said::<Rules>(key, "acl").await.access_control_list.grant.len();
        Beside {
            tags,
            grants: (grants as u64).saturating_sub(1),
        }
    }

    /// Whether the bucket keeps what objects were before.
    #[must_use]
    pub async fn keeps_versions(&self) -> bool {
        self.said::<Versioning>("", "versioning").await.status == "Enabled"
    }

    async fn said<T: Default + serde::de::DeserializeOwned>(&self, key: &str, what: &str) -> T {
        let ask = Ask {
            method: "GET",
            key,
            query: vec![(what, String::new())],
            ..Ask::default()
        };
        let text = self.once(&ask).await.map(|(_, text)| text);
        text.and_then(|text| xml(&text).ok()).unwrap_or_default()
    }

    /// Asks once: several servers have an error of their own for what they do not know. The count of tags, and the text.
    async fn once(&self, ask: &Ask<'_>) -> Option<(Option<u64>, Vec<u8>)> {
        let mut reply = self.send(ask).await.ok()?;
        let response = &mut reply.response;
        if !response.status().is_success() {
            return None;
        }
        let tags = response.headers().get("x-amz-tagging-count");
        let tags = tags.and_then(|count| count.to_str().ok()?.parse().ok());
        let mut text = Vec::new();
        while let Some(bytes) = response.chunk().await.ok()? {
            text.extend_from_slice(&bytes);
            if text.len() > LONGEST {
                return None;
            }
        }
        Some((tags, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_what_is_none_is_nothing() {
        let text = br#"<?xml version="1.0"?><AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>x</ID></Owner><AccessControlList>
            <Grant><Grantee><ID>x</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant>
            <Grant><Grantee><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant>
            </AccessControlList></AccessControlPolicy>"#;
        let rules: Rules = xml(text).unwrap();
        assert_eq!(rules.access_control_list.grant.len(), 2);
        let other: Rules = xml(b"<html><body>no</body></html>").unwrap_or_default();
        assert!(other.access_control_list.grant.is_empty());
        let versions: Versioning =
            xml(b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>").unwrap();
        assert_eq!(versions.status, "Enabled");
    }
}
