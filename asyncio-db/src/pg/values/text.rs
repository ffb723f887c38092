//! Values as the server writes them as text.

use std::fmt;

use postgres_types::{Kind, Type};

use super::dynamic::{Value, is_oid, is_text, simple};
use super::{
    BitString, BoxError, Circle, Date, Inet, Interval, Json, Line, LineSegment, MacAddr, Numeric,
    ParseError, Path, Point, Polygon, Rectangle, Snapshot, Tid, Time, TimeTz, Timestamp,
    TimestampTz, Uuid,
};

/// Reads a text as a value of a type.
pub(super) fn parse(type_: &Type, text: &str) -> Result<Value, BoxError> {
    match type_.kind() {
        Kind::Domain(of) => return parse(of, text),
        Kind::Array(of) => return Elements::parse(of, text),
        Kind::Simple | Kind::Enum(_) | Kind::Pseudo => {}
        _ => return Err(format!("a value of {} is not read from text", type_.name()).into()),
    }
    if is_text(type_) {
        return Ok(Value::Text(text.to_owned()));
    }
    if is_oid(type_) {
        return Ok(Value::Oid(text.parse()?));
    }
    if *type_ == Type::XID8 {
        return Ok(Value::Xid8(text.parse()?));
    }
    macro_rules! all {
        ($($variant:ident $rust:ident $(::<$of:ty>)? $name:ident),* $(,)?) => {
            match type_ {
                $(it if *it == Type::$name => {
                    Ok(Value::$variant(<$rust $(<$of>)? as FromText>::from_text(text)?))
                })*
                // Nothing is known of it, but what the server has said.
                _ => Ok(Value::Text(text.to_owned())),
            }
        };
    }
    let value = simple!(all);
    match value {
        Ok(Value::Inet(network)) if *type_ == Type::CIDR => Ok(Value::Inet(network.network())),
        value => value,
    }
}

trait FromText: Sized {
    fn from_text(text: &str) -> Result<Self, BoxError>;
}

macro_rules! parsed {
    ($($name:ty),*) => {
        $(impl FromText for $name {
            fn from_text(text: &str) -> Result<Self, BoxError> {
                Ok(text.parse()?)
            }
        })*
    };
}

parsed!(
    i16,
    i32,
    i64,
    u32,
    f32,
    f64,
    Numeric,
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Interval,
    Uuid,
    Inet,
    MacAddr,
    BitString,
    Point,
    Line,
    LineSegment,
    Rectangle,
    Path,
    Polygon,
    Circle,
    Tid,
    Snapshot
);

impl FromText for bool {
    fn from_text(text: &str) -> Result<Self, BoxError> {
        match text {
            "t" | "true" => Ok(true),
            "f" | "false" => Ok(false),
            _ => Err(ParseError::new("truth value", text).into()),
        }
    }
}

impl FromText for i8 {
    fn from_text(text: &str) -> Result<Self, BoxError> {
        match text.as_bytes() {
            [] => Ok(0),
            [byte] => Ok(Self::from_ne_bytes([*byte])),
            _ => Err(ParseError::new("byte", text).into()),
        }
    }
}

impl FromText for Json {
    fn from_text(text: &str) -> Result<Self, BoxError> {
        Ok(Self(text.to_owned()))
    }
}

impl FromText for Vec<u8> {
    fn from_text(text: &str) -> Result<Self, BoxError> {
        let failed = || ParseError::new("string of bytes", text);
        let digits = text.strip_prefix("\\x").ok_or_else(failed)?.as_bytes();
        let digit = |it: u8| {
            char::from(it)
                .to_digit(16)
                .and_then(|it| u8::try_from(it).ok())
        };
        let pairs = digits.chunks(2).map(|pair| match *pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        });
        Ok(pairs.collect::<Option<_>>().ok_or_else(failed)?)
    }
}

/// The elements of an array, as they come.
struct Elements<'a> {
    of: &'a Type,
    text: &'a str,
    rest: &'a str,
}

impl<'a> Elements<'a> {
    fn parse(of: &'a Type, text: &'a str) -> Result<Value, BoxError> {
        // The bounds of dimensions stand before an equals sign.
        let rest = match text.strip_prefix('[') {
            Some(_) => text.split_once('=').map_or("", |(_, rest)| rest),
            None => text,
        };
        let mut elements = Self { of, text, rest };
        let array = elements.array()?;
        if elements.rest.is_empty() {
            Ok(array)
        } else {
            Err(elements.failed().into())
        }
    }

    fn failed(&self) -> ParseError {
        ParseError::new("array", self.text)
    }

    /// What stands between two elements.
    fn delimiter(&self) -> char {
        if *self.of == Type::BOX { ';' } else { ',' }
    }

