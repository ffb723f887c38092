//! Codecs of one's own.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use asyncio_core::{Result, ValueError};
use bytes::{BufMut, BytesMut};
use postgres_types::{Format, IsNull, Oid, ToSql, Type, to_sql_checked};

use super::BoxError;
use super::dynamic::Value;
use super::text;
use crate::pg::connection::Connection;
use crate::pg::errors::InterfaceError;
use crate::pg::pool::Pool;

type DecodeText = Arc<dyn Fn(&str) -> Result<Value> + Send + Sync>;
type DecodeBytes = Arc<dyn Fn(&[u8]) -> Result<Value> + Send + Sync>;
type Encode<T> = Arc<dyn Fn(&Value) -> Result<T> + Send + Sync>;

/// How values of a type are made of what the server sends, and the other way round.
#[derive(Clone)]
pub struct TypeCodec(How);

#[derive(Clone)]
enum How {
    Text(Encode<String>, DecodeText),
    Binary(Encode<Vec<u8>>, DecodeBytes),
    Over(
        Encode<Value>,
        Arc<dyn Fn(Value) -> Result<Value> + Send + Sync>,
    ),
    As(Type),
}

impl TypeCodec {
    /// By text, as the server writes and reads it (`format='text'`).
    pub fn text(
        encoder: impl Fn(&Value) -> Result<String> + Send + Sync + 'static,
        decoder: impl Fn(&str) -> Result<Value> + Send + Sync + 'static,
    ) -> Self {
        Self(How::Text(Arc::new(encoder), Arc::new(decoder)))
    }

    /// By bytes, as the server sends and receives them (`format='binary'`).
    pub fn binary(
        encoder: impl Fn(&Value) -> Result<Vec<u8>> + Send + Sync + 'static,
        decoder: impl Fn(&[u8]) -> Result<Value> + Send + Sync + 'static,
    ) -> Self {
        Self(How::Binary(Arc::new(encoder), Arc::new(decoder)))
    }

    /// By the value that it would be without this codec (`format='tuple'`, for any type).
    pub fn over(
        encoder: impl Fn(&Value) -> Result<Value> + Send + Sync + 'static,
        decoder: impl Fn(Value) -> Result<Value> + Send + Sync + 'static,
    ) -> Self {
        Self(How::Over(Arc::new(encoder), Arc::new(decoder)))
    }

    pub(super) fn read(
        &self,
        type_: &Type,
        raw: &[u8],
        codecs: Option<&Codecs>,
    ) -> Result<Value, BoxError> {
        match &self.0 {
            // Within another value it comes in its binary form.
            How::Text(..) => Value::read_plain(type_, raw, codecs),
            How::Binary(_, decode) => Ok(decode(raw)?),
            How::Over(_, decode) => Ok(decode(Value::read_plain(type_, raw, codecs)?)?),
            How::As(type_) => Value::read_plain(type_, raw, codecs),
        }
    }
}

/// The codecs of a connection, or of all connections of a pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Codecs {
    all: HashMap<Oid, TypeCodec>,
}

impl Codecs {
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn get(&self, type_: &Type) -> Option<&TypeCodec> {
        self.all.get(&type_.oid())
    }

    pub(crate) fn insert(&mut self, oid: Oid, codec: TypeCodec) {
        self.all.insert(oid, codec);
    }

    pub(crate) fn remove(&mut self, oid: Oid) {
        self.all.remove(&oid);
    }

    /// Whether values of this type are asked for as text.
    pub(crate) fn is_text(&self, type_: &Type) -> bool {
        matches!(self.get(type_), Some(TypeCodec(How::Text(..))))
    }

    /// Reads a value that has come as text.
    pub(crate) fn read_text(
        this: Option<&Self>,
        type_: &Type,
        raw: &str,
    ) -> Result<Value, BoxError> {
        match this.and_then(|codecs| codecs.get(type_)) {
            Some(TypeCodec(How::Text(_, decode))) => Ok(decode(raw)?),
            _ => text::parse(type_, raw),
        }
    }

