//! httpx's names (`httpx`).
//!
//! ```
//! use asyncio_compat as asyncio;
//! use asyncio::httpx;
//!
//! #[asyncio::main]
//! async fn main() -> asyncio::Result<()> {
//!     let client = httpx::AsyncClient::builder()
//!         .timeout(httpx::Timeout::new(20).connect(5))
//!         .trust_env(false)
//!         .build()?;
//!     // Nobody listens there.
//!     let error = client.get("http://127.0.0.1:1/").await.unwrap_err();
//!     let error = httpx::HttpError::of(&error).expect("an error of the client");
//!     assert_eq!(error.kind(), httpx::HttpErrorKind::Connect);
//!     Ok(())
//! }
//! ```

pub use asyncio_net::http::*;
