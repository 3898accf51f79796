//! `guard rollback`: by hand, to a backup; and `--undo`, back to the state before the last rollback.

use guard_config::{Document, Settings};
use guard_engine::history::History;
use guard_engine::steps::SETTINGS;
use guard_journal::Run;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::fact::Ending;
use guard_model::intervention::Choice;
use guard_model::name::ResourceName;
use guard_model::plan::StageName;
use guard_model::setting::{Source, nearest_or_all};
use guard_model::text;
use guard_report::tables::Table;
use guard_run::adoption::{self, Adoption};
use guard_run::assembly::{Owned, compose_of, places};
use guard_run::choosing::choose_own;
use guard_run::comparison::now;
use guard_run::confirmation::confirm;
use guard_run::lifecycle::go_back;
use guard_run::narrowing::Narrowing;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::{Rollback, Selection};
use guard_run::selection::chosen;
use guard_run::service_choice::{self, Belonging};
use guard_run::session::{Session, width_of_stdout};
use guard_run::{decision, drift, encryption, locks, merged_settings, plan, preconditions, release};
use guard_store::{Backup, Listed, Store};
use guard_system::disk;
use guard_system::docker::image;

/// Rolls back to a backup.
///
/// # Errors
/// Refused before anything was done.
pub(super) fn rollback(asked: &Rollback, project: &Project, session: &Session) -> Outcome {
    if let Some((run, history)) = decision::watched(project)? {
        return while_watched(asked, &run, &history, project, session);
    }
    // With a service it names that service's image.
    if let Some(name) = asked.to.as_ref().filter(|_| asked.service.is_empty()) {
        return to_release(name, asked, project, session);
    }
    let _lock = locks::begin(project, "guard rollback")?;
    preconditions::refuse_open(project, &session.style.program)?;
    project.sound()?;
    let mut named = asked.backup_timestamp.clone();
    if let Some(foreign) = adoption::foreign(named.as_deref(), &project.store)? {
        let resources = asked_for(project.resources()?, asked, project, &session.style.program)?;
        let adoption = Adoption::of(foreign, &resources)?;
        session.reporter.data(adoption.outlook(session)?);
        if asked.dry_run {
            return Ok(ExitCode::DONE);
        }
        match adoption.carry_out(resources, asked.trust_foreign, project, session)? {
            Ok(timestamp) => named = Some(timestamp.to_string()),
            Err(exit) => return Ok(exit),
        }
        preconditions::refuse_open(project, &session.style.program)?;
    }
    let in_force = project.resources()?;
    let scope = project.scope(&in_force, true);
    let command = command_of(asked, named.as_deref());
    let force = asked.force && !asked.keeps_to_own;
    refuse_unknown(asked, &in_force, &project.store)?;
    let wanted = wanted(asked, &in_force, project);
    let backup = choose_own(named.as_deref(), &wanted, &scope, force, &command, project, session)?;
    for moved in scope.moves(&backup) {
        project.cx.note(Level::Info, moved);
    }
    let resources = asked_for(resources_of(&backup, project)?, asked, project, &session.style.program)?;
    let copied = |owned: &Owned| backup.manifest.artifact(owned.resource.name()).is_some();
    let resources: Vec<Owned> = resources.into_iter().filter(copied).collect();
    if resources.is_empty() {
        return Err(Refusal::new(
            ExitCode::USAGE,
            format!("backup {} holds nothing of what was asked for", backup.timestamp()),
        )
        .next(
            "to see what it holds",
            format!("{} show {}", session.style.program, backup.timestamp()),
        ));
    }
    refuse_image(asked, project)?;
    session.reporter.data(outlook(&backup, &resources, project));
    if asked.dry_run {
        return Ok(ExitCode::DONE);
    }
    encryption::refuse_shut(&backup, project, &session.style.program)?;
    let command = command_of(asked, Some(backup.timestamp().as_str()));
    drift::tell(asked.force, &command, &resources, project, &session.style.program)?;
    confirm(
        &format!("Put production back to backup {}?", backup.timestamp()),
        &command,
        project.settings.confirmed,
        session,
    )?;
    let plan = plan::rollback(
        backup.timestamp().clone(),
        &places(&resources),
        project.settings.policy.clone(),
    );
    go_back(plan, asked.reason.clone(), resources, Vec::new(), project, session)
}

