//! Where the host is: `ssh://deploy@prod:2222`, or a name that the user's SSH configuration knows.

use std::fmt;
use std::str::FromStr;

/// A host that is reached by SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl Target {
    /// The words by which `ssh` is told where to go; the options come before them.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(port) = self.port {
            words.extend(["-p".to_owned(), port.to_string()]);
        }
        // The user stands with the host, so that a name of the user's SSH configuration means what it means there.
        let host = self.host.trim_matches(['[', ']']);
        let there = self
            .user
            .as_ref()
            .map_or_else(|| host.to_owned(), |user| format!("{user}@{host}"));
        words.extend(["--".to_owned(), there]);
        words
    }

    /// The host's name, for sentences.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// What a name of a user or a host may be made of; none begins with a dash, since it would be an option then.
fn is_name(text: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || "._-%+".contains(letter);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(is_letter)
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "expected ssh://USER@HOST:PORT, or a host that your SSH configuration knows";
        let rest = match text.split_once("://") {
            Some(("ssh", rest)) => rest,
            Some((scheme, _)) => return Err(format!("{scheme:?} is no road that guard knows; {form}")),
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Some((_, path)) = rest.split_once('/') {
            return Err(format!("the project's directory is told by `-C /{path}`; {form}"));
        }
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => {
                return Err("a password does not belong on a command line: use a key or an agent".to_owned());
            }
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let (host, port) = if let Some(end) = place.strip_prefix('[').and_then(|_| place.find(']')) {
            let (host, after) = place.split_at(end + 1);
            (host, after.strip_prefix(':'))
        } else {
            match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            }
        };
        let is_address = host.starts_with('[') && host[1..].trim_end_matches(']').parse::<std::net::Ipv6Addr>().is_ok();
        if !(is_name(host) || is_address) || user.is_some_and(|user| !is_name(user)) {
            return Err(form.to_owned());
        }
        let port = port
            .map(|port| port.parse().ok().filter(|port| *port > 0))
            .map(|port: Option<u16>| port.ok_or_else(|| format!("the port is a number from 1 to 65535; {form}")))
            .transpose()?;
        Ok(Self {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_and_told_as_it_is_typed() {
        for text in [
            "ssh://deploy@prod:2222",
            "ssh://prod",
            "ssh://root@[::1]:22",
            "ssh://d-e.p@10.0.0.1",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        let target: Target = "deploy@prod".parse().unwrap();
        assert_eq!(target.words(), ["--", "deploy@prod"]);
        let target: Target = "ssh://root@[::1]:22".parse().unwrap();
        assert_eq!(target.words(), ["-p", "22", "--", "root@::1"]);
    }

    #[test]
    fn what_is_no_target_is_told() {
        for (text, says) in [
            ("ssh://-oProxyCommand=reboot", "expected ssh://"),
            ("-oProxyCommand=reboot", "expected ssh://"),
            ("ssh://-l@prod", "expected ssh://"),
            ("ssh://a:secret@prod", "a key or an agent"),
            ("ssh://prod/srv/shop", "-C /srv/shop"),
            ("http://prod", "no road"),
            ("ssh://prod:0", "from 1 to 65535"),
            ("ssh://prod:x", "from 1 to 65535"),
            ("ssh://", "expected ssh://"),
            ("prod; reboot", "expected ssh://"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
