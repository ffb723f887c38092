//! A value of any type.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_types::{Format, FromSql, IsNull, Kind, ToSql, Type, WrongType, to_sql_checked};

use super::codecs::Codecs;
use super::ranges::{self, Range};
use super::{
    BitString, BoxError, Circle, Date, Inet, Interval, Json, Line, LineSegment, MacAddr, Numeric,
    Path, Point, Polygon, Reader, Rectangle, Snapshot, Tid, Time, TimeTz, Timestamp, TimestampTz,
    Uuid, put_field, text,
};

/// A value of any type, as Python has them: what it is turns out when the program runs.
///
/// [`Record::value`](crate::pg::Record::value) gives it, and a list of them is the arguments of a query;
/// [codecs](super::TypeCodec) of one's own are for these.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> asyncio_core::Result<()> {
/// # let cluster = asyncio_db::testing::PgCluster::create()?;
/// # let dsn = cluster.dsn();
/// use asyncio_db::pg::values::Value;
///
/// asyncio_core::run(async move {
///     let mut connection = asyncio_db::pg::connect(dsn).await?;
///     let query = "SELECT $1::int[] AS numbers, $2::date AS day, ROW(1, 'x') AS pair";
///     let args = vec![Value::from(vec![1, 2]), Value::from("2024-02-29")];
///     let row = connection.fetchrow(query, args).await?.expect("there is one");
///     assert_eq!(row.value("numbers")?, Value::from(vec![1, 2]));
///     assert_eq!(row.value("day")?.to_string(), "2024-02-29");
///     let Value::Composite(pair) = row.value("pair")? else { panic!("it is one") };
///     assert_eq!(pair.get(1), Some(&Value::from("x")));
///     Ok(())
/// })
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
///
/// A text is good for any type: the server reads it, as it reads a text in a query.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is what its name says")]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Int2(i16),
    Int4(i32),
    Int8(i64),
    /// Of `oid`, `xid`, `cid` and the like.
    Oid(u32),
    Xid8(u64),
    Float4(f32),
    Float8(f64),
    Numeric(Numeric),
    /// Of `text` and the like, of enumerations, and of what the server has written as text.
    Text(String),
    Bytes(Vec<u8>),
    /// Of `"char"`.
    Char(i8),
    Date(Date),
    Time(Time),
    TimeTz(TimeTz),
    Timestamp(Timestamp),
    TimestampTz(TimestampTz),
    Interval(Interval),
    Uuid(Uuid),
    Json(Json),
    Inet(Inet),
    MacAddr(MacAddr),
    Bits(BitString),
    Point(Point),
    Line(Line),
    LineSegment(LineSegment),
    Rectangle(Rectangle),
    Path(Path),
    Polygon(Polygon),
    Circle(Circle),
    Tid(Tid),
    Snapshot(Snapshot),
    /// Of several dimensions where its elements are arrays.
    Array(Vec<Self>),
    Composite(Composite),
    Range(Box<Range<Self>>),
    MultiRange(Vec<Range<Self>>),
    Hstore(BTreeMap<String, Option<String>>),
    /// What a codec has made.
    Custom(Custom),
    /// The bytes of a type that nothing is known of.
    Other(Vec<u8>),
}

/// The fields of a composite type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Composite {
    fields: Vec<(String, Value)>,
}

impl Composite {
    /// Fields in order; their names count where it is an argument, and what is missing there is null.
    pub fn new<N: Into<String>, V: Into<Value>>(fields: impl IntoIterator<Item = (N, V)>) -> Self {
        let fields = fields.into_iter();
        Self {
            fields: fields
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// A field by its place.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Value> {
        self.fields.get(index).map(|(_, value)| value)
    }

    /// A field by its name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        let found = self.fields.iter().find(|(it, _)| it == name);
        found.map(|(_, value)| value)
    }

    /// All fields with their names; those of a record without a type have none.
    pub fn items(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }
}

/// A value of any type of Rust's, which a codec has made.
#[derive(Clone)]
pub struct Custom(Arc<dyn Any + Send + Sync>);

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom").finish_non_exhaustive()
    }
}

impl PartialEq for Custom {
    /// Whether it is the very same.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Value {
    /// Reads what the server has written as text.
    ///
    /// # Errors
    ///
    /// [`ParseError`](super::ParseError), or another one, when it is none of the type.
    pub fn parse(
        type_: &Type,
        text: &str,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        text::parse(type_, text)
    }

