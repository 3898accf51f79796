//! The price by what was written since the backup, held against the comparison of every row on the same data.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use guard::model::artifact::{Artifact, Displaced, Prepared};
use guard::model::event::{Audience, Event, Level, Voice};
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Slot};

use super::{by_url, slot};
use crate::support::Scene;
use crate::support::cluster::Cluster;

/// Hears which tables are compared row by row.
#[derive(Default)]
struct Ear(Mutex<Vec<String>>);

impl Audience for Ear {
    fn tell(&self, event: &Event) {
        if let Event::Note {
            level: Level::Detail,
            text,
        } = event
            && text.contains("compared row by row")
        {
            self.0.lock().unwrap().push(text.clone());
        }
    }
}

/// How a price was told.
struct Told {
    price: Vec<String>,
    /// What was said of tables that were compared row by row.
    note: String,
}

impl Told {
    fn compared(&self) -> BTreeSet<&str> {
        let names = self.note.rsplit_once(": ").map_or("", |(_, names)| names);
        names.split(", ").filter(|name| !name.is_empty()).collect()
    }
}

fn price(resource: &dyn Resource, artifact: &Artifact, slot: &Slot, scene: &mut Scene) -> Told {
    let ear = Arc::new(Ear::default());
    scene.cx.voice = Voice::new(ear.clone());
    let prepared = resource
        .prepare(artifact, slot, DataRestore::Always, &scene.cx)
        .unwrap();
    assert!(prepared.work.is_needed());
    let notes = ear.0.lock().unwrap();
    assert!(notes.len() <= 1, "{notes:?}");
    Told {
        price: prepared.price,
        note: notes.first().cloned().unwrap_or_default(),
    }
}

/// The same copy as an earlier guard described it.
fn older(artifact: &Artifact) -> Artifact {
    let mut older = artifact.clone();
    let moment = older.details.as_object_mut().unwrap().remove("moment");
    assert!(
        moment.is_some_and(|moment| moment["xmin"].as_u64().unwrap() > 3),
        "{artifact:?}"
    );
    older
}

/// A table and what becomes of it.
struct Case {
    table: &'static str,
    before: &'static str,
    after: &'static str,
    /// It has to be compared row by row.
    compared: bool,
}

const fn case(table: &'static str, before: &'static str, after: &'static str) -> Case {
    Case {
        table,
        before,
        after,
        compared: false,
    }
}

const fn slow(table: &'static str, before: &'static str, after: &'static str) -> Case {
    Case {
        table,
        before,
        after,
        compared: true,
    }
}

/// A hundred rows, each with a moment; `T` is the table's name.
const PLAIN: &str = "CREATE TABLE T (id int PRIMARY KEY, v text, n int DEFAULT 1, created_at timestamptz DEFAULT '2025-01-01'); \
    INSERT INTO T SELECT n, 'v' || n FROM generate_series(1, 100) n;";
/// Three rows changed, two gone, one touched, four new.
const CHANGES: &str = "UPDATE T SET v = v || '!' WHERE id IN (3, 50, 100); DELETE FROM T WHERE id IN (1, 99); UPDATE T SET v = v WHERE id = 7; \
    INSERT INTO T SELECT n, 'new', 1, timestamptz '2026-02-03 04:05:06' + n * interval '1 s' FROM generate_series(201, 204) n;";

