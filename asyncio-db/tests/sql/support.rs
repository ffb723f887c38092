//! What the tests share.

use std::fmt::{Debug, Write as _};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncio_core::{Exception, Result, run};
use asyncio_db::sql::{
    Dialect, Engine, EngineBuilder, MetaData, Session, SessionMaker, Table, async_sessionmaker,
    create_async_engine, insert, text,
};
use asyncio_db::testing::{ClusterError, PgCluster};
use tracing::field::{Field, Visit};
use tracing::span;

/// SQLAlchemy's fixture.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Table)]
#[table(name = "users")]
pub(crate) struct User {
    #[table(primary_key, generated)]
    pub(crate) id: i64,
    pub(crate) name: String,
}

/// SQLAlchemy's fixture.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Table)]
#[table(name = "addresses")]
pub(crate) struct Address {
    #[table(primary_key, generated)]
    pub(crate) id: i64,
    #[table(references = User::ID)]
    pub(crate) user_id: Option<i64>,
    pub(crate) email_address: String,
}

/// Rows that refer to rows of the same table.
#[derive(Clone, Debug, PartialEq, Table)]
pub(crate) struct Node {
    #[table(primary_key, generated)]
    pub(crate) id: i64,
    #[table(references = Node::ID)]
    pub(crate) parent_id: Option<i64>,
    pub(crate) data: String,
}

/// A key that the program gives.
#[derive(Clone, Debug, PartialEq, Table)]
#[table(name = "items")]
pub(crate) struct Item {
    #[table(primary_key)]
    pub(crate) name: String,
    #[table(unique)]
    pub(crate) rank: Option<i32>,
}

pub(crate) fn tables() -> MetaData {
    MetaData::new()
        .table::<Address>()
        .table::<User>()
        .table::<Node>()
        .table::<Item>()
}

pub(crate) fn user(name: &str) -> User {
    User {
        id: 0,
        name: name.to_owned(),
    }
}

pub(crate) fn item(name: &str, rank: impl Into<Option<i32>>) -> Item {
    Item {
        name: name.to_owned(),
        rank: rank.into(),
    }
}

/// The users of the fixture.
pub(crate) fn users() -> [User; 4] {
    [(7, "jack"), (8, "ed"), (9, "fred"), (10, "chuck")].map(|(id, name)| User {
        id,
        name: name.to_owned(),
    })
}

/// A database of the test's own, with the tables in it.
#[derive(Clone, Debug)]
pub(crate) struct Db {
    url: String,
    pub(crate) engine: Engine,
    said: Statements,
}

impl Db {
    /// Another engine for the same database.
    pub(crate) fn another(&self) -> EngineBuilder {
        create_async_engine(&self.url)
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.engine.dialect() == Dialect::Sqlite
    }

    pub(crate) fn maker(&self) -> SessionMaker {
        async_sessionmaker(&self.engine)
    }

    pub(crate) fn session(&self) -> Session {
        self.maker().session()
    }

    /// Puts the users of the fixture into it.
    pub(crate) async fn fill(&self) -> Result<()> {
        self.engine
            .begin_with(async |connection| {
                connection.execute(insert().rows(&users())).await?;
                Ok(())
            })
            .await?;
        self.said();
        Ok(())
    }

    /// The statements that were executed since this was asked last, without `BEGIN` and its like.
    pub(crate) fn said(&self) -> Vec<String> {
        let mut said = self.said.0.lock().expect("nobody has panicked");
        let is_one = |sql: &String| {
            let ends = ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"];
            !ends.iter().any(|end| sql.starts_with(end))
        };
        std::mem::take(&mut *said)
            .into_iter()
            .filter(is_one)
            .collect()
    }

    /// As [`said`](Self::said): the first word of each and its table.
    pub(crate) fn done(&self) -> Vec<String> {
        let short = |sql: String| {
            let verb = sql.split(' ').next().unwrap_or_default().to_owned();
            let table = sql.split('"').nth(match verb.as_str() {
                "SELECT" => sql
                    .split('"')
                    .position(|it| it == " FROM ")
                    .map_or(1, |it| it + 1),
                _ => 1,
            });
            format!("{verb} {}", table.unwrap_or_default())
        };
        self.said().into_iter().map(short).collect()
    }
}

