//! What a copy needs and a server has, compared before anything is made.

use serde::Deserialize;

use super::capture::{Details, major};
use super::catalog::IDENTIFIER;
use super::reach::Reach;
use super::sql::{ident, literal};
use crate::resources::{ResourceError, Result};
use crate::system::context::Context;

#[derive(Deserialize)]
struct Missing {
    number: u32,
    system_identifier: Option<String>,
    roles: Vec<String>,
    extensions: Vec<String>,
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
          'extensions', (SELECT coalesce(jsonb_agg(e), '[]') FROM unnest({}) e
            WHERE NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = e)));",
        list(&mut details.roles.iter().chain(owner)),
        list(&mut details.extensions.keys()),
    );
    let mut found: Vec<Missing> = reach.rows(maintenance, &script, cx)?;
    let Some(missing) = found.pop() else {
        return Err(ResourceError::new("the server did not tell its version"));
    };
    if let (Some(ours), Some(theirs)) = (&missing.system_identifier, &details.server.system_identifier)
        && ours != theirs
        && !reach.any_server
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
            .map(|role| format!("CREATE ROLE {};", ident(role)))
            .collect();
        let what = format!(
            "the backup needs roles that the server does not have: {}",
            missing.roles.join(", ")
        );
        return Err(ResourceError::new(what).with_hint(roles.join(" ")));
    }
    if !missing.extensions.is_empty() {
        let what = format!(
            "the backup needs extensions that are not installed: {}",
            missing.extensions.join(", ")
        );
        return Err(ResourceError::new(what).with_hint("install their packages on the server"));
    }
    Ok(())
}
