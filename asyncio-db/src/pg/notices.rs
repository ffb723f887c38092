//! What the server says without having been asked, and who listens.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::exceptions::PgError;

/// What is called for a notice.
type LogListener = Arc<dyn Fn(&PgError) + Send + Sync>;

/// What is called for a notification.
type ChannelListener = Arc<dyn Fn(&Notification) + Send + Sync>;

/// What is called when a session has ended.
type TerminationListener = Box<dyn FnOnce() + Send>;

/// Where all notifications go that somebody waits for.
pub(crate) type Inbox = Arc<Mutex<VecDeque<Notification>>>;

/// What was said by `NOTIFY` on a channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Notification {
    /// The number of the server's process for the session that has said it.
    pub pid: i32,
    /// The channel.
    pub channel: String,
    /// What was said; often nothing.
    pub payload: String,
}

/// Who listens to what a session says unasked.
#[derive(Default)]
pub(crate) struct Notices {
    /// Somebody wants to hear of it at once, also while nothing is asked.
    watched: AtomicBool,
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    last: u64,
    logs: Vec<(u64, LogListener)>,
    channels: HashMap<String, Vec<(u64, ChannelListener)>>,
    terminations: Vec<(u64, TerminationListener)>,
    inbox: Option<Inbox>,
}

/// Names a listener, to remove it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(u64);

impl ListenerId {
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }
}

impl Notices {
    pub(crate) fn add(&self, listener: impl Fn(&PgError) + Send + Sync + 'static) -> ListenerId {
        let mut listeners = self.lock();
        let id = listeners.next();
        listeners.logs.push((id, Arc::new(listener)));
        ListenerId(id)
    }

    pub(crate) fn remove(&self, id: ListenerId) -> bool {
        let removed = {
            let mut listeners = self.lock();
            let at = listeners.logs.iter().position(|(it, _)| *it == id.0);
            at.map(|at| listeners.logs.remove(at))
        };
        // Dropped after the lock: it is somebody else's.
        removed.is_some()
    }

    /// Adds a listener of a channel.
    pub(crate) fn add_channel(
        &self,
        channel: &str,
        listener: impl Fn(&Notification) + Send + Sync + 'static,
    ) -> ListenerId {
        let mut listeners = self.lock();
        let id = listeners.next();
        let all = listeners.channels.entry(channel.to_owned()).or_default();
        all.push((id, Arc::new(listener)));
        self.look(&listeners);
        ListenerId(id)
    }

    /// Removes a listener of a channel, and says whether it was there, and whether it was the last one.
    pub(crate) fn remove_channel(&self, channel: &str, id: ListenerId) -> (bool, bool) {
        let (removed, last) = {
            let mut listeners = self.lock();
            let Some(all) = listeners.channels.get_mut(channel) else {
                return (false, false);
            };
            let at = all.iter().position(|(it, _)| *it == id.0);
            let removed = at.map(|at| all.remove(at));
            let last = all.is_empty();
            if last {
                listeners.channels.remove(channel);
            }
            self.look(&listeners);
            (removed, last)
        };
        (removed.is_some(), last)
    }

    /// Whether nobody listens to a channel.
    pub(crate) fn is_unheard(&self, channel: &str) -> bool {
        !self.lock().channels.contains_key(channel)
    }

    pub(crate) fn add_termination(&self, listener: impl FnOnce() + Send + 'static) -> ListenerId {
        let mut listeners = self.lock();
        let id = listeners.next();
        listeners.terminations.push((id, Box::new(listener)));
        self.look(&listeners);
        ListenerId(id)
    }

    pub(crate) fn remove_termination(&self, id: ListenerId) -> bool {
        let removed = {
            let mut listeners = self.lock();
            let at = listeners.terminations.iter().position(|it| it.0 == id.0);
            let removed = at.map(|at| listeners.terminations.remove(at));
            self.look(&listeners);
            removed
        };
        removed.is_some()
    }

    /// Has all notifications put there.
    pub(crate) fn set_inbox(&self, inbox: Inbox) {
        self.lock().inbox = Some(inbox);
    }

    /// Whether somebody wants to hear of things at once, also while nothing is asked.
    pub(crate) fn is_watched(&self) -> bool {
        // Relaxed: who has the session asks, and who listens has it as well; a lock and the moving of
        // the session from one to the other order the two.
        self.watched.load(Ordering::Relaxed)
    }

    fn look(&self, listeners: &Listeners) {
        let watched = !listeners.channels.is_empty() || !listeners.terminations.is_empty();
        // Relaxed: as above.
        self.watched.store(watched, Ordering::Relaxed);
    }

    /// Forgets all but who waits for the end; how many there were.
    pub(crate) fn clear(&self) -> usize {
        let gone = {
            let mut listeners = self.lock();
            let gone = (
                std::mem::take(&mut listeners.logs),
                std::mem::take(&mut listeners.channels),
            );
            self.look(&listeners);
            gone
        };
        gone.0.len() + gone.1.values().map(Vec::len).sum::<usize>()
    }

    /// Forgets who waits for the end, too; how many there were.
    pub(crate) fn clear_all(&self) -> usize {
        let gone = std::mem::take(&mut self.lock().terminations);
        gone.len() + self.clear()
    }

    /// Calls all that listen to notices, under no lock.
    pub(crate) fn tell(&self, notice: &PgError) {
        let all = self.lock().logs.clone();
        for (_, listener) in all {
            listener(notice);
        }
    }

    /// Calls all that listen to this channel, under no lock.
    pub(crate) fn notify(&self, notification: Notification) {
        let (all, inbox) = {
            let listeners = self.lock();
            let all = listeners.channels.get(&notification.channel).cloned();
            (all, listeners.inbox.clone())
        };
        for (_, listener) in all.iter().flatten() {
            listener(&notification);
        }
        if let Some(inbox) = inbox {
            let mut inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
            inbox.push_back(notification);
        }
    }

    /// The session has ended: calls all that wait for that, once, under no lock.
    pub(crate) fn end(&self) {
        let all = {
            let mut listeners = self.lock();
            let all = std::mem::take(&mut listeners.terminations);
            self.look(&listeners);
            all
        };
        for (_, listener) in all {
            listener();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listeners {
    const fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").finish_non_exhaustive()
    }
}
