//! Makes a typed tree of a condition's words; what is wrong is told with its place and the nearest right name.

use super::complaint::Complaint;
use super::lexer::{Token, cut};
use super::question::Type;
use super::tree::{Expr, Node, Sign};
use guard_model::health::Numbers;
use guard_model::name::ProbeName;

/// No condition that a person means is nested deeper.
const DEEPEST: u32 = 50;

/// A part with its type and its place.
pub(super) struct Part {
    pub(super) node: Node,
    pub(super) kind: Type,
    pub(super) at: usize,
}

pub(super) struct Parser<'p> {
    pub(super) text: &'p str,
    pub(super) tokens: Vec<(usize, Token)>,
    pub(super) next: usize,
    depth: u32,
    pub(super) probes: &'p [(ProbeName, Numbers)],
}

/// Reads a condition that asks about these probes.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse(text: &str, probes: &[(ProbeName, Numbers)]) -> Result<Expr, Complaint> {
    let mut parser = Parser {
        text,
        tokens: cut(text)?,
        next: 0,
        depth: 0,
        probes,
    };
    let whole = parser.either()?;
    if let Some((at, _)) = parser.tokens.get(parser.next) {
        return Err(Complaint::new(
            *at,
            "nothing is expected here",
            Some("`and` and `or` join conditions".to_owned()),
        ));
    }
    expect(
        &whole,
        Type::Truth,
        "a rule needs a condition, as in `failures('web', 5m) >= 3`",
    )?;
    Ok(Expr(whole.node))
}

fn expect(part: &Part, kind: Type, hint: &str) -> Result<(), Complaint> {
    if part.kind == kind {
        return Ok(());
    }
    let message = format!("expected {}, found {}", kind.noun(), part.kind.noun());
    Err(Complaint::new(part.at, message, Some(hint.to_owned())))
}

