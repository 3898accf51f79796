//! A file of the front's that names one side's address: nginx's upstream, which is tested and taken up by a reload, or a file
//! of Traefik's file provider, which Traefik watches. Only the address is exchanged; the rest of the file is the user's.

use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::command;
use super::driver::{Driver, FrontError, Serving};
use crate::side::Side;
use guard_model::text::chain;
use guard_system::context::Context;
use guard_system::disk::{self, At, Staged};

/// How addresses are found in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// nginx: `server ADDRESS;` of this upstream; `None`: of the only one.
    Nginx(Option<String>),
    /// Traefik: the value of the only `url:`.
    Traefik,
}

/// A file with the address of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressFile {
    /// The file.
    pub path: PathBuf,
    /// How it is written.
    pub form: Form,
    /// Tests the configuration; a list of words, empty: nothing does.
    pub check: Vec<String>,
    /// Makes the front take it up; empty: it watches the file.
    pub reload: Vec<String>,
}

/// An address in a text, and where it stands.
type Found = (Range<usize>, String);

impl AddressFile {
    fn read(&self, cx: &Context) -> Result<String, FrontError> {
        let path = cx.resolve(&self.path);
        disk::read_text_optional(&path)?
            .ok_or_else(|| FrontError::Neither(format!("there is no file {}", path.display())))
    }

    /// The one address in the file; a text that holds none, or several, was edited by hand, and guard does not guess.
    fn address(&self, text: &str) -> Result<Found, String> {
        let path = self.path.display();
        let (mut found, what) = match &self.form {
            Form::Nginx(name) => (servers(text, name.as_deref()), "server"),
            Form::Traefik => (urls(text), "url"),
        };
        let lines = |found: &[Found]| {
            let told = found
                .iter()
                .map(|(at, address)| format!("line {}: {address}", line_of(text, at.start)));
            told.collect::<Vec<_>>().join("; ")
        };
        match found.len() {
            1 => Ok(found.swap_remove(0)),
            0 => Err(format!(
                "{path} holds no `{what}` with an address{}",
                match &self.form {
                    Form::Nginx(Some(name)) => format!(" in `upstream {name}`"),
                    _ => String::new(),
                }
            )),
            _ => Err(format!(
                "{path} holds more than one `{what}` ({}): it was edited by hand, and has to name one side alone",
                lines(&found)
            )),
        }
    }

    fn write(path: &Path, text: &str) -> Result<(), FrontError> {
        let was = std::fs::metadata(path).at("look at", path)?;
        let mut staged = Staged::beside(path)?;
        staged.write(text.as_bytes())?;
        staged
            .file()
            .set_permissions(was.permissions())
            .at("set the mode of", path)?;
        let (uid, gid) = (was.uid(), was.gid());
        let ours = staged.file().metadata().at("look at", path)?;
        if (ours.uid(), ours.gid()) != (uid, gid) {
            std::os::unix::fs::fchown(staged.file(), Some(uid), Some(gid)).at("set the owner of", path)?;
        }
        staged.replace(path)?;
        Ok(())
    }
}

impl Driver for AddressFile {
    fn describe(&self) -> String {
        self.path.display().to_string()
    }

    fn serves(&self, sides: &[Side; 2], cx: &Context) -> Result<Serving, FrontError> {
        let text = self.read(cx)?;
        let (at, address) = match self.address(&text) {
            Ok(found) => found,
            Err(why) => return Ok(Serving::Neither(why)),
        };
        let found = sides.iter().position(|side| is_same(&side.address, &address));
        Ok(found.map_or_else(
            || {
                Serving::Neither(format!(
                    "{}:{} names {address}, which is the address of no side",
                    self.path.display(),
                    line_of(&text, at.start)
                ))
            },
            Serving::Side,
        ))
    }

    fn switch(&self, to: usize, sides: &[Side; 2], cx: &Context) -> Result<(), FrontError> {
        let Some(side) = sides.get(to) else { return Ok(()) };
        let path = cx.resolve(&self.path);
        let before = self.read(cx)?;
        let refused = |why: String| FrontError::Refused {
            side: side.name.clone(),
            why,
        };
        let (at, address) = self.address(&before).map_err(&refused)?;
        if !sides.iter().any(|one| is_same(&one.address, &address)) {
            return Err(refused(format!(
                "{}:{} names {address}, which is the address of no side: it was edited by hand, and is left as it is",
                path.display(),
                line_of(&before, at.start)
            )));
        }
        let mut after = before.clone();
        after.replace_range(at, &side.address);
        Self::write(&path, &after)?;
        let tried = command::run(&self.check, Some(side), "test the front's configuration", cx)
            .and_then(|_| command::run(&self.reload, Some(side), "make the front take up its configuration", cx));
        let Err(error) = tried else { return Ok(()) };
        // A file that the front refuses would be in its way at the next reload, whoever asks for it.
        match Self::write(&path, &before) {
            Ok(()) => Err(refused(format!(
                "{}; {} is as it was, and the front serves as before",
                chain(&error),
                path.display()
            ))),
            Err(other) => Err(refused(format!(
                "{}; {} could not be put back either ({}): it names {} now",
                chain(&error),
                path.display(),
                chain(&other),
                side.address
            ))),
        }
    }