    /// A value of any type of Rust's, for a codec.
    pub fn custom(value: impl Any + Send + Sync) -> Self {
        Self::Custom(Custom(Arc::new(value)))
    }

    /// What a codec has made, where it is of this type.
    #[must_use]
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        match self {
            Self::Custom(custom) => custom.0.downcast_ref(),
            _ => None,
        }
    }

    /// The text, where it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Json(Json(text)) => Some(text),
            _ => None,
        }
    }

    /// The whole number, where it is one.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::Int2(it) => Some(it.into()),
            Self::Int4(it) => Some(it.into()),
            Self::Int8(it) => Some(it),
            Self::Oid(it) => Some(it.into()),
            Self::Xid8(it) => i64::try_from(it).ok(),
            _ => None,
        }
    }

    /// Whether it is null.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

/// The types that have a variant and a type of their own.
macro_rules! simple {
    ($with:ident) => {
        $with! {
            Bool bool BOOL, Int2 i16 INT2, Int4 i32 INT4, Int8 i64 INT8, Oid u32 OID,
            Float4 f32 FLOAT4, Float8 f64 FLOAT8, Numeric Numeric NUMERIC, Char i8 CHAR,
            Bytes Vec::<u8> BYTEA, Date Date DATE, Time Time TIME, TimeTz TimeTz TIMETZ,
            Timestamp Timestamp TIMESTAMP, TimestampTz TimestampTz TIMESTAMPTZ,
            Interval Interval INTERVAL, Uuid Uuid UUID, Json Json JSON, Json Json JSONB,
            Json Json JSONPATH, Inet Inet INET, Inet Inet CIDR, MacAddr MacAddr MACADDR,
            Bits BitString BIT, Bits BitString VARBIT, Point Point POINT, Line Line LINE,
            LineSegment LineSegment LSEG, Rectangle Rectangle BOX, Path Path PATH,
            Polygon Polygon POLYGON, Circle Circle CIRCLE, Tid Tid TID,
            Snapshot Snapshot PG_SNAPSHOT, Snapshot Snapshot TXID_SNAPSHOT
        }
    };
}

pub(super) use simple;

/// Whether values of a type are numbers of 32 bits that name something.
pub(super) fn is_oid(type_: &Type) -> bool {
    [
        Type::OID,
        Type::XID,
        Type::CID,
        Type::REGCLASS,
        Type::REGTYPE,
        Type::REGPROC,
        Type::REGPROCEDURE,
        Type::REGOPER,
        Type::REGOPERATOR,
        Type::REGCONFIG,
        Type::REGDICTIONARY,
        Type::REGNAMESPACE,
        Type::REGROLE,
        Type::REGCOLLATION,
    ]
    .contains(type_)
}

/// Whether values of a type are sent as the text that they are.
pub(super) fn is_text(type_: &Type) -> bool {
    matches!(type_.kind(), Kind::Enum(_))
        || <&str as FromSql>::accepts(type_)
        || [Type::XML, Type::CSTRING, Type::REFCURSOR, Type::VOID].contains(type_)
}

impl Value {
    /// Reads a value in its binary form.
    pub(crate) fn read(
        type_: &Type,
        raw: &[u8],
        codecs: Option<&Codecs>,
    ) -> Result<Self, BoxError> {
        match codecs.and_then(|codecs| codecs.get(type_)) {
            Some(codec) => codec.read(type_, raw, codecs),
            None => Self::read_plain(type_, raw, codecs),
        }
    }

