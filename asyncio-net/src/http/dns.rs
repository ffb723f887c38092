//! Names of hosts, remembered for a while (`ttl_dns_cache` of aiohttp).

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use asyncio_core::waiting::Mutex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::OnceCell;

/// Asks the operating system, once for all who ask at a time, and for a while afterwards.
#[derive(Debug)]
pub(crate) struct Resolver {
    ttl: Option<Duration>,
    known: Arc<Mutex<HashMap<String, Entry>>>,
}

#[derive(Clone, Debug)]
struct Entry {
    since: Instant,
    addresses: Arc<OnceCell<Vec<SocketAddr>>>,
}

/// From so many names on, those whose time is over are looked for.
const FULL: usize = 1000;

impl Resolver {
    /// Remembers what it learns for so long; nothing for `None`.
    pub(crate) fn new(ttl: Option<Duration>) -> Self {
        Self {
            ttl,
            known: Arc::default(),
        }
    }

    fn entry(&self, name: &str, ttl: Duration) -> Entry {
        let now = Instant::now();
        let fresh = |entry: &Entry| now.duration_since(entry.since) < ttl;
        let mut known = self.known.lock();
        if known.len() >= FULL {
            known.retain(|_, entry| fresh(entry));
            if known.len() >= FULL {
                known.clear();
            }
        }
        if let Some(entry) = known.get(name)
            && fresh(entry)
        {
            return entry.clone();
        }
        let entry = Entry {
            since: now,
            addresses: Arc::default(),
        };
        known.insert(name.to_owned(), entry.clone());
        entry
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Some(ttl) = self.ttl else {
            return Box::pin(async move {
                let addresses = look_up(name.as_str()).await?;
                Ok(Box::new(addresses.into_iter()) as Addrs)
            });
        };
        let entry = self.entry(name.as_str(), ttl);
        Box::pin(async move {
            // When the one that asks goes, another of those that wait asks; a failure is not kept.
            let addresses = entry.addresses.get_or_try_init(|| look_up(name.as_str()));
            let addresses = addresses.await?.clone();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

async fn look_up(name: &str) -> Result<Vec<SocketAddr>, ResolveError> {
    // The port is the connector's.
    let addresses = tokio::net::lookup_host((name, 0)).await;
    Ok(addresses.map_err(ResolveError)?.collect())
}

/// The name leads nowhere.
#[derive(Debug)]
pub(crate) struct ResolveError(io::Error);

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of the host leads nowhere")
    }
}

impl Error for ResolveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}
