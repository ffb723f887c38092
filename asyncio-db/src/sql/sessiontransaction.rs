//! Transactions of a session.

use std::fmt;
use std::ops::{Deref, DerefMut};

use asyncio_core::Result;

use super::connection::EngineConnection;
use super::errors::InvalidRequestError;
use super::session::Session;

/// A transaction of a session's, or a savepoint in it (`sqlalchemy.ext.asyncio.AsyncSessionTransaction`). It
/// is the session for as long as it lasts; when it goes without [`commit`](Self::commit), what was done in
/// it is undone.
#[must_use = "it is undone when it goes"]
pub struct SessionTransaction<'a> {
    session: &'a mut Session,
    /// Which of the session's levels it is.
    level: usize,
    over: bool,
}

impl<'a> SessionTransaction<'a> {
    pub(super) const fn new(session: &'a mut Session) -> Self {
        Self {
            level: session.levels.len() - 1,
            session,
            over: false,
        }
    }

    /// Flushes, and makes lasting what was done in it; of a savepoint, a part of the transaction.
    ///
    /// # Errors
    ///
    /// As of [`Session::commit`]; what was done is undone then.
    ///
    /// # Cancel safety
    ///
    /// As of [`Session::commit`], where what can be undone is undone; of a savepoint, all is.
    pub async fn commit(mut self) -> Result<()> {
        if self.session.levels.len() != self.level + 1 {
            let message = "the transaction of this guard was ended by somebody else";
            return Err(InvalidRequestError::new(message).into());
        }
        let Some(number) = self.savepoint() else {
            self.session.commit().await?;
            self.over = true;
            return Ok(());
        };
        self.session.flush().await?;
        self.session.failed = true;
        let connection = self.session.connected().await?;
        connection.release_savepoint(number).await?;
        connection.savepoint_is_over();
        self.session.failed = false;
        self.session.keep_level();
        self.over = true;
        Ok(())
    }

    /// Undoes what was done in it.
    ///
    /// # Errors
    ///
    /// When the connection is lost, and with it what was done.
    ///
    /// # Cancel safety
    ///
    /// It is undone in any case.
    pub async fn rollback(mut self) -> Result<()> {
        self.over = true;
        if let Some(mut connection) = self.leave() {
            return connection.rollback().await;
        }
        match &mut self.session.connection {
            // What is to be undone of a savepoint.
            Some(connection) => connection.pay().await,
            None => Ok(()),
        }
    }

    fn savepoint(&self) -> Option<u64> {
        self.session.levels.get(self.level)?.savepoint
    }

    /// Undoes it here; the connection of a transaction that is to be rolled back, too.
    fn leave(&mut self) -> Option<EngineConnection> {
        let savepoint = self.savepoint();
        let left = match (savepoint, &mut self.session.connection) {
            (Some(number), Some(connection)) => {
                connection.leave_savepoint(number);
                connection.savepoint_is_over();
                None
            }
            _ => self.session.connection.take(),
        };
        self.session.undo(self.level);
        left
    }
}

impl Drop for SessionTransaction<'_> {
    fn drop(&mut self) {
        if !self.over {
            // Dropped, the connection rolls back.
            drop(self.leave());
        }
    }
}

impl Deref for SessionTransaction<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session
    }
}

impl DerefMut for SessionTransaction<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        self.session
    }
}

impl fmt::Debug for SessionTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTransaction")
            .field("nested", &self.savepoint().is_some())
            .field("session", &*self.session)
            .finish()
    }
}
