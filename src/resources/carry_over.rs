//! Which files a rollback leaves where they are, `carry_over`: the setting of kinds that keep files, and no rows.

use guard_model::section::Section;
use guard_model::setting::Value;

/// Which files a rollback leaves where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum CarryOver {
    /// None: it goes back as a whole.
    #[default]
    None,
    /// Those that the backup does not know and the release did not write.
    NewFiles,
}

impl CarryOver {
    /// Reads the setting.
    pub(super) fn of(section: &mut Section<'_>) -> Self {
        let value = section.take("carry_over").map(|item| item.value);
        let is_of_rows = match &value {
            Some(Value::List(_)) => true,
            Some(Value::Text(text)) => text == "inserts",
            _ => false,
        };
        if is_of_rows {
            section.problem(
                "carry_over",
                "takes rows of tables along, and there are none here: this keeps files",
                Some("did you mean `\"new-files\"`?".to_owned()),
            );
            return Self::None;
        }
        let choices = [("none", Self::None), ("new-files", Self::NewFiles)];
        section.choice("carry_over", &choices).unwrap_or_default()
    }

    /// Whether any file may be kept.
    pub(super) fn is_wanted(self) -> bool {
        self == Self::NewFiles
    }
}
