//! `timeout`: a scope that is cancelled when it takes too long (`asyncio/timeouts.py`).

use std::fmt;
use std::future::{Future as StdFuture, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as PollContext, Poll, Waker};
use std::time::Instant;

use pin_project_lite::pin_project;
use tokio::time::Sleep as TokioSleep;

use crate::cell::{self, TaskRef};
use crate::current::{self, Frame};
use crate::debug;
use crate::events::with_running;
use crate::exceptions::{Exception, Result, RuntimeError, TimeoutError, ValueError};
use crate::loop_cell::{Core, Mail};
use crate::ready::{Ready, TimerAction};
use crate::scoped::Scoped;
use crate::slab::Key;
use crate::tasks::{tokio_sleep, uncancel};
use crate::time::MaybeDelay;

/// Runs a future for so long at the most (`async with asyncio.timeout`); `None` for as long as it
/// takes.
///
/// When the time is over the task is cancelled, the future finds
/// [`CancelledError`](crate::CancelledError) at its await and may clean up, with awaits; once it has
/// passed the error on, the timeout makes a [`TimeoutError`] of it. The future runs in the task that
/// awaits it, and may borrow from it.
///
/// ```
/// use asyncio_core::{Result, TimeoutError, run, sleep, timeout};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let quick = timeout(1.0, async {
///         sleep(0.001).await?;
///         Ok("done")
///     });
///     assert_eq!(quick.await?, "done");
///
///     let slow = timeout(0.001, sleep(3600)).await;
///     assert!(slow.is_err_and(|error| error.is::<TimeoutError>()));
///     Ok(())
/// })
/// # }
/// ```
///
/// A foreign future inside that knows nothing of cancellation is dropped:
///
/// ```
/// # use asyncio_core::{Result, TimeoutError, run, timeout};
/// # fn main() -> Result<()> {
/// # run(async {
/// let foreign = async {
///     std::future::pending::<()>().await;
///     Ok(())
/// };
/// assert!(timeout(0.001, foreign).await.is_err_and(|error| error.is::<TimeoutError>()));
/// # Ok(())
/// # })
/// # }
/// ```
///
/// # Errors
///
/// [`TimeoutError`] when the time is over and the future has passed the cancellation on; what the
/// future ends with otherwise, so also `CancelledError` when somebody else cancelled the task too;
/// [`ValueError`] when the delay is not a number; [`RuntimeError`] where no loop and no tokio runtime
/// runs.
///
/// # Cancel safety
///
/// Dropping it drops the future, and takes a request to cancel back that it has made.
///
/// # asyncio
///
/// The object that `async with` binds is reachable with [`timeout_with`] and [`Timeout`].
pub fn timeout<T, F>(delay: impl Into<MaybeDelay>, future: F) -> TimeoutScope<F::IntoFuture>
where
    F: IntoFuture<Output = Result<T>>,
{
    TimeoutScope::new(Place::Own(Inner::new(delay.into())), future.into_future())
}

/// As [`timeout`], up to a time of the loop's clock, in seconds (`asyncio.timeout_at`).
///
/// ```
/// use asyncio_core::{Result, get_running_loop, run, sleep, timeout_at};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let soon = get_running_loop()?.time() + 0.001;
///     assert!(timeout_at(soon, sleep(3600)).await.is_err());
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// As of [`timeout`]; [`RuntimeError`] where no event loop runs, for then there is no clock.
pub fn timeout_at<T, F>(when: impl Into<Option<f64>>, future: F) -> TimeoutScope<F::IntoFuture>
where
    F: IntoFuture<Output = Result<T>>,
{
    TimeoutScope::new(Place::Own(Inner::at(when.into())), future.into_future())
}

