//! The parts of a statement, each checked as it is taken.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::{BadProgram, Parsed};
use crate::program::{Constant, Kind, Raise};

/// The parts of one statement, taken one after the other.
pub(super) struct Args<'a> {
    pub(super) op: &'a str,
    pub(super) rest: &'a [Json],
}

impl<'a> Args<'a> {
    pub(super) fn new(json: &'a Json) -> Parsed<Self> {
        match json.as_array().map(Vec::as_slice) {
            Some([Json::String(op), rest @ ..]) => Ok(Self { op, rest }),
            _ => Err(BadProgram::new(&format!("not a statement: {json}"))),
        }
    }

    pub(super) fn next(&mut self) -> Parsed<&'a Json> {
        let (first, rest) = self
            .rest
            .split_first()
            .ok_or_else(|| BadProgram::new(&format!("{} lacks an argument", self.op)))?;
        self.rest = rest;
        Ok(first)
    }

    pub(super) fn end(&self) -> Parsed<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(BadProgram::new(&format!(
                "{} has too many arguments",
                self.op
            )))
        }
    }

    pub(super) fn text(&mut self) -> Parsed<&'a str> {
        text(self.next()?)
    }

    pub(super) fn boolean(&mut self) -> Parsed<bool> {
        let json = self.next()?;
        json.as_bool()
            .ok_or_else(|| BadProgram::new(&format!("expected true or false, not {json}")))
    }

    pub(super) fn integer(&mut self) -> Parsed<i64> {
        let json = self.next()?;
        json.as_i64()
            .ok_or_else(|| BadProgram::new(&format!("expected an integer, not {json}")))
    }

    pub(super) fn integer_or(&mut self, default: i64) -> Parsed<i64> {
        if self.rest.is_empty() {
            Ok(default)
        } else {
            self.integer()
        }
    }

    pub(super) fn number_and_text(&mut self) -> Parsed<(f64, String)> {
        let json = self.next()?;
        let number = json
            .as_f64()
            .ok_or_else(|| BadProgram::new(&format!("expected a number, not {json}")))?;
        Ok((number, constant(json)?.to_string()))
    }

    pub(super) fn optional_number(&mut self) -> Parsed<Option<f64>> {
        match self.rest.first() {
            Some(Json::Null) => self.next().map(|_| None),
            _ => Ok(Some(self.number_and_text()?.0)),
        }
    }

    /// The message of a `cancel`: absent, null or any value, which a trace shows as text.
    pub(super) fn message(&mut self) -> Parsed<Option<String>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        Ok(match self.constant()? {
            Constant::None => None,
            other => Some(other.to_string()),
        })
    }

    pub(super) fn constant(&mut self) -> Parsed<Constant> {
        constant(self.next()?)
    }
}

pub(super) fn constant(json: &Json) -> Parsed<Constant> {
    Ok(match json {
        Json::Null => Constant::None,
        Json::Bool(value) => Constant::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.is_f64(), number.as_f64()) {
            (Some(integer), _, _) => Constant::Int(integer),
            (None, true, Some(float)) => Constant::Float(float),
            _ => return Err(BadProgram::new(&format!("number too large: {number}"))),
        },
        Json::String(text) => Constant::Str(text.as_str().into()),
        Json::Array(items) => Constant::List(items.iter().map(constant).collect::<Parsed<_>>()?),
        Json::Object(_) => return Err(BadProgram::new("an object is no value")),
    })
}

pub(super) fn one(kind_name: &Json, message: &Json) -> Parsed<Raise> {
    Ok(Raise::One(kind(kind_name)?, shown(constant(message)?)))
}

pub(super) fn group(message: &Json, members: &Json) -> Parsed<Raise> {
    let mut inner = Vec::new();
    for member in array(members, "members")? {
        let [first, second] = array(member, "a member")? else {
            return Err(BadProgram::new(
                "a member is [KIND, MESSAGE] or [MESSAGE, MEMBERS]",
            ));
        };
        inner.push(if second.is_array() {
            group(first, second)?
        } else {
            one(first, second)?
        });
    }
    Ok(Raise::Group(shown(constant(message)?), inner))
}

pub(super) fn kind(json: &Json) -> Parsed<Kind> {
    let name = text(json)?;
    Kind::named(name).ok_or_else(|| BadProgram::new(&format!("unknown kind of exception {name:?}")))
}

/// Bytes, each written as one character.
pub(super) fn bytes(json: &Json) -> Parsed<Vec<u8>> {
    text(json)?
        .chars()
        .map(|c| u8::try_from(u32::from(c)).map_err(|_| BadProgram::new("a byte above 255")))
        .collect()
}

pub(super) fn shown(constant: Constant) -> Arc<str> {
    match constant {
        Constant::Str(text) => text,
        other => other.to_string().into(),
    }
}

pub(super) fn object<'a>(json: &'a Json, what: &str) -> Parsed<&'a Map<String, Json>> {
    json.as_object()
        .ok_or_else(|| BadProgram::new(&format!("{what} must be an object")))
}

pub(super) fn array<'a>(json: &'a Json, what: &str) -> Parsed<&'a [Json]> {
    json.as_array()
        .map(Vec::as_slice)
        .ok_or_else(|| BadProgram::new(&format!("{what} must be an array")))
}

pub(super) fn text(json: &Json) -> Parsed<&str> {
    json.as_str()
        .ok_or_else(|| BadProgram::new(&format!("expected a string, not {json}")))
}