    pub(super) fn read_plain(
        type_: &Type,
        raw: &[u8],
        codecs: Option<&Codecs>,
    ) -> Result<Self, BoxError> {
        match type_.kind() {
            Kind::Domain(of) => return Self::read(of, raw, codecs),
            Kind::Array(of) => return read_array(of, raw, codecs),
            Kind::Composite(_) => return read_composite(type_, raw, codecs),
            Kind::Range(of) => {
                let range = ranges::read(raw, |raw| Self::read(of, raw, codecs))?;
                return Ok(Self::Range(Box::new(range)));
            }
            Kind::Multirange(_) => {
                let of = ranges::bound_of(type_).ok_or("it is no multirange")?;
                let all = ranges::read_all(raw, |raw| Self::read(of, raw, codecs))?;
                return Ok(Self::MultiRange(all));
            }
            _ => {}
        }
        if *type_ == Type::RECORD {
            return read_composite(type_, raw, codecs);
        }
        if *type_ == Type::ANYARRAY {
            return read_array(&Type::UNKNOWN, raw, codecs);
        }
        if is_text(type_) {
            return Ok(Self::Text(std::str::from_utf8(raw)?.to_owned()));
        }
        if is_oid(type_) {
            return Ok(Self::Oid(Reader(raw).u32()?));
        }
        if *type_ == Type::XID8 {
            return Ok(Self::Xid8(u64::from_be_bytes(Reader(raw).array()?)));
        }
        if type_.name() == "hstore" {
            return Ok(Self::Hstore(read_hstore(raw)?));
        }
        macro_rules! by_type {
            ($($variant:ident $rust:ty: $name:ident),* $(,)?) => {
                match type_ {
                    $(it if *it == Type::$name => {
                        Ok(Self::$variant(<$rust as FromSql>::from_sql(it, raw)?))
                    })*
                    _ => Ok(Self::Other(raw.to_vec())),
                }
            };
        }
        macro_rules! all {
            ($($variant:ident $rust:ident $(::<$of:ty>)? $name:ident),* $(,)?) => {
                by_type!($($variant $rust $(<$of>)?: $name),*)
            };
        }
        simple!(all)
    }

    /// Writes a value in its binary form.
    pub(crate) fn write(&self, type_: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match (self, type_.kind()) {
            (Self::Null, _) => return Ok(IsNull::Yes),
            (_, Kind::Domain(of)) => return self.write(of, out),
            (Self::Array(_), Kind::Array(of)) => return write_array(self, of, out),
            (Self::Composite(composite), Kind::Composite(_)) => {
                return write_composite(composite, type_, out);
            }
            (Self::Range(range), Kind::Range(of)) => {
                ranges::write(range, out, |bound, out| bound.write(of, out))?;
                return Ok(IsNull::No);
            }
            (Self::MultiRange(all), Kind::Multirange(_)) => {
                let of = ranges::bound_of(type_).ok_or("it is no multirange")?;
                ranges::write_all(all, out, |bound, out| bound.write(of, out))?;
                return Ok(IsNull::No);
            }
            (Self::Text(text), _) if is_text(type_) => {
                out.put_slice(text.as_bytes());
                return Ok(IsNull::No);
            }
            (Self::Text(text), _) => return text::parse(type_, text)?.write(type_, out),
            (Self::Hstore(all), _) => {
                let pairs = all
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.as_deref()));
                postgres_protocol::types::hstore_to_sql(pairs, out)?;
                return Ok(IsNull::No);
            }
            (Self::Other(raw), _) => {
                out.put_slice(raw);
                return Ok(IsNull::No);
            }
            (Self::Composite(_), _) if *type_ == Type::RECORD => {
                return Err("a record without a type cannot be an argument".into());
            }
            (Self::Custom(_), _) => return Err("there is no codec for it".into()),
            _ => {}
        }
        if let Some(number) = self.whole() {
            return write_whole(number, type_, out);
        }
        if let (Self::Float8(number), true) = (self, *type_ == Type::FLOAT4) {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "looked at in the next line"
            )]
            let narrow = *number as f32;
            if narrow.is_infinite() && number.is_finite() {
                return Err("the number is too large for a float4".into());
            }
            out.put_f32(narrow);
            return Ok(IsNull::No);
        }
        macro_rules! all {
            ($($variant:ident $rust:ident $(::<$of:ty>)? $name:ident),* $(,)?) => {
                match self {
                    $(Self::$variant(it) if *type_ == Type::$name => it.to_sql(type_, out),)*
                    Self::Float4(it) if *type_ == Type::FLOAT8 => f64::from(*it).to_sql(type_, out),
                    _ => Err(WrongType::new::<Self>(type_.clone()).into()),
                }
            };
        }
        simple!(all)
    }

    fn whole(&self) -> Option<i128> {
        match *self {
            Self::Xid8(it) => Some(it.into()),
            _ => self.as_i64().map(Into::into),
        }
    }
}