    /// What is sent for an argument.
    pub(crate) fn encode(&self, type_: &Type, value: &Value) -> Result<Option<Encoded>> {
        let Some(codec) = self.get(type_).filter(|_| !value.is_null()) else {
            return Ok(None);
        };
        Ok(Some(match &codec.0 {
            How::Text(encode, _) => Encoded::Raw(Format::Text, encode(value)?.into_bytes()),
            How::Binary(encode, _) => Encoded::Raw(Format::Binary, encode(value)?),
            How::Over(encode, _) => Encoded::Value(encode(value)?, None),
            How::As(as_type) => Encoded::Value(value.clone(), Some(as_type.clone())),
        }))
    }
}

/// What is sent for an argument that a codec has made.
#[derive(Debug)]
pub(crate) enum Encoded {
    Raw(Format, Vec<u8>),
    Value(Value, Option<Type>),
}

impl ToSql for Encoded {
    fn to_sql(&self, type_: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match self {
            Self::Raw(_, raw) => {
                out.put_slice(raw);
                Ok(IsNull::No)
            }
            Self::Value(value, as_type) => value.to_sql(as_type.as_ref().unwrap_or(type_), out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, type_: &Type) -> Format {
        match self {
            Self::Raw(format, _) => *format,
            Self::Value(value, _) => value.encode_format(type_),
        }
    }

    to_sql_checked!();
}

/// What is asked of a type that a codec is for.
const QUERY: &str = "SELECT t.oid, t.typtype::text, t.typelem <> 0 AND t.typlen = -1
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE t.typname = $1 AND n.nspname = $2";

struct Found {
    oid: Oid,
    kind: String,
    is_array: bool,
}

impl Connection {
    /// Sets how values of a type are read and written, where they are [`Value`]s: those that
    /// [`Record::value`](crate::pg::Record::value) gives, and the arguments of a query that are a list of
    /// them. All connections of a pool share it.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # fn main() -> asyncio_core::Result<()> {
    /// # let cluster = asyncio_db::testing::PgCluster::create()?;
    /// # let dsn = cluster.dsn();
    /// use asyncio_db::pg::values::{TypeCodec, Value};
    ///
    /// asyncio_core::run(async move {
    ///     let mut connection = asyncio_db::pg::connect(dsn).await?;
    ///     let codec = TypeCodec::text(
    ///         |value| Ok(value.to_string().to_lowercase()),
    ///         |text| Ok(Value::from(text.to_uppercase())),
    ///     );
    ///     connection.set_type_codec("text", "pg_catalog", codec).await?;
    ///     let row = connection.fetchrow("SELECT $1::text AS word", vec![Value::from("WoRd")]).await?;
    ///     assert_eq!(row.expect("there is one").value("word")?, Value::from("WORD"));
    ///     connection.reset_type_codec("text", "pg_catalog").await?;
    ///     let row = connection.fetchrow("SELECT $1::text AS word", vec![Value::from("WoRd")]).await?;
    ///     assert_eq!(row.expect("there is one").value("word")?, Value::from("WoRd"));
    ///     Ok(())
    /// })
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// [`ValueError`] when there is no such type; [`InterfaceError`] for a composite type, of which there
    /// is only a codec [over](TypeCodec::over) what it is, and for arrays, which have that of their
    /// elements; as of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// It is set or not.
    pub async fn set_type_codec(
        &mut self,
        type_name: &str,
        schema: &str,
        codec: TypeCodec,
    ) -> Result<()> {
        let found = self.find_type(type_name, schema).await?;
        if found.is_array || found.kind == "r" || found.kind == "m" {
            let message = format!("{schema}.{type_name} has the codec of what it is made of");
            return Err(InterfaceError::new(message).into());
        }
        if found.kind == "c" && !matches!(codec.0, How::Over(..)) {
            let message = format!(
                "{schema}.{type_name} is a composite type: only a codec over its value is one"
            );
            return Err(InterfaceError::new(message).into());
        }
        self.statements.set_codec(found.oid, Some(codec));
        Ok(())
    }

    /// Undoes [`set_type_codec`](Self::set_type_codec) and
    /// [`set_builtin_type_codec`](Self::set_builtin_type_codec).
    ///
    /// # Errors
    ///
    /// As of [`set_type_codec`](Self::set_type_codec).
    ///
    /// # Cancel safety
    ///
    /// It is undone or not.
    pub async fn reset_type_codec(&mut self, type_name: &str, schema: &str) -> Result<()> {
        let found = self.find_type(type_name, schema).await?;
        self.statements.set_codec(found.oid, None);
        Ok(())
    }

    /// Says that values of a type, an extension's for example, have the form of another type's, a core
    /// one's, given by its name. (`hstore`, asyncpg's `pg_contrib.hstore`, is known by itself.)
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] when no such codec is known, or when it is for a type that is made of others;
    /// as of [`set_type_codec`](Self::set_type_codec).
    ///
    /// # Cancel safety
    ///
    /// It is set or not.
    pub async fn set_builtin_type_codec(
        &mut self,
        type_name: &str,
        schema: &str,
        codec_name: &str,
    ) -> Result<()> {
        let found = self.find_type(type_name, schema).await?;
        if found.is_array || !matches!(&*found.kind, "b" | "d" | "e") {
            let message = format!("{schema}.{type_name} is no scalar type");
            return Err(InterfaceError::new(message).into());
        }
        if codec_name == "pg_contrib.hstore" {
            self.statements.set_codec(found.oid, None);
            return Ok(());
        }
        let core = (1..10_000).filter_map(Type::from_oid);
        let as_type = core.into_iter().find(|it| {
            it.name() == codec_name || alias(codec_name).is_some_and(|name| name == it.name())
        });
        let Some(as_type) = as_type else {
            let message = format!("there is no codec {codec_name:?}");
            return Err(InterfaceError::new(message).into());
        };
        self.statements
            .set_codec(found.oid, Some(TypeCodec(How::As(as_type))));
        Ok(())
    }

    async fn find_type(&mut self, type_name: &str, schema: &str) -> Result<Found> {
        let Some(row) = self.fetchrow(QUERY, (type_name, schema)).await? else {
            let message = format!("there is no type {schema}.{type_name}");
            return Err(ValueError::new(message).into());
        };
        Ok(Found {
            oid: row.get(0)?,
            kind: row.get(1)?,
            is_array: row.get(2)?,
        })
    }
}

/// The names that SQL has for some types, beside the server's own.
fn alias(name: &str) -> Option<&'static str> {
    Some(match name {
        "smallint" => "int2",
        "int" | "integer" => "int4",
        "bigint" => "int8",
        "real" => "float4",
        "double precision" | "float" => "float8",
        "boolean" => "bool",
        "decimal" => "numeric",
        "character varying" => "varchar",
        _ => return None,
    })
}

impl Pool {
    /// As [`Connection::set_type_codec`], for all connections.
    ///
    /// # Errors
    ///
    /// As of [`acquire`](Self::acquire) and of the connection's method.
    ///
    /// # Cancel safety
    ///
    /// As of [`acquire`](Self::acquire) and of the connection's method.
    pub async fn set_type_codec(
        &self,
        type_name: &str,
        schema: &str,
        codec: TypeCodec,
    ) -> Result<()> {
        self.acquire()
            .await?
            .set_type_codec(type_name, schema, codec)
            .await
    }
}

impl fmt::Debug for TypeCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match &self.0 {
            How::Text(..) => "text",
            How::Binary(..) => "binary",
            How::Over(..) => "over",
            How::As(type_) => type_.name(),
        };
        f.debug_tuple("TypeCodec").field(&how).finish()
    }
}