/// Rolls back to a release by its name: to what a backup recorded of it, else to what git and the engine have.
fn to_release(name: &str, asked: &Rollback, project: &Project, session: &Session) -> Outcome {
    let program = &session.style.program;
    if let Some(named) = asked.backup.as_ref().or(asked.backup_timestamp.as_ref()) {
        return Err(Refusal::new(
            ExitCode::USAGE,
            format!("a backup, {named}, and a release, {name}, are both named"),
        )
        .because("a release chooses its own backup")
        .next(
            "to go back to that release",
            format!("{program} rollback --to {}", text::typed(name)),
        ));
    }
    preconditions::refuse_open(project, program)?;
    project.sound()?;
    let wanted = release::find(name, &project.resources()?, asked.force, project, program)?;
    let resources = asked_for(project.resources()?, asked, project, program)?;
    let (timestamp, only) = if let Some(found) = release::recorded(&wanted, &resources, asked.with_data, project) {
        project.cx.note(
            Level::Info,
            format!("backup {} was taken while {} was live", found.0, wanted.release.shown),
        );
        found
    } else {
        let shown = &wanted.release.shown;
        if asked.with_data {
            return Err(Refusal::new(
                ExitCode::NO_BACKUP,
                format!("no backup was taken while {shown} was live, so its data is nowhere"),
            )
            .next(
                "to go back to it without data",
                format!("{program} rollback --to {}", text::typed(name)),
            ));
        }
        for sentence in release::cannot_give(&wanted, &resources) {
            project.cx.note(Level::Warn, sentence);
        }
        if asked.dry_run {
            session.reporter.data(format!(
                "Rollback to {shown}, by git and the engine; nothing was changed"
            ));
            return Ok(ExitCode::DONE);
        }
        confirm(
            &format!("Make a backup of {shown} from git and the engine?"),
            &format!("rollback --to {}", text::typed(name)),
            project.settings.confirmed,
            session,
        )?;
        let _lock = locks::begin(project, "guard rollback --to")?;
        match release::take_over(&wanted, resources, project, session)? {
            Ok(found) => found,
            Err(exit) => return Ok(exit),
        }
    };
    let of_backup = Rollback {
        to: None,
        with_data: false,
        backup_timestamp: Some(timestamp.to_string()),
        only,
        skip: Vec::new(),
        service: Vec::new(),
        ..asked.clone()
    };
    rollback(&of_backup, project, session)
}

/// Rolls back while another guard watches a release: that one holds the lock and knows the way, so it is told to take it,
/// after a yes. What is not the way back of that release has to wait for it.
fn while_watched(asked: &Rollback, run: &Run, history: &History, project: &Project, session: &Session) -> Outcome {
    let backup = &history.plan().backup;
    let is_its_own = match asked.backup_timestamp.as_deref() {
        None | Some("latest") => true,
        Some(named) => named == backup.as_str(),
    };
    let command = format!("{} decide rollback", session.style.program);
    let what = format!("the run {} watches a release at this moment", run.id);
    if !is_its_own || !asked.only.is_empty() || !asked.service.is_empty() || asked.to.is_some() || asked.dry_run {
        return Err(Refusal::new(ExitCode::LOCKED, what)
            .because(
                "it goes back as a whole, and to the state before that release; anything else has to wait for its end",
            )
            .next("to roll that release back now", command));
    }
    project.cx.note(
        Level::Info,
        format!("{what}: going back means that it stops watching and goes back to {backup}, as `{command}` tells it"),
    );
    confirm("Let it roll back now?", "rollback", project.settings.confirmed, session)?;
    decision::decide(
        Choice::Rollback,
        asked.reason.as_deref(),
        project,
        &session.style.program,
    )?;
    let Some(ending) = decision::ended(run, project)? else {
        return Err(Refusal::new(
            ExitCode::UNFINISHED,
            format!("the run {} goes back, and is not over", run.id),
        )
        .next("to see where it is", format!("{} status", session.style.program)));
    };
    let production = ending.production();
    project.cx.note(
        Level::Info,
        format!("the run {} is over: production is {production}", run.id),
    );
    Ok(match ending {
        // What was asked for has been done; nothing else is 0.
        Ending::RolledBack(_) | Ending::NothingToUndo(_) => ExitCode::DONE,
        other => other.exit_code(),
    })
}

/// The resources that `--only` and `--service` leave.
fn asked_for(resources: Vec<Owned>, asked: &Rollback, project: &Project, program: &str) -> Result<Vec<Owned>, Refusal> {
    let selection = Selection {
        only: asked.only.clone(),
        skip: asked.skip.clone(),
    };
    of_services(chosen(resources, &selection)?, asked, project, program)
}

