//! Rows that only the failed database has: counted, carried over, exported, and accounted for to the last one.

mod killed;
mod numbers;
mod own;
mod story;

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::cluster::Cluster;
use crate::support::kinds::{list, text};
use story::{Story, schema, story};

#[test]
fn what_fits_is_carried_over_and_the_rest_is_exported() {
    let story = story(text("inserts"));
    let displaced = story.restore();
    story.hold_to(&displaced);
    assert_eq!(
        schema(&story.cluster),
        story.schema,
        "triggers, rules and constraints are as they were"
    );
    let users =
        "SELECT string_agg(id || ' ' || email || ' ' || coalesce(mentor::text, '-'), ',' ORDER BY id) FROM users";
    assert_eq!(story.ask(users), "1 a@x -,2 b@x -,3 c@x -,4 d@x 6,5 e@x -,6 f@x 4");
    assert_eq!(
        story.ask("SELECT name = E'Eve\\t\\\\N\\n\"😀' FROM users WHERE id = 5"),
        "t",
        "no trigger changed it"
    );
    assert_eq!(story.figures("users"), [4, 1, 0, 3, 1, 2]);
    let refused = story.file("users.refused.csv");
    assert!(
        refused.starts_with("why,id,email,") && refused.contains("users_email_key"),
        "{refused}"
    );
    assert!(
        story
            .file("users.changed.sql")
            .starts_with("UPDATE \"public\".\"users\" SET \"email\" = 'z@x'")
    );
    assert!(
        story.file("users.changed.csv").contains("phone"),
        "columns of the release are exported too"
    );
    // 4: an enum value that is gone; 5: of the refused user; 6: would be rounded; 7: the domain forbids it.
    assert_eq!(
        story.ask("SELECT string_agg(id || ' ' || total || ' ' || half, ',' ORDER BY id) FROM orders WHERE total > 2"),
        "3 3.25 1.6250000000000000"
    );
    assert_eq!(story.figures("orders"), [6, 0, 0, 2, 4, 4]);
    let refused = story.file("orders.refused.csv");
    for reason in [
        "invalid input value for enum",
        "orders_who_fkey",
        "another form",
        "code_check",
    ] {
        assert!(refused.contains(reason), "{reason}: {refused}");
    }
    assert_eq!(
        story.ask("SELECT string_agg(orders_id || '.' || line || label, ',' ORDER BY orders_id, line) FROM items"),
        "1.1one,1.2two,3.1"
    );
    assert_eq!(story.figures("items"), [4, 0, 1, 2, 2, 2]);
    assert!(
        story
            .file("items.gone.sql")
            .contains("DELETE FROM \"public\".\"items\" WHERE \"orders_id\" = '1' AND \"line\" = '1'")
    );
    assert_eq!(
        story.ask("SELECT raw::text || ' ' || doc::text || ' ' || tags::text FROM parts"),
        "\\xdeadbeef {\"a\": [1, null]} {\"x,y\",NULL,\"q\\\"uote\"}"
    );
    // 1 and 1 hold each other; 3 needs the right hand 2, whose own counterpart is nowhere.
    assert_eq!(
        story.ask("SELECT string_agg(id::text, ',' ORDER BY id) FROM left_hand"),
        "1,2"
    );
    assert_eq!(
        story.ask("SELECT string_agg(id::text, ',' ORDER BY id) FROM right_hand"),
        "1"
    );
    assert_eq!(story.ask("SELECT count(*) FROM visits"), "3");
    assert_eq!(story.figures("visits"), [2, 0, 0, 2, 0, 0]);
    // Without a key nobody knows which row was changed into which.
    assert_eq!(story.figures("notes"), [2, 0, 0, 0, 0, 2]);
    assert_eq!(
        story.file("notes.new.csv"),
        "what\ntwice\nnew\n".replace(
            "twice\nnew",
            &story
                .file("notes.new.csv")
                .lines()
                .skip(1)
                .collect::<Vec<_>>()
                .join("\n")
        )
    );
    assert_eq!(
        story.figures("migrations"),
        [1, 0, 0, 0, 0, 1],
        "the old code's record of migrations stays its own"
    );
    assert_eq!(story.figures("brand_new"), [2, 0, 0, 0, 0, 2]);
    assert_eq!(
        story.ask("SELECT nextval('users_id_seq') || ' ' || nextval('visits_id_seq')"),
        "8 4",
        "no number is given out twice"
    );
    let odd = r#"SELECT string_agg(to_json("Key of it")::text || coalesce("a,""b", '-'), ' ' ORDER BY "Key of it") FROM "Odd ""Ta
ble"" 😀""#;
    assert_eq!(story.ask(odd), r#"""- "k\\1\n"\N"#);
    assert_eq!(story.figures("dropped"), [0; 6]);
    account_adds_up(&story);
    let comment = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'shop'";
    assert_eq!(story.ask(comment), "its own");
}

/// Carried and exported is all that was written; each file holds as many rows as the account says.
fn account_adds_up(story: &Story) {
    let account = story.account();
    for figures in account["tables"].as_array().unwrap() {
        let number = |part: &str| figures[part].as_u64().unwrap();
        assert_eq!(
            number("carried") + number("exported") + number("kept"),
            number("new") + number("changed"),
            "{figures}"
        );
        assert_eq!(number("kept"), 0);
    }
    let statements = |name: &str| {
        story
            .file(name)
            .lines()
            .filter(|line| line.starts_with("INSERT "))
            .count()
    };
    assert_eq!(statements("orders.refused.sql"), 4);
    for file in account["files"].as_array().unwrap() {
        assert!(story.salvage().join(file.as_str().unwrap()).exists(), "{file}");
    }
    let left: Vec<_> = std::fs::read_dir(story.salvage())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(
        left.len(),
        account["files"].as_array().unwrap().len() + 1,
        "nothing else is left: {left:?}"
    );
}

/// Whether SQL succeeds.
fn tried(cluster: &Cluster, database: &str, sql: &str) -> bool {
    let mut command = cluster.client(database);
    command.args(["-c", sql]).output().unwrap().status.success()
}

#[test]
fn a_swap_that_was_cut_off_after_the_carrying_carries_nothing_twice() {
    let story = story(list(&["users", "public.orders", "no_such_table"]));
    // A prepared transaction appears in the side database as soon as the rows are in it: the swap is refused then.
    let side = story.prepared.details["side"].as_str().unwrap().to_owned();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let half =
                "BEGIN; SELECT 1 / count(*) FROM users WHERE id = 4; CREATE TABLE x (); PREPARE TRANSACTION 'half';";
            while !over.load(Ordering::SeqCst) && !tried(&story.cluster, &side, half) {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        let restored = story
            .resource
            .restore(&story.prepared, &story.artifact, &story.slot, &story.scene.cx);
        over.store(true, Ordering::SeqCst);
        let error = restored.expect_err("blocked");
        assert!(error.to_string().contains("half"), "{error}");
    });
    assert_eq!(story.figures("users")[3], 3, "the account was written");
    assert_eq!(
        story.ask("SELECT count(*) FROM brand_new"),
        "2",
        "clients are let into the live database again"
    );
    story.cluster.sql(&side, "ROLLBACK PREPARED 'half';");
    let displaced = story.restore();
    story.hold_to(&displaced);
    assert_eq!(story.restore(), displaced, "the same again, and the same account");
    assert_eq!(
        story.ask("SELECT count(*) || ' ' || count(DISTINCT id) FROM users"),
        "6 6"
    );
    assert_eq!(story.figures("items")[3], 0, "only what is named is carried");
    let sentences = story.resource.carried(&displaced).unwrap().sentences;
    assert!(
        sentences.iter().any(|sentence| sentence.contains("no_such_table")),
        "{sentences:?}"
    );
    assert!(
        sentences
            .iter()
            .any(|sentence| sentence == "carried 3 rows over into users, without the release's phone"),
        "{sentences:?}"
    );
    assert!(
        !sentences.concat().contains("@x"),
        "no values in messages: {sentences:?}"
    );
}

#[test]
fn an_undo_tells_what_people_wrote_since_the_rollback() {
    let story = story(text("none"));
    let displaced = story.restore();
    let price = || story.resource.undo_price(&displaced, &story.scene.cx).unwrap();
    let before = price().join("\n");
    story.ask("INSERT INTO notes VALUES ('since'), ('since as well'), ('and this')");
    let told = price().join("\n");
    assert!(!before.contains("notes since the rollback"), "{before}");
    assert!(told.contains("discards 3 rows in notes since the rollback"), "{told}");
    // What was put aside stays shut behind the look.
    let aside = displaced.kept_as[0].rsplit(' ').next().unwrap().to_owned();
    let open = story.cluster.sql(
        "postgres",
        &format!("SELECT datallowconn FROM pg_database WHERE datname = '{aside}'"),
    );
    assert_eq!(open.trim(), "f", "{:?}", displaced.kept_as);
}
