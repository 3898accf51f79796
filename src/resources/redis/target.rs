//! Which server is meant: a `redis://`, `rediss://` or `unix://` URL taken apart, its password apart from the rest.

use url::Url;

use crate::escapes::decoded;
use guard_model::secret::Secret;

/// A server, without any password among its flags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// Options of the client: `-h`, `db`.
    pub(super) flags: Vec<String>,
    /// The user, where the URL names one.
    pub(super) user: Option<String>,
    /// The password, where the URL holds one.
    pub(super) password: Option<Secret>,
}

impl Target {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// A sentence that says what is wrong, without any part of the URL, which may hold a password.
    pub(super) fn of_url(text: &str) -> Result<Self, String> {
        let form = "expected redis://USER:PASSWORD@HOST:PORT, rediss:// for TLS, or unix:///PATH";
        if text.starts_with('/') {
            return Ok(Self::of_socket(text));
        }
        let url = Url::parse(text).map_err(|_| {
            format!("{form}; `/`, `@`, `:`, `#`, `?` in a password are written %2F, %40, %3A, %23, %3F")
        })?;
        let mut target = match url.scheme() {
            "unix" | "redis+socket" => Self::of_socket(&decoded(url.path())?),
            "redis" | "rediss" | "valkey" | "valkeys" => {
                let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
                let host = given(host)?.unwrap_or_else(|| "127.0.0.1".to_owned());
                let port = url.port().unwrap_or(6379).to_string();
                let mut flags = vec!["-h".to_owned(), host, "-p".to_owned(), port];
                if matches!(url.scheme(), "rediss" | "valkeys") {
                    flags.push("--tls".to_owned());
                }
                Self {
                    flags,
                    ..Self::default()
                }
            }
            _ => return Err(form.to_owned()),
        };
        // A path names a database; all of them are copied, as one file holds them.
        target.user = given(url.username())?;
        target.password = given(url.password().unwrap_or_default())?.map(Secret::new);
        for (key, value) in url.query_pairs() {
            let flag = match key.as_ref() {
                "ca_file" => "--cacert",
                "cert_file" => "--cert",
                "key_file" => "--key",
                "server_name" => "--sni",
                _ => {
                    let known = "ca_file, cert_file, key_file, server_name";
                    return Err(format!(
                        "there is no parameter of this name after `?`; known are {known}"
                    ));
                }
            };
            target.flags.extend([flag.to_owned(), value.into_owned()]);
        }
        Ok(target)
    }

    fn of_socket(path: &str) -> Self {
        Self {
            flags: vec!["-s".to_owned(), path.to_owned()],
            ..Self::default()
        }
    }
}

/// A part of a URL with its escapes read; `None` where it is empty.
fn given(text: &str) -> Result<Option<String>, String> {
    let text = decoded(text)?;
    Ok((!text.is_empty()).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_apart() {
        let target = Target::of_url("rediss://me:p%40ss@cache:6380/2?ca_file=/etc/ca.pem").unwrap();
        assert_eq!(
            target.flags,
            ["-h", "cache", "-p", "6380", "--tls", "--cacert", "/etc/ca.pem"]
        );
        assert_eq!(target.user.as_deref(), Some("me"));
        assert_eq!(target.password.as_ref().map(Secret::expose), Some("p@ss"));
        let bare = Target::of_url("redis://:word@localhost").unwrap();
        assert_eq!(bare.flags, ["-h", "localhost", "-p", "6379"]);
        assert!(bare.user.is_none() && bare.password.is_some());
        for socket in ["/run/redis.sock", "unix:///run/redis.sock"] {
            assert_eq!(Target::of_url(socket).unwrap().flags, ["-s", "/run/redis.sock"]);
        }
    }

    #[test]
    fn wrong_urls_are_told_without_their_words() {
        for wrong in [
            "http://u:canary@h",
            "redis://u:can/ary@h:x",
            "redis://h/0?canary=1",
            "canary",
        ] {
            let why = Target::of_url(wrong).expect_err(wrong);
            assert!(!why.contains("canary"), "{why}");
        }
    }
}