/// As [`timeout`], with the [`Timeout`] for whoever is inside.
///
/// ```
/// use asyncio_core::{Result, get_running_loop, run, sleep, timeout_with};
///
/// # fn main() -> Result<()> {
/// run(async {
///     timeout_with(0.001, async |timeout| {
///         timeout.reschedule(get_running_loop()?.time() + 60.0)?;
///         sleep(0.002).await
///     })
///     .await
/// })
/// # }
/// ```
///
/// # Errors
///
/// As of [`timeout`].
pub fn timeout_with<T, F, Fut>(delay: impl Into<MaybeDelay>, body: F) -> TimeoutScope<Fut>
where
    F: FnOnce(Timeout) -> Fut,
    Fut: StdFuture<Output = Result<T>>,
{
    let timeout = Timeout::new(delay);
    let body = body(timeout.clone());
    timeout.run(body)
}

/// A timeout by itself (`asyncio.Timeout`): for those who look at it or move it while it runs.
///
/// Clones are the same timeout.
///
/// ```
/// use asyncio_core::{Result, Timeout, run, sleep};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let timeout = Timeout::new(0.001);
///     assert!(timeout.reschedule(None).is_err(), "it has not been entered");
///     assert!(timeout.run(sleep(3600)).await.is_err());
///     assert!(timeout.expired());
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct Timeout {
    inner: Arc<Mutex<Inner>>,
}

impl Timeout {
    /// A timeout that is over so long from now.
    #[must_use]
    pub fn new(delay: impl Into<MaybeDelay>) -> Self {
        Self::of(Inner::new(delay.into()))
    }

    /// A timeout that is over at this time of the loop's clock, in seconds.
    #[must_use]
    pub fn at(when: impl Into<Option<f64>>) -> Self {
        Self::of(Inner::at(when.into()))
    }

    fn of(inner: Inner) -> Self {
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// Enters the timeout with this future, and leaves it when that ends; once only.
    ///
    /// # Errors
    ///
    /// As of [`timeout`]; [`RuntimeError`] when the timeout has been entered before.
    pub fn run<T, F>(&self, future: F) -> TimeoutScope<F::IntoFuture>
    where
        F: IntoFuture<Output = Result<T>>,
    {
        TimeoutScope::new(Place::Shared(self.clone()), future.into_future())
    }

    /// When the time is over, on the loop's clock (`Timeout.when`); `None` for never.
    ///
    /// # asyncio
    ///
    /// On a tokio runtime there is no clock of a loop; there it is counted from when the timeout was
    /// made.
    #[must_use]
    pub fn when(&self) -> Option<f64> {
        self.lock().when
    }

    /// Moves the time (`Timeout.reschedule`); `None` for never.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] when the timeout has not been entered, has expired or has been left, and on
    /// another thread than its loop's; [`ValueError`] when the time is not a number.
    pub fn reschedule(&self, when: impl Into<Option<f64>>) -> Result<()> {
        let waker = self.lock().reschedule(when.into())?;
        if let Some(waker) = waker {
            // tokio's timer is set anew by the poll that follows.
            waker.wake();
        }
        Ok(())
    }

    /// Whether the time was over before the timeout was left (`Timeout.expired`).
    #[must_use]
    pub fn expired(&self) -> bool {
        let inner = self.lock();
        matches!(inner.phase(), Phase::Expiring | Phase::Expired)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.lock();
        let phase = inner.phase();
        write!(f, "<Timeout [{}]", phase.name())?;
        if phase == Phase::Entered {
            match inner.when {
                Some(when) => write!(f, " when={when:.3}")?,
                None => f.write_str(" when=None")?,
            }
        }
        f.write_str(">")
    }
}

pin_project! {
    /// The future of [`timeout`].
    #[must_use = "futures do nothing until they are awaited"]
    pub struct TimeoutScope<F> {
        #[pin]
        body: Scoped<F>,
        place: Place,
        stage: Stage,
    }

    impl<F> PinnedDrop for TimeoutScope<F> {
        fn drop(this: Pin<&mut Self>) {
            // The body goes before its timeout is given up.
            let this = this.project();
            this.body.clear();
            match *this.stage {
                Stage::Inside => this.place.with(Inner::give_up),
                Stage::New => debug::never_awaited("timeout", None),
                Stage::Left => {}
            }
        }
    }
}

/// How far a scope is with its timeout, which may be another scope's as well by mistake.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    Inside,
    Left,
}

