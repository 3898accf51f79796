//! The shapes of the tables of a database: columns, keys, references, triggers and sequences, as carrying rows needs them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::Result;
use crate::postgres::session::Session;
use crate::postgres::sql::{ident, literal};

/// What a database consists of, as far as its rows are concerned.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// By the name that people are shown. Partitions belong to their table.
    pub(super) tables: BTreeMap<String, Table>,
    /// Foreign keys.
    pub(super) references: Vec<Reference>,
    /// Other constraints that may be checked late.
    pub(super) deferrable: Vec<Qualified>,
    pub(super) sequences: BTreeMap<String, Sequence>,
}

/// One table.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) at: Qualified,
    /// Its rows are in partitions.
    pub(super) partitioned: bool,
    /// Its rows tell the transaction that wrote them, as those of the server's own way of storing do.
    #[serde(default)]
    pub(super) tells_writer: bool,
    /// The names of the relations that hold its rows: its own, or those of its partitions.
    pub(super) parts: Vec<String>,
    pub(super) columns: Vec<Column>,
    /// The columns of the primary key, else of another key that cannot be null.
    pub(super) key: Option<Vec<String>>,
    /// The columns of unique indexes that could be null, and are so in no row: as good as a key while that is so. Looked for
    /// only where there is no other.
    #[serde(default)]
    pub(super) filled: Vec<Vec<String>>,
    /// Triggers of the table and its partitions: the relation, the trigger, `O`, `D`, `R` or `A`.
    pub(super) triggers: Vec<(Qualified, String, String)>,
    /// Rules upon inserting: name, and when they act.
    pub(super) rules: Vec<(String, String)>,
    /// Only rows whose writer is older than this, as the session tells the age of rows, are read.
    #[serde(skip)]
    pub(super) older: Option<i64>,
}

/// A name in a schema.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Qualified(pub(super) String, pub(super) String);

impl Qualified {
    pub(super) fn sql(&self) -> String {
        format!("{}.{}", ident(&self.0), ident(&self.1))
    }
}

/// One column.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a property of its own, as the server tells it"
)]
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Column {
    pub(super) name: String,
    /// The type that a text is cast to: without a length, so that nothing is cut silently.
    pub(super) kind: String,
    /// The type in full.
    pub(super) full: String,
    /// Computed from other columns: nobody may write it.
    pub(super) generated: bool,
    /// Must not be null.
    pub(super) required: bool,
    /// What it is when nobody says; an identity counts.
    pub(super) default: Option<String>,
    /// Holds a number, of which 1.5 and 1.50 are the same.
    pub(super) number: bool,
    /// Holds a moment.
    pub(super) moment: bool,
}

/// A foreign key, from its table to the one it refers to.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) schema: String,
    pub(super) from: String,
    pub(super) to: String,
    /// Pairs of columns.
    pub(super) pairs: Vec<(String, String)>,
    pub(super) deferrable: bool,
    pub(super) deferred: bool,
}

/// A sequence and where it stands.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Sequence {
    pub(super) at: Qualified,
    pub(super) value: i64,
    pub(super) used: bool,
    pub(super) step: i64,
    pub(super) cycles: bool,
    /// The last number that it has.
    pub(super) last: i64,
}

#[derive(Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
enum Line {
    Table(Table),
    Reference(Reference),
    Deferrable {
        at: Qualified,
    },
    Sequence {
        name: String,
        #[serde(flatten)]
        sequence: Sequence,
    },
}

