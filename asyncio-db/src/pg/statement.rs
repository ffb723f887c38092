//! Prepared statements, and which of them a connection keeps.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use asyncio_core::Result;
use bytes::{BufMut, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::IsNull;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend::{self, BindError};
use postgres_types::{Format, Oid, ToSql, Type};

use super::args::Args;
use super::errors::InterfaceError;
use super::introspection::{self, Types};
use super::link::Outdated;
use super::operation::Operation;
use super::prepared::Query;
use super::protocol::{Incoming, Wire};
use super::record::{Attribute, Columns};
use super::recovery::Undo;
use super::values::{Codecs, Encoded, TypeCodec};

/// A statement that the server knows, or knows how to prepare again.
#[derive(Debug)]
pub(crate) struct Statement {
    /// Empty for one that is prepared anew each time.
    pub(crate) name: String,
    pub(crate) query: Arc<str>,
    pub(crate) params: Vec<Type>,
    pub(crate) columns: Arc<Columns>,
    /// The codecs that were set when it was prepared.
    pub(crate) codecs: Option<Arc<Codecs>>,
}

/// How a connection prepares its statements.
///
/// ```
/// use asyncio_db::pg::StatementNames;
///
/// assert_eq!(StatementNames::default(), StatementNames::Auto);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatementNames {
    /// Under names, so that the server prepares each once, until it turns out that a pooler between us
    /// and the server does not keep them; without names from then on. Where there is a pooler, without
    /// names in transactions from the start, which would fail by that.
    #[default]
    Auto,
    /// Under names.
    Named,
    /// Without names: each time anew, in one message with what is executed. For poolers that lend a
    /// server for one transaction.
    Unnamed,
}

/// Which statements are kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheLimits {
    pub(crate) size: usize,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) longest_query: usize,
    pub(crate) names: StatementNames,
}

impl Default for CacheLimits {
    /// As in Python.
    fn default() -> Self {
        Self {
            size: 100,
            lifetime: Some(Duration::from_secs(300)),
            longest_query: 15 * 1024,
            names: StatementNames::Auto,
        }
    }
}

/// The statements that a connection keeps: those that were used last.
#[derive(Debug)]
pub(crate) struct Statements {
    limits: CacheLimits,
    all: HashMap<Arc<str>, Kept>,
    /// What the server is to forget, with the next message.
    closing: Arc<Closing>,
    uses: u64,
    /// Whether somebody is between us and the server, who may lend another one: then the server is not the
    /// process that the session's greeting has named.
    pooler: Option<bool>,
    types: Arc<Types>,
    /// The generation of types that all that is kept belongs to.
    generation: u64,
}

/// Statements and portals that the server is to forget, with the next message.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    names: Mutex<Vec<(u8, String)>>,
}

impl Closing {
    /// `S` for a statement, `P` for a portal.
    pub(crate) fn add(&self, kind: u8, name: String) {
        self.lock().push((kind, name));
    }

    fn take(&self) -> Vec<(u8, String)> {
        std::mem::take(&mut *self.lock())
    }

    fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u8, String)>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Numbers the names of statements, those of all connections: by way of a pooler one may come to a server
/// where another has prepared his, and no name may be taken for that.
static LAST_NAME: AtomicU64 = AtomicU64::new(0);

/// Tells the names of this process from those of others.
fn whose_names() -> u64 {
    static OURS: OnceLock<u64> = OnceLock::new();
    *OURS.get_or_init(|| RandomState::new().hash_one(std::process::id()))
}

#[derive(Debug)]
struct Kept {
    statement: Arc<Statement>,
    last_use: u64,
    since: Instant,
}

impl Statements {
    pub(crate) fn new(limits: CacheLimits, types: Arc<Types>) -> Self {
        Self {
            limits,
            all: HashMap::new(),
            closing: Arc::default(),
            uses: 0,
            pooler: None,
            generation: types.generation(),
            types,
        }
    }