impl Parser<'_> {
    pub(super) fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |(at, _)| *at)
    }

    /// Takes the next word if it is one of these signs or words.
    fn takes(&mut self, wanted: &[(&str, Sign)]) -> Option<Sign> {
        let (_, token) = self.tokens.get(self.next)?;
        let (Token::Sign(_) | Token::Word(_)) = token else {
            return None;
        };
        let found = wanted.iter().find(|(text, _)| match token {
            Token::Sign(sign) => sign == text,
            Token::Word(word) => word == text,
            _ => false,
        })?;
        self.next += 1;
        Some(found.1)
    }

    pub(super) fn is_sign(&mut self, wanted: &str) -> bool {
        let is = matches!(self.tokens.get(self.next), Some((_, Token::Sign(sign))) if *sign == wanted);
        self.next += usize::from(is);
        is
    }

    pub(super) fn needs(&mut self, wanted: &str) -> Result<(), Complaint> {
        if self.is_sign(wanted) {
            return Ok(());
        }
        Err(Complaint::new(self.at(), format!("expected `{wanted}`"), None))
    }

    fn either(&mut self) -> Result<Part, Complaint> {
        let mut left = self.both()?;
        while let Some(sign) = self.takes(&[("or", Sign::Or), ("||", Sign::Or)]) {
            let right = self.both()?;
            left = joined(sign, left, right)?;
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Part, Complaint> {
        let mut left = self.negation()?;
        while let Some(sign) = self.takes(&[("and", Sign::And), ("&&", Sign::And)]) {
            let right = self.negation()?;
            left = joined(sign, left, right)?;
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Part, Complaint> {
        let at = self.at();
        if self.takes(&[("not", Sign::And), ("!", Sign::And)]).is_none() {
            return self.comparison();
        }
        self.deeper()?;
        let inner = self.negation()?;
        self.depth -= 1;
        expect(&inner, Type::Truth, "`not` turns a condition round")?;
        Ok(Part {
            node: Node::Not(Box::new(inner.node)),
            kind: Type::Truth,
            at,
        })
    }

    fn comparison(&mut self) -> Result<Part, Complaint> {
        let left = self.sum()?;
        let signs = [
            (">=", Sign::Least),
            ("<=", Sign::Most),
            (">", Sign::Over),
            ("<", Sign::Under),
            ("==", Sign::Same),
            ("!=", Sign::Differs),
        ];
        let Some(sign) = self.takes(&signs) else {
            return Ok(left);
        };
        let right = self.sum()?;
        let hint = match (left.kind, right.kind) {
            (Type::Truth, _) | (_, Type::Truth) => Some("a condition is joined with `and` or `or`".to_owned()),
            (Type::Span, Type::Number) => Some("a span of time has a unit: `400ms`, `10s`, `5m`".to_owned()),
            (Type::Number, Type::Span) => Some("a number has no unit".to_owned()),
            _ => None,
        };
        if let Some(hint) = hint {
            let message = format!("cannot compare {} with {}", left.kind.noun(), right.kind.noun());
            return Err(Complaint::new(right.at, message, Some(hint)));
        }
        Ok(two(sign, left, right, Type::Truth))
    }

    fn sum(&mut self) -> Result<Part, Complaint> {
        let mut left = self.product()?;
        while let Some(sign) = self.takes(&[("+", Sign::Plus), ("-", Sign::Minus)]) {
            let right = self.product()?;
            if left.kind != right.kind || left.kind == Type::Truth {
                let message = format!("cannot add or subtract {} and {}", left.kind.noun(), right.kind.noun());
                return Err(Complaint::new(right.at, message, None));
            }
            let kind = left.kind;
            left = two(sign, left, right, kind);
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Part, Complaint> {
        let mut left = self.single()?;
        while let Some(sign) = self.takes(&[("*", Sign::Times), ("/", Sign::By)]) {
            let right = self.single()?;
            let kind = match (sign, left.kind, right.kind) {
                (_, Type::Number, Type::Number) | (Sign::By, Type::Span, Type::Span) => Type::Number,
                (_, Type::Span, Type::Number) | (Sign::Times, Type::Number, Type::Span) => Type::Span,
                _ => {
                    let message = format!(
                        "cannot multiply or divide {} and {}",
                        left.kind.noun(),
                        right.kind.noun()
                    );
                    return Err(Complaint::new(right.at, message, None));
                }
            };
            left = two(sign, left, right, kind);
        }
        Ok(left)
    }

    fn deeper(&mut self) -> Result<(), Complaint> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Complaint::new(self.at(), "this is nested too deep", None));
        }
        Ok(())
    }

    fn single(&mut self) -> Result<Part, Complaint> {
        let at = self.at();
        let Some((_, token)) = self.tokens.get(self.next).cloned() else {
            return Err(Complaint::new(at, "something is missing at the end", None));
        };
        self.next += 1;
        let constant = |value, kind| {
            Ok(Part {
                node: Node::Constant(value),
                kind,
                at,
            })
        };
        match token {
            Token::Number(number) => constant(number, Type::Number),
            Token::Span(span) => constant(span, Type::Span),
            Token::Sign("(") => {
                self.deeper()?;
                let inner = self.either()?;
                self.needs(")")?;
                self.depth -= 1;
                Ok(Part { at, ..inner })
            }
            Token::Sign("-") => {
                self.deeper()?;
                let inner = self.single()?;
                self.depth -= 1;
                if inner.kind == Type::Truth {
                    return Err(Complaint::new(
                        at,
                        "a condition has no sign",
                        Some("`not` turns it round".to_owned()),
                    ));
                }
                Ok(Part {
                    node: Node::Negative(Box::new(inner.node)),
                    at,
                    ..inner
                })
            }
            Token::Word(word) => self.call(&word, at),
            Token::Text(text) => Err(Complaint::new(
                at,
                format!("{text:?} alone says nothing"),
                Some("`streak('web')` asks about a probe".to_owned()),
            )),
            Token::Sign(sign) => Err(Complaint::new(at, format!("`{sign}` is not expected here"), None)),
        }
    }
}

fn joined(sign: Sign, left: Part, right: Part) -> Result<Part, Complaint> {
    for part in [&left, &right] {
        expect(part, Type::Truth, "`and` and `or` join conditions")?;
    }
    Ok(two(sign, left, right, Type::Truth))
}

fn two(sign: Sign, left: Part, right: Part, kind: Type) -> Part {
    Part {
        at: left.at,
        node: Node::Two(sign, Box::new(left.node), Box::new(right.node)),
        kind,
    }
}
