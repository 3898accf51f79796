//! What a restore in place removes, and so what it has to make anew.

/// Removes what the user owns. Extensions stay, and so do schemas that belong to others: of those only what is in them goes.
pub(super) const REMOVAL: &str = r"
DO $guard$
DECLARE statement text; statements text[];
BEGIN
  SELECT array_agg(format('DROP PUBLICATION %I', pubname)) INTO statements FROM pg_publication;
  FOREACH statement IN ARRAY coalesce(statements, '{}') LOOP EXECUTE statement; END LOOP;
  SELECT array_agg(format('DROP SERVER %I CASCADE', srvname)) INTO statements FROM pg_foreign_server;
  FOREACH statement IN ARRAY coalesce(statements, '{}') LOOP EXECUTE statement; END LOOP;
  PERFORM lo_unlink(oid) FROM pg_largeobject_metadata;
  SELECT array_agg(format('DROP SCHEMA %I CASCADE', nspname)) INTO statements FROM pg_namespace n
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public') AND pg_has_role(nspowner, 'MEMBER')
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_namespace'::regclass AND objid = n.oid AND deptype = 'e')
      AND NOT EXISTS (SELECT FROM pg_extension WHERE extnamespace = n.oid);
  FOREACH statement IN ARRAY coalesce(statements, '{}') LOOP EXECUTE statement; END LOOP;
  SELECT array_agg(format('DROP %s IF EXISTS %s CASCADE', CASE o.type WHEN 'composite type' THEN 'type' WHEN 'statistics object' THEN 'statistics' ELSE o.type END, o.identity)
      ORDER BY o.type NOT IN ('table', 'foreign table'), o.type NOT IN ('view', 'materialized view'), o.type = 'type') INTO statements
    FROM pg_depend d JOIN pg_namespace n ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid,
      pg_identify_object(d.classid, d.objid, 0) o
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND d.deptype = 'n' AND d.objsubid = 0
      AND o.type NOT IN ('extension', 'default acl', 'index')
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classid AND e.objid = d.objid AND (e.deptype = 'e' OR e.deptype = 'i' AND e.objsubid = 0 AND e.refobjid <> e.objid));
  FOREACH statement IN ARRAY coalesce(statements, '{}') LOOP EXECUTE statement; END LOOP;
END $guard$;
";

/// The entries of an archive's list without those of what is not removed: extensions, and the schema that every database has.
pub(super) fn taken(list: &str) -> String {
    let stays = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().skip(3).take(4).collect();
        !matches!(
            words.as_slice(),
            ["EXTENSION", ..]
                | ["COMMENT", "-", "EXTENSION", ..]
                | ["SCHEMA", "-", "public", ..]
                | [_, "-", "SCHEMA", "public"]
        )
    };
    let lines: Vec<&str> = list.lines().filter(stays).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::taken;

    #[test]
    fn what_is_not_removed_is_not_made_again() {
        let list = ";\n; Archive\n2; 3079 16385 EXTENSION - pg_trgm \n3380; 0 0 COMMENT - EXTENSION pg_trgm \n5; 2615 2200 SCHEMA - public pg_database_owner\n\
                    3381; 0 0 ACL - SCHEMA public pg_database_owner\n6; 2615 16400 SCHEMA - app owner\n215; 1259 16391 TABLE public EXTENSION boss\n3382; 0 0 COMMENT public TABLE users boss\n";
        let kept = taken(list);
        assert_eq!(kept.lines().filter(|line| !line.starts_with(';')).count(), 3, "{kept}");
        assert!(kept.contains("SCHEMA - app") && kept.contains("TABLE public EXTENSION"));
    }
}