    /// Prepares a query, unless it is prepared already.
    ///
    /// # Errors
    ///
    /// What the server has against it; when the task is cancelled.
    pub(crate) async fn get(
        &mut self,
        operation: &mut Operation<'_>,
        query: &str,
    ) -> Result<Arc<Statement>> {
        self.keep_up(operation);
        // Behind a pooler the server of this transaction need not be that of the one before; and what it does
        // not know would have the transaction fail.
        let lent = self.pooler == Some(true)
            && self.limits.names == StatementNames::Auto
            && operation.is_in_transaction();
        if !lent && let Some(statement) = self.find(query) {
            return Ok(statement);
        }
        let keep = !lent && self.limits.size > 0 && query.len() <= self.limits.longest_query;
        let name = if keep { self.name() } else { String::new() };
        let statement = Arc::new(self.prepare(operation, query, name).await?);
        // What has no name is prepared anew each time it is executed, and nobody would notice that the
        // columns of its rows are others by then.
        if keep && (statement.is_named() || statement.columns.is_empty()) {
            self.keep(&statement);
        }
        Ok(statement)
    }

    /// Prepares a query without a name, whether it is prepared already or not.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub(crate) async fn anew(
        &mut self,
        operation: &mut Operation<'_>,
        query: &str,
    ) -> Result<Arc<Statement>> {
        self.keep_up(operation);
        Ok(Arc::new(
            self.prepare(operation, query, String::new()).await?,
        ))
    }

    /// As [`get`](Self::get), where it may be a statement that somebody holds.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get); for a statement of another connection.
    pub(crate) async fn of(
        &mut self,
        operation: &mut Operation<'_>,
        query: &impl Query,
    ) -> Result<Arc<Statement>> {
        match query.prepared() {
            Some(statement) => Ok(Arc::clone(statement.on(&self.closing)?)),
            None => self.get(operation, query.text()).await,
        }
    }

    /// Prepares a query for whoever will close it himself.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub(crate) async fn get_own(
        &mut self,
        operation: &mut Operation<'_>,
        query: &str,
    ) -> Result<Arc<Statement>> {
        let name = self.name();
        Ok(Arc::new(self.prepare(operation, query, name).await?))
    }

    /// As [`get_own`](Self::get_own), under a name that somebody has chosen.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub(crate) async fn get_as(
        &mut self,
        operation: &mut Operation<'_>,
        query: &str,
        name: &str,
    ) -> Result<Arc<Statement>> {
        Ok(Arc::new(
            self.prepare(operation, query, name.to_owned()).await?,
        ))
    }

    async fn prepare(
        &mut self,
        operation: &mut Operation<'_>,
        query: &str,
        name: String,
    ) -> Result<Statement> {
        // Left in the middle it may have been prepared, and nobody would know of it.
        if !name.is_empty() {
            operation.undo(Undo::Statement(name.clone()));
        }
        let prepared = self.describe(operation, query, name).await;
        match &prepared {
            Err(error) if error.is_cancelled() => {}
            _ => operation.settled(),
        }
        prepared
    }

    async fn describe(
        &mut self,
        operation: &mut Operation<'_>,
        query: &str,
        name: String,
    ) -> Result<Statement> {
        let query: Arc<str> = query.into();
        operation.about(&query, !name.is_empty());
        let wire = operation.wire()?;
        self.write_closing(wire)?;
        wire.extended(|out| frontend::parse(&name, &query, [], out))?;
        wire.extended(|out| frontend::describe(b'S', &name, out))?;
        let asks = !name.is_empty() && self.pooler.is_none();
        if asks {
            wire.extended(ask_pid)?;
        }
        wire.sync();
        let (expected, mut pid) = (wire.backend().pid, None);
        let mut params: Vec<Oid> = Vec::new();
        let mut columns: Vec<(String, Oid)> = Vec::new();
        operation
            .until_ready(|incoming| {
                match incoming {
                    Incoming::Message(Message::ParameterDescription(body)) => {
                        params = body.parameters().collect()?;
                    }
                    Incoming::Message(Message::RowDescription(body)) => {
                        columns = body
                            .fields()
                            .map(|field| Ok((field.name().to_owned(), field.type_oid())))
                            .collect()?;
                    }
                    Incoming::Rows(mut run) => {
                        // One field of four bytes.
                        let row = run.next();
                        pid = row.and_then(|row| {
                            Some(i32::from_be_bytes(*row.get(6..)?.first_chunk()?))
                        });
                    }
                    _ => {}
                }
                Ok(())
            })
            .await?;
        if asks {
            self.pooler = pid.map(|pid| pid != expected);
        }
        let oids = params.iter().chain(columns.iter().map(|(_, oid)| oid));
        let types = introspection::resolve(operation, &self.types, oids.copied()).await?;
        let codecs = self.types.codecs();
        let columns = columns.into_iter().map(|(name, oid)| {
            let type_ = types.get(oid);
            let by_codec = codecs.as_ref().is_some_and(|codecs| codecs.is_text(&type_));
            Attribute {
                name,
                text: introspection::is_text_only(oid) || by_codec,
                type_,
            }
        });
        let columns = Columns::new(columns.collect()).with_codecs(codecs.clone());
        Ok(Statement {
            name,
            query,
            codecs,
            columns: Arc::new(columns),
            params: params.into_iter().map(|oid| types.get(oid)).collect(),
        })
    }

    fn find(&mut self, query: &str) -> Option<Arc<Statement>> {
        let kept = self.all.get_mut(query)?;
        let lifetime = self.limits.lifetime.unwrap_or(Duration::MAX);
        if kept.since.elapsed() > lifetime {
            self.forget(query);
            return None;
        }
        self.uses += 1;
        kept.last_use = self.uses;
        Some(Arc::clone(&kept.statement))
    }

    fn name(&mut self) -> String {
        if self.limits.names == StatementNames::Unnamed {
            return String::new();
        }
        // Relaxed: each is another number, and that is all.
        let number = LAST_NAME.fetch_add(1, Ordering::Relaxed);
        format!("__asyncio_{:x}_{number:x}", whose_names())
    }

    fn keep(&mut self, statement: &Arc<Statement>) {
        while self.all.len() >= self.limits.size {
            // One that is in use stays, for what is to be closed is closed before it is used.
            let unused = self
                .all
                .iter()
                .filter(|(_, kept)| Arc::strong_count(&kept.statement) == 1);
            let oldest = unused.min_by_key(|(_, kept)| kept.last_use);
            let Some(oldest) = oldest.map(|(query, _)| Arc::clone(query)) else {
                break;
            };
            self.forget(&oldest);
        }
        self.uses += 1;
        let kept = Kept {
            statement: Arc::clone(statement),
            last_use: self.uses,
            since: Instant::now(),
        };
        self.all.insert(Arc::clone(&statement.query), kept);
    }

    /// Keeps a statement no more, and has the server forget it.
    pub(crate) fn forget(&mut self, query: &str) {
        if let Some(kept) = self.all.remove(query) {
            self.close(&kept.statement.name);
        }
    }

    /// Keeps none any more, and knows nothing of types any more.
    pub(crate) fn forget_all(&mut self) {
        self.types.forget_all();
        self.forget_kept();
    }

    /// Sets a codec for all connections that share their types, or takes it away.
    pub(crate) fn set_codec(&mut self, oid: Oid, codec: Option<TypeCodec>) {
        self.types.set_codec(oid, codec);
        self.forget_kept();
    }

    /// Keeps none any more.
    fn forget_kept(&mut self) {
        self.generation = self.types.generation();
        let all = std::mem::take(&mut self.all);
        for kept in all.into_values() {
            self.close(&kept.statement.name);
        }
    }

    fn close(&self, name: &str) {
        if !name.is_empty() {
            self.closing.add(b'S', name.to_owned());
        }
    }

    /// What the server is to forget, for whoever has it to say so.
    pub(crate) const fn closing(&self) -> &Arc<Closing> {
        &self.closing
    }

    /// Has the server forget what it is to forget.
    ///
    /// # Errors
    ///
    /// None: names are ours.
    pub(crate) fn write_closing(&self, wire: &mut Wire) -> Result<()> {
        for (kind, name) in self.closing.take() {
            wire.extended(|out| frontend::close(kind, &name, out))?;
        }
        Ok(())
    }

    /// Forgets what the server has said to be outdated.
    fn keep_up(&mut self, operation: &mut Operation<'_>) {
        match operation.take_outdated() {
            // What one connection of a pool has found out holds for all.
            None if self.generation != self.types.generation() => self.forget_kept(),
            None => {}
            // Where one has changed, so may have others.
            Some(Outdated::Plans) => self.forget_all(),
            Some(Outdated::Names) => {
                if self.limits.names == StatementNames::Auto {
                    // A pooler has given us another server than before.
                    self.limits.names = StatementNames::Unnamed;
                }
                // There, the names may be somebody else's.
                self.all.clear();
                self.closing.clear();
            }
        }
    }
}

