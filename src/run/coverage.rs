//! What services keep on disk and no resource copies. A release may change it, and nothing would bring it back: that is told
//! before, since a volume that a service gets later is in no settings that were written once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::assembly::Owned;
use crate::findings::Report;
use crate::project::Project;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::docker::{Compose, Container, Mount, containers_of};
use guard_system::servers::{Need, SERVERS};

/// What the link to the release that is live is called.
const CURRENT: [&str; 3] = ["current", "live", "release"];
/// The directories in which releases lie beside each other.
const RELEASES: [&str; 3] = ["releases", "versions", "builds"];

/// What the resources copy, as far as it can be compared with a mount.
struct Covered<'r> {
    resources: &'r [Owned],
    /// Names of volumes.
    names: BTreeSet<String>,
    /// Directories and files, without links.
    paths: Vec<PathBuf>,
    /// Checkouts, which copy all but what git ignores.
    checkouts: Vec<PathBuf>,
}

/// Names each volume, and each directory of the project, that a running service writes to and that no resource copies.
pub fn look(project: &Project, resources: &[Owned], report: &mut Report) {
    releases(project, resources, report);
    if project.compose.is_none() && project.further.is_empty() {
        return;
    }
    let settings = &project.settings;
    let lists = settings
        .compose
        .iter()
        .chain(settings.projects.iter().map(|one| &one.compose));
    let disposable: BTreeSet<&str> = lists
        .flat_map(|compose| compose.disposable.iter().map(String::as_str))
        .collect();
    let covered = Covered::of(resources, &project.cx);
    if let Some(compose) = &project.compose {
        of_project(compose, &covered, &disposable, &project.cx, report);
    }
    for further in &project.further {
        let cx = project.cx.at(further.engine.as_ref());
        of_project(&further.compose, &covered, &disposable, &cx, report);
    }
}

/// Names the link by which a directory of releases says which of them is live, where no resource holds what it leads to: a
/// way back would put data back under the code of the failed release.
fn releases(project: &Project, resources: &[Owned], report: &mut Report) {
    let root = &project.settings.directory;
    for name in CURRENT {
        let link = root.join(name);
        let Ok(target) = std::fs::read_link(&link) else {
            continue;
        };
        let release = disk::real_path(&root.join(&target));
        let is_beside = RELEASES
            .iter()
            .any(|name| release.starts_with(disk::real_path(&root.join(name))));
        if !is_beside || !release.is_dir() {
            continue;
        }
        // What leads through the link, or lies behind it, brings the link back with it; and so does what copies all around it.
        let is_covered = resources.iter().any(|owned| {
            let (resource, cx) = owned.resource.at(&project.cx);
            let mut grounds = resource.grounds(&cx).into_iter();
            grounds.any(|ground| {
                ground.starts_with(&release)
                    || match owned.kind.key {
                        "files" => false,
                        "git" => disk::real_path(root).starts_with(&ground) && !is_ignored(&link, root, &project.cx),
                        _ => disk::real_path(root).starts_with(&ground),
                    }
            })
        });
        if !is_covered {
            report.warn(
                "code",
                format!(
                    "no backup holds which release is live: {name} leads to {}, and a way back would leave it there, with \
                     the data of the release before",
                    target.display()
                ),
                format!(
                    "add a resource with kind = \"files\" and paths = [\"{name}\"], and keep at least the release before"
                ),
            );
        }
    }
}