    fn skip(&mut self, it: char) -> bool {
        let rest = self.rest.strip_prefix(it);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn array(&mut self) -> Result<Value, BoxError> {
        if !self.skip('{') {
            return Err(self.failed().into());
        }
        let mut all = Vec::new();
        if self.skip('}') {
            return Ok(Value::Array(all));
        }
        loop {
            all.push(self.element()?);
            if self.skip('}') {
                return Ok(Value::Array(all));
            }
            if !self.skip(self.delimiter()) {
                return Err(self.failed().into());
            }
        }
    }

    fn element(&mut self) -> Result<Value, BoxError> {
        if self.rest.starts_with('{') {
            return self.array();
        }
        if self.skip('"') {
            let mut text = String::new();
            let mut letters = self.rest.char_indices();
            while let Some((at, letter)) = letters.next() {
                match letter {
                    '"' => {
                        self.rest = &self.rest[at + 1..];
                        return parse(self.of, &text);
                    }
                    '\\' => text.extend(letters.next().map(|(_, letter)| letter)),
                    letter => text.push(letter),
                }
            }
            return Err(self.failed().into());
        }
        let delimiter = self.delimiter();
        let end = self
            .rest
            .find([delimiter, '}'])
            .ok_or_else(|| self.failed())?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        if text.eq_ignore_ascii_case("null") {
            return Ok(Value::Null);
        }
        parse(self.of, text)
    }
}

impl fmt::Display for Value {
    /// As the server writes it, in a session whose time zone is UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Bool(it) => f.write_str(if *it { "t" } else { "f" }),
            Self::Int2(it) => write!(f, "{it}"),
            Self::Int4(it) => write!(f, "{it}"),
            Self::Int8(it) => write!(f, "{it}"),
            Self::Oid(it) => write!(f, "{it}"),
            Self::Xid8(it) => write!(f, "{it}"),
            Self::Float4(it) if it.is_infinite() => {
                f.write_str(if *it > 0.0 { "Infinity" } else { "-Infinity" })
            }
            Self::Float4(it) => write!(f, "{it}"),
            Self::Float8(it) if it.is_infinite() => {
                f.write_str(if *it > 0.0 { "Infinity" } else { "-Infinity" })
            }
            Self::Float8(it) => write!(f, "{it}"),
            Self::Numeric(it) => write!(f, "{it}"),
            Self::Text(it) => f.write_str(it),
            Self::Bytes(it) | Self::Other(it) => {
                f.write_str("\\x")?;
                it.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Char(0) => Ok(()),
            Self::Char(it) => write!(f, "{}", char::from(it.to_ne_bytes()[0])),
            Self::Date(it) => write!(f, "{it}"),
            Self::Time(it) => write!(f, "{it}"),
            Self::TimeTz(it) => write!(f, "{it}"),
            Self::Timestamp(it) => write!(f, "{it}"),
            Self::TimestampTz(it) => write!(f, "{it}"),
            Self::Interval(it) => write!(f, "{it}"),
            Self::Uuid(it) => write!(f, "{it}"),
            Self::Json(it) => write!(f, "{it}"),
            Self::Inet(it) => write!(f, "{it}"),
            Self::MacAddr(it) => write!(f, "{it}"),
            Self::Bits(it) => write!(f, "{it}"),
            Self::Point(it) => write!(f, "{it}"),
            Self::Line(it) => write!(f, "{it}"),
            Self::LineSegment(it) => write!(f, "{it}"),
            Self::Rectangle(it) => write!(f, "{it}"),
            Self::Path(it) => write!(f, "{it}"),
            Self::Polygon(it) => write!(f, "{it}"),
            Self::Circle(it) => write!(f, "{it}"),
            Self::Tid(it) => write!(f, "{it}"),
            Self::Snapshot(it) => write!(f, "{it}"),
            Self::Array(elements) => write_array(elements, f),
            Self::Composite(it) => {
                f.write_str("(")?;
                for (index, (_, value)) in it.items().enumerate() {
                    f.write_str(if index == 0 { "" } else { "," })?;
                    if !value.is_null() {
                        write_quoted(&value.to_string(), f, "(),", "\"\"")?;
                    }
                }
                f.write_str(")")
            }
            Self::Range(it) => write_range(it, f),
            Self::MultiRange(all) => {
                f.write_str("{")?;
                for (index, range) in all.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { "," })?;
                    write_range(range, f)?;
                }
                f.write_str("}")
            }
            Self::Hstore(all) => {
                for (index, (key, value)) in all.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{key:?}=>")?;
                    match value {
                        Some(value) => write!(f, "{value:?}")?,
                        None => f.write_str("NULL")?,
                    }
                }
                Ok(())
            }
            Self::Custom(it) => write!(f, "{it:?}"),
        }
    }
}

fn write_array(elements: &[Value], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("{")?;
    for (index, element) in elements.iter().enumerate() {
        let delimiter = match (index, element) {
            (0, _) => "",
            (_, Value::Rectangle(_)) => ";",
            _ => ",",
        };
        f.write_str(delimiter)?;
        match element {
            Value::Null => f.write_str("NULL")?,
            Value::Array(elements) => write_array(elements, f)?,
            Value::Rectangle(it) => write!(f, "{it}")?,
            element => {
                let text = element.to_string();
                if text.eq_ignore_ascii_case("null") {
                    write!(f, "\"{text}\"")?;
                } else {
                    write_quoted(&text, f, "{},", "\\\"")?;
                }
            }
        }
    }
    f.write_str("}")
}

/// Writes a text in quotes, where it needs them.
fn write_quoted(text: &str, f: &mut fmt::Formatter<'_>, special: &str, quote: &str) -> fmt::Result {
    let needs =
        |it: char| it == '"' || it == '\\' || it.is_ascii_whitespace() || special.contains(it);
    if !text.is_empty() && !text.contains(needs) {
        return f.write_str(text);
    }
    let quoted = text.replace('\\', "\\\\").replace('"', quote);
    write!(f, "\"{quoted}\"")
}

fn write_range(range: &super::Range<Value>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if range.is_empty() {
        return f.write_str("empty");
    }
    f.write_str(if range.lower_inc { "[" } else { "(" })?;
    if let Some(lower) = &range.lower {
        write_quoted(&lower.to_string(), f, "()[],", "\"\"")?;
    }
    f.write_str(",")?;
    if let Some(upper) = &range.upper {
        write_quoted(&upper.to_string(), f, "()[],", "\"\"")?;
    }
    f.write_str(if range.upper_inc { "]" } else { ")" })
}
