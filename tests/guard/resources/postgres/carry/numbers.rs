//! Numbers that were given out stay given out, also where no row is taken along: else nobody could tell later whose they are.

use guard::model::artifact::Live;

use super::story::story;
use crate::support::kinds::text;

#[test]
fn a_row_that_was_put_aside_comes_back_beside_its_own_after_others_have_been_written() {
    let story = story(text("none"));
    let displaced = story.restore();
    assert!(
        story.resource.carried(&displaced).is_none(),
        "nothing was to be carried"
    );
    let live = story.resource.check(&story.artifact, &story.scene.cx).unwrap();
    assert_eq!(live, Live::Matches, "it is the backup's database all the same");
    // Dan was 4, and somebody else registers before his row is looked for.
    let since =
        "SET session_replication_role = replica; INSERT INTO users (email, name) VALUES ('new@x', 'Nell') RETURNING id";
    assert_eq!(story.ask(since), "8", "number 7 was the last one");
    let directory = story.scene.root().join("salvaged");
    let tables = ["users", "orders"].map(str::to_owned);
    story
        .resource
        .salvage(&displaced, &tables, &directory, &story.scene.cx)
        .unwrap();
    assert_eq!(
        story.ask("SELECT u.name FROM orders o JOIN users u ON u.id = o.who WHERE o.total = 3.25"),
        "Dan",
        "his order is beside nobody else's name"
    );
    assert_eq!(story.ask("SELECT email FROM users WHERE id = 8"), "new@x");
}

#[test]
fn numbers_go_on_behind_an_undo_too() {
    let story = story(text("none"));
    let displaced = story.restore();
    // Nell and Neo are the numbers 8 and 9 of the database that the undo puts aside.
    let since = "SET session_replication_role = replica; INSERT INTO users (email, name) VALUES ('nell@x', 'Nell'), ('neo@x', 'Neo')";
    story.ask(since);
    story.resource.undo(&displaced, &story.scene.cx).unwrap();
    assert_eq!(story.ask("SELECT nextval('users_id_seq')"), "10");
}

#[test]
fn a_leap_to_the_end_of_all_numbers_is_not_followed() {
    let story = story(text("none"));
    story.ask("SELECT setval('users_id_seq', 9223372036854775807)");
    story.restore();
    assert_eq!(story.ask("SELECT nextval('users_id_seq')"), "4");
}
