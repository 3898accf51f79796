//! What a copy needs and a server has, compared before anything is made.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::details::Details;
use super::reach::Reach;
use super::risks::is_in_every_database;
use super::sql::{IDENTIFIER, ident, literal};
use super::versions::major;
use crate::error::{ResourceError, Result};
use guard_system::context::Context;

#[derive(Deserialize)]
struct Missing {
    number: u32,
    system_identifier: Option<String>,
    roles: Vec<String>,
    extensions: Vec<String>,
    /// Of each that is installed: the version that a dump brings, and all that there are.
    versions: BTreeMap<String, (String, Vec<String>)>,
    tablespaces: Vec<String>,
}

/// Compares what the archive needs with what the server has, before anything is made.
pub(super) fn agree(reach: &Reach, maintenance: &str, details: &Details, cx: &Context) -> Result<()> {
    let list = |names: &mut dyn Iterator<Item = &String>| {
        let names: Vec<String> = names.map(|name| literal(name)).collect();
        format!("ARRAY[{}]::text[]", names.join(", "))
    };
    let owner = std::iter::once(&details.properties.owner);
    let script = format!(
        "{IDENTIFIER}SELECT jsonb_build_object('number', current_setting('server_version_num')::int, 'system_identifier', :known::text,
          'roles', (SELECT coalesce(jsonb_agg(DISTINCT r), '[]') FROM unnest({}) r
            WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r)),
          'extensions', (SELECT coalesce(jsonb_agg(e), '[]') FROM unnest({extensions}) e
            WHERE NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = e)),
          'versions', (SELECT coalesce(jsonb_object_agg(a.name, jsonb_build_array(a.default_version,
            (SELECT jsonb_agg(v.version) FROM pg_available_extension_versions v WHERE v.name = a.name))), '{{}}')
            FROM pg_available_extensions a WHERE a.name = ANY ({extensions})),
          'tablespaces', (SELECT coalesce(jsonb_agg(t), '[]') FROM unnest({tablespaces}) t
            WHERE NOT EXISTS (SELECT FROM pg_tablespace WHERE spcname = t)));",
        list(&mut details.roles.iter().chain(owner)),
        extensions = list(&mut details.extensions.keys()),
        tablespaces = list(&mut details.surroundings.tablespaces.iter()),
    );
    let mut found: Vec<Missing> = reach.rows(maintenance, &script, cx)?;
    let Some(missing) = found.pop() else {
        return Err(ResourceError::new("the server did not tell its version"));
    };
    if let (Some(ours), Some(theirs)) = (&missing.system_identifier, &details.server.system_identifier)
        && ours != theirs
        && !reach.any_server
        // The server of the same service was made anew, as by `docker compose down -v`: that is what a backup is for.
        && (details.place.is_none() || details.place != reach.place)
    {
        let what = format!(
            "the backup was taken from another cluster: its identifier is {theirs}, and that of this server {ours}"
        );
        return Err(ResourceError::new(what)
            .with_hint("correct `url` or `service`; if the server is a new one, set `server = \"any\"`"));
    }
    let (ours, theirs) = (missing.number / 10_000, details.server.number / 10_000);
    if ours < theirs {
        let what = format!("the backup was made by Postgres {theirs}, and the server is the older Postgres {ours}");
        return Err(ResourceError::new(what).with_hint(format!("start the server with Postgres {theirs} or newer")));
    }
    let client = reach.version("pg_restore", cx)?;
    if major(&client) < major(&details.dump_version) {
        let what = format!(
            "the backup was made by pg_dump {}, and pg_restore {client} is older",
            details.dump_version
        );
        return Err(ResourceError::new(what).with_hint("install the client programs of that version or newer"));
    }
    if !missing.roles.is_empty() {
        let roles: Vec<String> = missing
            .roles
            .iter()
            .map(|role| match details.surroundings.role(role) {
                Some(statements) => statements.to_owned(),
                None => format!("CREATE ROLE {};", ident(role)),
            })
            .collect();
        let what = format!(
            "the backup needs roles that the server does not have: {}",
            missing.roles.join(", ")
        );
        return Err(ResourceError::new(what).with_hint(roles.join(" ")));
    }
    if let Some(first) = missing.tablespaces.first() {
        let what = format!(
            "the backup needs tablespaces that the server does not have: {}",
            missing.tablespaces.join(", ")
        );
        return Err(ResourceError::new(what).with_hint(format!("CREATE TABLESPACE {} LOCATION '…';", ident(first))));
    }
    if !missing.extensions.is_empty() {
        let what = format!(
            "the backup needs extensions that are not installed: {}",
            missing.extensions.join(", ")
        );
        return Err(ResourceError::new(what).with_hint("install their packages on the server"));
    }
    fit(details, &missing.versions)
}

/// Compares the extensions' versions: each has to come back as it was.
fn fit(details: &Details, versions: &BTreeMap<String, (String, Vec<String>)>) -> Result<()> {
    for (name, wanted) in &details.extensions {
        let Some((standard, all)) = versions.get(name) else {
            continue;
        };
        if !all.contains(wanted) {
            let what = format!(
                "the backup needs the extension {name} in version {wanted}, and the server has {}",
                all.join(", ")
            );
            return Err(ResourceError::new(what).with_hint("install the package of that version on the server"));
        }
        let schema = details.extension_schemas.get(name).map_or("public", String::as_str);
        if wanted != standard && !is_in_every_database(schema) {
            let what = format!(
                "the backup has the extension {name} in version {wanted} in the schema {schema}, and a restore would bring {standard}"
            );
            let hint = "restore it by hand; update the extension before the next deployment";
            return Err(ResourceError::new(what).with_hint(hint));
        }
    }
    Ok(())
}

/// The script that makes those extensions of which a dump would bring another version.
pub(super) fn older_extensions(details: &Details) -> String {
    let rows = details.extensions.iter().map(|(name, version)| {
        let schema = details.extension_schemas.get(name).map_or("public", String::as_str);
        format!("({}, {}, {})", literal(name), literal(version), literal(schema))
    });
    let rows: Vec<String> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "SELECT format('CREATE EXTENSION IF NOT EXISTS %I WITH SCHEMA %I VERSION %L CASCADE', n, s, v)
         FROM (VALUES {}) x (n, v, s) JOIN pg_available_extensions a ON a.name = n AND a.default_version <> v \\gexec\n",
        rows.join(", ")
    )
}
