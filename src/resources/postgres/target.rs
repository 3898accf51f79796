//! Which database is meant: a `postgres://` URL taken apart as libpq does, its password apart from the rest.

use crate::escapes::decoded;
use guard_model::secret::Secret;

/// A connection as libpq's parameters, without any password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// Parameters but for `dbname`: `("host", "db.example.org")`.
    pub(super) parameters: Vec<(String, String)>,
    /// The database, where the URL names one.
    pub(super) database: Option<String>,
    /// The password, where the URL holds one.
    pub(super) password: Option<Secret>,
}

impl Target {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// A sentence that says what is wrong, without any part of the URL, which may hold a password.
    pub(super) fn of_url(url: &str) -> Result<Self, String> {
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or("expected postgres://USER@HOST:PORT/DATABASE")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let mut target = Self::default();
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        target.put("user", &decoded(user)?);
        target.put("password", &decoded(password)?);
        let (mut names, mut ports) = (Vec::new(), Vec::new());
        for host in hosts.split(',') {
            // The colons of an address in brackets are its own.
            let split = match host.rfind(']') {
                Some(end) => host.split_at(end + 1),
                None => host.split_at(host.find(':').unwrap_or(host.len())),
            };
            let port = split.1.trim_start_matches(':');
            if !port.chars().all(|c| c.is_ascii_digit()) {
                return Err(
                    "the port is not a number; `/`, `@`, `:` in a password are written %2F, %40, %3A".to_owned(),
                );
            }
            names.push(decoded(split.0.trim_start_matches('[').trim_end_matches(']'))?);
            ports.push(port.to_owned());
        }
        target.put("host", &names.join(","));
        // An empty entry in a list of ports is the usual port.
        if ports.iter().any(|port| !port.is_empty()) {
            target.put("port", &ports.join(","));
        }
        target.put("dbname", &decoded(path)?);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or("a parameter after `?` has no value")?;
            let key = decoded(key)?;
            if !key.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                return Err("a parameter after `?` has no proper name".to_owned());
            }
            if matches!(key.as_str(), "sslpassword" | "oauth_client_secret") {
                return Err(format!(
                    "`{key}` would show in the process list; use libpq's service file for it"
                ));
            }
            target.put(&key, &decoded(value)?);
        }
        Ok(target)
    }

    /// Sets a parameter, over an earlier one of the same name; an empty value sets nothing.
    pub(super) fn put(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        match key {
            "dbname" => self.database = Some(value.to_owned()),
            "password" => self.password = Some(Secret::new(value)),
            _ => {
                self.parameters.retain(|(known, _)| known != key);
                self.parameters.push((key.to_owned(), value.to_owned()));
            }
        }
    }

    /// The value of a parameter.
    pub(super) fn parameter(&self, key: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_apart() {
        let target = Target::of_url("postgres://me:p%40ss@db:6543/shop?sslmode=require").unwrap();
        assert_eq!(target.password.as_ref().map(Secret::expose), Some("p@ss"));
        assert_eq!(target.database.as_deref(), Some("shop"));
        assert_eq!(target.parameter("user"), Some("me"));
        assert_eq!(target.parameter("port"), Some("6543"));
        assert_eq!(target.parameter("sslmode"), Some("require"));
        assert!(!format!("{target:?}").contains("p@ss"));
        let target = Target::of_url("postgresql:///a%20b?host=/run/x&password=hidden").unwrap();
        assert_eq!(target.password.as_ref().map(Secret::expose), Some("hidden"));
        assert_eq!(
            (target.parameter("host"), target.parameter("port")),
            (Some("/run/x"), None)
        );
    }

    #[test]
    fn addresses_and_lists_of_hosts() {
        let target = Target::of_url("postgres://[::1]:5433,other/x").unwrap();
        assert_eq!(target.parameter("host"), Some("::1,other"));
        assert_eq!(target.parameter("port"), Some("5433,"));
        for wrong in [
            "mysql://x",
            "postgres://u:p/w@h/x",
            "postgres://h/%zz",
            "postgres://h/d?x",
        ] {
            assert!(Target::of_url(wrong).is_err(), "{wrong}");
        }
    }
}
