//! Reads the keys of objects in a storage from their table in `guard.toml`.

use super::bucket::{KEY, Objects, Who};
use crate::carry_over::CarryOver;
use crate::definition::{Built, Kind, Site};
use guard_model::name::ResourceName;
use guard_model::plan::StageName;
use guard_model::section::Section;
use guard_system::s3::Address;

/// `kind = "s3"`.
pub(crate) const KIND: Kind = Kind {
    key: KEY,
    about: "objects in S3-compatible storage, by prefix: through the server and not through its files",
    captured_in: StageName::Volumes,
    restored_in: StageName::Data,
    build,
};

/// The keys: `url`, `endpoint` and `region`, where the objects are; `access_key_env` and `secret_key_env`, or
/// `access_key_file` and `secret_key_file`, who asks; `service`, the Compose service of the server itself; `writers`, the
/// services that write there; `ca_file` and `proxy`, how the endpoint is reached; `carry_over`, which objects a
/// rollback leaves where they are: `none`, or `new-files`.
fn build(name: ResourceName, section: &mut Section<'_>, site: &Site) -> Built {
    let url = section.required_text("url");
    let (endpoint, region) = (section.text("endpoint"), section.text("region"));
    let ca_file = section.path("ca_file").map(|path| site.directory.join(path));
    let proxy = section.text("proxy");
    let service = section.word("service");
    let writers = section.texts("writers").unwrap_or_default();
    let carry_over = CarryOver::of(section);
    let mut who = |part: &str, usual: &str| {
        let (variable, file) = (format!("{part}_env"), format!("{part}_file"));
        let (named, path) = (section.word(&variable), section.path(&file));
        if named.is_some() && path.is_some() {
            section.problem(
                &file,
                format!("stands beside `{variable}`; one of the two says it"),
                None,
            );
        }
        match path {
            Some(path) => Who::File(site.directory.join(path)),
            None => Who::Variable(named.unwrap_or_else(|| usual.to_owned())),
        }
    };
    let who = (
        who("access_key", "AWS_ACCESS_KEY_ID"),
        who("secret_key", "AWS_SECRET_ACCESS_KEY"),
    );
    let proxy = match proxy.as_deref().map(url::Url::parse) {
        Some(Ok(proxy)) if matches!(proxy.scheme(), "http" | "https") => Some(proxy),
        None => None,
        _ => {
            section.problem(
                "proxy",
                "it is no address of a proxy",
                Some("http://HOST:PORT".to_owned()),
            );
            None
        }
    };
    let mut address = match Address::of(&url?, endpoint.as_deref(), region.as_deref()) {
        Ok(address) => address,
        Err(why) => {
            section.problem("url", why, Some("s3://BUCKET/PREFIX, at `endpoint`".to_owned()));
            return None;
        }
    };
    (address.ca_file, address.proxy) = (ca_file, proxy);
    Some(Box::new(Objects {
        name,
        address,
        who,
        service,
        writers,
        carry_over,
        runtime: std::sync::OnceLock::new(),
    }))
}
