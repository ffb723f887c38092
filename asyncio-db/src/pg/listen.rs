//! `LISTEN` and `NOTIFY`.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use asyncio_core::{Exception, FutureExt as _, Result, RuntimeError, TimeoutError};
use futures_core::Stream;

use super::connect::ConnectBuilder;
use super::connection::Connection;
use super::errors::InterfaceError;
use super::notices::{Inbox, ListenerId, Notification};
use super::protocol::Wire;
use crate::exceptions::PgError;

impl Connection {
    /// Has a function called for each notification on a channel (`Connection.add_listener`).
    ///
    /// As long as there is one, the connection is read also while nothing is asked of it. The function is
    /// called where that is done, and should not take long; what it is to begin goes into a task or a
    /// queue.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # fn main() -> asyncio_core::Result<()> {
    /// # let cluster = asyncio_db::testing::PgCluster::create()?;
    /// # let dsn = cluster.dsn();
    /// use asyncio_sync::Queue;
    ///
    /// asyncio_core::run(async move {
    ///     let mut connection = asyncio_db::pg::connect(&dsn).await?;
    ///     let queue = Queue::new(100);
    ///     let into = queue.clone();
    ///     connection
    ///         .add_listener("news", move |heard| {
    ///             let _ = into.put_nowait(heard.payload.clone());
    ///         })
    ///         .await?;
    ///     let mut other = asyncio_db::pg::connect(&dsn).await?;
    ///     other.execute("NOTIFY news, 'rain'", ()).await?;
    ///     assert_eq!(queue.get().await?, "rain");
    ///     Ok(())
    /// })
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    ///
    /// A session that ends listens no more; [`Listener`] begins anew by itself.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute); the function is not called then.
    pub async fn add_listener(
        &mut self,
        channel: &str,
        listener: impl Fn(&Notification) + Send + Sync + 'static,
    ) -> Result<ListenerId> {
        if self.link.shared().notices.is_unheard(channel) {
            self.execute(&command("LISTEN", channel), ()).await?;
        }
        let id = self.link.shared().notices.add_channel(channel, listener);
        self.link.watch();
        Ok(id)
    }

    /// Has it called no more. False where it was removed before.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// It is called no more in any case.
    pub async fn remove_listener(&mut self, channel: &str, id: ListenerId) -> Result<bool> {
        let (removed, last) = self.link.shared().notices.remove_channel(channel, id);
        if last && !self.is_closed() {
            self.execute(&command("UNLISTEN", channel), ()).await?;
        }
        Ok(removed)
    }

    /// Has a function called once, when the session has ended, whoever has ended it
    /// (`Connection.add_termination_listener`).
    ///
    /// As long as there is one, the connection is read also while nothing is asked of it.
    pub fn add_termination_listener(
        &mut self,
        listener: impl FnOnce() + Send + 'static,
    ) -> ListenerId {
        let id = self.link.shared().notices.add_termination(listener);
        self.link.watch();
        id
    }

    /// Has it called no more. False where it was removed before, or was called.
    pub fn remove_termination_listener(&mut self, id: ListenerId) -> bool {
        self.link.shared().notices.remove_termination(id)
    }
}

fn command(verb: &str, channel: &str) -> String {
    format!("{verb} \"{}\"", channel.replace('"', "\"\""))
}

/// What a [`Listener`] hears.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenerEvent {
    /// A notification.
    Notification(Notification),
    /// The session had ended and there is another: what was said in between was not heard, and all that is
    /// said from here on is.
    Reconnected,
}

impl ListenerEvent {
    /// The notification, if it is one.
    #[must_use]
    pub fn notification(self) -> Option<Notification> {
        match self {
            Self::Notification(heard) => Some(heard),
            Self::Reconnected => None,
        }
    }
}

/// Hears what is said on channels, over all ends of its session: when it has ended it is opened again, and
/// that is said, so that who listens can look after what was missed.
///
/// Nothing is read before it is asked for, so that the server keeps what nobody has time for.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> asyncio_core::Result<()> {
/// # let cluster = asyncio_db::testing::PgCluster::create()?;
/// # let dsn = cluster.dsn();
/// use asyncio_db::pg::{ListenerEvent, create_pool};
///
/// asyncio_core::run(async move {
///     let pool = create_pool(dsn).min_size(1).await?;
///     let mut listener = pool.listen(["news"]).await?;
///     pool.execute("NOTIFY news, 'rain'", ()).await?;
///     match listener.next().await? {
///         ListenerEvent::Notification(heard) => assert_eq!(heard.payload, "rain"),
///         other => println!("{other:?}"), // look after what was missed
///     }
///     pool.close().await
/// })
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
pub struct Listener {
    /// There while nobody waits.
    session: Option<Box<Session>>,
    waiting: Option<Waiting>,
}

type Waiting = Pin<Box<dyn Future<Output = (Box<Session>, Result<ListenerEvent>)> + Send>>;

/// The session of a listener, or what there is without one.
struct Session {
    server: ConnectBuilder,
    channels: Vec<String>,
    connection: Option<Connection>,
    inbox: Inbox,
    probe: Duration,
}

/// After so long of silence the server is asked whether it is still there.
const PROBE: Duration = Duration::from_secs(30);

/// The server may not be back at once, and then it is asked again after so long; then after twice the
/// time, and so on.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

impl ConnectBuilder {
    /// Opens a session that listens to channels: see [`Listener`].
    ///
    /// # Errors
    ///
    /// As of [`connect`](super::connect).
    ///
    /// # Cancel safety
    ///
    /// A session that was being opened is closed.
    pub async fn listen<C: Into<String>>(
        self,
        channels: impl IntoIterator<Item = C>,
    ) -> Result<Listener> {
        let mut session = Box::new(Session {
            server: self,
            channels: channels.into_iter().map(Into::into).collect(),
            connection: None,
            inbox: Arc::default(),
            probe: PROBE,
        });
        session.open().await?;
        Ok(Listener {
            session: Some(session),
            waiting: None,
        })
    }
}

