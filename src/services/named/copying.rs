//! The hooks around a backup: `before_copy` of each service before anything is copied, `after_copy` when all is, or when the run
//! is over without.

use super::note::Note;
use crate::{Result, Services};
use guard_model::event::Level;
use guard_system::context::Context;

impl Services {
    /// Runs the `before_copy` of each service, those that others need first. Which were begun is noted before, so that
    /// [`Services::end_copy`] is for each of them, whatever happens in between.
    ///
    /// # Errors
    /// One failed, so nothing is copied.
    pub fn begin_copy(&self, cx: &Context) -> Result<()> {
        for service in self.named_in_order() {
            let hooks = &service.hooks;
            if hooks.before_copy.is_empty() && hooks.after_copy.is_empty() {
                continue;
            }
            let mut note = Note::read(cx);
            if !note.copying.contains(&service.name) {
                note.copying.push(service.name.clone());
                note.write(cx)?;
            }
            if !hooks.before_copy.is_empty() {
                cx.note(Level::Info, format!("runs before_copy of {}", service.name));
                service.run(&hooks.before_copy, "before_copy", cx)?;
            }
        }
        Ok(())
    }

    /// Runs the `after_copy` of each service whose `before_copy` was begun, the last of them first. Each is run until it has ended
    /// once; one that fails is told. Safe to repeat, and does nothing where nothing was begun.
    pub fn end_copy(&self, cx: &Context) {
        let mut note = Note::read(cx);
        while let Some(name) = note.copying.pop() {
            if let Some(service) = self.named_by(&name) {
                if !service.hooks.after_copy.is_empty() {
                    cx.note(Level::Info, format!("runs after_copy of {name}"));
                }
                service.try_run(&service.hooks.after_copy, "after_copy", cx);
            }
            if let Err(error) = note.write(cx) {
                cx.note(Level::Warn, guard_model::text::chain(&error));
            }
        }
    }
}
