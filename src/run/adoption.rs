//! A backup that somebody made by hand becomes one of guard's own before anyone goes back to it: tested, loaded beside what is
//! live, copied from there. From then on it is proven, swapped in and undone like any other.

use std::collections::BTreeMap;

use crate::assembly::{Owned, places};
use crate::confirmation::confirm;
use crate::lifecycle::{NewRun, claim, start};
use crate::outcome::Refusal;
use crate::plan;
use crate::project::Project;
use crate::session::{Session, width_of_stdout};
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::foreign::{Material, Part};
use guard_model::name::{ResourceName, RunKind, Timestamp};
use guard_model::text;
use guard_report::tables::Table;
use guard_store::{Foreign, ForeignKind, ForeignPart, Listed, Store};

/// What is known about a backup made by hand, and what will be made of it.
pub struct Adoption {
    foreign: Foreign,
    materials: BTreeMap<ResourceName, Material>,
    /// Parts that no resource takes, each a sentence.
    left: Vec<String>,
}

/// The backup made by hand that is meant; `None` where one of guard's own has the name.
///
/// # Errors
/// The store cannot be read.
pub fn foreign(asked: Option<&str>, store: &Store) -> Result<Option<Foreign>, Refusal> {
    let Some(timestamp) = asked.and_then(|asked| asked.parse::<Timestamp>().ok()) else {
        return Ok(None);
    };
    let listed = store.list();
    let listed = listed.map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
    Ok(listed.into_iter().find_map(|listed| match listed {
        Listed::Foreign(foreign) if foreign.timestamp == timestamp => Some(foreign),
        _ => None,
    }))
}

fn kind_of(part: &ForeignPart) -> Option<(&'static str, Part)> {
    let path = part.path.clone();
    match part.kind {
        ForeignKind::Sql => Some(("postgres", Part::Sql { path, gzip: false })),
        ForeignKind::SqlGzip => Some(("postgres", Part::Sql { path, gzip: true })),
        ForeignKind::ObjectsTarGzip => Some(("volume", Part::Archive { path })),
        ForeignKind::Compose => None,
    }
}

impl Adoption {
    /// Gives each part to a resource: to the only one of its kind, or to the one whose name is in the file's.
    ///
    /// # Errors
    /// Two parts are for the same resource.
    pub fn of(foreign: Foreign, resources: &[Owned]) -> Result<Self, Refusal> {
        let taken_at = foreign.timestamp.moment();
        let mut adoption = Self {
            materials: BTreeMap::new(),
            left: Vec::new(),
            foreign,
        };
        for part in &adoption.foreign.parts {
            let shown = part.path.display();
            let Some((kind, material)) = kind_of(part) else {
                let why = "compare it with the live one, and copy it over by hand where it is the right one";
                adoption.left.push(format!("{shown}: a compose file; {why}"));
                continue;
            };
            let fitting: Vec<&ResourceName> = resources
                .iter()
                .filter(|owned| owned.kind.key == kind)
                .map(|owned| owned.resource.name())
                .collect();
            let file = part
                .path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .to_lowercase();
            let named = fitting.iter().find(|name| file.contains(&name.as_str().to_lowercase()));
            let taker = match fitting.as_slice() {
                [only] => Some(*only),
                _ => named.copied(),
            };
            let Some(taker) = taker else {
                adoption
                    .left
                    .push(format!("{shown}: no resource of kind {kind} is its own"));
                continue;
            };
            let part = material;
            let before = adoption.materials.insert(taker.clone(), Material { part, taken_at });
            if before.is_some() {
                return Err(Refusal::new(
                    ExitCode::NO_BACKUP,
                    format!("backup {} holds two copies of {taker}", adoption.foreign.timestamp),
                )
                .because("nobody but you can tell which is the right one; move the other away"));
            }
        }
        let commit = adoption.foreign.commit.clone();
        let git = resources.iter().find(|owned| owned.kind.key == "git");
        if let (Some(commit), None) = (&commit, git) {
            adoption
                .left
                .push(format!("the commit {commit}: no resource of kind git takes it"));
        }
        if let (Some(commit), Some(git)) = (commit, git) {
            let branch = adoption.foreign.branch.clone();
            let part = Part::Commit { commit, branch };
            let name = git.resource.name().clone();
            adoption.materials.insert(name, Material { part, taken_at });
        }
        Ok(adoption)
    }