impl<F> TimeoutScope<F> {
    const fn new(place: Place, body: F) -> Self {
        Self {
            body: Scoped::new(body),
            place,
            stage: Stage::New,
        }
    }
}

impl<T, F: StdFuture<Output = Result<T>>> StdFuture for TimeoutScope<F> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if *this.stage == Stage::New {
            if let Err(error) = this.place.with(|inner| inner.enter(cx)) {
                *this.stage = Stage::Left;
                this.body.clear();
                return Poll::Ready(Err(error));
            }
            *this.stage = Stage::Inside;
        }
        match this.place.with(|inner| inner.look_at_clock(cx)) {
            Before::Poll => {}
            Before::Cancel(task) => {
                // Delivered in the task's next step, and there it has to come by here; together with
                // one that is due already, for they are one request by then.
                cell::cancel(task.cell(), &None);
                cell::put_off();
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Before::Drop => {
                this.body.clear();
                *this.stage = Stage::Left;
                this.place.with(Inner::give_up);
                return Poll::Ready(Err(timed_out()));
            }
        }
        let outcome = match this.body.as_mut().poll(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(outcome)) => outcome,
            Poll::Ready(Err(cancelled)) => Err(cancelled.into()),
        };
        *this.stage = Stage::Left;
        Poll::Ready(this.place.with(|inner| inner.exit(outcome)))
    }
}

impl<F> fmt::Debug for TimeoutScope<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutScope").finish_non_exhaustive()
    }
}

/// A timeout that is running on a loop; in a slab there, so that whoever leaves takes it back even
/// when it is due already.
pub(crate) struct Timing {
    task: TaskRef,
    fired: bool,
    /// Who polls the scope, where that is not the task itself.
    waker: Option<Waker>,
}

/// The time of a timeout is over (`Timeout._on_timeout`).
pub(crate) fn fire(core: &Core, key: Key) {
    let found = core.timeouts.borrow_mut().get_mut(key).map(|timing| {
        timing.fired = true;
        (timing.task.clone(), timing.waker.take())
    });
    if let Some((task, waker)) = found {
        cell::cancel(task.cell(), &None);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Where a scope has its timeout: in itself, or shared with those who hold the object.
enum Place {
    Own(Inner),
    Shared(Timeout),
}

impl Place {
    fn with<R>(&mut self, function: impl FnOnce(&mut Inner) -> R) -> R {
        match self {
            Self::Own(inner) => function(inner),
            Self::Shared(timeout) => function(&mut timeout.lock()),
        }
    }
}

struct Inner {
    phase: Phase,
    when: Option<f64>,
    /// When the time begins to count on a tokio runtime.
    made: Option<Instant>,
    /// What the loop's clock showed when the timeout was made.
    loop_time: Option<f64>,
    /// Whether `when` is a time of a loop's clock.
    is_absolute: bool,
    task: Option<TaskRef>,
    /// `Task.cancelling()` on entry.
    cancelling: u32,
    clock: Clock,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Created,
    Entered,
    Expiring,
    Expired,
    Exited,
}

/// Who tells that the time is over.
enum Clock {
    None,
    Loop {
        key: Key,
        timer: Key,
    },
    Tokio {
        alarm: Option<Pin<Box<TokioSleep>>>,
        fired: bool,
        /// Who polls the scope, for those who reschedule.
        waker: Waker,
    },
}

/// What a scope does next.
enum Before {
    Poll,
    /// The time is over: cancel the task.
    Cancel(TaskRef),
    /// The time is over and there is no task of ours to cancel.
    Drop,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Entered => "active",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Exited => "finished",
        }
    }
}

impl Inner {
    fn new(delay: MaybeDelay) -> Self {
        let seconds = delay.seconds();
        let now = with_running(Core::now);
        Self {
            made: now.is_none().then(Instant::now),
            is_absolute: now.is_some(),
            loop_time: now,
            ..Self::at(seconds.map(|seconds| now.unwrap_or(0.0) + seconds))
        }
    }

    const fn at(when: Option<f64>) -> Self {
        Self {
            phase: Phase::Created,
            when,
            made: None,
            loop_time: None,
            is_absolute: true,
            task: None,
            cancelling: 0,
            clock: Clock::None,
        }
    }

