//! Tables in which programs note which of their migrations ran: known by name, whatever the server.

/// Records of what ran, in lower case. A release that adds to one has changed what the old code relies on, and its entries
/// are no rows of anybody's.
const RECORDS: &[&str] = &[
    "__diesel_schema_migrations",
    "__drizzle_migrations",
    "__efmigrationshistory",
    "__migrationhistory",
    "_prisma_migrations",
    "_sqlx_migrations",
    "_yoyo_log",
    "_yoyo_migration",
    "_yoyo_version",
    "aerich",
    "alembic_version",
    "applied_module_schemas",
    "applied_schema_deltas",
    "atlas_schema_revisions",
    "data_migrations",
    "databasechangelog",
    "directus_migrations",
    "django_migrations",
    "doctrine_migration_versions",
    "flyway_schema_history",
    "goose_db_version",
    "gorp_migrations",
    "kysely_migration",
    "knex_migrations",
    "micrate_db_version",
    "migratehistory",
    "migration_versions",
    "migrations",
    "mikro_orm_migrations",
    "oc_migrations",
    "pgmigrations",
    "phinxlog",
    "play_evolutions",
    "refinery_schema_history",
    "schema_compat_version",
    "schema_migrations",
    "schema_version",
    "schemaversions",
    "sequelizemeta",
    "south_migrationhistory",
    "strapi_migrations",
    "typeorm_migrations",
    "versioninfo",
];

/// What such programs keep beside their records: locks, and for which environment the schema is. They change without a
/// migration.
const BESIDE: &[&str] = &[
    "_yoyo_lock",
    "yoyo_lock",
    "ar_internal_metadata",
    "databasechangeloglock",
    "knex_migrations_lock",
    "kysely_migration_lock",
    "migrations_lock",
    "play_evolutions_lock",
    "typeorm_metadata",
];

/// A table's own name as its program wrote it, from what people are shown: `SequelizeMeta` for `app."SequelizeMeta"`.
fn bare(shown: &str) -> String {
    let name = match shown.strip_suffix('"') {
        Some(inner) => inner.rsplit('"').next().unwrap_or(inner),
        None => shown.rsplit(['.', '`']).find(|part| !part.is_empty()).unwrap_or(shown),
    };
    name.to_lowercase()
}

/// Whether a table records which migrations ran. `shown`: its name as a fingerprint has it.
pub(crate) fn is_record(shown: &str) -> bool {
    RECORDS.contains(&bare(shown).as_str())
}

/// Whether a table belongs to a program of migrations: its records, and what it keeps beside them.
pub(crate) fn belongs_to_migrations(shown: &str) -> bool {
    is_record(shown) || BESIDE.contains(&bare(shown).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_known_in_every_schema_and_spelling() {
        for name in [
            "schema_migrations",
            "\"SequelizeMeta\"",
            "app.\"__EFMigrationsHistory\"",
            "drizzle.__drizzle_migrations",
            "DATABASECHANGELOG",
        ] {
            assert!(is_record(name), "{name}");
        }
        for name in ["databasechangeloglock", "ar_internal_metadata"] {
            assert!(belongs_to_migrations(name) && !is_record(name), "{name}");
        }
        for name in [
            "users",
            "schema_migrations_notes",
            "\"odd.migrations x\"",
            "bird_migrations",
        ] {
            assert!(!belongs_to_migrations(name), "{name}");
        }
    }
}