const SHAPE: &str = r"
SELECT jsonb_build_object('is', 'table', 'at', jsonb_build_array(n.nspname, c.relname), 'partitioned', c.relkind = 'p',
  'tells_writer', (SELECT coalesce(bool_and(p.relkind = 'r' AND m.amname = 'heap'), true) FROM pg_class p LEFT JOIN pg_am m ON m.oid = p.relam
    WHERE (p.oid = c.oid OR p.oid IN (SELECT relid FROM pg_partition_tree(c.oid))) AND p.relkind <> 'p'),
  'name', CASE n.nspname WHEN 'public' THEN quote_ident(c.relname) ELSE format('%I.%I', n.nspname, c.relname) END,
  'parts', (SELECT jsonb_agg(CASE pn.nspname WHEN 'public' THEN quote_ident(p.relname) ELSE format('%I.%I', pn.nspname, p.relname) END)
    FROM pg_class p JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE p.oid = c.oid OR p.oid IN (SELECT relid FROM pg_partition_tree(c.oid))),
  'columns', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', a.attname, 'kind', format_type(a.atttypid, -1),
      'full', format_type(a.atttypid, a.atttypmod), 'generated', coalesce(to_jsonb(a)->>'attgenerated', '') <> '',
      'required', a.attnotnull, 'default', CASE WHEN a.attidentity <> '' THEN 'identity' ELSE pg_get_expr(d.adbin, d.adrelid) END,
      'number', t.typcategory = 'N' AND t.typname <> 'money' AND t.typname NOT LIKE 'reg%', 'moment', t.typname IN ('timestamp', 'timestamptz')) ORDER BY a.attnum), '[]')
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'key', (SELECT jsonb_agg(a.attname ORDER BY k.place)
    FROM (SELECT i.indkey, i.indnkeyatts FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid
        AND i.indpred IS NULL AND i.indexprs IS NULL
        AND NOT EXISTS (SELECT FROM unnest(i.indkey) WITH ORDINALITY u (number, place) JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number
          WHERE u.place <= i.indnkeyatts AND NOT a.attnotnull)
      ORDER BY i.indisprimary DESC, i.indimmediate DESC, i.indnkeyatts, i.indexrelid LIMIT 1) i,
    unnest(i.indkey) WITH ORDINALITY k (number, place) JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
    WHERE k.place <= i.indnkeyatts),
  'filled', (SELECT coalesce(jsonb_agg(i.names ORDER BY i.many, i.indexrelid), '[]')
    FROM (SELECT i.indexrelid, i.indnkeyatts AS many, (SELECT jsonb_agg(a.attname ORDER BY k.place)
        FROM unnest(i.indkey) WITH ORDINALITY k (number, place) JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
        WHERE k.place <= i.indnkeyatts) AS names
      FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL) i),
  'triggers', (SELECT coalesce(jsonb_agg(jsonb_build_array(jsonb_build_array(rn.nspname, r.relname), g.tgname, g.tgenabled)
      ORDER BY r.oid <> c.oid, r.relname, g.tgname), '[]')
    FROM pg_trigger g JOIN pg_class r ON r.oid = g.tgrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
    WHERE NOT g.tgisinternal AND (r.oid = c.oid OR r.oid IN (SELECT relid FROM pg_partition_tree(c.oid)))),
  'rules', (SELECT coalesce(jsonb_agg(jsonb_build_array(w.rulename, w.ev_enabled)), '[]') FROM pg_rewrite w WHERE w.ev_class = c.oid AND w.ev_type = '3'))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
  AND (NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    OR EXISTS (SELECT FROM pg_extension e WHERE c.oid = ANY (e.extconfig)));
WITH named AS (SELECT c.oid, n.nspname, CASE n.nspname WHEN 'public' THEN quote_ident(c.relname) ELSE format('%I.%I', n.nspname, c.relname) END AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace)
SELECT jsonb_build_object('is', 'reference', 'name', k.conname, 'schema', f.nspname, 'from', f.name, 'to', t.name,
  'pairs', (SELECT jsonb_agg(jsonb_build_array(a.attname, b.attname)) FROM unnest(k.conkey, k.confkey) u (here, there)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.here JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = u.there),
  'deferrable', k.condeferrable, 'deferred', k.condeferred)
FROM pg_constraint k JOIN named f ON f.oid = coalesce(pg_partition_root(k.conrelid), k.conrelid)
  JOIN named t ON t.oid = coalesce(pg_partition_root(k.confrelid), k.confrelid)
WHERE k.contype = 'f' AND k.conparentid = 0;
SELECT jsonb_build_object('is', 'deferrable', 'at', jsonb_build_array(n.nspname, k.conname))
FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE k.contype IN ('p', 'u', 'x') AND k.condeferrable AND k.conparentid = 0;
";