    /// Enters the scope (`Timeout.__aenter__`).
    fn enter(&mut self, cx: &PollContext<'_>) -> Result<()> {
        if self.phase != Phase::Created {
            return Err(RuntimeError::new("Timeout has already been entered").into());
        }
        if self.when.is_some_and(f64::is_nan) {
            return Err(ValueError::new("a timeout must be a number, not NaN").into());
        }
        current::with(|frame| {
            let task = frame.and_then(Frame::task);
            if let Some(task) = task
                && let Some(core) = frame.and_then(Frame::core)
            {
                if let Some(made) = self.made.take() {
                    // Made where no loop ran: the time counts from there all the same.
                    let passed = made.elapsed().as_secs_f64();
                    self.when = self.when.map(|when| core.now() + when - passed);
                    self.is_absolute = true;
                }
                self.clock = arm(core, task, self.when, self.loop_time);
            } else {
                if self.is_absolute && self.when.is_some() {
                    let message = "no running event loop, whose clock would tell the time";
                    return Err(RuntimeError::new(message).into());
                }
                if tokio::runtime::Handle::try_current().is_err() {
                    let message = "Timeout should be used inside a task";
                    return Err(RuntimeError::new(message).into());
                }
                self.clock = Clock::Tokio {
                    alarm: self.tokio_alarm()?,
                    fired: false,
                    waker: cx.waker().clone(),
                };
            }
            self.cancelling = task.map_or(0, |task| task.cancelling());
            self.task = task.cloned();
            self.phase = Phase::Entered;
            Ok(())
        })
    }

    fn reschedule(&mut self, when: Option<f64>) -> Result<Option<Waker>> {
        match self.phase() {
            Phase::Entered => {}
            Phase::Created => return Err(RuntimeError::new("Timeout has not been entered").into()),
            phase => {
                let message = format!("Cannot change state of {} Timeout", phase.name());
                return Err(RuntimeError::new(message).into());
            }
        }
        if when.is_some_and(f64::is_nan) {
            return Err(ValueError::new("a timeout must be a number, not NaN").into());
        }
        self.when = when;
        if let Clock::Tokio { .. } = self.clock {
            let new = self.tokio_alarm()?;
            if let Clock::Tokio { alarm, waker, .. } = &mut self.clock {
                *alarm = new;
                return Ok(Some(waker.clone()));
            }
        }
        let Some((task, core)) = self.task.as_ref().and_then(|task| {
            let core = task.cell().home().core()?;
            Some((task, core))
        }) else {
            let message = "a timeout can only be rescheduled on the thread of its event loop";
            return Err(RuntimeError::new(message).into());
        };
        let new = arm(core, task, when, None);
        if let Clock::Loop { key, timer } = std::mem::replace(&mut self.clock, new) {
            // Its time may be over and its entry in the ready queue, which finds the key gone.
            disarm(core, key, timer);
        }
        Ok(None)
    }

    fn tokio_alarm(&self) -> Result<Option<Pin<Box<TokioSleep>>>, RuntimeError> {
        let passed = self.made.map_or(0.0, |made| made.elapsed().as_secs_f64());
        self.when.map(|when| tokio_sleep(when - passed)).transpose()
    }

    /// Sees, before the body is polled, whether tokio's timer is due; the loop's fires by itself.
    fn look_at_clock(&mut self, cx: &mut PollContext<'_>) -> Before {
        match &mut self.clock {
            Clock::None => Before::Poll,
            Clock::Loop { key, .. } => {
                let Some(task) = &self.task else {
                    return Before::Poll;
                };
                if !cell::is_task_waker(cx.waker(), task)
                    && let Some(core) = task.cell().home().core()
                {
                    let mut waker = Some(cx.waker().clone());
                    if let Some(timing) = core.timeouts.borrow_mut().get_mut(*key) {
                        std::mem::swap(&mut timing.waker, &mut waker);
                    }
                    drop(waker);
                }
                Before::Poll
            }
            Clock::Tokio {
                alarm,
                fired,
                waker,
            } => {
                if !waker.will_wake(cx.waker()) {
                    waker.clone_from(cx.waker());
                }
                let due = alarm
                    .as_mut()
                    .is_some_and(|alarm| alarm.as_mut().poll(cx).is_ready());
                if !due {
                    return Before::Poll;
                }
                *alarm = None;
                *fired = true;
                self.task.clone().map_or(Before::Drop, Before::Cancel)
            }
        }
    }

