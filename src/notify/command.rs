//! `command`: a program of the user's own, with the notice as JSON on its standard input.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::way::{Kind, TOTAL, Trouble, Way};
use super::words;
use guard_model::notice::Notice;
use guard_model::section::Section;
use guard_model::text::{sanitised, shortened};
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::processes::CallError;

pub(super) const KIND: Kind = Kind {
    key: "command",
    about: "a program, with the notice as JSON on its standard input",
    build,
};

struct Command(Vec<String>);

fn build(section: &mut Section<'_>) -> Option<Arc<dyn Way>> {
    let words = section.words("command")?;
    Some(Arc::new(Command(words)))
}

#[async_trait]
impl Way for Command {
    async fn tell(&self, notice: &Notice, cx: &Context) -> Result<(), Trouble> {
        let call = Call::of_words(&self.0).ok_or_else(|| Trouble::lasting("there is no command"))?;
        let call = call
            .input(words::plain_json(notice).to_string().into_bytes())
            .timeout(TOTAL)
            .grace(Duration::ZERO);
        // A wish to stop ends runs, and a notice of that must still get out.
        let cx = cx.unstoppable();
        let ran = tokio::task::spawn_blocking(move || cx.output(&call)).await;
        match ran {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let why = shortened(&sanitised(&error.to_string()), 160);
                // A program that was started may have told already; it is not asked again.
                Err(Trouble {
                    why,
                    is_lasting: !matches!(error, CallError::Start { .. }),
                })
            }
            Err(_) => Err(Trouble::lasting("the call broke off")),
        }
    }

    fn describe(&self) -> String {
        format!("command `{}`", self.0.first().map(String::as_str).unwrap_or_default())
    }
}