const CASES: &[Case] = &[
    case("plain", PLAIN, CHANGES),
    case("quiet", PLAIN, ""),
    case(
        "touched",
        PLAIN,
        "UPDATE T SET v = v WHERE id < 9; BEGIN; SELECT FROM T WHERE id = 20 FOR UPDATE; COMMIT;",
    ),
    case(
        "frozen",
        PLAIN,
        "{changes} VACUUM FREEZE T; UPDATE T SET v = 'again' WHERE id = 60; VACUUM FREEZE T;",
    ),
    case("vacuumed", PLAIN, "{changes} VACUUM FULL T;"),
    case("clustered", PLAIN, "{changes} CLUSTER T USING clustered_pkey;"),
    case(
        "analyzed",
        PLAIN,
        "DELETE FROM T WHERE id > 90; VACUUM ANALYZE T; REINDEX TABLE T;",
    ),
    case(
        "copied_frozen",
        PLAIN,
        "BEGIN; TRUNCATE T; COPY T (id, v) FROM STDIN (FREEZE);\n1\tv1\n2\tother\n500\tnew\n\\.\nCOMMIT;",
    ),
    case("emptied", PLAIN, "TRUNCATE T;"),
    case(
        "refilled",
        PLAIN,
        "TRUNCATE T; INSERT INTO T SELECT n, 'v' || n FROM generate_series(51, 120) n;",
    ),
    case(
        "volatile_column",
        PLAIN,
        "{changes} ALTER TABLE T ADD COLUMN tag uuid DEFAULT gen_random_uuid();",
    ),
    case(
        "constant_column",
        PLAIN,
        "{changes} ALTER TABLE T ADD COLUMN tag int NOT NULL DEFAULT 7; UPDATE T SET tag = 8 WHERE id = 40;",
    ),
    case("lost_column", PLAIN, "{changes} ALTER TABLE T DROP COLUMN n;"),
    case(
        "required_column",
        PLAIN,
        "{changes} ALTER TABLE T ALTER COLUMN v SET NOT NULL;",
    ),
    slow(
        "wider_column",
        PLAIN,
        "{changes} ALTER TABLE T ALTER COLUMN n TYPE bigint;",
    ),
    slow(
        "column_made_anew",
        PLAIN,
        "ALTER TABLE T DROP COLUMN n; ALTER TABLE T ADD COLUMN n int DEFAULT 5;",
    ),
    slow(
        "columns_exchanged",
        "CREATE TABLE T (id int PRIMARY KEY, a int, b int); INSERT INTO T SELECT n, n, n % 7 FROM generate_series(1, 50) n;",
        "ALTER TABLE T RENAME a TO c; ALTER TABLE T RENAME b TO a; ALTER TABLE T RENAME c TO b;",
    ),
    slow(
        "moods",
        "CREATE TYPE mood_of AS ENUM ('sad', 'ok'); CREATE TABLE T (id int PRIMARY KEY, m mood_of); \
        INSERT INTO T SELECT n, CASE n % 2 WHEN 0 THEN 'ok' ELSE 'sad' END::mood_of FROM generate_series(1, 20) n;",
        "ALTER TYPE mood_of RENAME VALUE 'ok' TO 'fine';",
    ),
    slow(
        "mood_lists",
        "CREATE TYPE moods_of AS ENUM ('sad', 'ok'); CREATE DOMAIN many_of AS moods_of[]; CREATE TABLE T (id int PRIMARY KEY, m many_of); \
        INSERT INTO T VALUES (1, '{sad,ok}'), (2, '{sad}');",
        "ALTER TYPE moods_of RENAME VALUE 'ok' TO 'fine';",
    ),
    case(
        "calm_moods",
        "CREATE TYPE calm_of AS ENUM ('sad', 'ok'); CREATE TABLE T (id int PRIMARY KEY, m calm_of); INSERT INTO T VALUES (1, 'ok'), (2, 'sad');",
        "UPDATE T SET m = 'sad' WHERE id = 1;",
    ),
    slow(
        "names_of_tables",
        "CREATE TABLE pointed_at (); CREATE TABLE T (id int PRIMARY KEY, r regclass); INSERT INTO T VALUES (1, 'pointed_at');",
        "ALTER TABLE pointed_at RENAME TO pointed_elsewhere;",
    ),
    case(
        "within",
        PLAIN,
        "BEGIN; SAVEPOINT a; UPDATE T SET v = 'in' WHERE id = 5; RELEASE a; SAVEPOINT b; DELETE FROM T WHERE id = 6; ROLLBACK TO b; \
        SAVEPOINT c; INSERT INTO T (id) VALUES (900); RELEASE c; COMMIT; BEGIN; DELETE FROM T; ROLLBACK;",
    ),
    // What is prepared and in progress is begun before the backup, by the test itself.
    case("promised", PLAIN, "COMMIT PREPARED 'over the backup';"),
    case("in_progress", PLAIN, ""),
    case(
        "inherits",
        "CREATE TABLE heirs_of (id int PRIMARY KEY, v text); CREATE TABLE T (PRIMARY KEY (id)) INHERITS (heirs_of); \
        INSERT INTO heirs_of VALUES (1, 'a'), (2, 'b'); INSERT INTO T VALUES (1, 'c'), (3, 'd');",
        "UPDATE heirs_of SET v = v || '!' WHERE id = 1; DELETE FROM T WHERE id = 3;",
    ),
    case(
        "parted",
        "CREATE TABLE T (id int, at int, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at); CREATE TABLE parted_1 PARTITION OF T FOR VALUES FROM (0) TO (10); \
        CREATE TABLE parted_2 PARTITION OF T FOR VALUES FROM (10) TO (20); CREATE TABLE parted_3 PARTITION OF T FOR VALUES FROM (20) TO (30); \
        INSERT INTO T SELECT n, n % 30, 'v' FROM generate_series(1, 90) n; \
        CREATE TABLE beside (id int, at int, v text, PRIMARY KEY (id, at)); INSERT INTO beside VALUES (700, 35, 'was beside'), (701, 36, 'was beside');",
        "UPDATE T SET at = at + 10 WHERE id = 5; UPDATE T SET v = 'w' WHERE id IN (31, 32); DELETE FROM T WHERE id = 40; INSERT INTO T VALUES (500, 1, 'new'); \
        ALTER TABLE T DETACH PARTITION parted_3; DROP TABLE parted_3; ALTER TABLE T ATTACH PARTITION beside FOR VALUES FROM (30) TO (40);",
    ),
    case(
        "becomes_parted",
        PLAIN,
        "ALTER TABLE T RENAME TO was_whole; CREATE TABLE T (LIKE was_whole INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY RANGE (id); \
        ALTER TABLE T ATTACH PARTITION was_whole FOR VALUES FROM (0) TO (1000); {changes}",
    ),
    case(
        "keyless_quiet",
        "CREATE TABLE T (v text); INSERT INTO T VALUES ('a'), ('a'), ('b');",
        "DELETE FROM T WHERE ctid = '(0,1)';",
    ),
    slow(
        "keyless",
        "CREATE TABLE T (v text); INSERT INTO T VALUES ('a'), ('a'), ('b');",
        "UPDATE T SET v = 'a' WHERE v = 'b'; INSERT INTO T VALUES ('c'); DELETE FROM T WHERE ctid = '(0,1)';",
    ),
    case(
        "filled_key",
        "CREATE TABLE T (k text UNIQUE, v text); INSERT INTO T VALUES ('a', '1'), ('b', '2'), ('c', '3');",
        "UPDATE T SET v = '9' WHERE k = 'a'; UPDATE T SET k = 'd' WHERE k = 'b';",
    ),
    slow(
        "key_is_gone",
        PLAIN,
        "ALTER TABLE T DROP CONSTRAINT key_is_gone_pkey; INSERT INTO T VALUES (2, 'v2'), (2, 'second'); DELETE FROM T WHERE id = 9;",
    ),
    slow(
        "key_is_another",
        PLAIN,
        "ALTER TABLE T DROP CONSTRAINT key_is_another_pkey, ADD PRIMARY KEY (id, v); INSERT INTO T VALUES (2, 'second');",
    ),
    case(
        "odd_keys",
        "CREATE TABLE T (a text COLLATE \"C\", b timestamptz, c numeric, d \"char\", e char(4), v int, PRIMARY KEY (a, b, c, d, e)); \
        INSERT INTO T SELECT x, timestamptz '2025-01-01 00:00:00.123456+03', 1.50, 'q', 'ab', 1 FROM unnest(ARRAY['', '\\\\', E'\\'\"', E'tab\\there', E'two\\nlines', '{NULL,\"x\"}', '😀', 'NULL']) x;",
        "UPDATE T SET v = 2 WHERE a IN ('', E'two\\nlines', '😀'); UPDATE T SET c = 1.5 WHERE a = 'NULL'; DELETE FROM T WHERE a = E'tab\\there'; INSERT INTO T VALUES (E'new\\\\', '2026-01-01', 'NaN', 'z', '', 3);",
    ),
    case(
        "floats",
        "CREATE TABLE T (f float8 PRIMARY KEY, v int); INSERT INTO T VALUES (0.1, 1), ('-0', 1), ('NaN', 1), (1e300, 1), ('-Infinity', 1);",
        "UPDATE T SET v = 2; UPDATE T SET f = 0 WHERE f = '-0';",
    ),
    slow(
        "lists_as_keys",
        "CREATE TABLE T (k int[] PRIMARY KEY, v int); INSERT INTO T VALUES ('{1,2}', 1), ('{3}', 1);",
        "UPDATE T SET v = 2 WHERE k = '{3}';",
    ),
    case(
        "wide",
        "CREATE TABLE T (id int PRIMARY KEY, v text); INSERT INTO T SELECT n, string_agg(md5((n * 1000 + m)::text), '') FROM generate_series(1, 5) n, generate_series(1, 300) m GROUP BY n;",
        "UPDATE T SET v = left(v, 9000) || 'x' || right(v, 500) WHERE id = 2;",
    ),
    case(
        "computed",
        "CREATE TABLE T (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED); INSERT INTO T (id, a) SELECT n, n FROM generate_series(1, 20) n;",
        "UPDATE T SET a = a + 1 WHERE id < 4;",
    ),
    case(
        "made_anew",
        PLAIN,
        "DROP TABLE T; CREATE TABLE T (id int PRIMARY KEY, v text, n int DEFAULT 1, created_at timestamptz DEFAULT '2025-01-01'); \
        INSERT INTO T SELECT n, 'v' || n FROM generate_series(1, 98) n; INSERT INTO T VALUES (300);",
    ),
    case("one_of_two", PLAIN, ""),
    case(
        "other_of_two",
        "CREATE TABLE T (id int PRIMARY KEY, v text, n int DEFAULT 1, created_at timestamptz DEFAULT '2025-01-01'); INSERT INTO T VALUES (1, 'v1'), (2, 'other'), (400, 'x');",
        "ALTER TABLE T RENAME TO in_between; ALTER TABLE one_of_two RENAME TO T; ALTER TABLE in_between RENAME TO one_of_two;",
    ),
    slow(
        "stored_otherwise",
        "CREATE ACCESS METHOD other_heap TYPE TABLE HANDLER heap_tableam_handler; CREATE TABLE T (id int PRIMARY KEY, v int) USING other_heap; \
        INSERT INTO T SELECT n, n FROM generate_series(1, 20) n;",
        "UPDATE T SET v = 0 WHERE id = 3;",
    ),
    slow(
        "flood",
        "CREATE TABLE T (id int PRIMARY KEY, v int); INSERT INTO T SELECT n, n FROM generate_series(1, 12000) n;",
        "UPDATE T SET v = v + 1;",
    ),
    case(
        "batches",
        "CREATE TABLE T (id int PRIMARY KEY, v int); INSERT INTO T SELECT n, n FROM generate_series(1, 9000) n;",
        "UPDATE T SET v = v + 1 WHERE id > 4000; DELETE FROM T WHERE id < 30; INSERT INTO T SELECT n, 0 FROM generate_series(9001, 10001) n;",
    ),
    case("lost", PLAIN, "DROP TABLE T;"),
    case(
        "brand_new",
        "",
        "CREATE TABLE T (id int PRIMARY KEY); INSERT INTO T VALUES (1), (2);",
    ),
];