    fn loss(&self) -> Option<&'static str> {
        match self.form {
            Form::Nginx(_) => Some(
                "a reload of nginx closes idle kept connections, and a request that is on its way on one of them is lost; a \
                 marker file or a link loses none",
            ),
            Form::Traefik => Some("what a switch of Traefik's file provider costs was not measured"),
        }
    }

    fn is_its_word_enough(&self) -> bool {
        false
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.get(..at).unwrap_or_default().matches('\n').count()
}

/// Whether two addresses are the same place, as far as it can be told without asking.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let plain = |address: &str| address.trim_end_matches('/').replace("localhost", "127.0.0.1");
    plain(one) == plain(other)
}

/// The addresses of `server ADDRESS …;` in the upstreams of an nginx configuration, those of one name where one is given.
fn servers(text: &str, wanted: Option<&str>) -> Vec<Found> {
    let mut found = Vec::new();
    let tokens = tokens(text);
    let mut inside = false;
    let mut at = 0;
    while let Some((_, token)) = tokens.get(at) {
        let next = |ahead: usize| tokens.get(at + ahead).map(|(_, token)| *token);
        match *token {
            "upstream" if next(2) == Some("{") => {
                inside = wanted.is_none_or(|wanted| next(1) == Some(wanted));
                at += 2;
            }
            "}" => inside = false,
            "server"
                if inside
                    && at
                        .checked_sub(1)
                        .and_then(|before| tokens.get(before))
                        .is_some_and(|(_, before)| matches!(*before, "{" | ";")) =>
            {
                if let Some((range, address)) = tokens.get(at + 1) {
                    found.push((range.clone(), (*address).to_owned()));
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The words and signs of an nginx configuration, without its comments.
fn tokens(text: &str) -> Vec<(Range<usize>, &str)> {
    let mut found = Vec::new();
    let mut begun: Option<usize> = None;
    let mut is_comment = false;
    for (at, sign) in text.char_indices().chain([(text.len(), ' ')]) {
        let ends = sign.is_whitespace() || matches!(sign, ';' | '{' | '}' | '#');
        if is_comment {
            is_comment = sign != '\n';
            continue;
        }
        if !ends {
            begun.get_or_insert(at);
            continue;
        }
        if let Some(begun) = begun.take() {
            found.push((begun..at, text.get(begun..at).unwrap_or_default()));
        }
        match sign {
            '#' => is_comment = true,
            ';' | '{' | '}' => found.push((at..at + 1, text.get(at..=at).unwrap_or_default())),
            _ => {}
        }
    }
    found
}

/// The addresses in `url: "http://ADDRESS"` of a YAML file, without scheme and path.
fn urls(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let code = line.split('#').next().unwrap_or_default();
        let value = code
            .trim_start()
            .trim_start_matches("- ")
            .trim_start()
            .strip_prefix("url:")
            .and_then(|rest| rest.split_once("://"))
            .map(|(_, rest)| rest);
        if let Some(rest) = value {
            let ends = rest.find(|sign: char| sign.is_whitespace() || matches!(sign, '"' | '\'' | '/'));
            let address = rest.get(..ends.unwrap_or(rest.len())).unwrap_or_default();
            let offset = code.len() - rest.len();
            found.push((start + offset..start + offset + address.len(), address.to_owned()));
        }
        start += line.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(found: Vec<Found>) -> Vec<String> {
        found.into_iter().map(|(_, address)| address).collect()
    }

    #[test]
    fn the_servers_of_an_upstream_are_found_and_nothing_else() {
        let text = "# server 9.9.9.9:1;\nupstream app { # one\n  keepalive 4;\n  server 127.0.0.1:8081 max_fails=0;\n}\n\
                    upstream other{server unix:/run/x.sock;}\nserver { listen 80; server_name x; location / { proxy_pass http://app; } }\n";
        assert_eq!(addresses(servers(text, Some("app"))), ["127.0.0.1:8081"]);
        assert_eq!(addresses(servers(text, Some("other"))), ["unix:/run/x.sock"]);
        assert_eq!(servers(text, None).len(), 2);
        let (at, address) = servers(text, Some("app")).remove(0);
        assert_eq!((&text[at.clone()], line_of(text, at.start)), (address.as_str(), 4));
    }

    #[test]
    fn the_address_in_a_traefik_file_is_found() {
        let text = "http:\n  services:\n    app:\n      loadBalancer:\n        servers:\n          # - url: \"http://9.9.9.9:1\"\n          - url: \"http://127.0.0.1:8081/\"\n";
        let (at, address) = urls(text).remove(0);
        assert_eq!((&text[at], address.as_str()), ("127.0.0.1:8081", "127.0.0.1:8081"));
        assert_eq!(urls(text).len(), 1);
    }
}