impl Statement {
    pub(crate) const fn is_named(&self) -> bool {
        !self.name.is_empty()
    }

    /// Has it executed with these arguments, as far as the end of a group of messages; not that end.
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] when there are too few arguments or too many, [`EncodeError`] when one cannot
    /// be of the type that the server expects. Nothing has been written then.
    pub(crate) fn write_execute(
        &self,
        wire: &mut Wire,
        args: &(impl Args + ?Sized),
        portal: &str,
        most_rows: i32,
    ) -> Result<()> {
        self.write_bind(wire, args, portal)?;
        wire.extended(|out| write_execute(portal, most_rows, out))
    }

    /// Has it prepared without a name, for [`write_again`](Self::write_again).
    ///
    /// # Errors
    ///
    /// None: it was prepared before.
    pub(crate) fn write_parse(&self, wire: &mut Wire) -> Result<()> {
        let params = self.params.iter().map(Type::oid);
        wire.extended(|out| frontend::parse("", &self.query, params, out))
    }

    /// Has it executed as it was prepared without a name just before.
    ///
    /// # Errors
    ///
    /// As of [`write_execute`](Self::write_execute).
    pub(crate) fn write_again(&self, wire: &mut Wire, args: &impl Args) -> Result<()> {
        self.check(args)?;
        wire.extended(|out| {
            let before = out.len();
            let written = self.write(args, "", "", out);
            if written.is_err() {
                out.truncate(before);
            }
            written?;
            write_execute("", 0, out)
        })
    }

    /// As [`write_execute`](Self::write_execute), and nothing is executed yet.
    ///
    /// # Errors
    ///
    /// As of [`write_execute`](Self::write_execute).
    pub(crate) fn write_bind(
        &self,
        wire: &mut Wire,
        args: &(impl Args + ?Sized),
        portal: &str,
    ) -> Result<()> {
        self.check(args)?;
        if self.name.is_empty() {
            self.write_parse(wire)?;
        }
        wire.extended(|out| {
            let before = out.len();
            let written = self.write(args, portal, &self.name, out);
            if written.is_err() {
                out.truncate(before);
            }
            written
        })
    }

    fn check(&self, args: &(impl Args + ?Sized)) -> Result<()> {
        if args.len() != self.params.len() {
            let message = format!(
                "the server expects {} arguments for this query, {} were given",
                self.params.len(),
                args.len()
            );
            return Err(InterfaceError::new(message).into());
        }
        Ok(())
    }

    /// What codecs make of the arguments; empty where there are none.
    fn encode(&self, args: &(impl Args + ?Sized)) -> Result<Vec<Option<Encoded>>> {
        let Some(codecs) = &self.codecs else {
            return Ok(Vec::new());
        };
        let params = self.params.iter().enumerate();
        let encoded = params.map(|(index, type_)| match args.value(index) {
            Some(value) => codecs.encode(type_, value),
            None => Ok(None),
        });
        encoded.collect()
    }

    fn write(
        &self,
        args: &(impl Args + ?Sized),
        portal: &str,
        name: &str,
        out: &mut BytesMut,
    ) -> Result<()> {
        let begin = out.len();
        if self.codecs.is_none() && self.write_binary(args, portal, name, out) {
            return Ok(());
        }
        // A codec, or text among the arguments, or something wrong: the long way.
        out.truncate(begin);
        self.write_any(args, portal, name, out)
    }

    /// The usual message, in which all values are binary, so that this is said once. False where they are
    /// not, or cannot be written.
    fn write_binary(
        &self,
        args: &(impl Args + ?Sized),
        portal: &str,
        name: &str,
        out: &mut BytesMut,
    ) -> bool {
        let begin = out.len();
        out.put_slice(b"B\0\0\0\0");
        out.put_slice(portal.as_bytes());
        out.put_u8(0);
        out.put_slice(name.as_bytes());
        out.put_slice(b"\0\0\x01\0\x01");
        let Ok(count) = u16::try_from(self.params.len()) else {
            return false;
        };
        out.put_u16(count);
        for (index, type_) in self.params.iter().enumerate() {
            let Some(arg) = args.get(index) else {
                return false;
            };
            if matches!(arg.encode_format(type_), Format::Text) {
                return false;
            }
            let length = out.len();
            out.put_i32(-1);
            match arg.to_sql_checked(type_, out) {
                Ok(postgres_types::IsNull::Yes) => {}
                Ok(postgres_types::IsNull::No) => {
                    let Ok(written) = i32::try_from(out.len() - length - 4) else {
                        return false;
                    };
                    out[length..length + 4].copy_from_slice(&written.to_be_bytes());
                }
                Err(_) => return false,
            }
        }
        if self.columns.all.iter().any(|column| column.text) {
            let Ok(count) = u16::try_from(self.columns.all.len()) else {
                return false;
            };
            out.put_u16(count);
            for column in &self.columns.all {
                out.put_i16(i16::from(!column.text));
            }
        } else {
            out.put_slice(b"\0\x01\0\x01");
        }
        let Ok(length) = i32::try_from(out.len() - begin - 1) else {
            return false;
        };
        out[begin + 1..begin + 5].copy_from_slice(&length.to_be_bytes());
        true
    }

    fn write_any(
        &self,
        args: &(impl Args + ?Sized),
        portal: &str,
        name: &str,
        out: &mut BytesMut,
    ) -> Result<()> {
        let params = self.params.iter().enumerate();
        let encoded = self.encode(args)?;
        // What a codec has made goes before what was given.
        let arg = |index: usize| -> Option<&(dyn ToSql + Sync)> {
            match encoded.get(index) {
                Some(Some(encoded)) => Some(encoded),
                _ => args.get(index),
            }
        };
        let formats = params.clone().map(|(index, type_)| {
            let format = arg(index).map(|arg| arg.encode_format(type_));
            i16::from(!matches!(format, Some(Format::Text)))
        });
        let results = self.columns.all.iter();
        let results = results.map(|column| i16::from(!column.text));
        let mut failed = None;
        let bound = frontend::bind(
            portal,
            name,
            formats,
            params,
            |(index, type_), out| {
                let encoded = match arg(index) {
                    Some(arg) => arg.to_sql_checked(type_, out),
                    None => Err("there is no such argument".into()),
                };
                failed = Some((index, type_));
                match encoded? {
                    postgres_types::IsNull::Yes => Ok(IsNull::Yes),
                    postgres_types::IsNull::No => Ok(IsNull::No),
                }
            },
            results,
            out,
        );
        bound.map_err(|error| match error {
            BindError::Conversion(source) => EncodeError {
                number: failed.map_or(0, |(index, _)| index + 1),
                type_: failed.map_or_else(String::new, |(_, type_)| type_.name().to_owned()),
                source,
            }
            .into(),
            BindError::Serialization(error) => error.into(),
        })
    }
}