fn script(part: impl Fn(&Case) -> &'static str) -> String {
    let told = CASES.iter().map(|case| {
        let text = part(case).replace("{changes}", CHANGES);
        text.replace("T (", &format!("{} (", case.table))
            .replace(" T ", &format!(" {} ", case.table))
            .replace(" T;", &format!(" {};", case.table))
    });
    told.collect::<Vec<_>>().join("\n")
}

/// Everything that can happen to a table is told as by the comparison of every row, and what has to be compared is known.
#[test]
fn the_price_by_what_was_written_is_that_of_a_comparison() {
    let cluster = Cluster::start();
    cluster.create("shop", &script(|case| case.before));
    cluster.sql("shop", "BEGIN; UPDATE promised SET v = 'promised' WHERE id < 4; DELETE FROM promised WHERE id = 10; PREPARE TRANSACTION 'over the backup';");
    let mut client = cluster.client("shop");
    let mut client = client
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = client.stdin.take().unwrap();
    let mut output = std::io::BufReader::new(client.stdout.take().unwrap());
    {
        use std::io::{BufRead, Write};
        writeln!(
            input,
            "BEGIN; UPDATE in_progress SET v = 'late' WHERE id = 2; SELECT 'it has';"
        )
        .unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "it has\n");
    }
    let mut scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    {
        use std::io::Write;
        writeln!(
            input,
            "INSERT INTO in_progress (id) VALUES (800); DELETE FROM in_progress WHERE id = 3; COMMIT;"
        )
        .unwrap();
        drop(input);
        assert!(client.wait().unwrap().success());
    }
    cluster.sql("shop", &script(|case| case.after));
    let by_writers = price(resource.as_ref(), &artifact, &slot, &mut scene);
    let by_rows = price(resource.as_ref(), &older(&artifact), &slot, &mut scene);
    assert_eq!(by_writers.price, by_rows.price);
    let expected: BTreeSet<&str> = CASES
        .iter()
        .filter(|case| case.compared)
        .map(|case| case.table)
        .collect();
    assert_eq!(by_writers.compared(), expected);
    assert!(
        by_rows.note.contains("the backup does not tell its moment"),
        "{}",
        by_rows.note
    );
    assert!(by_rows.compared().contains("plain"));
    for sentence in [
        "discards 4 rows in plain since ",
        "undoes changes to 3 rows in plain since ",
        "brings back 2 rows in plain",
        "undoes changes to 1 row in in_progress since ",
        "drops the new table brand_new with 2 rows",
        "brings back the table lost with 100 rows",
    ] {
        assert!(
            by_writers.price.iter().any(|told| told.starts_with(sentence)),
            "{sentence}: {:#?}",
            by_writers.price
        );
    }
    assert!(
        !by_writers
            .price
            .iter()
            .any(|told| told.contains(" touched ") || told.contains(" quiet "))
    );
}