/// Runs a test on SQLite and, where there is one, on PostgreSQL; on an event loop of ours.
///
/// None may take longer than a minute: a test that hangs fails.
#[track_caller]
pub(crate) fn both<F, Fut>(test: F) -> Result<()>
where
    F: Fn(Db) -> Fut + Clone + 'static,
    Fut: Future<Output = Result<()>> + 'static,
{
    let folder = Folder::new();
    on(folder.url(), test.clone()).inspect_err(|error| error.add_note("on SQLite"))?;
    drop(folder);
    let Some(cluster) = cluster() else {
        return Ok(());
    };
    // A schema of the test's own takes no time, which a database does.
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let schema = format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let dsn = cluster.dsn_of("postgres", "postgres");
    let url = dsn.replacen("postgresql://", "postgresql+asyncpg://", 1);
    let create = text(format!("CREATE SCHEMA {schema}"));
    let engine = create_async_engine(&url).build()?;
    run(async move {
        let made = engine.begin_with(async |it| it.execute(create).await).await;
        made.and(engine.dispose().await)
    })?;
    let sign = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{sign}search_path={schema}");
    on(url, test).inspect_err(|error| error.add_note("on PostgreSQL"))
}

fn on<F, Fut>(url: String, test: F) -> Result<()>
where
    F: Fn(Db) -> Fut + Clone + 'static,
    Fut: Future<Output = Result<()>> + 'static,
{
    let said = Statements::default();
    let listening = tracing::subscriber::set_default(said.clone());
    run(async move {
        let engine = create_async_engine(&url).echo(true).build()?;
        let all = tables();
        engine
            .begin_with(async |it| all.create_all(it).await)
            .await?;
        let db = Db { url, engine, said };
        db.said();
        let engine = db.engine.clone();
        let Ok(result) = tokio::time::timeout(Duration::from_secs(60), test(db)).await else {
            panic!("the test hangs");
        };
        result?;
        engine.dispose().await
    })?;
    drop(listening);
    Ok(())
}

/// The cluster of all tests. Where there is no PostgreSQL the tests are passed over and say so; with
/// `CI=true` in the environment that is a failure.
fn cluster() -> Option<&'static PgCluster> {
    let in_ci = std::env::var("CI").is_ok_and(|ci| !matches!(&*ci, "" | "0" | "false"));
    match PgCluster::shared() {
        Ok(cluster) => Some(cluster),
        Err(ClusterError::NotFound) if !in_ci => {
            // Written where a person who runs the tests sees it, passed or not.
            let _ = writeln!(std::io::stderr(), "skipped: {}", ClusterError::NotFound);
            None
        }
        Err(error) => panic!("there is no server to test with: {error:?}"),
    }
}

/// A folder of the test's own.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("asyncio-db-sql-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    fn url(&self) -> String {
        format!("sqlite+aiosqlite:///{}", self.0.join("test.db").display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Collects what is executed.
#[derive(Clone, Debug, Default)]
struct Statements(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Statements {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "asyncio_db::sql"
    }

    fn event(&self, event: &tracing::Event<'_>) {
        struct Sql(String);
        impl Visit for Sql {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                if field.name() == "sql" {
                    write!(self.0, "{value:?}").expect("a string takes all");
                }
            }
        }
        let mut sql = Sql(String::new());
        event.record(&mut sql);
        self.0.lock().expect("nobody has panicked").push(sql.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[track_caller]
pub(crate) fn error_of<E: std::error::Error + 'static>(result: Result<impl Debug>) -> Exception {
    let error = result.expect_err("an error was expected");
    assert!(error.is::<E>(), "{error:?}");
    error
}

/// Whether a constraint was violated, on either database.
pub(crate) fn is_integrity_error(error: &Exception) -> bool {
    use asyncio_db::{ExceptionExt as _, exc, sqlite::SqliteError};

    error.is_pg::<exc::IntegrityConstraintViolationError>()
        || error
            .downcast_ref()
            .is_some_and(SqliteError::is_constraint_violation)
}
