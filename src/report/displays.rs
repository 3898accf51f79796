//! The displays that a style asks for, each shown everything.

use std::time::Duration;

use super::ci::github::GitHub;
use super::ci::gitlab::GitLab;
use super::display::{Display, Told, What};
use super::json::Json;
use super::live::Live;
use super::plain::Plain;
use super::sink::Sink;
use super::streams::Streams;
use super::style::{Ci, Form, Style};
use guard_model::secret::Redaction;

/// All displays of a style.
pub(super) struct Displays {
    people: Box<dyn Display>,
    machine: Option<Json>,
    out: Option<Sink>,
}

impl Displays {
    /// The displays of this style on these streams.
    #[must_use]
    pub(super) fn new(style: &Style, streams: Streams, redaction: Redaction) -> Self {
        let (out, err) = (Sink::new(streams.out), Sink::new(streams.err));
        let people: Box<dyn Display> = match (style.form, &style.ci) {
            (Form::Live, _) => Box::new(Live::new(style, err, streams.size, redaction.clone())),
            (Form::Plain, None) => Box::new(Plain::new(style, err, redaction.clone(), None)),
            (Form::Plain, Some(Ci::GitHub { .. })) => Box::new(Plain::new(
                style,
                err,
                redaction.clone(),
                Some(Box::<GitHub>::default()),
            )),
            (Form::Plain, Some(Ci::GitLab { .. })) => Box::new(Plain::new(
                style,
                err,
                redaction.clone(),
                Some(Box::<GitLab>::default()),
            )),
        };
        let (machine, out) = if style.json {
            (Some(Json::new(out, redaction)), None)
        } else {
            (None, Some(out))
        };
        Self { people, machine, out }
    }
}

impl Display for Displays {
    fn show(&mut self, told: &Told) {
        if let (What::Data(text), Some(out)) = (&told.what, &mut self.out) {
            out.write(text);
        }
        self.people.show(told);
        if let Some(machine) = &mut self.machine {
            machine.show(told);
        }
    }

    fn tick(&mut self, at: Duration) {
        self.people.tick(at);
    }

    fn dropped(&mut self, count: u64) {
        self.people.dropped(count);
        if let Some(machine) = &mut self.machine {
            machine.dropped(count);
        }
    }

    fn close(&mut self) {
        self.people.close();
        if let Some(machine) = &mut self.machine {
            machine.close();
        }
    }
}
