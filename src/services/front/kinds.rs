//! The kinds of fronts that there are, and how each reads its table `[blue_green.front]`.

use std::path::PathBuf;

use url::Url;

use super::address_file::{AddressFile, Form, is_same};
use super::caddy::Caddy;
use super::command::Command;
use super::driver::Driver;
use super::eyes::Eyes;
use super::haproxy::Haproxy;
use super::link::Link;
use super::marker::Marker;
use crate::side::Side;
use guard_model::section::Section;
use guard_model::setting::nearest;

/// The kinds, as in `kind = "marker"`: those that lose no request first.
pub const FRONTS: [&str; 7] = ["marker", "link", "haproxy", "nginx", "caddy", "traefik", "command"];

/// A front of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Front {
    /// A marker file.
    Marker(Marker),
    /// A symbolic link.
    Link(Link),
    /// HAProxy.
    Haproxy(Haproxy),
    /// nginx's upstream file, or Traefik's.
    File(AddressFile),
    /// Caddy's admin API.
    Caddy(Caddy),
    /// The user's own.
    Command(Command),
}

impl Front {
    /// The driver.
    #[must_use]
    pub fn driver(&self) -> &dyn Driver {
        match self {
            Self::Marker(one) => one,
            Self::Link(one) => one,
            Self::Haproxy(one) => one,
            Self::File(one) => one,
            Self::Caddy(one) => one,
            Self::Command(one) => one,
        }
    }

    /// Reads the keys of a kind. Problems are told to the section; `None` where there are any.
    #[must_use]
    pub fn read(kind: &str, section: &mut Section<'_>, sides: &[Side; 2]) -> Option<Self> {
        match kind {
            "marker" => {
                let path = path(section);
                let means = section.required_text("side");
                Some(Self::Marker(Marker {
                    means: number(section, "side", &means?, sides)?,
                    path: path?,
                }))
            }
            "link" => {
                let path = path(section);
                let targets = by_side(section, "targets", sides, |side| {
                    side.address.strip_prefix("unix:").map(str::to_owned)
                });
                Some(Self::Link(Link {
                    path: path?,
                    targets: targets?.map(PathBuf::from),
                }))
            }
            "haproxy" => {
                let (socket, backend) = (section.required_text("socket"), section.required_text("backend"));
                let servers = by_side(section, "servers", sides, |side| Some(side.name.clone()));
                let state_file = section.path("state_file");
                Some(Self::Haproxy(Haproxy {
                    socket: PathBuf::from(socket?),
                    backend: backend?,
                    servers: servers?,
                    state_file,
                }))
            }
            "nginx" => {
                let path = path(section);
                let form = Form::Nginx(section.text("upstream"));
                let words = |section: &mut Section<'_>, key: &str, default: &[&str]| {
                    if section.has(key) {
                        section.words(key)
                    } else {
                        Some(default.iter().map(|&word| word.to_owned()).collect())
                    }
                };
                let check = words(section, "check", &["nginx", "-t"]);
                let reload = words(section, "reload", &["nginx", "-s", "reload"]);
                Some(Self::File(AddressFile {
                    path: path?,
                    form,
                    check: check?,
                    reload: reload?,
                }))
            }
            "traefik" => Some(Self::File(AddressFile {
                path: path(section)?,
                form: Form::Traefik,
                check: Vec::new(),
                reload: Vec::new(),
            })),
            "caddy" => {
                let admin = section
                    .text("admin")
                    .unwrap_or_else(|| "http://127.0.0.1:2019".to_owned());
                let id = section.required_text("id");
                Some(Self::Caddy(Caddy {
                    admin: address(section, "admin", &admin)?,
                    id: id?,
                }))
            }
            "command" => {
                let (switch, ask) = (section.words("switch"), section.words("ask"));
                Some(Self::Command(Command {
                    switch: switch?,
                    ask: ask?,
                }))
            }
            _ => None,
        }
    }
}

impl Eyes {
    /// Reads `url` and `header`, which belong together; `None` where neither is there, or something is wrong.
    #[must_use]
    pub fn read(section: &mut Section<'_>) -> Option<Self> {
        let (url, header) = (section.text("url"), section.text("header"));
        match (url, header) {
            (Some(url), Some(header)) => Some(Self {
                url: address(section, "url", &url)?,
                header,
            }),
            (None, None) => None,
            (url, _) => {
                let lonely = if url.is_some() { "url" } else { "header" };
                section.problem(lonely, "url and header belong together", None);
                None
            }
        }
    }
}

fn path(section: &mut Section<'_>) -> Option<PathBuf> {
    section.required_text("path").map(PathBuf::from)
}

fn address(section: &mut Section<'_>, key: &str, text: &str) -> Option<Url> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(url),
        _ => {
            section.problem(key, "expected an address like `http://127.0.0.1:8080/`", None);
            None
        }
    }
}

/// The number of the side of this name.
fn number(section: &mut Section<'_>, key: &str, name: &str, sides: &[Side; 2]) -> Option<usize> {
    let found = sides.iter().position(|side| side.name == name);
    if found.is_none() {
        let names = sides.iter().map(|side| side.name.as_str());
        let hint = nearest(name, names.clone());
        let hint = hint.unwrap_or_else(|| format!("there are: {}", names.collect::<Vec<_>>().join(", ")));
        section.problem(key, format!("there is no side {name:?}"), Some(hint));
    }
    found
}

/// A text for each side: of a table with the sides' names as keys, else by default.
fn by_side(
    section: &mut Section<'_>,
    key: &str,
    sides: &[Side; 2],
    default: impl Fn(&Side) -> Option<String>,
) -> Option<[String; 2]> {
    let given: Vec<Option<String>> = section.section(key, |table| {
        let given = sides.iter().map(|side| {
            table.is_name(&side.name);
            table.text(&side.name)
        });
        given.collect()
    });
    let mut all = Vec::new();
    for (side, given) in sides.iter().zip(given) {
        let found = given.or_else(|| default(side));
        if found.is_none() {
            let hint = format!("{key} = {{ {} = \"...\", {} = \"...\" }}", sides[0].name, sides[1].name);
            section.problem(key, format!("has nothing for the side {}", side.name), Some(hint));
        }
        all.extend(found);
    }
    let both: [String; 2] = all.try_into().ok()?;
    if both[0] == both[1] {
        section.problem(key, "are the same for both sides", None);
        return None;
    }
    Some(both)
}

/// Whether two sides answer at one place, so that no front could tell them apart.
#[must_use]
pub fn share_an_address(sides: &[Side; 2]) -> bool {
    is_same(&sides[0].address, &sides[1].address)
}
