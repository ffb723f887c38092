//! What tests against PostgreSQL need: throw-away servers, and a proxy that makes faults.
//!
//! [`PgCluster`] finds the programs of PostgreSQL, makes a database cluster in a temporary folder and
//! runs a server there, which ends with the process of the test, however that ends. [`FaultProxy`]
//! stands between a client and a server and does what networks do: it delays, cuts, resets, or
//! swallows.
//!
//! All of it blocks and needs no runtime, so that tests of any kind can use it. In a task, call what
//! takes long (`create`, `stop`, `restart`) with `to_thread`.
//!
//! ```
//! use asyncio_db::testing::{PgCluster, StopMode};
//!
//! let cluster = PgCluster::create()?;
//! assert_eq!(cluster.query("SELECT 1 + 1")?, [[Some("2".to_owned())]]);
//! cluster.restart(StopMode::Immediate)?;
//! assert_eq!(cluster.query("SELECT 'up again'")?.len(), 1);
//! # Ok::<(), asyncio_db::testing::ClusterError>(())
//! ```

mod account;
mod admin;
mod certificates;
mod cluster;
mod error;
mod folder;
mod programs;
mod proxy;
mod server;

pub use certificates::Certificates;
pub use cluster::{Database, PgCluster, PgClusterBuilder, StopMode};
pub use error::ClusterError;
pub use programs::PgPrograms;
pub use proxy::{Counts, Cut, Direction, FaultProxy};
