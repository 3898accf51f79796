//! Schemas of all sorts that people have: what is proven of each must load, and what would not is refused.

/// A schema: its name, the script that makes it, and, where guard refuses it, a word of the reason.
pub(super) type Schema = (&'static str, &'static str, Option<&'static str>);

pub(super) const SCHEMAS: &[Schema] = &[
    ("empty", "", None),
    ("only_views", "CREATE VIEW one AS SELECT 1 AS n; CREATE VIEW two AS SELECT n + 1 AS n FROM one;", None),
    ("only_routines", "CREATE FUNCTION f(n int) RETURNS int DETERMINISTIC RETURN n + 1; CREATE PROCEDURE p() SELECT f(1);", None),
    (
        "generated",
        "CREATE TABLE t (id int PRIMARY KEY, a int, b int AS (a * 2) VIRTUAL, c varchar(20) AS (concat('x', a)) STORED, KEY (b), UNIQUE (c));
         INSERT INTO t (id, a) VALUES (1, 2), (2, NULL);",
        None,
    ),
    (
        "checks",
        "CREATE TABLE t (a int CHECK (a > 0), b int, CONSTRAINT both_small CHECK (a + b < 100)); INSERT INTO t VALUES (1, 2);
         SET SESSION check_constraint_checks = OFF; INSERT INTO t VALUES (-1, 500);",
        None,
    ),
    (
        "orphans",
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES p (id));
         SET SESSION foreign_key_checks = OFF; INSERT INTO c VALUES (1, 99);",
        None,
    ),
    (
        "keys_in_a_circle",
        "CREATE TABLE b (id int PRIMARY KEY, a int); CREATE TABLE a (id int PRIMARY KEY, b int, FOREIGN KEY (b) REFERENCES b (id));
         ALTER TABLE b ADD FOREIGN KEY (a) REFERENCES a (id) ON DELETE SET NULL; INSERT INTO b VALUES (1, NULL); INSERT INTO a VALUES (1, 1); UPDATE b SET a = 1;",
        None,
    ),
    (
        "keys_against_the_order",
        "CREATE TABLE z (id int PRIMARY KEY); CREATE TABLE a (id int, FOREIGN KEY (id) REFERENCES z (id) ON UPDATE CASCADE); INSERT INTO z VALUES (1); INSERT INTO a VALUES (1);",
        None,
    ),
    ("key_to_itself", "CREATE TABLE t (id int PRIMARY KEY, up int, FOREIGN KEY (up) REFERENCES t (id)); INSERT INTO t VALUES (1, NULL), (2, 1);", None),
    (
        "zero_dates",
        "SET SESSION sql_mode = ''; CREATE TABLE t (d date NOT NULL DEFAULT '0000-00-00', dt datetime NOT NULL DEFAULT '0000-00-00 00:00:00', ts timestamp NOT NULL DEFAULT '0000-00-00 00:00:00');
         INSERT INTO t VALUES (); INSERT INTO t VALUES ('2026-00-00', '2026-02-00 00:00:00', '2026-01-01 00:00:00');",
        None,
    ),
    (
        "zero_as_number",
        "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'; CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, x int) AUTO_INCREMENT = 900; INSERT INTO t VALUES (0, 1), (5, 2);",
        None,
    ),
    (
        "ansi_quotes",
        "SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES'; CREATE TABLE t (\"a b\" varchar(9) DEFAULT '\\'); INSERT INTO t VALUES ('c:\\dir\\');
         CREATE FUNCTION glue(a text, b text) RETURNS text DETERMINISTIC RETURN a || \"b\"; CREATE VIEW v AS SELECT \"a b\" || 'x' AS c FROM t;",
        None,
    ),
    ("oracle_mode", "SET SESSION sql_mode = 'ORACLE';\nDELIMITER ;;\nCREATE FUNCTION f(n INT) RETURN INT AS BEGIN RETURN n + 1; END;;\nDELIMITER ;\nCREATE TABLE t (a VARCHAR2(9), b NUMBER(5, 2));", None),
    (
        "charsets",
        "ALTER DATABASE CHARACTER SET latin1 COLLATE latin1_german2_ci; CREATE TABLE t (a varchar(9), b varchar(9) CHARACTER SET utf8mb3 COLLATE utf8mb3_swedish_ci, c char(4) CHARACTER SET ucs2,
         d varchar(9) COLLATE latin1_bin, e text CHARACTER SET cp1251, f varchar(5) CHARACTER SET sjis, UNIQUE (a)); INSERT INTO t VALUES ('Müßig', 'łódź', 'ab', 'ÿ', 'Привет', '表');",
        None,
    ),
    ("accents", "CREATE TABLE t (a varchar(9) COLLATE utf8mb4_unicode_520_ci PRIMARY KEY, b varchar(9) COLLATE utf8mb4_bin UNIQUE); INSERT INTO t VALUES ('é', 'é'), ('😀', 'e');", None),
    ("invalid_bytes", "CREATE TABLE t (a varchar(9) CHARACTER SET latin1, b blob, c varbinary(9)); INSERT INTO t VALUES (x'80FF0A0D00', x'F0288CBC', x'5C27220A1A00');", None),
    (
        "partitions_of_all_sorts",
        "CREATE TABLE r (y int) PARTITION BY RANGE (y) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE);
         CREATE TABLE l (c int) PARTITION BY LIST (c) (PARTITION a VALUES IN (1, 2), PARTITION b VALUES IN (NULL, 3));
         CREATE TABLE h (id int) PARTITION BY HASH (id) PARTITIONS 3; CREATE TABLE k (id int PRIMARY KEY) PARTITION BY KEY () PARTITIONS 2;
         CREATE TABLE s (d date, n int) PARTITION BY RANGE (to_days(d)) SUBPARTITION BY HASH (n) SUBPARTITIONS 2 (PARTITION p0 VALUES LESS THAN (to_days('2026-01-01')), PARTITION p1 VALUES LESS THAN MAXVALUE);
         INSERT INTO r VALUES (1), (11); INSERT INTO l VALUES (1), (NULL); INSERT INTO h VALUES (1), (2); INSERT INTO k VALUES (1), (2); INSERT INTO s VALUES ('2025-01-01', 1);",
        None,
    ),
    ("invisible", "CREATE TABLE t (a int, b int INVISIBLE DEFAULT 5, c int AS (a + b) INVISIBLE); INSERT INTO t (a) VALUES (1); INSERT INTO t (a, b) VALUES (2, 7);", None),
    ("compressed_column", "CREATE TABLE t (a text COMPRESSED, b blob COMPRESSED); INSERT INTO t VALUES (repeat('a', 2000), repeat(x'00', 2000));", None),
    (
        "spatial",
        "CREATE TABLE t (g geometry NOT NULL, p point NOT NULL, SPATIAL KEY (g)); INSERT INTO t VALUES (ST_GeomFromText('POLYGON((0 0,0 9,9 9,9 0,0 0))'), POINT(1, 2)), (ST_GeomFromText('LINESTRING(0 0,1 1)', 4326), POINT(3, 4));",
        None,
    ),
    ("fulltext", "CREATE TABLE t (a text, b text, FULLTEXT KEY both_ (a, b)); INSERT INTO t VALUES ('to be', 'or not');", None),
    ("json", "CREATE TABLE t (j json, v int AS (json_value(j, '$.a')) VIRTUAL, KEY (v)); INSERT INTO t (j) VALUES ('{\"a\": 1, \"b\": \"\\u00e9\"}'), (NULL);", None),
    ("bits", "CREATE TABLE t (a bit(1), b bit(64), s set('x', 'y', 'z'), e enum('', 'ä', '\\'')); INSERT INTO t VALUES (b'1', 18446744073709551615, 'x,z', 'ä'), (0, 0, '', '');", None),
    ("numbers", "CREATE TABLE t (a double, b float, c decimal(65, 30), d bigint unsigned, e year, f time(6)); INSERT INTO t VALUES (1.7976931348623157e308, 1.17549e-38, 12345678901234567890.000000000000000000000000000001, 18446744073709551615, 2155, '-838:59:59.5'), (0.1, 0.1, 0.1, 0, 0, 0);", None),
    ("defaults", "CREATE TABLE t (a char(36) DEFAULT uuid(), b datetime(6) DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6), c int DEFAULT (1 + 2), d text DEFAULT 'x''y'); INSERT INTO t (c) VALUES (5);", None),
    ("uuid_and_inet", "CREATE TABLE t (u uuid PRIMARY KEY, i inet6); INSERT INTO t VALUES ('00000000-0000-0000-0000-000000000001', '::1');", None),
    (
        "views_on_views",
        "CREATE TABLE t (id int); CREATE VIEW z AS SELECT id FROM t; CREATE VIEW m AS SELECT id FROM z; CREATE VIEW a AS SELECT m.id, z.id AS two FROM m JOIN z; INSERT INTO t VALUES (1);",
        None,
    ),
    (
        "view_of_a_function",
        "CREATE TABLE t (id int); CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC RETURN n * 2; CREATE VIEW v AS SELECT twice(id) AS n FROM t WHERE twice(id) > 1 WITH CHECK OPTION; INSERT INTO t VALUES (1);",
        None,
    ),
    ("view_of_a_dropped_column", "CREATE TABLE t (id int, x int); CREATE VIEW v AS SELECT x FROM t; CREATE VIEW w AS SELECT * FROM v; ALTER TABLE t DROP COLUMN x; INSERT INTO t VALUES (1);", None),
    ("view_of_a_dropped_table", "CREATE TABLE t (id int); CREATE TABLE gone (id int); CREATE VIEW v AS SELECT id FROM gone; CREATE VIEW fine AS SELECT id FROM t; DROP TABLE gone;", None),
    ("view_of_a_dropped_function", "CREATE FUNCTION f() RETURNS int DETERMINISTIC RETURN 1; CREATE VIEW v AS SELECT f() AS n; DROP FUNCTION f;", None),
    (
        "view_of_a_definer_who_is_gone",
        "CREATE TABLE t (id int); CREATE DEFINER = nobody_here@localhost VIEW v AS SELECT id FROM t; CREATE DEFINER = nobody_here@localhost SQL SECURITY INVOKER VIEW w AS SELECT id FROM t;",
        None,
    ),
    (
        "code_of_a_definer_who_is_gone",
        "CREATE TABLE t (id int); CREATE DEFINER = nobody_here@localhost TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.id = NEW.id; CREATE DEFINER = nobody_here@localhost PROCEDURE p() SELECT 1;
         CREATE DEFINER = nobody_here@localhost EVENT e ON SCHEDULE EVERY 1 DAY STARTS '2035-01-01' DO SELECT 1; CREATE DEFINER = nobody_here@`%` FUNCTION f() RETURNS int DETERMINISTIC SQL SECURITY INVOKER RETURN 1;",
        None,
    ),
    ("view_with_a_quoted_name", "CREATE TABLE `my.table` (`or``der` int); CREATE VIEW `a.b``c` AS SELECT `or``der` FROM `my.table`; INSERT INTO `my.table` VALUES (1);", None),
    ("view_over_two_databases", "CREATE TABLE t (id int); CREATE VIEW v AS SELECT t.id, s.SCHEMA_NAME FROM t JOIN information_schema.SCHEMATA s; INSERT INTO t VALUES (1);", None),
    ("view_with_its_database_in_a_text", "CREATE VIEW v AS SELECT '`shop`.`x`' AS n, \"`view_with_its_database_in_a_text`.\" AS m;", None),
    (
        "triggers_of_one_moment",
        "CREATE TABLE t (id int, n int); CREATE TABLE log (w text); CREATE TRIGGER b BEFORE INSERT ON t FOR EACH ROW SET NEW.n = 1; CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW FOLLOWS b SET NEW.n = NEW.n + 1;
         CREATE TRIGGER c AFTER DELETE ON t FOR EACH ROW INSERT INTO log VALUES ('gone'); INSERT INTO t (id) VALUES (1); DELETE FROM t; INSERT INTO t (id) VALUES (2);",
        None,
    ),
    (
        "trigger_that_forbids",
        "CREATE TABLE t (id int); INSERT INTO t VALUES (1); CREATE TRIGGER no_more BEFORE INSERT ON t FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'closed';",
        None,
    ),
    (
        "events",
        "CREATE TABLE t (id int); CREATE EVENT often ON SCHEDULE EVERY 1 SECOND STARTS '2035-01-01' ENDS '2036-01-01' ON COMPLETION PRESERVE COMMENT 'ENABLE it' DO INSERT INTO t VALUES (1);
         CREATE EVENT off ON SCHEDULE AT '2035-01-01' DISABLE DO SELECT ' ON COMPLETION PRESERVE ENABLE '; CREATE EVENT replica ON SCHEDULE EVERY 1 HOUR STARTS '2035-01-01' DISABLE ON SLAVE DO SELECT 1;",
        None,
    ),
    (
        "aggregates_and_cursors",
        "CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2);
DELIMITER ;;
CREATE AGGREGATE FUNCTION total(x int) RETURNS int BEGIN DECLARE s int DEFAULT 0; DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN s; LOOP FETCH GROUP NEXT ROW; SET s = s + x; END LOOP; END;;
CREATE PROCEDURE walk() BEGIN DECLARE done int DEFAULT 0; DECLARE c CURSOR FOR SELECT n FROM t; OPEN c; CLOSE c; END;;
DELIMITER ;
CREATE VIEW v AS SELECT total(n) AS n FROM t;",
        None,
    ),
    ("package", "SET SESSION sql_mode = 'ORACLE';\nDELIMITER ;;\nCREATE PACKAGE pk AS FUNCTION one RETURN INT; END;;\nCREATE PACKAGE BODY pk AS FUNCTION one RETURN INT AS BEGIN RETURN 1; END; END;;\nDELIMITER ;\n", None),
    ("period_and_versions", "CREATE TABLE t (id int, a date, b date, PERIOD FOR app (a, b), UNIQUE (id, app WITHOUT OVERLAPS)); INSERT INTO t VALUES (1, '2026-01-01', '2026-02-01');", None),
    ("system_versioned", "CREATE TABLE t (id int) WITH SYSTEM VERSIONING; INSERT INTO t VALUES (1);", Some("keeps its own history")),
    ("sequence", "CREATE SEQUENCE s START WITH 5; CREATE TABLE t (id int DEFAULT nextval(s));", Some("is a sequence")),
    ("other_engines", "CREATE TABLE a (id int) ENGINE = MyISAM; CREATE TABLE b (id int) ENGINE = Aria; CREATE TABLE c (id int) ENGINE = MEMORY; INSERT INTO a VALUES (1); INSERT INTO b VALUES (2);", None),
    ("row_formats", "CREATE TABLE a (t text) ROW_FORMAT = COMPRESSED KEY_BLOCK_SIZE = 8; CREATE TABLE b (t text) ROW_FORMAT = REDUNDANT; INSERT INTO a VALUES ('x');", None),
    ("many_columns", "SET @s = (SELECT concat('CREATE TABLE t (', group_concat('c', seq, ' tinyint'), ')') FROM seq_1_to_900); SET SESSION group_concat_max_len = 100000; SET @s = (SELECT concat('CREATE TABLE t (', group_concat('c', seq, ' tinyint'), ')') FROM seq_1_to_900); PREPARE p FROM @s; EXECUTE p;", None),
    ("comments", "CREATE TABLE t (a int COMMENT 'a ''quote'' \\\\ and ; a semicolon') COMMENT = '/*! not a comment */ -- nor this'; CREATE VIEW v AS SELECT '/*! x */' AS c, '-- y' AS d;", None),
    ("reserved_words", "CREATE TABLE `select` (`from` int, `order` int, KEY `group` (`from`)); CREATE VIEW `table` AS SELECT `from` FROM `select`; CREATE PROCEDURE `drop`() SELECT 1;", None),
    ("ignored_and_descending_keys", "CREATE TABLE t (a int, b int, KEY one (a) IGNORED, KEY two (a DESC, b)); INSERT INTO t VALUES (1, 2);", None),
    (
        "empty_lines_in_bodies",
        "CREATE TABLE t (a text); CREATE FUNCTION f() RETURNS text DETERMINISTIC RETURN 'one\n\n\nfour';\nDELIMITER ;;\nCREATE PROCEDURE p()\nBEGIN\n\n  SELECT 1;\n\n  -- after an empty line\n  SELECT 'x\n\ny';\nEND;;\n\
         CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW\nBEGIN\n\n  SET NEW.a = 'p\n\nq';\nEND;;\nCREATE EVENT e ON SCHEDULE EVERY 1 YEAR DISABLE DO\nBEGIN\n\n  SELECT 1;\n\nEND;;\nDELIMITER ;\nINSERT INTO t VALUES ('');",
        None,
    ),
    (
        "large_rows",
        "CREATE TABLE t (id int PRIMARY KEY, a longblob, b longtext); INSERT INTO t VALUES (1, repeat(x'0027225C', 2500000), NULL), (2, NULL, repeat('ä', 3000000));",
        None,
    ),
];