    /// The phase, a time that is over but not left yet considered.
    fn phase(&self) -> Phase {
        if self.phase != Phase::Entered {
            return self.phase;
        }
        let fired = match &self.clock {
            Clock::None => false,
            Clock::Loop { key, .. } => self.task.as_ref().is_some_and(|task| {
                let Some(core) = task.cell().home().core() else {
                    return false;
                };
                let timeouts = core.timeouts.borrow();
                timeouts.get(*key).is_some_and(|timing| timing.fired)
            }),
            Clock::Tokio { fired, .. } => *fired,
        };
        if fired {
            Phase::Expiring
        } else {
            Phase::Entered
        }
    }

    /// Stops the clock; whether it had told that the time was over.
    fn stop_clock(&mut self) -> bool {
        match std::mem::replace(&mut self.clock, Clock::None) {
            Clock::None => false,
            Clock::Tokio { fired, .. } => fired,
            Clock::Loop { key, timer } => {
                let Some(task) = &self.task else { return false };
                if let Some(core) = task.cell().home().core() {
                    return disarm(core, key, timer);
                }
                // Dropped on another thread; a closed loop has no timers any more.
                let disarm = move |core: &Core| {
                    disarm(core, key, timer);
                };
                let _ = task.cell().home().post(Mail::Run(Box::new(disarm)));
                false
            }
        }
    }

    /// Leaves the scope (`Timeout.__aexit__`).
    fn exit<T>(&mut self, outcome: Result<T>) -> Result<T> {
        if !self.stop_clock() {
            self.phase = Phase::Exited;
            return outcome;
        }
        self.phase = Phase::Expired;
        let left = self.task.take().map_or(0, |task| uncancel(&task));
        match outcome {
            // No more requests than on entry: this one was ours.
            Err(error) if error.is_cancelled() && left <= self.cancelling => Err(timed_out()),
            outcome => outcome,
        }
    }

    /// The scope was dropped, or its body was.
    fn give_up(&mut self) {
        if matches!(self.clock, Clock::None) {
            return;
        }
        // The scope may be dropped where its task is not running: the request is taken back anyway.
        let fired = self.stop_clock();
        if let Some(task) = self.task.take()
            && fired
        {
            uncancel(&task);
        }
        self.phase = if fired { Phase::Expired } else { Phase::Exited };
    }
}

fn timed_out() -> Exception {
    TimeoutError::new("the deadline passed").into()
}

/// Has the loop tell when the time is over (`Timeout.reschedule`).
///
/// `known`: what the clock showed a while ago. A look at the real clock costs as much as all else here,
/// and a deadline that was still to come then is left to the timer, which is due as soon.
fn arm(core: &Core, task: &TaskRef, when: Option<f64>, known: Option<f64>) -> Clock {
    let key = core.timeouts.borrow_mut().insert(Timing {
        task: task.clone(),
        fired: false,
        waker: None,
    });
    let timer = match when {
        None => Key::NONE,
        Some(when) if when <= core.time_since(known.filter(|known| when > *known)) => {
            core.push(Ready::Timeout(key));
            Key::NONE
        }
        // Adding zero turns the negative zero, which would sort before it, into zero.
        Some(when) => {
            let action = TimerAction::Timeout(key);
            core.timers.borrow_mut().insert(when + 0.0, action)
        }
    };
    Clock::Loop { key, timer }
}

/// Takes that back; whether the time was over.
fn disarm(core: &Core, key: Key, timer: Key) -> bool {
    let action = core.timers.borrow_mut().cancel(timer);
    let timing = core.timeouts.borrow_mut().remove(key);
    drop(action);
    timing.is_some_and(|timing| timing.fired)
}