/// The command that asks for the same once more, with the backup named.
fn command_of(asked: &Rollback, backup: Option<&str>) -> String {
    let mut words = vec!["rollback".to_owned()];
    words.extend(backup.map(|backup| format!("--backup-timestamp={backup}")));
    for (flag, names) in [
        ("--only", &asked.only),
        ("--skip", &asked.skip),
        ("--service", &asked.service),
    ] {
        words.extend((!names.is_empty()).then(|| format!("{flag}={}", names.join(","))));
    }
    words.extend(asked.to.as_ref().map(|image| format!("--to={}", text::typed(image))));
    words.extend(asked.data_restore.as_ref().map(|when| format!("--data-restore={when}")));
    for (flag, is_set) in [
        ("--with-data", asked.with_data),
        ("--trust-foreign", asked.trust_foreign),
        ("--dry-run", asked.dry_run),
        ("--yes", asked.yes),
        ("--force", asked.force),
    ] {
        words.extend(is_set.then(|| flag.to_owned()));
    }
    words.join(" ")
}

/// Refuses a name that neither the settings in force nor any backup knows.
fn refuse_unknown(asked: &Rollback, in_force: &[Owned], store: &Store) -> Result<(), Refusal> {
    let declared = in_force.iter().map(|owned| owned.resource.name().to_string());
    let mut names: Vec<String> = declared.collect();
    for entry in store.list().unwrap_or_default() {
        if let Listed::Backup(backup) = entry {
            names.extend(backup.manifest.artifacts.iter().map(|one| one.resource.to_string()));
        }
    }
    names.sort();
    names.dedup();
    let Some(unknown) = asked.only.iter().chain(&asked.skip).find(|name| !names.contains(name)) else {
        return Ok(());
    };
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let hint = nearest_or_all(unknown, &all);
    Err(Refusal::new(ExitCode::USAGE, format!("no resource is called {unknown:?}")).because(hint))
}

/// What the backup has to hold: what was named, and what belongs to the services that were named.
fn wanted(asked: &Rollback, in_force: &[Owned], project: &Project) -> Vec<ResourceName> {
    let named = asked.only.iter().filter_map(|name| name.parse().ok());
    let of_services = in_force.iter().filter(|owned| {
        let is_of = |service: &String| Belonging::of(service, in_force, project).takes(owned, asked.with_data);
        asked.service.iter().any(is_of)
    });
    let of_services = of_services.map(|owned| owned.resource.name().clone());
    named.chain(of_services).collect()
}

/// The resources of a backup: where they are and how they go back is said by the settings in force, what was copied by those
/// in the backup; in what the two differ is told.
fn resources_of(backup: &Backup, project: &Project) -> Result<Vec<Owned>, Refusal> {
    let path = backup.directory.join(SETTINGS);
    let text = disk::read_text_optional(&path).map_err(|error| Refusal::of_error(ExitCode::NO_BACKUP, &error))?;
    let Some(text) = text else { return project.resources() };
    let recorded = backup.manifest.settings.as_ref().map(|entry| entry.sha256.as_str());
    if recorded != Some(disk::sha256_hex(text.as_bytes()).as_str()) {
        return Err(Refusal::new(
            ExitCode::NO_BACKUP,
            format!("{} is not what the manifest lists", path.display()),
        ));
    }
    let mut wish = project.wish.clone();
    wish.judges = false;
    match &backup.manifest.environment {
        Some(name) => wish.flags.insert("environment", vec![name.clone()]),
        None => wish.flags.remove("environment"),
    };
    let document = Document {
        source: Source::new(path.display().to_string(), text),
        mode: None,
    };
    let held: Vec<ResourceName> = backup
        .manifest
        .artifacts
        .iter()
        .map(|one| one.resource.clone())
        .collect();
    let (settings, told) = match Settings::of_document(&wish, &project.settings.directory, &document) {
        Ok(earlier) => merged_settings::over(&earlier, &project.settings, &held),
        // A variable that they name may not be set any more; what is in force is enough then.
        Err(problems) => {
            let why = problems.first().map(ToString::to_string).unwrap_or_default();
            let told = format!("the settings of the backup cannot be read ({why}): those in force count alone");
            (project.settings.clone(), vec![told])
        }
    };
    for sentence in told {
        project.cx.note(Level::Warn, sentence);
    }
    let compose = match &project.compose {
        Some(compose) => Some(compose.clone()),
        None => compose_of(&settings, &project.cx)?,
    };
    project.resources_of(&settings, compose.as_ref())
}