/// A whole number goes into any type of numbers that has room for it.
fn write_whole(number: i128, type_: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
    let range = |_| format!("{number} is too large or too small for {}", type_.name());
    match type_ {
        it if *it == Type::INT2 => out.put_i16(number.try_into().map_err(range)?),
        it if *it == Type::INT4 => out.put_i32(number.try_into().map_err(range)?),
        it if *it == Type::INT8 => out.put_i64(number.try_into().map_err(range)?),
        it if is_oid(it) => out.put_u32(number.try_into().map_err(range)?),
        it if *it == Type::XID8 => out.put_u64(number.try_into().map_err(range)?),
        it if *it == Type::NUMERIC => {
            let number: Numeric = number.to_string().parse()?;
            return number.to_sql(type_, out);
        }
        #[expect(clippy::cast_precision_loss, reason = "as in Python")]
        it if *it == Type::FLOAT8 => out.put_f64(number as f64),
        #[expect(clippy::cast_precision_loss, reason = "as in Python")]
        it if *it == Type::FLOAT4 => out.put_f32(number as f32),
        _ => return Err(WrongType::new::<Value>(type_.clone()).into()),
    }
    Ok(IsNull::No)
}

/// No array has more dimensions.
const MOST_DIMENSIONS: usize = 6;

fn read_array(of: &Type, raw: &[u8], codecs: Option<&Codecs>) -> Result<Value, BoxError> {
    let mut reader = Reader(raw);
    let dimensions = usize::try_from(reader.i32()?)?;
    let _has_nulls = reader.i32()?;
    let oid = reader.u32()?;
    // What an array of any type has is told with it.
    let told = (*of == Type::UNKNOWN)
        .then(|| Type::from_oid(oid))
        .flatten();
    let of = told.as_ref().unwrap_or(of);
    if dimensions > MOST_DIMENSIONS {
        return Err("an array with too many dimensions".into());
    }
    let mut lengths = Vec::with_capacity(dimensions);
    for _ in 0..dimensions {
        lengths.push(usize::try_from(reader.i32()?)?);
        let _lower_bound = reader.i32()?;
    }
    let count = lengths
        .iter()
        .try_fold(1_usize, |all, it| all.checked_mul(*it));
    if dimensions == 0 || count == Some(0) {
        return Ok(Value::Array(Vec::new()));
    }
    if count.is_none_or(|count| count > reader.0.len() / 4) {
        return Err("an array ends before its end".into());
    }
    fn read_dimension(
        reader: &mut Reader<'_>,
        lengths: &[usize],
        of: &Type,
        codecs: Option<&Codecs>,
    ) -> Result<Value, BoxError> {
        let Some((first, rest)) = lengths.split_first() else {
            return match reader.field()? {
                Some(raw) => Value::read(of, raw, codecs),
                None => Ok(Value::Null),
            };
        };
        let elements = (0..*first).map(|_| read_dimension(reader, rest, of, codecs));
        elements.collect::<Result<_, _>>().map(Value::Array)
    }
    let array = read_dimension(&mut reader, &lengths, of, codecs)?;
    reader.end()?;
    Ok(array)
}

fn write_array(array: &Value, of: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
    let mut lengths = Vec::new();
    let mut first = array;
    while let Value::Array(elements) = first {
        lengths.push(elements.len());
        match elements.first() {
            Some(element) => first = element,
            None => break,
        }
    }
    if lengths.len() > MOST_DIMENSIONS {
        return Err("an array has six dimensions at the most".into());
    }
    if lengths.contains(&0) {
        lengths.clear();
    }
    out.put_i32(i32::try_from(lengths.len())?);
    let flags = out.len();
    out.put_i32(0);
    out.put_u32(of.oid());
    for len in &lengths {
        out.put_i32(i32::try_from(*len)?);
        out.put_i32(1);
    }
    fn write_dimension(
        value: &Value,
        lengths: &[usize],
        of: &Type,
        out: &mut BytesMut,
    ) -> Result<bool, BoxError> {
        match (value, lengths.split_first()) {
            (Value::Array(elements), Some((first, rest))) if elements.len() == *first => {
                let mut nulls = false;
                for element in elements {
                    nulls |= write_dimension(element, rest, of, out)?;
                }
                Ok(nulls)
            }
            (Value::Array(_), _) | (_, Some(_)) => {
                Err("the arrays of an array are not of one length".into())
            }
            (element, None) => {
                put_field(out, |out| element.write(of, out))?;
                Ok(element.is_null())
            }
        }
    }
    if !lengths.is_empty() && write_dimension(array, &lengths, of, out)? {
        out[flags + 3] = 1;
    }
    Ok(IsNull::No)
}