impl Listener {
    /// The next that is heard.
    ///
    /// # Errors
    ///
    /// What the server has against another session where one is needed. A server that is not reached, or
    /// that does not take anybody yet, is no error: it is waited for.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn next(&mut self) -> Result<ListenerEvent> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// After so long of silence the server is asked whether it is still there, 30 seconds by default, and
    /// has as long to answer.
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] while something is waited for.
    pub fn set_probe_interval(&mut self, interval: Duration) -> Result<()> {
        self.session()?.probe = interval;
        Ok(())
    }

    /// Listens to another channel as well.
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] when [`next`](Self::next) was left in the middle: it is to be awaited first.
    /// As of [`Connection::execute`] otherwise.
    ///
    /// # Cancel safety
    ///
    /// The channel is listened to or not.
    pub async fn add_channel(&mut self, channel: impl Into<String>) -> Result<()> {
        let channel = channel.into();
        let session = self.session()?;
        if let Some(connection) = &mut session.connection {
            connection.execute(&command("LISTEN", &channel), ()).await?;
        }
        session.channels.push(channel);
        Ok(())
    }

    /// The number of the server's process for its session, while it has one.
    #[must_use]
    pub fn get_server_pid(&self) -> Option<i32> {
        let connection = self.session.as_ref()?.connection.as_ref()?;
        Some(connection.get_server_pid())
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// It is ended in any case.
    pub async fn close(self) -> Result<()> {
        match self.session.and_then(|session| session.connection) {
            Some(connection) => connection.close().await,
            None => Ok(()),
        }
    }

    fn session(&mut self) -> Result<&mut Session> {
        let busy = || InterfaceError::new("the listener waits for something: await `next` first");
        Ok(self.session.as_deref_mut().ok_or_else(busy)?)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<ListenerEvent>> {
        let waiting = match &mut self.waiting {
            Some(waiting) => waiting,
            none => {
                let Some(mut session) = self.session.take() else {
                    let error = RuntimeError::new("the listener went wrong while it was polled");
                    return Poll::Ready(Err(error.into()));
                };
                none.insert(Box::pin(async move {
                    let heard = session.next().await;
                    (session, heard)
                }))
            }
        };
        let (session, heard) = ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        self.session = Some(session);
        Poll::Ready(heard)
    }
}

impl Stream for Listener {
    type Item = Result<ListenerEvent>;

    /// It has no end.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx).map(Some)
    }
}

impl Session {
    async fn next(&mut self) -> Result<ListenerEvent> {
        loop {
            if let Some(heard) = self.take() {
                return Ok(ListenerEvent::Notification(heard));
            }
            if self.connection.is_none() {
                self.open_again().await?;
                return Ok(ListenerEvent::Reconnected);
            }
            match self.hear().await {
                Ok(()) => {}
                Err(error) if error.is_cancelled() => return Err(error),
                // It is over; what has come before that is still told.
                Err(_) => self.connection = None,
            }
        }
    }

    fn take(&self) -> Option<Notification> {
        lock(&self.inbox).pop_front()
    }

    /// Waits until something has come. So much comes at once at the most as is read at once.
    async fn hear(&mut self) -> Result<()> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        connection.settle().await?;
        let inbox = &self.inbox;
        let heard = poll_fn(|cx| {
            let wire = connection.link.wire_mut();
            let polled = wire.map(|wire| Wire::poll_incoming(wire, cx));
            match polled {
                _ if !lock(inbox).is_empty() => Poll::Ready(Ok(())),
                Some(polled) => polled.map(|heard| heard.map(drop)),
                None => Poll::Ready(Err(lost())),
            }
        });
        match tokio::time::timeout(self.probe, heard)
            .cancellable()
            .await?
        {
            Ok(heard) => heard,
            Err(_) => {
                let asking = connection.execute("SELECT 1", ());
                let asked = tokio::time::timeout(self.probe, asking)
                    .cancellable()
                    .await?;
                asked.map_err(|_| lost())??;
                Ok(())
            }
        }
    }

    async fn open(&mut self) -> Result<()> {
        let mut connection = self.server.clone().open().await?;
        let notices = &connection.link.shared().notices;
        notices.set_inbox(Arc::clone(&self.inbox));
        let commands: Vec<String> = self
            .channels
            .iter()
            .map(|it| command("LISTEN", it))
            .collect();
        connection.execute(&commands.join(";"), ()).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn open_again(&mut self) -> Result<()> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.open().await {
                Err(error) if may_pass(&error) => {
                    tokio::time::sleep(pause).cancellable().await?;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                opened => return opened,
            }
        }
    }
}

/// Whether it may be otherwise a little later: the server is not there, begins, ends, or has too many
/// guests.
fn may_pass(error: &Exception) -> bool {
    if error.is_cancelled() {
        return false;
    }
    match error.downcast_ref::<PgError>() {
        Some(error) => {
            let state = error.sqlstate();
            state.starts_with("08") || state.starts_with("57P") || state.starts_with("53")
        }
        None => error.is::<io::Error>() || error.is::<TimeoutError>(),
    }
}

fn lost() -> Exception {
    super::errors::connection_lost(None)
}

fn lock(
    inbox: &Mutex<VecDeque<Notification>>,
) -> std::sync::MutexGuard<'_, VecDeque<Notification>> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("channels", &self.session.as_ref().map(|it| &it.channels))
            .field("waiting", &self.waiting.is_some())
            .finish_non_exhaustive()
    }
}
