//! What `guard check` learns about a database before anyone goes forward, and what a swap by renaming cannot carry.

use std::path::Path;

use super::database::MariaDb;
use super::reach::{Reach, ident, literal};
use super::tables::{standard, within};
use super::{code, trouble};
use crate::error::Result;
use crate::sql::side_names::Aside;
use crate::survey::Survey;
use guard_model::text::bytes;
use guard_system::context::Context;
use guard_system::disk;

/// Rights that a restore needs on the databases beside the live one.
const RIGHTS: [&str; 12] = [
    "SELECT",
    "INSERT",
    "CREATE",
    "DROP",
    "ALTER",
    "INDEX",
    "REFERENCES",
    "TRIGGER",
    "CREATE VIEW",
    "SHOW VIEW",
    "EVENT",
    "CREATE ROUTINE",
];

pub(super) fn survey(of: &MariaDb, cx: &Context) -> Survey {
    let mut survey = Survey::default();
    if let Err(error) = look(of, cx, &mut survey) {
        let advice = error.hint.clone();
        let advice = advice.unwrap_or_else(|| "correct it, then run `guard check` again".to_owned());
        survey.refuse(trouble::whole(&error), advice);
    }
    survey
}

fn look(of: &MariaDb, cx: &Context, survey: &mut Survey) -> Result<()> {
    let reach = Reach::open(of, cx)?;
    let database = &reach.database;
    standard(&reach, database, cx)?.ok_or_else(|| trouble::no_database(database))?;
    let script = format!(
        "SELECT JSON_ARRAY(@@version, CAST(@@read_only AS CHAR), @@datadir, (SELECT CAST(IFNULL(SUM(DATA_LENGTH + INDEX_LENGTH), 0) AS UNSIGNED) \
         FROM information_schema.TABLES WHERE {}));",
        within("TABLE_SCHEMA", database)
    );
    let told: Option<(String, String, String, u64)> = reach.rows(&script, cx)?.pop();
    let (version, read_only, directory, size) = told.unwrap_or_default();
    survey.fact(format!("{version}, database {database} of {}", bytes(size)));
    survey.copy_bytes = Some(size);
    survey.side_bytes = Some(size.saturating_mul(6) / 5);
    for program in [of.product.client, of.product.dump] {
        survey.fact(format!("{program} {}", reach.version(program, cx)?));
    }
    if !version.contains("MariaDB") {
        survey.warn(
            format!("the server is no MariaDB but {version}, with which guard is not tested"),
            "try the way back once: `guard backup`, then `guard verify latest --restore`",
        );
    }
    if !matches!(read_only.as_str(), "0" | "OFF") {
        survey.refuse(
            "the server is read-only, as a replica is, and cannot be restored",
            "name the primary server",
        );
    }
    for (what, advice) in hindrances(&reach, database, cx)? {
        survey.refuse(what, advice);
    }
    let missing = missing_rights(&reach, cx)?;
    if !missing.is_empty() {
        let beside = format!("{database}\\_\\_%");
        survey.refuse(
            format!(
                "the user lacks rights on the databases that a restore makes beside the live one: {}",
                missing.join(", ")
            ),
            format!("GRANT ALL PRIVILEGES ON `{beside}`.* TO the user, and the same on `{database}`.*"),
        );
    }
    for view in code::broken(&reach, database, cx)? {
        survey.warn(
            format!("the view {:?} does not work, and no server would make it anew: it is left where it is, and is in no copy", view.name),
            "mend it, or drop it",
        );
    }
    for table in of_other_engines(&reach, database, cx)? {
        survey.warn(
            format!("{table} is not transactional: a copy may hold it at another moment than the rest"),
            "convert it to InnoDB, or stop what writes to it while a backup is taken",
        );
    }
    for column in rounded(&reach, database, cx)? {
        survey.warn(
            format!("the dump program rounds {column}, a FLOAT, to six digits, and no proof sees it: a restored row has another number"),
            "make it a DOUBLE or a DECIMAL, or take it that it is rounded",
        );
    }
    ask_space(&reach, &directory, size, cx, survey);
    Ok(())
}

/// So many rows of a table are looked at for numbers that a dump rounds: a check has to be quick on large tables too.
const SAMPLE: u32 = 100_000;

/// The columns of the type FLOAT that hold a number which is another one when its text is read again. A FLOAT has 24 bits of
/// mantissa, so the text has to be nearer than half of the last of them.
fn rounded(reach: &Reach, database: &str, cx: &Context) -> Result<Vec<String>> {
    let script = format!(
        "SELECT JSON_ARRAY(c.TABLE_NAME, c.COLUMN_NAME) FROM information_schema.COLUMNS c JOIN information_schema.TABLES t \
         USING (TABLE_SCHEMA, TABLE_NAME) WHERE {} AND t.TABLE_TYPE = 'BASE TABLE' AND c.DATA_TYPE = 'float' ORDER BY 1;",
        within("c.TABLE_SCHEMA", database)
    );
    let mut found = Vec::new();
    for (table, column) in reach.rows::<(String, String)>(&script, cx)? {
        let script = format!(
            "SELECT EXISTS(SELECT 1 FROM (SELECT {} + 0e0 AS number, CAST({0} AS CHAR) AS text FROM {}.{} LIMIT {SAMPLE}) AS some \
             WHERE number <> 0 AND ABS(text + 0e0 - number) > POW(2, FLOOR(LOG2(ABS(number))) - 24));",
            ident(&column),
            ident(database),
            ident(&table)
        );
        if reach.rows::<u8>(&script, cx)?.contains(&1) {
            found.push(format!("{table}.{column}"));
        }
    }
    Ok(found)
}