/// Which services this is about: it travels with the run.
pub(super) fn narrowing(asked: &Rollback) -> Narrowing {
    Narrowing {
        services: asked.service.clone(),
        image: asked.to.clone(),
    }
}

/// Refuses an image that the engine does not have, or that no container is to run.
fn refuse_image(asked: &Rollback, project: &Project) -> Result<(), Refusal> {
    let Some(named) = &asked.to else { return Ok(()) };
    if asked.service.len() != 1 {
        let what = "--to names the image of one service, and --service names several";
        return Err(Refusal::new(ExitCode::USAGE, what));
    }
    let found = image(&project.cx, named).map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
    if found.is_none() {
        let refusal = Refusal::new(ExitCode::REFUSED, format!("the engine has no image {named}"));
        return Err(refusal.next("to fetch it", format!("docker pull {}", text::typed(named))));
    }
    Ok(())
}

/// The resources of some services, `--service`.
fn of_services(
    resources: Vec<Owned>,
    asked: &Rollback,
    project: &Project,
    program: &str,
) -> Result<Vec<Owned>, Refusal> {
    if asked.service.is_empty() {
        return Ok(resources);
    }
    let belonging: Vec<Belonging> = asked
        .service
        .iter()
        .map(|service| Belonging::of(service, &resources, project))
        .collect();
    for one in &belonging {
        let service = one.service();
        if !resources.iter().any(|owned| one.takes(owned, asked.with_data)) {
            return Err(nothing_of(service, &resources, project, program));
        }
        if asked.to.is_some() && !resources.iter().any(|owned| one.has_image(owned)) {
            let what = format!("--to: {service} is no container, or its images are no resource");
            return Err(Refusal::new(ExitCode::USAGE, what)
                .because("a resource of the kind `images` keeps the images of the Compose services"));
        }
    }
    let is_taken = |owned: &Owned| belonging.iter().any(|one| one.takes(owned, asked.with_data));
    Ok(resources.into_iter().filter(is_taken).collect())
}

/// Says that nothing belongs to a service, and what there is.
fn nothing_of(service: &str, resources: &[Owned], project: &Project, program: &str) -> Refusal {
    let names: Vec<String> = resources
        .iter()
        .map(|owned| owned.resource.name().to_string())
        .collect();
    let kept = resources
        .iter()
        .filter(|owned| owned.kind.restored_in != StageName::Data);
    let kept: Vec<&str> = kept.map(|owned| owned.resource.name().as_str()).collect();
    let mut refusal = Refusal::new(
        ExitCode::USAGE,
        format!("no resource belongs to a service {service:?} alone"),
    )
    .because(format!("the backup holds: {}", names.join(", ")));
    let known = service_choice::known(project);
    if !known.iter().any(|name| name == service) {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        refusal = refusal.because(nearest_or_all(service, &known));
    }
    if kept.is_empty() {
        refusal
    } else {
        refusal.next(
            "to put back what services run from, and no data",
            format!("{program} rollback --only {}", kept.join(",")),
        )
    }
}

/// What a rollback would do, resource by resource, and what it would cost.
fn outlook(backup: &Backup, resources: &[Owned], project: &Project) -> String {
    let mut table = Table::new(["resource", "now", "in the backup"]);
    let mut prices = Vec::new();
    for owned in resources {
        let name = owned.resource.name();
        let Some(artifact) = backup.manifest.artifact(name) else {
            continue;
        };
        let seen = now(owned, artifact, backup, project);
        table = table.row([name.to_string(), seen, artifact.summary.clone()]);
        let policy = project.settings.policy.data_restore;
        let told = match encryption::slot(backup, name, project) {
            Ok(slot) => {
                let (resource, cx) = owned.resource.at(&project.cx);
                let told = resource.outlook(artifact, &slot, policy, &cx);
                told.map_err(|error| text::chain(&error))
            }
            Err(refusal) => Err(refusal.account.failed.clone()),
        };
        let told = told.unwrap_or_else(|why| vec![format!("its price cannot be told: {why}")]);
        prices.extend(told.into_iter().map(|price| format!("  {name}: {price}")));
    }
    let price = if prices.is_empty() {
        String::new()
    } else {
        format!("The price:\n{}\n", prices.join("\n"))
    };
    format!(
        "Rollback to {}\n{}{price}",
        backup.timestamp(),
        table.render(Some(width_of_stdout()))
    )
}
