//! aiofiles' names (`aiofiles`).
//!
//! ```
//! use asyncio_compat as asyncio;
//! use asyncio::aiofiles;
//!
//! #[asyncio::main]
//! async fn main() -> asyncio::Result<()> {
//!     let file = aiofiles::open("Cargo.toml", "r").await?;
//!     assert_eq!(file.readline().await?, "[package]\n");
//!     file.close().await
//! }
//! ```

pub use asyncio_net::files::*;
