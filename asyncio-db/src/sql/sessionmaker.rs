//! What makes sessions.

use std::ops::AsyncFnOnce;

use asyncio_core::Result;

use super::engine::Engine;
use super::session::Session;

/// Says how sessions are made (`sqlalchemy.ext.asyncio.async_sessionmaker`).
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_db::sql::{MetaData, Table, async_sessionmaker, create_async_engine, select};
///
/// #[derive(Clone, Debug, Table)]
/// struct User {
///     #[table(primary_key, generated)]
///     id: i64,
///     name: String,
/// }
///
/// # fn main() -> Result<()> {
/// run(async {
///     let engine = create_async_engine("sqlite://").build()?;
///     engine.begin_with(async |it| MetaData::new().table::<User>().create_all(it).await).await?;
///     let new_session = async_sessionmaker(&engine).expire_on_commit(false);
///
///     let ann = new_session
///         .begin(async |session| Ok(session.add(User { id: 0, name: "Ann".to_owned() })))
///         .await?;
///     assert_eq!((ann.get().id, ann.get().name.as_str()), (1, "Ann"));
///
///     let mut session = new_session.session();
///     let users = session.scalars(select::<User>().order_by(User::ID)).await?.all();
///     assert_eq!(users[0].get().name, "Ann");
///     Ok(())
/// })
/// # }
/// ```
pub fn async_sessionmaker(engine: &Engine) -> SessionMaker {
    SessionMaker {
        engine: engine.clone(),
        expire_on_commit: true,
        autoflush: true,
    }
}

/// Makes sessions; see [`async_sessionmaker`].
#[derive(Clone, Debug)]
#[must_use = "it makes sessions"]
pub struct SessionMaker {
    pub(super) engine: Engine,
    pub(super) expire_on_commit: bool,
    pub(super) autoflush: bool,
}

impl SessionMaker {
    /// Whether a commit has what the session knows count as outdated; it does by default.
    pub const fn expire_on_commit(mut self, on: bool) -> Self {
        self.expire_on_commit = on;
        self
    }

    /// Whether statements see what was changed in the session; they do by default.
    pub const fn autoflush(mut self, on: bool) -> Self {
        self.autoflush = on;
        self
    }

    /// A session (`async_session()`).
    #[must_use]
    pub fn session(&self) -> Session {
        Session::new(self.clone())
    }

    /// Runs a function with a session in a transaction, which is committed if the function succeeds and
    /// rolled back otherwise (`async with async_session.begin()`).
    ///
    /// # Errors
    ///
    /// What the function ends with; as of [`Session::commit`].
    ///
    /// # Cancel safety
    ///
    /// All is rolled back, unless it was being committed: see [`Session::commit`].
    pub async fn begin<T>(
        &self,
        function: impl AsyncFnOnce(&mut Session) -> Result<T>,
    ) -> Result<T> {
        let mut session = self.session();
        session.begin_with(function).await
    }
}
