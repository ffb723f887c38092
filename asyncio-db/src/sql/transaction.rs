//! Transactions of a connection, and of an engine.

use std::fmt;
use std::ops::{Deref, DerefMut};

use asyncio_core::Result;

use super::connection::EngineConnection;

/// A transaction of a connection's, or a savepoint in it
/// (`sqlalchemy.ext.asyncio.AsyncTransaction`). It is the connection for as long as it lasts.
///
/// When it goes without [`commit`](Self::commit), what was done in it is undone with the next use of the
/// connection, or when that goes; what it has locked is locked until then.
#[must_use = "it is undone when it goes"]
pub struct Transaction<'a> {
    connection: &'a mut EngineConnection,
    savepoint: Option<u64>,
    over: bool,
}

impl<'a> Transaction<'a> {
    pub(super) const fn new(connection: &'a mut EngineConnection, savepoint: Option<u64>) -> Self {
        Self {
            connection,
            savepoint,
            over: false,
        }
    }

    /// Makes lasting what was done in it; of a savepoint, a part of the transaction.
    ///
    /// # Errors
    ///
    /// As of [`EngineConnection::commit`]; what was done is undone then.
    ///
    /// # Cancel safety
    ///
    /// As of [`EngineConnection::commit`]; of a savepoint, the connection is closed and all is undone.
    pub async fn commit(mut self) -> Result<()> {
        match self.savepoint {
            None => {
                self.over = true;
                self.connection.commit().await
            }
            Some(number) => {
                self.connection.release_savepoint(number).await?;
                self.over = true;
                Ok(())
            }
        }
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
        self.leave();
        self.over = true;
        self.connection.pay().await
    }

    fn leave(&mut self) {
        match self.savepoint {
            None => self.connection.leave_transaction(),
            Some(number) => self.connection.leave_savepoint(number),
        }
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.leave();
        }
        if self.savepoint.is_some() {
            self.connection.savepoint_is_over();
        }
    }
}

impl Deref for Transaction<'_> {
    type Target = EngineConnection;

    fn deref(&self) -> &EngineConnection {
        self.connection
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut EngineConnection {
        self.connection
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("savepoint", &self.savepoint)
            .field("connection", &*self.connection)
            .finish()
    }
}

/// A connection with a transaction on it; see [`Engine::begin`](super::Engine::begin). When it goes without
/// [`commit`](Self::commit), it goes back to the engine, and what was done is rolled back.
#[must_use = "it is rolled back when it goes"]
#[derive(Debug)]
pub struct EngineTransaction {
    connection: EngineConnection,
}

impl EngineTransaction {
    pub(super) const fn new(connection: EngineConnection) -> Self {
        Self { connection }
    }

    /// Makes lasting what was done, and gives the connection back.
    ///
    /// # Errors
    ///
    /// As of [`EngineConnection::commit`].
    ///
    /// # Cancel safety
    ///
    /// As of [`EngineConnection::commit`].
    pub async fn commit(mut self) -> Result<()> {
        self.connection.commit().await
    }

    /// Undoes what was done, and gives the connection back.
    ///
    /// # Errors
    ///
    /// As of [`EngineConnection::rollback`].
    ///
    /// # Cancel safety
    ///
    /// It is undone in any case.
    pub async fn rollback(mut self) -> Result<()> {
        self.connection.rollback().await
    }
}

impl Deref for EngineTransaction {
    type Target = EngineConnection;

    fn deref(&self) -> &EngineConnection {
        &self.connection
    }
}

impl DerefMut for EngineTransaction {
    fn deref_mut(&mut self) -> &mut EngineConnection {
        &mut self.connection
    }
}
