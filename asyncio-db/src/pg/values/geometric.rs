//! Points, and what is made of them.

use std::fmt;
use std::str::FromStr;

use bytes::{BufMut, BytesMut};

use super::{Binary, BoxError, ParseError, Reader, sql};

/// A `point`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a plane has two dimensions")]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Upwards.
    pub y: f64,
}

/// A `line` without an end: where `a x + b y + c` is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a line is these three")]
pub struct Line {
    /// The factor of x.
    pub a: f64,
    /// The factor of y.
    pub b: f64,
    /// What is added.
    pub c: f64,
}

/// An `lseg`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a segment has two ends")]
pub struct LineSegment {
    /// One end.
    pub p1: Point,
    /// The other.
    pub p2: Point,
}

/// A `box`, by two corners (`asyncpg.Box`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "two corners say all of it")]
pub struct Rectangle {
    /// The upper right corner.
    pub high: Point,
    /// The lower left corner.
    pub low: Point,
}

/// A `path`.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is open or closed")]
pub struct Path {
    /// What it goes through.
    pub points: Vec<Point>,
    /// Whether it ends where it begins.
    pub is_closed: bool,
}

/// A `polygon`.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "its corners say all of it")]
pub struct Polygon {
    /// Its corners.
    pub points: Vec<Point>,
}

/// A `circle`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "these two say all of it")]
pub struct Circle {
    /// Its middle.
    pub center: Point,
    /// How far it goes from there.
    pub radius: f64,
}

impl Point {
    /// A point.
    #[must_use]
    pub const fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }
}

impl From<(f64, f64)> for Point {
    fn from((x, y): (f64, f64)) -> Self {
        Self { x, y }
    }
}

/// All numbers of a text, whatever brackets they are in.
fn numbers(text: &str) -> Option<Vec<f64>> {
    let plain: String = text
        .chars()
        .filter(|it| !"()[]{}<>".contains(*it))
        .collect();
    plain.split(',').map(|it| it.trim().parse().ok()).collect()
}

fn points(numbers: &[f64]) -> Vec<Point> {
    let pairs = numbers.chunks_exact(2);
    pairs.map(|pair| Point::new(pair[0], pair[1])).collect()
}

macro_rules! text {
    ($name:ident, $type_:literal, |$text:ident, $numbers:ident| $made:expr) => {
        impl FromStr for $name {
            type Err = ParseError;

            fn from_str($text: &str) -> Result<Self, ParseError> {
                let made = numbers($text).and_then(|$numbers: Vec<f64>| $made);
                made.ok_or_else(|| ParseError::new($type_, $text))
            }
        }
    };
}

text!(Point, "point", |text, it| match it[..] {
    [x, y] => Some(Self { x, y }),
    _ => None,
});
text!(Line, "line", |text, it| match it[..] {
    [a, b, c] => Some(Self { a, b, c }),
    _ => None,
});
text!(
    LineSegment,
    "line segment",
    |text, it| match points(&it)[..] {
        [p1, p2] => Some(Self { p1, p2 }),
        _ => None,
    }
);
text!(Rectangle, "box", |text, it| match points(&it)[..] {
    [high, low] => Some(Self { high, low }),
    _ => None,
});
text!(Path, "path", |text, it| Some(Self {
    points: points(&it),
    is_closed: text.trim_start().starts_with('('),
}));
text!(Polygon, "polygon", |text, it| Some(Self {
    points: points(&it),
}));
text!(Circle, "circle", |text, it| match it[..] {
    [x, y, radius] => Some(Self {
        center: Point { x, y },
        radius,
    }),
    _ => None,
});

struct Points<'a>(&'a [Point]);

impl fmt::Display for Points<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, point) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{point}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.x, self.y)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{},{},{}}}", self.a, self.b, self.c)
    }
}

impl fmt::Display for LineSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{},{}]", self.p1, self.p2)
    }
}

impl fmt::Display for Rectangle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.high, self.low)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let points = Points(&self.points);
        if self.is_closed {
            write!(f, "({points})")
        } else {
            write!(f, "[{points}]")
        }
    }
}

impl fmt::Display for Polygon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({})", Points(&self.points))
    }
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{},{}>", self.center, self.radius)
    }
}

impl Binary for Point {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BoxError> {
        Ok(Self {
            x: reader.f64()?,
            y: reader.f64()?,
        })
    }

    fn write(&self, out: &mut BytesMut) -> Result<(), BoxError> {
        out.put_f64(self.x);
        out.put_f64(self.y);
        Ok(())
    }
}

fn read_points(reader: &mut Reader<'_>) -> Result<Vec<Point>, BoxError> {
    let count = reader.count(16)?;
    (0..count).map(|_| Point::read(reader)).collect()
}

fn write_points(points: &[Point], out: &mut BytesMut) -> Result<(), BoxError> {
    out.put_i32(i32::try_from(points.len())?);
    points.iter().try_for_each(|point| point.write(out))
}

impl Binary for Line {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BoxError> {
        Ok(Self {
            a: reader.f64()?,
            b: reader.f64()?,
            c: reader.f64()?,
        })
    }

    fn write(&self, out: &mut BytesMut) -> Result<(), BoxError> {
        [self.a, self.b, self.c]
            .into_iter()
            .for_each(|it| out.put_f64(it));
        Ok(())
    }
}

impl Binary for LineSegment {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BoxError> {
        Ok(Self {
            p1: Point::read(reader)?,
            p2: Point::read(reader)?,
        })
    }

    fn write(&self, out: &mut BytesMut) -> Result<(), BoxError> {
        self.p1.write(out)?;
        self.p2.write(out)
    }
}

impl Binary for Rectangle {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BoxError> {
        Ok(Self {
            high: Point::read(reader)?,
            low: Point::read(reader)?,
        })
    }

    fn write(&self, out: &mut BytesMut) -> Result<(), BoxError> {
        self.high.write(out)?;
        self.low.write(out)
    }
}

impl Binary for Path {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BoxError> {
        let is_closed = reader.u8()? != 0;
        let points = read_points(reader)?;
        Ok(Self { points, is_closed })
    }

    fn write(&self, out: &mut BytesMut) -> Result<(), BoxError> {
        out.put_u8(u8::from(self.is_closed));
        write_points(&self.points, out)
    }
}

impl Binary for Polygon {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BoxError> {
        let points = read_points(reader)?;
        Ok(Self { points })
    }

    fn write(&self, out: &mut BytesMut) -> Result<(), BoxError> {
        write_points(&self.points, out)
    }
}

impl Binary for Circle {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BoxError> {
        Ok(Self {
            center: Point::read(reader)?,
            radius: reader.f64()?,
        })
    }

    fn write(&self, out: &mut BytesMut) -> Result<(), BoxError> {
        self.center.write(out)?;
        out.put_f64(self.radius);
        Ok(())
    }
}

sql!(Point: POINT);
sql!(Line: LINE);
sql!(LineSegment: LSEG);
sql!(Rectangle: BOX);
sql!(Path: PATH);
sql!(Polygon: POLYGON);
sql!(Circle: CIRCLE);