/// Where the sequences stand.
const SEQUENCES: &str = r"
SELECT format('SELECT jsonb_build_object(''is'', ''sequence'', ''name'', %L, ''at'', %L::jsonb, ''value'', last_value, ''used'', is_called, ''step'', %s, ''cycles'', %L::boolean, ''last'', %s) FROM %I.%I',
  CASE n.nspname WHEN 'public' THEN quote_ident(c.relname) ELSE format('%I.%I', n.nspname, c.relname) END,
  jsonb_build_array(n.nspname, c.relname), s.seqincrement, s.seqcycle, CASE WHEN s.seqincrement > 0 THEN s.seqmax ELSE s.seqmin END, n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence s ON s.seqrelid = c.oid
WHERE c.relpersistence <> 't' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') \gexec
";

impl Shape {
    /// Reads the shapes in a session.
    pub(super) fn read(session: &mut Session) -> Result<Self> {
        let mut shape = Self::default();
        let lines = session.values(SHAPE)?.into_iter().chain(session.values(SEQUENCES)?);
        for line in lines {
            match line {
                Line::Table(mut table) => {
                    if table.key.is_some() {
                        table.filled.clear();
                    }
                    shape.tables.insert(table.name.clone(), table);
                }
                Line::Reference(reference) => shape.references.push(reference),
                Line::Deferrable { at } => shape.deferrable.push(at),
                Line::Sequence { name, sequence } => {
                    shape.sequences.insert(name, sequence);
                }
            }
        }
        for table in shape.tables.values_mut() {
            table.keep_filled(session)?;
        }
        Ok(shape)
    }
}

/// The sequences alone: of large databases, what the tables are like takes longer.
pub(super) fn read_sequences(session: &mut Session) -> Result<BTreeMap<String, Sequence>> {
    let lines: Vec<Line> = session.values(SEQUENCES)?;
    let found = lines.into_iter().filter_map(|line| match line {
        Line::Sequence { name, sequence } => Some((name, sequence)),
        _ => None,
    });
    Ok(found.collect())
}

impl Table {
    /// Keeps those unique indexes in mind that are null in no row.
    fn keep_filled(&mut self, session: &mut Session) -> Result<()> {
        let mut filled = Vec::new();
        for names in std::mem::take(&mut self.filled) {
            let empty: Vec<String> = names.iter().map(|name| format!("{} IS NULL", ident(name))).collect();
            let script = format!(
                "SELECT to_jsonb(NOT EXISTS (SELECT FROM {} WHERE {}));",
                self.source(),
                empty.join(" OR ")
            );
            if session.values::<bool>(&script)? == [true] {
                filled.push(names);
            }
        }
        self.filled = filled;
        Ok(())
    }

    /// Whether these columns are filled in every row.
    pub(super) fn fills(&self, names: &[String]) -> bool {
        let required = |name: &String| self.column(name).is_some_and(|column| column.required);
        self.filled.iter().any(|filled| filled == names) || names.iter().all(required)
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// What a query reads its rows from; the rows of inheriting tables are their own.
    pub(super) fn source(&self) -> String {
        self.source_as("")
    }

    /// The same under a name of its own.
    pub(super) fn source_as(&self, name: &str) -> String {
        let only = if self.partitioned { "" } else { "ONLY " };
        let whole = format!("{only}{}", self.at.sql());
        let named = |default: &str| match if name.is_empty() { default } else { name } {
            "" => String::new(),
            name => format!(" AS {name}"),
        };
        match self.older {
            None => format!("{whole}{}", named("")),
            Some(age) => format!(
                "(SELECT * FROM {whole} WHERE NOT age(xmin) BETWEEN 0 AND {age}){}",
                named("guard_older")
            ),
        }
    }

    /// Counts its rows.
    pub(super) fn rows(&self) -> String {
        format!("SELECT count(*) FROM {};", self.source())
    }

    /// Whether people mean this table by a name: as it is shown, or without its quotes.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let Qualified(schema, table) = &self.at;
        name == self.name || (schema == "public" && name == table) || name == format!("{schema}.{table}")
    }

    /// The column that tells when a row came to be: by its name, else by its default.
    pub(super) fn birth(&self) -> Option<&Column> {
        let moments = || self.columns.iter().filter(|column| column.moment);
        let named = |column: &&Column| {
            let name = column.name.to_lowercase().replace('_', "");
            let stem = ["at", "on", "time", "date", "datetime"]
                .iter()
                .find_map(|end| name.strip_suffix(end));
            let stem = stem.unwrap_or(&name);
            [
                "created",
                "inserted",
                "added",
                "creation",
                "registered",
                "occurred",
                "datejoined",
                "placed",
            ]
            .contains(&stem)
        };
        let told = |column: &&Column| {
            let default = column.default.as_deref().unwrap_or_default().to_lowercase();
            ["now()", "current_timestamp", "clock_timestamp()"]
                .iter()
                .any(|now| default.contains(now))
                && !column.name.to_lowercase().contains("upd")
        };
        moments().find(named).or_else(|| moments().find(told))
    }
}

/// The sequences that the failed database has taken further, each with the statement that follows it there: a number that
/// was given out, and may be known outside, is not given out again. A leap over half of all that is left was no counting, and
/// is not followed: the numbers would soon be over.
pub(super) fn sequences(failed: &BTreeMap<String, Sequence>, restored: &BTreeMap<String, Sequence>) -> Vec<String> {
    let ahead = |name: &String, there: &Sequence| {
        let here = restored
            .get(name)
            .filter(|here| !here.cycles && here.step.signum() == there.step.signum())?;
        let further = if here.step > 0 {
            (there.value, there.used) > (here.value, here.used)
        } else {
            there.value < here.value || (there.value == here.value && there.used && !here.used)
        };
        let (leap, left) = (
            i128::from(there.value) - i128::from(here.value),
            i128::from(here.last) - i128::from(here.value),
        );
        let further = further && leap.abs() <= left.abs() / 2;
        let name = literal(&here.at.sql());
        let (value, used) = (there.value, there.used);
        further.then(|| format!("SELECT WHERE pg_catalog.setval({name}, {value}, {used}) IS NULL;\n"))
    };
    failed.iter().filter_map(|(name, there)| ahead(name, there)).collect()
}
