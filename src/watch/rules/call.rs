//! Reads a question to the readings inside a condition: `failures('web', 5m)`.

use super::complaint::Complaint;
use super::functions::{FUNCTIONS, Function, Takes};
use super::lexer::Token;
use super::parser::{Parser, Part};
use super::question::{Ask, Call};
use super::tree::Node;
use guard_model::health::Numbers;
use guard_model::name::ProbeName;
use guard_model::setting::nearest;

/// Nobody looks back further, in seconds: all that is seen until then is remembered. A guess.
const FURTHEST: f64 = 3600.0;

impl Parser<'_> {
    pub(super) fn call(&mut self, word: &str, at: usize) -> Result<Part, Complaint> {
        let names = || FUNCTIONS.iter().map(|function| function.name);
        let Some(function) = FUNCTIONS.iter().find(|function| function.name == word) else {
            let hint = nearest(word, names())
                .unwrap_or_else(|| format!("there are: {}", names().collect::<Vec<_>>().join(", ")));
            return Err(Complaint::new(at, format!("there is no function `{word}`"), Some(hint)));
        };
        self.needs("(")?;
        let (mut probe, mut figure, mut span) = (None, None, 0.0);
        for (number, takes) in function.takes.iter().enumerate() {
            if number > 0 {
                self.needs(",")?;
            }
            let at = self.at();
            let token = self.tokens.get(self.next).map(|(_, token)| token.clone());
            self.next += 1;
            match (takes, token) {
                (Takes::Probe, Some(Token::Text(name) | Token::Word(name))) => {
                    let (found, number) = self.probe(&name, function, at)?;
                    (probe, figure) = (Some(found), number);
                }
                (Takes::Span, Some(Token::Span(seconds))) => span = seconds,
                (Takes::Minutes, Some(Token::Number(minutes))) => span = minutes * 60.0,
                _ => return Err(Complaint::new(at, wanted(*takes), Some(usage(function)))),
            }
            if span > FURTHEST {
                return Err(Complaint::new(at, "nobody remembers longer than `1h`", None));
            }
        }
        if !self.is_sign(")") {
            return Err(Complaint::new(self.at(), "expected `)`", Some(usage(function))));
        }
        if function.has_value {
            self.needs(".")?;
            let is_value = matches!(self.tokens.get(self.next), Some((_, Token::Word(word))) if word == "value");
            if !is_value {
                return Err(Complaint::new(self.at(), "expected `value`", Some(usage(function))));
            }
            self.next += 1;
        }
        let text = self.text.get(at..self.at()).unwrap_or_default().trim_end().to_owned();
        Ok(Part {
            node: Node::Call(Call {
                ask: function.ask,
                probe,
                figure,
                span,
                gives: function.gives,
                text,
            }),
            kind: function.gives,
            at,
        })
    }

    /// The probe of this name, and the number of it that is meant: `machine.disk`.
    fn probe(
        &self,
        written: &str,
        function: &Function,
        at: usize,
    ) -> Result<(ProbeName, Option<&'static str>), Complaint> {
        let is_metric = function.ask == Ask::Metric;
        let of = |name: &str| self.probes.iter().find(|(probe, _)| probe.as_str() == name);
        if let Some((probe, numbers)) = of(written) {
            return match numbers {
                _ if !is_metric => Ok((probe.clone(), None)),
                Numbers::One => Ok((probe.clone(), None)),
                Numbers::Named(names) => {
                    let all: Vec<String> = names.iter().map(|name| format!("'{written}.{name}'")).collect();
                    let hint = format!("say which: {}", all.join(", "));
                    Err(Complaint::new(
                        at,
                        format!("{written:?} tells several numbers"),
                        Some(hint),
                    ))
                }
                Numbers::None => {
                    let able = self.probes.iter().filter(|(_, numbers)| *numbers != Numbers::None);
                    let able: Vec<&str> = able.map(|(probe, _)| probe.as_str()).collect();
                    let hint = if able.is_empty() {
                        "probes of the kinds command, prometheus, log and host do".to_owned()
                    } else {
                        format!("these do: {}", able.join(", "))
                    };
                    let what = format!("{written:?} never tells a number, so this could not fire");
                    Err(Complaint::new(at, what, Some(hint)))
                }
            };
        }
        if let Some((name, number)) = written.rsplit_once('.')
            && let Some((probe, Numbers::Named(names))) = of(name)
            && is_metric
        {
            if let Some(known) = names.iter().find(|known| **known == number) {
                return Ok((probe.clone(), Some(known)));
            }
            let hint = nearest(number, names.iter().copied());
            let hint = hint.unwrap_or_else(|| format!("there are: {}", names.join(", ")));
            return Err(Complaint::new(
                at,
                format!("{name:?} tells no number {number:?}"),
                Some(hint),
            ));
        }
        let hint = nearest(written, self.probes.iter().map(|(probe, _)| probe.as_str()));
        Err(Complaint::new(at, format!("there is no probe {written:?}"), hint))
    }
}

fn wanted(takes: Takes) -> &'static str {
    match takes {
        Takes::Probe => "expected a probe's name in quotes",
        Takes::Span => "expected a span of time, as in `5m`",
        Takes::Minutes => "expected a number of minutes",
    }
}

/// `failures('PROBE', 5m)`.
fn usage(function: &Function) -> String {
    let takes: Vec<&str> = function
        .takes
        .iter()
        .map(|takes| match takes {
            Takes::Probe => "'PROBE'",
            Takes::Span => "5m",
            Takes::Minutes => "5",
        })
        .collect();
    let value = if function.has_value { ".value" } else { "" };
    format!("write `{}({}){value}`", function.name, takes.join(", "))
}
