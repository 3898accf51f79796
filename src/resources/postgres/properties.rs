//! What belongs to a database as a whole and does not come with a dump: owner, locale, rights, settings, comment.

use serde::{Deserialize, Serialize};

use super::sql::{ident, literal};
use guard_system::disk::sha256_hex;

/// Selects the properties of the current database.
pub(super) const PROPERTIES: &str = r"
SELECT jsonb_build_object('is', 'database', 'owner', pg_get_userbyid(d.datdba),
  'encoding', pg_encoding_to_char(d.encoding),
  'provider', to_jsonb(d)->>'datlocprovider', 'collate', to_jsonb(d)->>'datcollate', 'ctype', to_jsonb(d)->>'datctype',
  'locale', coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale'), 'rules', to_jsonb(d)->>'daticurules',
  'limit', d.datconnlimit,
  'tablespace', (SELECT t.spcname FROM pg_tablespace t WHERE t.oid = d.dattablespace),
  'comment', shobj_description(d.oid, 'pg_database'),
  'rights', (SELECT jsonb_agg(jsonb_build_object('to', CASE a.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END,
      'privilege', a.privilege_type, 'grantable', a.is_grantable)
      ORDER BY a.grantee <> 0, pg_get_userbyid(a.grantee), a.privilege_type) FROM aclexplode(d.datacl) a),
  'settings', coalesce((SELECT jsonb_agg(jsonb_build_object('role', CASE s.setrole WHEN 0 THEN NULL ELSE pg_get_userbyid(s.setrole) END,
      'values', to_jsonb(s.setconfig)) ORDER BY s.setrole <> 0, pg_get_userbyid(s.setrole)) FROM pg_db_role_setting s WHERE s.setdatabase = d.oid), '[]'), 'template', d.datistemplate)
FROM pg_database d WHERE d.datname = current_database();
";

/// The settings whose value is a list, and which would be taken for one word if they were written as one literal.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// A database's own properties.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Properties {
    pub(super) owner: String,
    pub(super) encoding: String,
    /// `c`, `i`, `b`; absent before Postgres 15.
    pub(super) provider: Option<String>,
    pub(super) collate: String,
    pub(super) ctype: String,
    pub(super) locale: Option<String>,
    pub(super) rules: Option<String>,
    pub(super) limit: i32,
    pub(super) tablespace: String,
    pub(super) comment: Option<String>,
    /// `None`: the built-in rights.
    pub(super) rights: Option<Vec<Right>>,
    pub(super) settings: Vec<Setting>,
    /// Whether others may copy it as a template. The last field, by [`Properties::digest`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) template: bool,
}

/// One right on the database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Right {
    /// The role; `None`: everybody.
    to: Option<String>,
    privilege: String,
    grantable: bool,
}

/// Settings for the sessions in the database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Setting {
    /// Only for this role.
    role: Option<String>,
    /// `name=value`.
    values: Vec<String>,
}

impl Properties {
    /// A digest of all of them.
    pub(super) fn digest(&self) -> String {
        // A Debug form of plain data is as good as any other to compare by.
        let text = format!("{self:?}");
        // Older backups know nothing of templates, and what is none has to look as they say.
        let text = text
            .strip_suffix(", template: false }")
            .map_or(text.clone(), |rest| format!("{rest} }}"));
        sha256_hex(text.as_bytes())
    }

    /// The statement that makes an empty database of this encoding, locale and owner.
    pub(super) fn creation(&self, name: &str) -> String {
        let mut sql = vec![format!(
            "CREATE DATABASE {} TEMPLATE template0 OWNER {} ENCODING {} LC_COLLATE {} LC_CTYPE {}",
            ident(name),
            ident(&self.owner),
            literal(&self.encoding),
            literal(&self.collate),
            literal(&self.ctype)
        )];
        let locale = self.locale.as_deref().unwrap_or_default();
        match self.provider.as_deref() {
            Some("i") => sql.push(format!(" LOCALE_PROVIDER icu ICU_LOCALE {}", literal(locale))),
            Some("b") => sql.push(format!(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {}", literal(locale))),
            Some("c") => sql.push(" LOCALE_PROVIDER libc".to_owned()),
            _ => {}
        }
        if let Some(rules) = &self.rules {
            sql.push(format!(" ICU_RULES {}", literal(rules)));
        }
        if self.tablespace != "pg_default" {
            sql.push(format!(" TABLESPACE {}", ident(&self.tablespace)));
        }
        sql.push(";\n".to_owned());
        sql.concat()
    }

    /// The statements that give a fresh database its rights, settings, limit and comment. The limit comes only now: it may be
    /// lower than the number of sessions that fill it.
    pub(super) fn application(&self, name: &str) -> String {
        let database = ident(name);
        let mut sql = vec![format!("ALTER DATABASE {database} CONNECTION LIMIT {};\n", self.limit)];
        if self.template {
            sql.push(format!("ALTER DATABASE {database} IS_TEMPLATE true;\n"));
        }
        if let Some(rights) = &self.rights {
            sql.push(format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC;\n"));
            sql.push(format!(
                "REVOKE ALL ON DATABASE {database} FROM {};\n",
                ident(&self.owner)
            ));
            for right in rights {
                let to = right.to.as_deref().map_or_else(|| "PUBLIC".to_owned(), ident);
                let option = if right.grantable { " WITH GRANT OPTION" } else { "" };
                sql.push(format!(
                    "GRANT {} ON DATABASE {database} TO {to}{option};\n",
                    right.privilege
                ));
            }
        }
        if let Some(comment) = &self.comment {
            sql.push(format!("COMMENT ON DATABASE {database} IS {};\n", literal(comment)));
        }
        for setting in &self.settings {
            let whose = setting.role.as_deref().map_or_else(
                || format!("ALTER DATABASE {database}"),
                |role| format!("ALTER ROLE {} IN DATABASE {database}", ident(role)),
            );
            for (key, value) in setting.values.iter().filter_map(|value| value.split_once('=')) {
                let key = key.split('.').map(ident).collect::<Vec<_>>().join(".");
                if LISTS.contains(&key.trim_matches('"')) {
                    let (name, value) = (literal(key.trim_matches('"')), literal(value));
                    sql.push(format!(
                        "SELECT set_config({name}, {value}, false);\n{whose} SET {key} FROM CURRENT;\n"
                    ));
                } else {
                    sql.push(format!("{whose} SET {key} TO {};\n", literal(value)));
                }
            }
        }
        sql.concat()
    }
}