/// What a dump would leave out, or a swap break, each by name: (what, what to do).
pub(super) fn hindrances(reach: &Reach, database: &str, cx: &Context) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    if database.contains(['\'', '"', '\\']) {
        // It escapes the name, and then takes the escaped one for the name.
        found.push((
            format!(
                "the database {database:?} has a quote in its name, and the dump program cannot find its events by it"
            ),
            "give it another name".to_owned(),
        ));
    }
    let script = format!(
        "SELECT JSON_ARRAY(TABLE_NAME, TABLE_TYPE) FROM information_schema.TABLES WHERE {} \
         AND TABLE_TYPE NOT IN ('BASE TABLE', 'VIEW');",
        within("TABLE_SCHEMA", database)
    );
    for (name, form) in reach.rows::<(String, String)>(&script, cx)? {
        found.push(if form == "SYSTEM VERSIONED" {
            (
                format!("the table {name:?} keeps its own history (system versioning), which a copy would not hold"),
                format!("leave {database} to a physical backup, or drop the versioning of {name:?}"),
            )
        } else {
            (
                format!(
                    "{name:?} is a {}: what refers to it would refer to the displaced database after a restore",
                    form.to_lowercase()
                ),
                "use AUTO_INCREMENT instead, or leave this database to a physical backup".to_owned(),
            )
        });
    }
    let script = format!(
        "SELECT DISTINCT JSON_ARRAY(TABLE_SCHEMA, TABLE_NAME) FROM information_schema.KEY_COLUMN_USAGE \
         WHERE {} AND NOT ({});",
        within("REFERENCED_TABLE_SCHEMA", database),
        within("TABLE_SCHEMA", database)
    );
    for (schema, table) in reach.rows::<(String, String)>(&script, cx)? {
        found.push((
            format!("a foreign key of {schema}.{table} refers to {database}, and would follow its table to the displaced database"),
            format!("drop that key for the time of the deployment, or keep {table} in {database}"),
        ));
    }
    // `XA RECOVER` tells no database: any of them may hold locks here.
    for line in reach.run(None, "XA RECOVER;", cx)?.lines() {
        let id = line.split('\t').nth(3).unwrap_or(line);
        found.push((
            format!("the prepared transaction {id:?} is open, and may block the swap of a restore"),
            format!("`XA COMMIT {0}` or `XA ROLLBACK {0}`", literal(id)),
        ));
    }
    Ok(found)
}

/// The rights that are missing on a database with the name of one that a restore makes.
fn missing_rights(reach: &Reach, cx: &Context) -> Result<Vec<String>> {
    let beside = literal(&Aside::Side.name(&reach.database, "20251022_153000_deploy"));
    let mine = "GRANTEE IN (CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), ''''), CONCAT('''', IFNULL(CURRENT_ROLE(), ''), '''@'''''))";
    let script = format!(
        "SELECT JSON_QUOTE(PRIVILEGE_TYPE) FROM information_schema.USER_PRIVILEGES WHERE {mine} \
         UNION SELECT JSON_QUOTE(PRIVILEGE_TYPE) FROM information_schema.SCHEMA_PRIVILEGES WHERE {mine} AND {beside} LIKE TABLE_SCHEMA;"
    );
    let held: Vec<String> = reach.rows(&script, cx)?;
    let lacks = |right: &&&str| !held.iter().any(|known| known == **right);
    Ok(RIGHTS.iter().filter(lacks).map(|right| (*right).to_owned()).collect())
}

fn of_other_engines(reach: &Reach, database: &str, cx: &Context) -> Result<Vec<String>> {
    let script = format!(
        "SELECT JSON_QUOTE(CONCAT(TABLE_NAME, ' (', ENGINE, ')')) FROM information_schema.TABLES WHERE {} \
         AND TABLE_TYPE = 'BASE TABLE' AND ENGINE NOT IN ('InnoDB', 'RocksDB') ORDER BY TABLE_NAME;",
        within("TABLE_SCHEMA", database)
    );
    reach.rows(&script, cx)
}

/// Whether a second copy has room, where that can be seen.
fn ask_space(reach: &Reach, directory: &str, size: u64, cx: &Context, survey: &mut Survey) {
    let needed = size.saturating_mul(6) / 5;
    let free = if let Some(container) = reach.container() {
        let call = guard_system::docker::exec(container, &[], false, &["df", "-P", "-k", "--", directory]);
        let text = cx.output(&call).map(|output| output.text()).unwrap_or_default();
        let kilobytes = text
            .lines()
            .last()
            .and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
        kilobytes.and_then(|kilobytes| kilobytes.checked_mul(1024))
    } else {
        // A server on this host may still live in a container of which only the port is seen: then the path is not here.
        let is_here = reach.is_local && disk::exists(&Path::new(directory).join("ibdata1")).unwrap_or(false);
        is_here.then(|| disk::free_bytes(Path::new(directory)).ok()).flatten()
    };
    match free {
        Some(free) if free < needed => survey.refuse(
            format!(
                "the server's disk has {} free, and a restore beside the live database needs {}",
                bytes(free),
                bytes(needed)
            ),
            "free some space on the server's disk",
        ),
        Some(free) => survey.fact(format!("{} free on the server's disk", bytes(free))),
        None => survey.fact("the free space of the server's disk cannot be seen from here"),
    }
}
