//! Which rows a rollback takes along, as the settings say.

use guard_model::section::Section;
use guard_model::setting::Value;

/// Which rows a rollback takes along, `carry_over`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum CarryOver {
    /// None.
    #[default]
    None,
    /// The new rows of every table, but for records of migrations.
    Inserts,
    /// The new rows of these tables.
    Tables(Vec<String>),
}

impl CarryOver {
    /// Reads the setting.
    pub(crate) fn of(section: &mut Section<'_>) -> Self {
        let list = section
            .take("carry_over")
            .is_some_and(|item| matches!(item.value, Value::List(_)));
        if list {
            return section.texts("carry_over").map_or(Self::None, Self::Tables);
        }
        let choices = [("none", Self::None), ("inserts", Self::Inserts)];
        section.choice("carry_over", &choices).unwrap_or_default()
    }

    /// Whether any row may be carried.
    pub(crate) fn is_wanted(&self) -> bool {
        *self != Self::None
    }
}