/// A server that crashed has emptied what is not logged, and one that was promoted counts on another line.
#[test]
fn the_price_is_right_behind_a_crash_and_on_another_timeline() {
    let cluster = Cluster::start();
    cluster.create(
        "shop",
        "CREATE UNLOGGED TABLE passing (id int PRIMARY KEY, v text); INSERT INTO passing SELECT n, 'v' FROM generate_series(1, 50) n; \
         CREATE TABLE staying (id int PRIMARY KEY, v text); INSERT INTO staying SELECT n, 'v' FROM generate_series(1, 50) n;",
    );
    let mut scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    cluster.sql(
        "shop",
        "UPDATE staying SET v = 'w' WHERE id < 6; INSERT INTO passing VALUES (60, 'new');",
    );
    cluster.down();
    cluster.up();
    cluster.sql(
        "shop",
        "INSERT INTO passing VALUES (1, 'v'), (2, 'other'), (70, 'new'); DELETE FROM staying WHERE id = 50;",
    );
    let by_writers = price(resource.as_ref(), &artifact, &slot, &mut scene);
    let by_rows = price(resource.as_ref(), &older(&artifact), &slot, &mut scene);
    assert_eq!(by_writers.price, by_rows.price);
    assert_eq!(by_writers.note, "");
    let brought = "brings back 48 rows in passing";
    assert!(
        by_writers.price.iter().any(|told| told == brought),
        "{:?}",
        by_writers.price
    );

    let replica = cluster.replica();
    replica.sql("shop", "SELECT pg_promote();");
    replica.sql("shop", "UPDATE staying SET v = 'x' WHERE id = 20;");
    let promoted = by_url(&replica, &scene, "shop");
    let by_writers = price(promoted.as_ref(), &artifact, &slot, &mut scene);
    let by_rows = price(promoted.as_ref(), &older(&artifact), &slot, &mut scene);
    assert_eq!(by_writers.price, by_rows.price);
    assert!(
        by_writers.note.contains("the server is on another timeline"),
        "{}",
        by_writers.note
    );

    // A database that was put in its place has the numbers of tables and rows of another one.
    cluster.sql("postgres", "CREATE DATABASE twin TEMPLATE shop; ALTER DATABASE shop RENAME TO shop_before; ALTER DATABASE twin RENAME TO shop;");
    let by_writers = price(resource.as_ref(), &artifact, &slot, &mut scene);
    let by_rows = price(resource.as_ref(), &older(&artifact), &slot, &mut scene);
    assert_eq!(by_writers.price, by_rows.price);
    assert!(
        by_writers.note.contains("the database is another one"),
        "{}",
        by_writers.note
    );
}