fn read_composite(type_: &Type, raw: &[u8], codecs: Option<&Codecs>) -> Result<Value, BoxError> {
    let named: &[postgres_types::Field] = match type_.kind() {
        Kind::Composite(fields) => fields,
        _ => &[],
    };
    let mut reader = Reader(raw);
    let count = reader.count(8)?;
    let mut fields = Vec::with_capacity(count);
    for index in 0..count {
        let oid = reader.u32()?;
        let raw = reader.field()?;
        let field = named.get(index);
        let told = field.map(|field| field.type_().clone());
        let value = match (told.or_else(|| Type::from_oid(oid)), raw) {
            (_, None) => Value::Null,
            (Some(type_), Some(raw)) => Value::read(&type_, raw, codecs)?,
            (None, Some(raw)) => Value::Other(raw.to_vec()),
        };
        let name = field.map_or("", |field| field.name());
        fields.push((name.to_owned(), value));
    }
    reader.end()?;
    Ok(Value::Composite(Composite { fields }))
}

fn write_composite(
    composite: &Composite,
    type_: &Type,
    out: &mut BytesMut,
) -> Result<IsNull, BoxError> {
    let Kind::Composite(fields) = type_.kind() else {
        return Err("it is no composite type".into());
    };
    let by_name = composite.fields.iter().all(|(name, _)| !name.is_empty());
    if composite.fields.len() > fields.len() {
        return Err("there are more values than fields".into());
    }
    if by_name {
        for (name, _) in &composite.fields {
            if !fields.iter().any(|field| field.name() == name) {
                return Err(format!("{} has no field {name:?}", type_.name()).into());
            }
        }
    }
    out.put_i32(i32::try_from(fields.len())?);
    for (index, field) in fields.iter().enumerate() {
        let value = if by_name {
            composite.field(field.name())
        } else {
            composite.get(index)
        };
        out.put_u32(field.type_().oid());
        put_field(out, |out| {
            value.unwrap_or(&Value::Null).write(field.type_(), out)
        })?;
    }
    Ok(IsNull::No)
}

fn read_hstore(raw: &[u8]) -> Result<BTreeMap<String, Option<String>>, BoxError> {
    let mut pairs = postgres_protocol::types::hstore_from_sql(raw)?;
    let mut all = BTreeMap::new();
    while let Some((key, value)) = pairs.next()? {
        all.insert(key.to_owned(), value.map(str::to_owned));
    }
    Ok(all)
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(type_: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Self::read(type_, raw, None)
    }

    fn from_sql_null(_: &Type) -> Result<Self, BoxError> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Value {
    fn to_sql(&self, type_: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match self {
            // The format said that it is a text, which the server reads.
            Self::Text(text) => {
                out.put_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            value => value.write(type_, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        match self {
            Self::Text(_) => Format::Text,
            _ => Format::Binary,
        }
    }

    to_sql_checked!();
}

macro_rules! from {
    ($($rust:ty => $variant:ident),* $(,)?) => {
        $(impl From<$rust> for Value {
            fn from(value: $rust) -> Self {
                Self::$variant(value)
            }
        })*
    };
}

from! {
    bool => Bool, i16 => Int2, i32 => Int4, i64 => Int8, u32 => Oid, f32 => Float4, f64 => Float8,
    String => Text, Numeric => Numeric, Vec<u8> => Bytes, Date => Date, Time => Time, TimeTz => TimeTz,
    Timestamp => Timestamp, TimestampTz => TimestampTz, Interval => Interval, Uuid => Uuid,
    Json => Json, Inet => Inet, MacAddr => MacAddr, BitString => Bits, Point => Point, Line => Line,
    LineSegment => LineSegment, Rectangle => Rectangle, Path => Path, Polygon => Polygon,
    Circle => Circle, Tid => Tid, Snapshot => Snapshot, Composite => Composite,
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

macro_rules! from_list {
    ($($rust:ty),*) => {
        $(impl From<Vec<$rust>> for Value {
            fn from(elements: Vec<$rust>) -> Self {
                Self::Array(elements.into_iter().map(Self::from).collect())
            }
        })*
    };
}

from_list!(
    bool, i16, i32, i64, f32, f64, String, &str, Numeric, Uuid, Date, Value
);

impl<V: Into<Self>> From<Option<V>> for Value {
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<V: Into<Self>> From<Range<V>> for Value {
    fn from(range: Range<V>) -> Self {
        if range.is_empty() {
            return Self::Range(Box::new(Range::empty()));
        }
        let (lower_inc, upper_inc) = (range.lower_inc, range.upper_inc);
        let (lower, upper) = (range.lower.map(Into::into), range.upper.map(Into::into));
        Self::Range(Box::new(Range::new(lower, upper, lower_inc, upper_inc)))
    }
}
