//! Where a storage is: a bucket and a prefix at an endpoint.

/// A place in a storage: `s3://BUCKET/PREFIX` at an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with; empty or ending with `/`.
    pub prefix: String,
    /// Scheme, host and port.
    pub endpoint: url::Url,
    /// The region, which is part of a signature.
    pub region: String,
    /// A file with further certificate authorities, in PEM.
    pub ca_file: Option<std::path::PathBuf>,
    /// The proxy through which it is asked: `http://host:3128`.
    pub proxy: Option<url::Url>,
}

impl Address {
    /// The address in an `s3://` URL; without an endpoint, Amazon's own of the region.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub fn of(url: &str, endpoint: Option<&str>, region: Option<&str>) -> std::result::Result<Self, String> {
        let rest = url.strip_prefix("s3://").ok_or("it does not begin with s3://")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(is_name) {
            return Err(format!("{bucket:?} is no name of a bucket"));
        }
        let prefix = prefix.trim_matches('/');
        if prefix.split('/').any(|part| part == "." || part == "..") {
            return Err("its prefix leads elsewhere".to_owned());
        }
        let region = region.unwrap_or("us-east-1").to_owned();
        let standard = format!("https://s3.{region}.amazonaws.com");
        let endpoint = url::Url::parse(endpoint.unwrap_or(&standard)).map_err(|error| error.to_string())?;
        if !matches!(endpoint.scheme(), "http" | "https") || endpoint.host_str().is_none() {
            return Err("the endpoint is no http or https address".to_owned());
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: if prefix.is_empty() {
                String::new()
            } else {
                format!("{prefix}/")
            },
            endpoint,
            region,
            ca_file: None,
            proxy: None,
        })
    }
}