/// What a release wrote to three tables, one of them without a key and one with more rows than are looked up.
const LATE: &str = "UPDATE plain SET v = v || '!' WHERE id IN (3, 50, 100); DELETE FROM plain WHERE id IN (1, 99); INSERT INTO plain SELECT n, 'new' FROM generate_series(201, 204) n; \
    UPDATE keyless SET v = 'c' WHERE v = 'b'; UPDATE flood SET v = v + 1 WHERE id <= 11000; DELETE FROM flood WHERE id > 11990; DELETE FROM fewer WHERE id < 5; \
    ALTER TABLE plain ADD COLUMN more text; CREATE TABLE brand_new (id int); INSERT INTO brand_new VALUES (1);";

struct Late {
    cluster: Cluster,
    scene: Scene,
    resource: Box<dyn Resource>,
    artifact: Artifact,
    prepared: Prepared,
    displaced: Displaced,
    /// The price by a comparison before the swap.
    by_rows: Vec<String>,
}

/// A database that is back, and whose price was left for then.
fn late() -> Late {
    let cluster = Cluster::start();
    let plain = |table: &str| {
        PLAIN
            .replace("T (", &format!("{table} ("))
            .replace(" T ", &format!(" {table} "))
    };
    let tables = "CREATE TABLE keyless (v text); INSERT INTO keyless VALUES ('a'), ('a'), ('b'); \
        CREATE TABLE flood (id int PRIMARY KEY, v int); INSERT INTO flood SELECT n, n FROM generate_series(1, 12000) n;";
    cluster.create("shop", &format!("{} {} {tables}", plain("plain"), plain("fewer")));
    let mut scene = Scene::new();
    let resource = by_url(&cluster, &scene, "shop");
    let slot = slot(&scene, resource.as_ref());
    let artifact = resource.capture(&slot, &scene.cx).unwrap();
    cluster.sql("shop", LATE);
    let by_rows = price(resource.as_ref(), &older(&artifact), &slot, &mut scene).price;
    let before = resource
        .prepare(&older(&artifact), &slot, DataRestore::Always, &scene.cx.prices_later())
        .unwrap();
    assert!(
        !before.is_priced_later(),
        "an older backup has it told at once: {before:?}"
    );
    assert_eq!(before.price, by_rows);
    let prepared = resource
        .prepare(&artifact, &slot, DataRestore::Auto, &scene.cx.prices_later())
        .unwrap();
    assert!(prepared.is_priced_later() && prepared.work.is_needed(), "{prepared:?}");
    assert_eq!(prepared.price, ["what it costs in rows is told once it is back"]);
    assert_eq!(resource.reprice(&prepared, &artifact, &slot, &scene.cx).unwrap(), None);
    let displaced = resource.restore(&prepared, &artifact, &slot, &scene.cx).unwrap();
    Late {
        cluster,
        scene,
        resource,
        artifact,
        prepared,
        displaced,
        by_rows,
    }
}