fn of_project(
    compose: &Compose,
    covered: &Covered<'_>,
    disposable: &BTreeSet<&str>,
    cx: &Context,
    report: &mut Report,
) {
    // An engine that does not answer is told already.
    let containers = containers_of(cx, &compose.project).unwrap_or_default();
    let mut told = BTreeSet::new();
    for container in containers.iter().filter(|one| one.is_running() && !one.is_one_off()) {
        for mount in container.mounts.iter().filter(|mount| mount.is_writable) {
            let by_target = format!("{}:{}", container.service, mount.target);
            let key = key_of(mount, compose);
            let is_wanted = disposable.contains(by_target.as_str()) || disposable.contains(key.as_str());
            if is_wanted
                || covered.holds(container, mount)
                || !told.insert((key.clone(), is_nameless(mount).then(|| by_target.clone())))
            {
                continue;
            }
            let service = &container.service;
            match mount.kind.as_str() {
                "volume" if is_nameless(mount) && is_empty(&mount.directory) => {}
                "volume" if is_nameless(mount) => report.warn(
                    "volumes",
                    format!(
                        "{service} keeps files at {} in a volume without a name: no backup holds it, and `docker compose up -V` or \
                         `down -v` takes it away",
                        mount.target
                    ),
                    format!(
                        "name it in the compose file and add a resource of kind `volume`; or set compose.disposable = \
                         [\"{by_target}\"]"
                    ),
                ),
                "volume" => report.warn(
                    "volumes",
                    format!("no backup holds the volume {key} of {service}, and a release can change it"),
                    format!(
                        "add [resources.{key}] with kind = \"volume\" and volume = \"{key}\"; or set compose.disposable = [\"{key}\"]"
                    ),
                ),
                "bind" if covered.is_of_project(mount, compose, cx) => {
                    let path = mount.directory.strip_prefix(&compose.directory).unwrap_or(&mount.directory);
                    let path = path.display();
                    report.warn(
                        "volumes",
                        format!("no backup holds the directory {path}, which {service} writes to"),
                        format!(
                            "add a resource with kind = \"volume\" and path = \"{path}\"; or set compose.disposable = [\"{by_target}\"]"
                        ),
                    );
                }
                _ => {}
            }
        }
    }
}

impl<'r> Covered<'r> {
    fn of(resources: &'r [Owned], cx: &Context) -> Self {
        let (mut names, mut paths, mut checkouts) = (BTreeSet::new(), Vec::new(), Vec::new());
        for owned in resources {
            let (resource, there) = owned.resource.at(cx);
            let grounds = resource.grounds(&there);
            if owned.kind.key == "git" {
                checkouts.extend(grounds);
                continue;
            }
            paths.extend(grounds);
            for place in resource.occupies() {
                if Path::new(&place).is_absolute() {
                    paths.push(disk::real_path(Path::new(&place)));
                } else {
                    names.insert(place);
                }
            }
        }
        Self {
            resources,
            names,
            paths,
            checkouts,
        }
    }

    /// Whether a resource copies what is mounted, or what the server in the container keeps there.
    fn holds(&self, container: &Container, mount: &Mount) -> bool {
        let place = disk::real_path(&mount.directory);
        let is_near = |path: &PathBuf| path.starts_with(&place) || place.starts_with(path);
        self.names.contains(&mount.source)
            || self.paths.iter().any(is_near)
            || self.resources.iter().any(|owned| {
                let needs = owned.resource.services();
                needs.is_some_and(|needs| {
                    [needs.needs_running(), needs.stops()]
                        .concat()
                        .contains(&container.service)
                }) || is_server_of(container, owned.kind.key)
            })
    }

    /// Whether a mount is a directory of the project that git does not keep.
    fn is_of_project(&self, mount: &Mount, compose: &Compose, cx: &Context) -> bool {
        let place = disk::real_path(&mount.directory);
        let project = disk::real_path(&compose.directory);
        if !place.is_dir() || place == project || !place.starts_with(&project) {
            return false;
        }
        let Some(checkout) = self.checkouts.iter().find(|checkout| place.starts_with(checkout)) else {
            return true;
        };
        is_ignored(&place, checkout, cx)
    }
}

/// Whether the git of this directory leaves a path alone.
fn is_ignored(path: &Path, directory: &Path, cx: &Context) -> bool {
    let call = Call::new("git")
        .args(["check-ignore", "--quiet", "--"])
        .arg(path)
        .directory(directory);
    cx.outcome(&call).is_ok_and(|outcome| outcome.status.success())
}

/// Whether a container runs the kind of server that resources of this kind copy, perhaps by an address.
fn is_server_of(container: &Container, kind: &str) -> bool {
    let image = container.image_name.to_ascii_lowercase();
    SERVERS.iter().any(|server| {
        let (Need::Kind(own) | Need::Nothing(own)) = server.need else {
            return false;
        };
        own == kind && server.images.iter().any(|word| image.contains(word))
    })
}

/// What the compose file calls it, or where it lies.
fn key_of(mount: &Mount, compose: &Compose) -> String {
    let name = &mount.source;
    let short = name.strip_prefix(&format!("{}_", compose.project));
    short.unwrap_or(name).to_owned()
}

/// Whether the engine has made up the volume's name: 64 hexadecimal digits.
fn is_nameless(mount: &Mount) -> bool {
    mount.kind == "volume" && mount.source.len() == 64 && mount.source.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether nothing is in a directory; one that cannot be read here may hold anything.
fn is_empty(directory: &Path) -> bool {
    disk::list(directory).is_ok_and(|found| found.is_empty())
}
