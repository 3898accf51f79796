//! Tables: aligned, and never wider than the terminal.

use console::measure_text_width;
use guard::report::tables::Table;

fn table() -> Table {
    Table::new(["BACKUP", "SIZE", "STATE", "DESCRIPTION"])
        .right(1)
        .row([
            "20251022_153000",
            "412.0 MB",
            "known good",
            "before the new checkout, with a description that goes on",
        ])
        .row(["20251021_090000", "9 kB", "tainted", "数据库备份"])
        .row(["x"])
}

#[test]
fn columns_are_aligned() {
    let expected = "\
BACKUP               SIZE  STATE       DESCRIPTION
20251022_153000  412.0 MB  known good  before the new checkout, with a description that goes on
20251021_090000      9 kB  tainted     数据库备份
x
";
    assert_eq!(table().render(None), expected);
}

#[test]
fn no_line_is_wider_than_asked() {
    for width in [80, 60, 40, 30] {
        let text = table().render(Some(width));
        for line in text.lines() {
            assert!(measure_text_width(line) <= width, "{width}: {line:?}");
        }
        assert!(text.contains("2025"), "{text}");
    }
}

#[test]
fn what_does_not_fit_goes_on_in_its_column() {
    let expected = "\
BACKUP               SIZE  STATE       DESCRIPTION
20251022_153000  412.0 MB  known good  before the new checkout, with a
                                       description that goes on
20251021_090000      9 kB  tainted     数据库备份
x
";
    assert_eq!(table().render(Some(72)), expected);
}

#[test]
fn rows_are_stacked_where_columns_have_no_room() {
    let expected = "\
20251022_153000
  SIZE         412.0 MB
  STATE        known good
  DESCRIPTION  before the new checkout,
               with a description that
               goes on
20251021_090000
  SIZE         9 kB
  STATE        tainted
  DESCRIPTION  数据库备份
x
";
    assert_eq!(table().render(Some(40)), expected);
}

#[test]
fn remarks_stand_below_what_they_are_about_where_the_line_is_short() {
    let table = Table::new(["", "about", "finding", "what to do"])
        .with_remarks()
        .row(["ok", "code", "main at c2dbf40a59cb", ""])
        .row([
            "!",
            "db",
            "its copy was never restored yet, and nobody knows whether it can be",
            "guard backup restores it, as a proof",
        ]);
    let expected = "    about  finding
           -> what to do
ok  code   main at c2dbf40a59cb
!   db     its copy was never restored yet, and nobody
           knows whether it can be
           -> guard backup restores it, as a proof
";
    assert_eq!(table.render(Some(56)), expected);
    assert!(
        table.render(Some(120)).contains("finding      "),
        "{}",
        table.render(Some(120))
    );
}

#[test]
fn a_path_is_broken_and_stays_whole() {
    let path = "/srv/shop/releases/20251022_153000/public/uploads/2025/10/invoice-000000001.pdf";
    let text = Table::new(["path", "size"]).row([path, "9 kB"]).render(Some(40));
    let first = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    let together: String = text.lines().skip(1).map(first).collect();
    assert_eq!(together, path, "{text}");
}

#[test]
fn a_cell_cannot_act_on_the_terminal() {
    let text = Table::new(["A"]).row(["\u{1b}]0;x\u{7}\n"]).render(Some(80));
    assert!(
        !text
            .trim_end()
            .trim_start_matches("A\n")
            .contains(|c: char| c.is_control()),
        "{text:?}"
    );
}