impl Late {
    fn told(&self) -> Vec<String> {
        let told = self
            .resource
            .price_after(&self.prepared, &self.displaced, &self.artifact, &self.scene.cx)
            .unwrap();
        let closed = format!(
            "SELECT datallowconn FROM pg_database WHERE datname = '{}'",
            self.aside()
        );
        assert_eq!(
            self.cluster.sql("postgres", &closed),
            "f",
            "what was put aside is closed again"
        );
        told
    }

    fn aside(&self) -> &str {
        self.displaced.kept_as[0].trim_start_matches("database ")
    }
}

/// The price that is told once the copy is live is that of before, also where the old release only adds rows, and twice.
#[test]
fn the_price_is_told_from_what_was_put_aside() {
    let late = late();
    for sentence in [
        "discards 4 rows in plain since ",
        "undoes changes to 11000 rows in flood",
        "brings back 4 rows in fewer",
        "drops the new column more of plain",
    ] {
        let sentence = sentence.replace("11000", "11,000");
        assert!(
            late.by_rows.iter().any(|told| told.starts_with(&sentence)),
            "{sentence}: {:#?}",
            late.by_rows
        );
    }
    assert_eq!(late.told(), late.by_rows);
    assert_eq!(
        late.told(),
        late.by_rows,
        "a run that was cut off tells it all the same"
    );
    let adds = "INSERT INTO plain SELECT n, 'of the old release' FROM generate_series(200, 210) n; INSERT INTO flood VALUES (20000, 1); INSERT INTO keyless VALUES ('c'), ('d'); \
        CREATE TABLE made_since (id int); DELETE FROM fewer; UPDATE fewer SET v = 'x';";
    late.cluster.sql("shop", adds);
    assert_eq!(late.told(), late.by_rows);
}

