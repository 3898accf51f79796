//! The way to a server: in the container of a compose service, or at a URL.

use crate::definition::Site;
use guard_model::secret::Secret;
use guard_model::section::Section;

/// Where the server is.
#[derive(Debug, Clone)]
pub(super) enum Way {
    /// In the container of a compose service.
    Service { service: String, project: String },
    /// At a URL, which may hold a password.
    Url(Secret),
}

impl Way {
    /// Reads the keys `service` and `url`; what is wrong with them is noted. `parses` says why a URL is none.
    pub(super) fn read(
        section: &mut Section<'_>,
        site: &Site,
        parses: impl FnOnce(&str) -> Result<(), String>,
    ) -> Option<Self> {
        let service = section.word("service");
        let url = section.secret("url");
        if let Some(Err(why)) = url.as_ref().map(|url| parses(url.expose())) {
            section.problem("url", why, None);
            return None;
        }
        match (service, url) {
            (Some(_), Some(_)) => {
                let why = "cannot stand beside `service`: one way to the server is enough";
                section.problem("url", why, None);
                None
            }
            (Some(service), None) => {
                let Some(compose) = &site.compose else {
                    section.problem("service", "needs a Compose project, and there is none", None);
                    return None;
                };
                let project = compose.project.clone();
                Some(Self::Service { service, project })
            }
            (None, Some(url)) => Some(Self::Url(url)),
            (None, None) if section.has("service") || section.has("url") => None,
            (None, None) => {
                let hint = "set `service` for a compose service, or `url`".to_owned();
                section.problem("service", "is missing, and so is `url`", Some(hint));
                None
            }
        }
    }

    /// The compose service in which the server runs, if it is one.
    pub(super) fn service(&self) -> Option<&String> {
        match self {
            Self::Service { service, .. } => Some(service),
            Self::Url(_) => None,
        }
    }
}
