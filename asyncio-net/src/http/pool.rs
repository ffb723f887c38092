//! Permits: how many requests may be under way, in all and to one host.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use asyncio_core::CancelledError;
use asyncio_core::waiting::Mutex;
use asyncio_sync::{OwnedPermit, Semaphore};
use reqwest::Url;

use super::config::Limits;

/// What is under way and who waits, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Requests that hold a permit: their response's body has not come to its end.
    pub active: usize,
    /// Requests that wait for a permit.
    pub waiting: usize,
}

#[derive(Debug)]
pub(crate) struct Pool {
    all: Option<Semaphore>,
    per_host: Option<usize>,
    hosts: Mutex<HashMap<Host, Users>>,
    active: AtomicUsize,
    waiting: AtomicUsize,
    closed: AtomicBool,
}

/// Scheme, name and port.
type Host = (bool, String, u16);

#[derive(Debug)]
struct Users {
    semaphore: Semaphore,
    count: usize,
}

/// That a request may be under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    // Given back in this order: the next of this host may then compete for the other.
    _host: Option<HostPermit>,
    _all: Option<OwnedPermit>,
    active: Counted,
}

#[derive(Debug)]
struct HostPermit {
    _permit: Option<OwnedPermit>,
    pool: Arc<Pool>,
    host: Host,
}

/// One more, until it is dropped.
#[derive(Debug)]
struct Counted {
    pool: Arc<Pool>,
    waits: bool,
}

impl Pool {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            all: limits.max_connections.map(Semaphore::new),
            per_host: limits.max_connections_per_host,
            hosts: Mutex::new(HashMap::new()),
            active: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Waits for the host first and for the others then: who waits for its host has nothing that
    /// another host could use.
    pub(crate) async fn acquire(self: &Arc<Self>, url: &Url) -> Result<Permit, CancelledError> {
        let waiting = Counted::new(self, true);
        let host = match self.per_host {
            None => None,
            Some(most) => {
                let (mut user, semaphore) = self.user_of(url, most);
                user._permit = Some(semaphore.guard_owned().await?);
                Some(user)
            }
        };
        let all = match &self.all {
            None => None,
            Some(all) => Some(all.guard_owned().await?),
        };
        drop(waiting);
        Ok(Permit {
            _host: host,
            _all: all,
            active: Counted::new(self, false),
        })
    }

    fn user_of(self: &Arc<Self>, url: &Url, most: usize) -> (HostPermit, Semaphore) {
        let host: Host = (
            url.scheme() == "https",
            url.host_str().unwrap_or_default().to_owned(),
            url.port_or_known_default().unwrap_or_default(),
        );
        let semaphore = {
            let mut hosts = self.hosts.lock();
            let users = hosts.entry(host.clone()).or_insert_with(|| Users {
                semaphore: Semaphore::new(most),
                count: 0,
            });
            users.count += 1;
            users.semaphore.clone()
        };
        let user = HostPermit {
            _permit: None,
            pool: Arc::clone(self),
            host,
        };
        (user, semaphore)
    }

    pub(crate) fn stats(&self) -> PoolStats {
        // Relaxed: figures of a moment, which order nothing.
        PoolStats {
            active: self.active.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn close(&self) {
        // Release, and Acquire where it is read: who finds it closed finds the connections gone.
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: see `close`.
        self.closed.load(Ordering::Acquire)
    }
}

impl Permit {
    pub(crate) fn pool(&self) -> &Pool {
        &self.active.pool
    }
}

impl Drop for HostPermit {
    fn drop(&mut self) {
        // Before it is counted: a host without users has all its permits.
        self._permit = None;
        let mut hosts = self.pool.hosts.lock();
        let gone = hosts.get_mut(&self.host).is_some_and(|users| {
            users.count -= 1;
            users.count == 0
        });
        let users = if gone { hosts.remove(&self.host) } else { None };
        drop(hosts);
        drop(users);
    }
}

impl Counted {
    fn new(pool: &Arc<Pool>, waits: bool) -> Self {
        let counted = Self {
            pool: Arc::clone(pool),
            waits,
        };
        // Relaxed: see `Pool::stats`.
        counted.counter().fetch_add(1, Ordering::Relaxed);
        counted
    }

    fn counter(&self) -> &AtomicUsize {
        if self.waits {
            &self.pool.waiting
        } else {
            &self.pool.active
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // Relaxed: see `Pool::stats`.
        self.counter().fetch_sub(1, Ordering::Relaxed);
    }
}
