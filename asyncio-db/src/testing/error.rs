//! What can go wrong with a server for tests.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why there is no server, or what it answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// PostgreSQL's `initdb` and `postgres` are nowhere to be found.
    #[error(
        "no PostgreSQL found: install one (`apt-get install postgresql`, or `pip install pgserver`), \
         or set ASYNCIO_DB_PG_BIN to the folder that holds initdb and postgres"
    )]
    NotFound,
    /// The folder that an environment variable names holds no server.
    #[error("{variable} names {}, where initdb and postgres are not both found", folder.display())]
    NotThere {
        /// The environment variable.
        variable: &'static str,
        /// What it names.
        folder: PathBuf,
    },
    /// The process runs as root, as which PostgreSQL refuses to run, and there is no other account.
    #[error("PostgreSQL does not run as root, and there is neither an account postgres nor nobody")]
    NoAccount,
    /// The server was built without TLS, as that of `pgserver` is.
    #[error("this PostgreSQL was built without TLS")]
    NoTls,
    /// A file or a process could not be dealt with.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program of PostgreSQL's has failed.
    #[error("{program} has failed: {output}")]
    #[non_exhaustive]
    Failed {
        /// The name of the program.
        program: String,
        /// The end of what it wrote.
        output: String,
    },
    /// The server does not do what was asked of it in time.
    #[error("the server does not {what} within {} seconds", after.as_secs())]
    TimedOut {
        /// What was asked.
        what: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The server is not running.
    #[error("the server is not running")]
    NotRunning,
    /// The server has refused a statement.
    #[error("the server says {sqlstate}: {message}")]
    #[non_exhaustive]
    Server {
        /// The code of the error.
        sqlstate: String,
        /// Its message.
        message: String,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(String),
}

impl ClusterError {
    /// Makes of a system's error one that says what was tried.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io {
            what: what.into(),
            source,
        }
    }
}