/// Asks which process serves us.
fn ask_pid(out: &mut BytesMut) -> std::io::Result<()> {
    frontend::parse("", "SELECT pg_catalog.pg_backend_pid()", [], out)?;
    let bound = frontend::bind("", "", [], [], |(): (), _| unreachable!(), [1], out);
    bound.map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
    frontend::execute("", 0, out)
}

/// Has so many rows of a portal sent, all of them if zero.
fn write_execute(portal: &str, most_rows: i32, out: &mut BytesMut) -> Result<()> {
    let length = i32::try_from(portal.len() + 9)?;
    out.put_u8(b'E');
    out.put_i32(length);
    out.put_slice(portal.as_bytes());
    out.put_u8(0);
    out.put_i32(most_rows);
    Ok(())
}

/// An argument cannot be of the type that the server expects (`asyncpg.DataError`).
#[derive(Debug, thiserror::Error)]
#[error("argument ${number} cannot be of the type {type_} that the server expects")]
pub struct EncodeError {
    number: usize,
    type_: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl EncodeError {
    /// Counted from zero.
    pub(crate) fn new(
        index: usize,
        type_: &Type,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        Self {
            number: index + 1,
            type_: type_.name().to_owned(),
            source,
        }
    }

    /// Which argument it is, counted from one, as in the query.
    #[must_use]
    pub const fn number(&self) -> usize {
        self.number
    }
}
