//! The images of a release that nobody has recorded: found on the engine by what their labels and tags say.

use std::collections::{BTreeMap, BTreeSet};

use super::record::Recorded;
use crate::error::{ResourceError, Result};
use guard_model::event::Level;
use guard_model::fingerprint::Fingerprint;
use guard_model::foreign::NamedRelease;
use guard_system::context::Context;
use guard_system::docker::{Compose, Labelled, image, labelled_images};

/// A name without its tag: `shop/app` of `shop/app:v3.9.0`, and of `host:5000/shop/app`.
fn repository(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

/// The tag of a name; `latest` where it has none.
fn tag(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag,
        _ => "latest",
    }
}

/// Whether a name means another image with each release. One with a digit in its tag names a version: it is asked for by the
/// files of that version, and never made to mean another one.
fn floats(name: &str) -> bool {
    !tag(name).bytes().any(|byte| byte.is_ascii_digit())
}

fn without_v(name: &str) -> &str {
    match name.strip_prefix('v') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest,
        _ => name,
    }
}

fn is_of(one: &Labelled, release: &NamedRelease) -> bool {
    // A label may have the commit in short.
    let by_commit = one.revision.len() >= 7 && release.commit.starts_with(one.revision.trim());
    let is_name = |said: &str| release.names.iter().any(|name| without_v(name) == without_v(said));
    by_commit || (one.revision.is_empty() && !one.version.is_empty() && is_name(&one.version))
}

/// What each service is to run, and what that looks like.
pub(super) struct Found {
    pub(super) services: BTreeMap<String, Recorded>,
    pub(super) print: Fingerprint,
}

/// The images of a release for the services that are there now. A service whose image says of no release keeps it.
///
/// # Errors
/// A service's image of that release is not on the engine, or two are.
pub(super) fn find(compose: &Compose, release: &NamedRelease, live: &NamedRelease, cx: &Context) -> Result<Found> {
    let unseen = |error| ResourceError::because("could not see the images", error);
    let all = labelled_images(cx).map_err(unseen)?;
    let mut services = super::live::read(compose, cx)?;
    for (service, recorded) in &mut services {
        let pin = format!("guard/pin/{}/{service}:", compose.project);
        let repositories: BTreeSet<&str> = recorded.names.iter().map(|name| repository(name)).collect();
        let current = all.iter().find(|one| one.image.id == recorded.image);
        let fits = |one: &&Labelled| {
            let tags = || one.image.tags.iter();
            let is_here = tags().any(|name| repositories.contains(repository(name)));
            let is_tagged = tags().any(|name| {
                repositories.contains(repository(name))
                    && release
                        .names
                        .iter()
                        .any(|wanted| without_v(wanted) == without_v(tag(name)))
            });
            // An image that lost its name to the next release is held by a pin of guard's, or says whom it was built for.
            let is_pinned = tags().any(|name| name.starts_with(&pin)) || one.service == *service;
            (is_of(one, release) && (is_here || is_pinned)) || is_tagged
        };
        let found: BTreeSet<&str> = all.iter().filter(fits).map(|one| one.image.id.as_str()).collect();
        match found.iter().collect::<Vec<_>>().as_slice() {
            // It was built from this repository: the release has one as well.
            [] if current.is_some_and(|one| is_of(one, live)) => {
                return Err(ResourceError::new(format!(
                    "this engine has no image of {service} for {}: none of {} says so by its labels \
                     org.opencontainers.image.revision and version, or by its tag",
                    release.shown,
                    repositories.iter().copied().collect::<Vec<_>>().join(" and ")
                ))
                .with_hint(
                    "pull or build it with one of them, and do the same again; or put back the code alone: --only with its name",
                ));
            }
            [] => cx.note(
                Level::Info,
                format!("{service} keeps its image: it does not say which release it is of"),
            ),
            [one] => {
                recorded.image = (***one).to_owned();
                recorded.digests = image(cx, one)
                    .map_err(unseen)?
                    .map(|found| found.digests)
                    .unwrap_or_default();
            }
            several => {
                let ids: Vec<String> = several.iter().map(|id| (**id).to_string()).collect();
                return Err(ResourceError::new(format!(
                    "this engine has several images of {service} for {}: {}",
                    release.shown,
                    ids.join(", ")
                ))
                .with_hint("remove the label or the tag of those that are not meant"));
            }
        }
        recorded.names.retain(|name| floats(name));
    }
    let mut print = Fingerprint::default();
    for (service, recorded) in &services {
        print = print.with(format!("service {service}"), recorded.image.clone());
        for name in &recorded.names {
            print = print.with(format!("name {name}"), recorded.image.clone());
        }
    }
    Ok(Found { services, print })
}

/// The commit that an image of this name was built from, by its label.
///
/// # Errors
/// The engine does not answer.
pub(super) fn revision_of(name: &str, cx: &Context) -> Result<Option<String>> {
    let unseen = |error| ResourceError::because("could not see the images", error);
    let Some(wanted) = image(cx, name).map_err(unseen)? else {
        return Ok(None);
    };
    let all = labelled_images(cx).map_err(unseen)?;
    let found = all.into_iter().find(|one| one.image.id == wanted.id);
    Ok(found.map(|one| one.revision).filter(|revision| !revision.is_empty()))
}