    /// Reads every part to its end, and says what it found; the first sentence about one that is not sound.
    fn prove(&self) -> Result<Vec<[String; 3]>, String> {
        let mut rows = Vec::new();
        for (name, material) in &self.materials {
            let (what, state) = match &material.part {
                Part::Sql { path, .. } | Part::Archive { path } => {
                    let part = self.foreign.parts.iter().find(|part| &part.path == path);
                    let part = part.ok_or_else(|| format!("{} is not there any more", path.display()))?;
                    if let Some(stranger) = part.stranger() {
                        return Err(stranger);
                    }
                    part.prove()?;
                    let what = match material.part {
                        Part::Sql { .. } => "SQL, read to the end that pg_dump writes",
                        _ => "archive, read to its end",
                    };
                    (
                        path.display().to_string(),
                        format!("{what}, {}", text::bytes(part.bytes)),
                    )
                }
                Part::Commit { commit, branch } => {
                    let branch = branch
                        .as_deref()
                        .map(|branch| format!(" on {branch}"))
                        .unwrap_or_default();
                    let what = format!("commit {}{}", text::sanitised(commit), text::sanitised(&branch));
                    (what, "as written down".to_owned())
                }
                Part::Release { release, .. } => (text::sanitised(&release.shown), "as the engine has it".to_owned()),
            };
            rows.push([name.to_string(), what, state]);
        }
        Ok(rows)
    }

    /// What will be made of which part, and what nobody can prove.
    ///
    /// # Errors
    /// A part is not whole, or somebody else could have written it.
    pub fn outlook(&self, session: &Session) -> Result<String, Refusal> {
        let timestamp = &self.foreign.timestamp;
        if self.materials.is_empty() {
            let refusal = Refusal::new(
                ExitCode::NO_BACKUP,
                format!("no resource takes anything of backup {timestamp}, which was made by hand"),
            );
            return Err(refusal.because(self.left.join("; ")));
        }
        let rows = self.prove().map_err(|why| {
            Refusal::new(ExitCode::NO_BACKUP, format!("backup {timestamp} cannot be used: {why}"))
                .next("to see the other backups", format!("{} list", session.style.program))
        })?;
        let mut table = Table::new(["resource", "made by hand", "what is known of it"]);
        for row in rows {
            table = table.row(row);
        }
        let left = self
            .left
            .iter()
            .fold(String::new(), |text, left| format!("{text}Not taken: {left}\n"));
        Ok(format!(
            "Backup {timestamp} was made by hand, and becomes one of guard's own first\n{}{left}\
             Not proven: that the parts belong together, that nothing is missing from them, and that the system was well.\n\
             A dump in SQL is a program: it runs in a database beside the live one, as the user that guard is.\n",
            table.render(Some(width_of_stdout()))
        ))
    }

    /// Makes the backup; its name, or how the run ended instead.
    ///
    /// # Errors
    /// It is not trusted, not confirmed, or could not be begun.
    pub fn carry_out(
        self,
        resources: Vec<Owned>,
        is_trusted: bool,
        project: &Project,
        session: &Session,
    ) -> Result<Result<Timestamp, ExitCode>, Refusal> {
        let timestamp = &self.foreign.timestamp;
        let command = format!("rollback --backup-timestamp={timestamp} --trust-foreign");
        if !is_trusted {
            let program = &session.style.program;
            let refusal = Refusal::new(
                ExitCode::USAGE,
                format!("backup {timestamp} was made by hand, and is taken only on your word"),
            );
            return Err(refusal.next("where you know who made it", format!("{program} {command}")));
        }
        confirm(
            &format!("Make a backup of guard's own from {timestamp}?"),
            &command,
            project.settings.confirmed,
            session,
        )?;
        let draft = project.store.begin(timestamp.moment());
        let draft = draft.map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
        let name = draft.timestamp().clone();
        let resources: Vec<Owned> = resources
            .into_iter()
            .filter(|owned| self.materials.contains_key(owned.resource.name()))
            .collect();
        let plan = plan::adopt(name.clone(), &places(&resources), project.settings.policy.clone());
        let run = claim(RunKind::Backup, project)?;
        let description = format!("made by hand, taken over from {timestamp}");
        let exit = start(
            NewRun {
                plan,
                reason: None,
                description: Some(description),
                resources,
                undoing: Vec::new(),
                adopting: self.materials,
            },
            &run,
            project,
            session,
        )?;
        if exit != ExitCode::DONE {
            return Ok(Err(exit));
        }
        project.cx.note(
            Level::Info,
            format!("backup {name} is guard's own now; what it was made from stays"),
        );
        Ok(Ok(name))
    }
}
