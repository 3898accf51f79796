//! What `guard check` asks of migrations: whether it is known which ran, and whether each could be taken back.

use super::books::Books;
use super::steps::is_program;
use super::wish::Migrations;
use crate::error::Result;
use crate::postgres::database::Postgres;
use crate::postgres::reach::Reach;
use crate::survey::Survey;
use guard_system::context::Context;

/// What `guard check` asks: whether it is known which migrations ran, and whether each could be taken back.
pub(crate) fn survey(of: &Postgres, wish: &Migrations, cx: &Context, survey: &mut Survey) -> Result<()> {
    let reach = Reach::open(of, cx)?;
    match Books::read(&reach, wish, cx) {
        Ok(books) if wish.command.is_none() && is_program(&books) => survey.refuse(
            format!(
                "the migrations in {} are programs of their tool, and guard runs SQL scripts only",
                books.table
            ),
            "set `down_command`, as in [\"alembic\", \"downgrade\", \"-1\"]",
        ),
        Ok(books) => survey.fact(format!(
            "{} has {} migrations, the newest {}",
            books.table,
            books.versions.len(),
            books.versions.last().map_or("none", String::as_str)
        )),
        Err(error) => {
            let advice = error.hint.clone().unwrap_or_else(|| "correct it".to_owned());
            survey.refuse(error.to_string(), advice);
        }
    }
    if wish.command.is_none() && !cx.resolve(&wish.directory).is_dir() {
        survey.refuse(
            format!(
                "{} is no directory, and holds no down scripts",
                wish.directory.display()
            ),
            "correct `migrations`, or set `down_command`",
        );
    }
    Ok(())
}
