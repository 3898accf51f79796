//! A clock that is set by hand, streams that can be read afterwards, and a reporter between them.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use guard::model::event::{Audience, Event};
use guard::model::secret::Redaction;
use guard::report::printer::{Reporter, Streams};
use guard::report::style::{Form, Style, Volume};
use guard::system::clock::Clock;
use serde_json::json;

use super::records::at;

/// A clock that stands still until it is set.
#[derive(Default)]
pub struct SetClock(Mutex<f64>);

impl SetClock {
    pub fn set(&self, seconds: f64) {
        *self.0.lock().unwrap() = seconds;
    }
}

impl Clock for SetClock {
    fn now(&self) -> DateTime<Utc> {
        at(0) + TimeDelta::from_std(self.steady()).unwrap()
    }
    fn steady(&self) -> Duration {
        Duration::from_secs_f64(*self.0.lock().unwrap())
    }
    fn sleep(&self, _: Duration) {}
}

/// A stream that is kept.
#[derive(Default, Clone)]
pub struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub fn style(form: Form) -> Style {
    Style {
        form,
        json: false,
        ci: None,
        colour: false,
        unicode: true,
        volume: Volume::Normal,
        program: "guard".into(),
    }
}

/// Columns and rows of a terminal.
pub type Size = Box<dyn Fn() -> Option<(u16, u16)> + Send>;

/// What a reporter of this style writes about these events, each with its steady second: stdout, stderr.
pub fn shown(style: Style, events: &[(f64, Event)], columns: u16) -> (String, String) {
    shown_in(style, events, Box::new(move || Some((columns, 24))))
}

/// The same in a terminal whose size may change.
pub fn shown_in(style: Style, events: &[(f64, Event)], size: Size) -> (String, String) {
    let redaction = Redaction::default();
    redaction.learn("hunter2hunter2");
    let (out, err, clock) = (Kept::default(), Kept::default(), Arc::new(SetClock::default()));
    let streams = Streams {
        out: Box::new(out.clone()),
        err: Box::new(err.clone()),
        size,
    };
    let reporter = Reporter::start(style, streams, clock.clone(), redaction).unwrap();
    for (seconds, event) in events {
        clock.set(*seconds);
        reporter.tell(event);
    }
    assert!(
        reporter.finish(Some(json!({"exit_code": 0})), Duration::from_secs(20)),
        "everything was written"
    );
    (out.text(), err.text())
}

/// The same on stderr alone, all told at once.
pub fn said(style: Style, events: Vec<Event>) -> String {
    let events: Vec<_> = events.into_iter().map(|event| (0.0, event)).collect();
    shown(style, &events, 80).1
}