/// Where rows of the copy were written by then, what is new and what was changed is not told apart, and nothing is made up.
#[test]
fn a_price_that_is_told_too_late_says_only_what_is_known() {
    let late = late();
    late.cluster.sql(
        "shop",
        "UPDATE plain SET v = 'written by the old release' WHERE id IN (2, 3); DELETE FROM keyless WHERE v = 'b';",
    );
    let told = late.told();
    let expected = [
        "discards or undoes what was written to 7 rows in plain since ",
        "brings back 5 rows in plain as they were",
        "discards or undoes what was written to 1 row in keyless since ",
        "brings back 1 row in keyless as they were",
    ];
    for sentence in expected {
        assert!(
            told.iter().any(|told| told.starts_with(sentence)),
            "{sentence}: {told:#?}"
        );
    }
    let is_other = |told: &&String| !told.contains(" in plain") && !told.contains(" in keyless");
    let rest: Vec<&String> = told.iter().filter(is_other).collect();
    let before: Vec<&String> = late.by_rows.iter().filter(is_other).collect();
    assert_eq!(rest, before, "what was not written to is told as before");
    late.cluster
        .sql("postgres", &format!("DROP DATABASE \"{}\"", late.aside()));
    let gone = late
        .resource
        .price_after(&late.prepared, &late.displaced, &late.artifact, &late.scene.cx)
        .expect_err("nothing is left to tell it from");
    assert!(gone.to_string().contains("is gone"), "{gone:?}");
}
