//! Which server is meant: a `mariadb://` or `mysql://` URL taken apart, its password apart from the rest.

use url::Url;

use crate::escapes::decoded;
use guard_model::secret::Secret;

/// Parameters after `?` that are handed to the client as its options of the same name.
const OPTIONS: [&str; 5] = ["socket", "ssl-ca", "ssl-cert", "ssl-key", "ssl-cipher"];

/// A server, without any password among its flags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// Options of the client: `--host=db`.
    pub(super) flags: Vec<String>,
    /// The user, where the URL names one.
    pub(super) user: Option<String>,
    /// The database, where the URL names one.
    pub(super) database: Option<String>,
    /// The password, where the URL holds one.
    pub(super) password: Option<Secret>,
    /// The server is on this host.
    pub(super) is_local: bool,
}

impl Target {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// A sentence that says what is wrong, without any part of the URL, which may hold a password.
    pub(super) fn of_url(text: &str) -> Result<Self, String> {
        let form = "expected mariadb://USER@HOST:PORT/DATABASE, or mysql://";
        let url = Url::parse(text).map_err(|_| {
            format!("{form}; `/`, `@`, `:`, `#`, `?` in a password are written %2F, %40, %3A, %23, %3F")
        })?;
        if !matches!(url.scheme(), "mariadb" | "mysql") {
            return Err(form.to_owned());
        }
        let mut target = Self {
            user: given(url.username())?,
            password: given(url.password().unwrap_or_default())?.map(Secret::new),
            database: given(url.path().trim_start_matches('/'))?,
            ..Self::default()
        };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let host = given(host)?.unwrap_or_else(|| "localhost".to_owned());
        let is_socket = url.query_pairs().any(|(key, _)| key == "socket");
        target.is_local = is_socket || matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
        if is_socket {
            target.flags.push("--protocol=socket".to_owned());
        } else if host != "localhost" || url.port().is_some() {
            // `localhost` means the usual socket, unless a port says otherwise.
            target.flags.push("--protocol=tcp".to_owned());
            target.flags.push(format!("--host={host}"));
        }
        target.flags.extend(url.port().map(|port| format!("--port={port}")));
        for (key, value) in url.query_pairs() {
            if !OPTIONS.contains(&key.as_ref()) {
                return Err(format!(
                    "there is no parameter of this name after `?`; known are {}",
                    OPTIONS.join(", ")
                ));
            }
            target.flags.push(format!("--{key}={value}"));
        }
        Ok(target)
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
        let target = Target::of_url("mariadb://me:p%40ss%2F@db:3307/shop%20two?ssl-ca=/etc/ca.pem").unwrap();
        assert_eq!(target.password.as_ref().map(Secret::expose), Some("p@ss/"));
        assert_eq!(target.user.as_deref(), Some("me"));
        assert_eq!(target.database.as_deref(), Some("shop two"));
        assert_eq!(
            target.flags,
            ["--protocol=tcp", "--host=db", "--port=3307", "--ssl-ca=/etc/ca.pem"]
        );
        assert!(!target.is_local && !format!("{target:?}").contains("p@ss"));
        let socket = Target::of_url("mysql://root@localhost/x?socket=/run/m.sock").unwrap();
        assert_eq!(socket.flags, ["--protocol=socket", "--socket=/run/m.sock"]);
        assert!(socket.is_local && Target::of_url("mysql://localhost/x").unwrap().flags.is_empty());
    }

    #[test]
    fn wrong_urls_are_told_without_their_words() {
        for wrong in [
            "postgres://u:canary@h/x",
            "mariadb://u:can/ary@h:x/y",
            "mariadb://h/%zz",
            "mariadb://h/d?canary=1",
            "canary",
        ] {
            let why = Target::of_url(wrong).expect_err(wrong);
            assert!(!why.contains("canary"), "{why}");
        }
    }
}
