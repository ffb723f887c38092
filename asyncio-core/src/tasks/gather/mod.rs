//! `gather`: one future of the results of many.

mod children;

use std::collections::HashSet;
use std::fmt;
use std::future::IntoFuture;
use std::ops::Deref;
use std::panic::Location;

pub use children::{Gather, GatherLocal};

use super::child::Child;
use super::ensure::Spawner;
use super::task::Task;
use crate::cell::{self, CANCELLED, Callback, CellRef, LISTED, Outer, Part, Typed};
use crate::current::{self, Frame};
use crate::exceptions::{Exception, Result, ValueError};
use crate::futures::Future;
use crate::primitives::yield_now;
use crate::slab::Key;
use children::Tasks;

/// Runs several futures at once and gathers their values, in the order of the arguments
/// (`asyncio.gather`).
///
/// The arguments may be tasks, futures and coroutines, in a tuple, an array or a [`Vec`]; for other
/// collections there is [`gather_iter`], for a list in the source [`gather!`](crate::gather!).
/// What is not running yet starts at this call, whether or not the result is awaited: what is
/// returned stands for a [`Future`], and derefs to it.
///
/// ```
/// use asyncio_core::{Result, create_task, gather, run, sleep};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let task = create_task(async { Ok("one") });
///     let (one, two) = gather((task, async {
///         sleep(0.001).await?;
///         Ok(2)
///     }))
///     .await?;
///     assert_eq!((one, two), ("one", 2));
///
///     let squares = gather([1, 2, 3].map(|n| async move { Ok(n * n) })).await?;
///     assert_eq!(squares, [1, 4, 9]);
///     Ok(())
/// })
/// # }
/// ```
///
/// The first exception ends the future; the other children run on. A child that is cancelled counts as
/// one that failed with [`CancelledError`](crate::CancelledError). Cancelling the future cancels all
/// children, and it ends once the first of them has been seen to be cancelled, or all have ended.
///
/// One task may be given several times; it runs once and its value is listed for each, which takes
/// a value that is [`Clone`] (`&task`, or a clone).
///
/// # Errors
///
/// The future ends with the exception of the first child that fails, with
/// [`CancelledError`](crate::CancelledError) when it was cancelled, with [`ValueError`] when the
/// children belong to different loops.
///
/// # Cancel safety
///
/// Dropping the future lets the children run on. Cancelling the task that awaits it cancels all
/// children, as in Python; use [`shield`](crate::shield) where that is not wanted.
///
/// # asyncio
///
/// `return_exceptions=True` is the method [`Gathering::return_exceptions`].
#[track_caller]
pub fn gather<C: Gather>(children: C) -> Gathering<C::Tasks> {
    Gathering::start(children.start(Spawner::new(true, Location::caller())), true)
}

/// As [`gather`], for futures that must stay on this thread.
///
/// ```
/// # use asyncio_core::{Result, gather_local, run};
/// # use std::rc::Rc;
/// # fn main() -> Result<()> {
/// run(async {
///     let shared = Rc::new(5);
///     let (a, b) = (Rc::clone(&shared), shared);
///     assert_eq!(gather_local((async move { Ok(*a) }, async move { Ok(*b + 1) })).await?, (5, 6));
///     Ok(())
/// })
/// # }
/// ```
#[track_caller]
pub fn gather_local<C: GatherLocal>(children: C) -> Gathering<C::Tasks> {
    Gathering::start(
        children.start(Spawner::new(false, Location::caller())),
        false,
    )
}

/// As [`gather`], for all that an iterator gives.
///
/// ```
/// # use asyncio_core::{Result, gather_iter, run};
/// # fn main() -> Result<()> {
/// run(async {
///     let doubled = gather_iter((1..=4).map(|n| async move { Ok(2 * n) })).await?;
///     assert_eq!(doubled, [2, 4, 6, 8]);
///     Ok(())
/// })
/// # }
/// ```
#[track_caller]
pub fn gather_iter<I, T>(children: I) -> Gathering<Vec<Task<T>>>
where
    I: IntoIterator,
    I::Item: IntoFuture<Output = Result<T>, IntoFuture: Send + 'static>,
    T: Send + 'static,
{
    let spawner = Spawner::new(true, Location::caller());
    let children = children.into_iter();
    Gathering::start(
        children
            .map(|child| spawner.ensure(child.into_future()))
            .collect(),
        true,
    )
}

/// Gathers what is listed, as [`gather`](crate::gather()) does with a tuple.
///
/// ```
/// # use asyncio_core::{Result, gather, run};
/// # fn main() -> Result<()> {
/// run(async {
///     let (one, two) = gather!(async { Ok(1) }, async { Ok("two") }).await?;
///     assert_eq!((one, two), (1, "two"));
///     Ok(())
/// })
/// # }
/// ```
#[macro_export]
macro_rules! gather {
    ($($child:expr),* $(,)?) => {
        $crate::gather(($($child,)*))
    };
}

/// What [`gather`] returns: a [`Future`] of all values, running already.
///
/// It derefs to that future, and `await` awaits it.
#[must_use = "the children run on, but nobody learns what became of them"]
pub struct Gathering<K: Tasks> {
    future: Future<K::Values>,
    outer: Outer<Members<K, K::Values>>,
    /// The values may be dropped on any thread.
    is_send: bool,
}

impl<K: Tasks> Gathering<K> {
    /// Has the exceptions of the children listed among the results, instead of the first one ending
    /// it all (`return_exceptions=True`).
    ///
    /// ```
    /// use asyncio_core::{Result, ValueError, gather, run};
    ///
    /// # fn main() -> Result<()> {
    /// run(async {
    ///     let (one, two) = gather((
    ///         async { Err::<(), _>(ValueError::new("odd").into()) },
    ///         async { Ok(2) },
    ///     ))
    ///     .return_exceptions()
    ///     .await?;
    ///     assert!(one.is_err_and(|error| error.is::<ValueError>()));
    ///     assert_eq!(two?, 2);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn return_exceptions(self) -> Future<K::Results> {
        self.restart(
            false,
            Box::new(|tasks: K| Ok(tasks.results())),
            Box::new(K::wrap),
        )
    }

    /// A future of what a function makes of the values, in the same turn of the loop; on a tokio
    /// runtime on the thread where the last child ends.
    ///
    /// ```
    /// # use asyncio_core::{Result, gather, run};
    /// # fn main() -> Result<()> {
    /// run(async {
    ///     let sum = gather([async { Ok(1) }]).map(|values| values.iter().sum::<i32>());
    ///     assert_eq!(sum.await?, 1);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// What it makes must be able to leave that thread:
    ///
    /// ```compile_fail
    /// # use asyncio_core::gather;
    /// gather([async { Ok(1) }]).map(|_| std::rc::Rc::new(1));
    /// ```
    pub fn map<U, M>(self, make: M) -> Future<U>
    where
        M: FnOnce(K::Values) -> U + Clone + Send + 'static,
        U: Send + 'static,
    {
        let again = make.clone();
        self.restart(
            true,
            Box::new(move |tasks: K| tasks.values().map(make)),
            Box::new(again),
        )
    }

    /// As [`map`](Self::map), of what [`return_exceptions`](Self::return_exceptions) would give.
    pub fn map_results<U, M>(self, make: M) -> Future<U>
    where
        M: FnOnce(K::Results) -> U + Clone + Send + 'static,
        U: Send + 'static,
    {
        let again = make.clone();
        self.restart(
            false,
            Box::new(move |tasks: K| Ok(make(tasks.results()))),
            Box::new(move |values| again(K::wrap(values))),
        )
    }

    /// Waits for the same children with another future.
    fn restart<U: 'static>(
        self,
        fails: bool,
        collect: Collect<K, U>,
        of_values: Box<dyn FnOnce(K::Values) -> U>,
    ) -> Future<U> {
        let taken = self.outer.with(|members| {
            let key = std::mem::replace(&mut members.key, Key::NONE);
            members.is_open = false;
            // A child that ends on another thread by now is no failure of this one, which nobody would
            // see.
            members.fails = false;
            members.unsettled = Vec::new();
            (members.tasks.take(), members.cancel_requested, key)
        });
        let (tasks, cancel_requested, key) = taken.unwrap_or((None, false, Key::NONE));
        forget(self.outer.cell(), key);
        // Whatever it was, it is not what was asked for.
        cell::mark_retrieved(self.outer.cell());
        let Some(tasks) = tasks else {
            // Somebody looked at it before, and so it is finished; perhaps another thread is at it.
            while !self.outer.cell().is_done() {
                yield_now();
            }
            let future = Future::of(Typed::future(self.outer.cell().home().core()));
            // The children were done from the start: each gave a value, or this is why not.
            match self.future.typed().take_result() {
                Ok(values) => drop(future.set_result(of_values(values))),
                Err(error) => drop(future.set_exception(error)),
            }
            return future;
        };
        tasks.for_each(&mut |Child(child)| cell::remove_family(child, self.outer.cell()));
        let outer = start(tasks, fails, collect, cancel_requested, self.is_send);
        settle(&outer);
        Future::of(Typed::outer(&outer))
    }

    fn start(tasks: K, is_send: bool) -> Self {
        let outer = start(tasks, true, Box::new(K::values), false, is_send);
        Self {
            future: Future::of(Typed::outer(&outer)),
            outer,
            is_send,
        }
    }
}

impl<K: Tasks> Deref for Gathering<K> {
    type Target = Future<K::Values>;

    fn deref(&self) -> &Self::Target {
        settle(&self.outer);
        &self.future
    }
}

impl<K: Tasks> IntoFuture for Gathering<K> {
    type Output = Result<K::Values>;
    type IntoFuture = Future<K::Values>;

    fn into_future(self) -> Self::IntoFuture {
        settle(&self.outer);
        Future::of(Typed::outer(&self.outer))
    }
}

impl<K: Tasks> Drop for Gathering<K> {
    fn drop(&mut self) {
        settle(&self.outer);
    }
}

impl<K: Tasks> fmt::Debug for Gathering<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Gathering {:?}>", self.future)
    }
}

/// Makes the value once all children are done; without an allocation where it captures nothing.
type Collect<K, V> = Box<dyn FnOnce(K) -> Result<V>>;

/// What the future knows of its children (`_GatheringFuture`).
struct Members<K, V> {
    /// Until all of them are done.
    tasks: Option<K>,
    collect: Option<Collect<K, V>>,
    /// Whether the first exception ends the whole.
    fails: bool,
    /// How many different ones are not done, or not known to be.
    left: usize,
    cancel_requested: bool,
    /// How many requests are on their way through the children. A child that ends of one may say so at
    /// once, on a tokio runtime, but the end is another when a request was accepted.
    asking: u32,
    /// Those that were done from the start, until they are counted: so long it may be said that their
    /// exceptions are wanted as results.
    unsettled: Vec<CellRef>,
    /// Whether those that end meanwhile are kept there as well. Where there are other threads they
    /// may, and what is finished cannot be asked for something else any more.
    is_open: bool,
    /// Where the loop keeps the future while there are children left.
    key: Key,
}

/// A future of these children, which are running.
fn start<K: Tasks, V: 'static>(
    tasks: K,
    fails: bool,
    collect: Collect<K, V>,
    cancel_requested: bool,
    is_send: bool,
) -> Outer<Members<K, V>> {
    let mut children = Children::look(&tasks);
    let left = children.distinct;
    let child = children.home.take();
    let members = Members {
        tasks: Some(tasks),
        collect: Some(collect),
        fails,
        left,
        cancel_requested,
        asking: 0,
        unsettled: Vec::new(),
        is_open: false,
        key: Key::NONE,
    };
    let outer = match &child {
        Some(child) => Outer::new(child.home().core(), members, is_send),
        None => current::with(|frame| Outer::new(frame.and_then(Frame::core), members, is_send)),
    };
    let is_driven = outer.cell().is_driven();
    outer.with(|members| members.is_open = is_driven);
    if !children.of_one_loop {
        let tasks = outer.with(|members| members.tasks.take());
        if let Some(tasks) = tasks.flatten() {
            children.unmark(&tasks);
        }
        let message =
            "The future belongs to a different loop than the one specified as the loop argument";
        outer.fail(ValueError::new(message).into());
        return outer;
    }
    // Taken out for the length of this, which calls out.
    let Some(Some(tasks)) = outer.with(|members| members.tasks.take()) else {
        return outer;
    };
    let mut done: Vec<CellRef> = Vec::new();
    let mut waits = false;
    tasks.for_each(&mut |Child(child)| {
        if !children.is_new(child) {
            return;
        }
        if child.is_done() {
            done.push(child.clone());
        } else {
            waits = true;
            cell::add_callback(child, Callback::Family(outer.cell().clone(), 0));
        }
    });
    let core = outer.cell().home().core().filter(|_| waits);
    let key = core.map(|core| core.families.borrow_mut().insert(outer.cell().clone()));
    outer.with(|members| {
        members.key = key.unwrap_or(Key::NONE);
        members.tasks = Some(tasks);
        members.unsettled.append(&mut done);
    });
    if left == 0 {
        finish(&outer);
    }
    outer
}

/// Counts the children that were done from the start, as CPython does once all are registered.
fn settle<K: Tasks, V: 'static>(outer: &Outer<Members<K, V>>) {
    let unsettled = outer.with(|members| {
        members.is_open = false;
        std::mem::take(&mut members.unsettled)
    });
    for child in unsettled.into_iter().flatten() {
        count(outer, &child);
    }
}

/// One more child is done (`_done_callback`).
fn count<K: Tasks, V: 'static>(outer: &Outer<Members<K, V>>, child: &CellRef) {
    let counted = outer.with(|members| {
        members.left -= 1;
        (members.is_over(), members.fails)
    });
    let Some((is_over, fails)) = counted else {
        return;
    };
    if outer.cell().is_done() {
        if !child.has(CANCELLED) {
            cell::mark_retrieved(child);
        }
    } else if fails && let Some(error) = failure(child) {
        outer.fail(error);
    }
    if is_over {
        finish(outer);
    }
}

impl<K, V> Members<K, V> {
    const fn is_over(&self) -> bool {
        self.left == 0 && self.asking == 0
    }
}

impl<K: Tasks, V: 'static> Part for Members<K, V> {
    type Value = V;

    fn child_done(outer: &Outer<Self>, child: &CellRef, _: u32) {
        let is_kept = outer.with(|members| {
            if members.is_open {
                members.unsettled.push(child.clone());
            }
            members.is_open
        });
        if is_kept != Some(true) {
            settle(outer);
            count(outer, child);
        }
    }

    fn forwards_to(&self) -> Option<Vec<CellRef>> {
        let mut cells = Vec::new();
        if let Some(tasks) = &self.tasks {
            cells.reserve_exact(tasks.len());
            tasks.for_each(&mut |Child(child)| cells.push(child.clone()));
        }
        Some(cells)
    }

    fn asked(&mut self) {
        self.asking += 1;
    }

    fn answered(outer: &Outer<Self>, accepted: bool) {
        let is_over = outer.with(|members| {
            members.asking -= 1;
            members.cancel_requested |= accepted;
            members.is_over()
        });
        if is_over == Some(true) {
            finish(outer);
        }
    }

    fn cancelled(_: &Outer<Self>) {}

    fn let_go(outer: &Outer<Self>) {
        let tasks = outer.with(|members| members.tasks.take());
        drop(tasks);
    }
}

/// All children are done.
fn finish<K: Tasks, V: 'static>(outer: &Outer<Members<K, V>>) {
    let is_done = outer.cell().is_done();
    let taken = outer.with(|members| {
        let key = std::mem::replace(&mut members.key, Key::NONE);
        // Of one that has failed they stay, as in CPython: it may still be asked for all results. Of
        // one that is still being made, on a tokio runtime, there are none yet: who makes it is told
        // by the count.
        let parts = match (is_done, members.tasks.take()) {
            (false, Some(tasks)) => members.collect.take().map(|collect| (tasks, collect)),
            (_, tasks) => {
                members.tasks = tasks;
                None
            }
        };
        (parts, members.cancel_requested, key)
    });
    let Some((parts, cancel_requested, key)) = taken else {
        return;
    };
    forget(outer.cell(), key);
    let Some((tasks, collect)) = parts else {
        return;
    };
    let mut last = None;
    if cancel_requested {
        tasks.for_each(&mut |Child(child)| last = Some(child.clone()));
    }
    let value = collect(tasks);
    match (value, last) {
        (Ok(value), Some(last)) => {
            drop(value);
            outer.fail(cell::make_cancelled_error(&last));
        }
        // Whoever set it meanwhile was quicker.
        (Ok(value), None) => drop(outer.complete(value)),
        (Err(error), _) => outer.fail(error),
    }
}

/// The exception of a child that is done, which counts as retrieved.
fn failure(child: &CellRef) -> Option<Exception> {
    match cell::error(child) {
        Ok(error) => error,
        Err(cancelled) => Some(cancelled),
    }
}

/// The loop no longer needs to know of a future.
fn forget(outer: &CellRef, key: Key) {
    if let Some(core) = outer.home().core() {
        let kept = core.families.borrow_mut().remove(key);
        drop(kept);
    }
}

/// What is to be known of the children before they are asked to say when they are done.
struct Children {
    /// How many different ones there are.
    distinct: usize,
    /// One with the home that all of them have, if any has one.
    home: Option<CellRef>,
    of_one_loop: bool,
    seen: Seen,
}

/// How it is told that a child was seen before.
enum Seen {
    /// There is none that is given twice.
    Once,
    /// By its mark, which goes when it is seen.
    Marked,
    Listed(HashSet<usize>),
}

/// Up to this many children are compared with each other one by one.
const FEW: usize = 12;

impl Children {
    /// Looks at each once, for where there are very many each look takes its time: many are marked as well.
    fn look(tasks: &impl Tasks) -> Self {
        let all = tasks.len();
        let mut home: Option<CellRef> = None;
        let (mut of_one_loop, mut at_home, mut marked) = (true, true, 0);
        tasks.for_each(&mut |Child(child)| {
            if all > FEW {
                if !child.is_here() {
                    at_home = false;
                } else if !child.has(LISTED) {
                    child.set(LISTED);
                    marked += 1;
                }
            }
            if child.is_done() && child.is_driven() {
                // Done, and under a lock: everybody may look at it.
                return;
            }
            let home = home.get_or_insert_with(|| child.clone());
            of_one_loop &= child.is_reachable() && home.home_ptr() == child.home_ptr();
        });
        let mut children = Self {
            distinct: marked,
            home: home.filter(|_| of_one_loop),
            of_one_loop,
            seen: Seen::Marked,
        };
        if all <= FEW || !at_home {
            children.unmark(tasks);
            children.distinct = distinct(tasks);
            children.seen = if children.distinct == all {
                Seen::Once
            } else {
                Seen::Listed(HashSet::with_capacity(children.distinct))
            };
        }
        children
    }

    /// Whether a child is seen for the first time since.
    fn is_new(&mut self, child: &CellRef) -> bool {
        match &mut self.seen {
            Seen::Once => true,
            Seen::Marked => {
                let is_new = child.has(LISTED);
                child.clear(LISTED);
                is_new
            }
            Seen::Listed(seen) => seen.insert(child.address()),
        }
    }

    /// Takes the marks away.
    fn unmark(&self, tasks: &impl Tasks) {
        if matches!(self.seen, Seen::Marked) && tasks.len() > FEW {
            tasks.for_each(&mut |Child(child)| {
                if child.is_here() {
                    child.clear(LISTED);
                }
            });
        }
    }
}

/// How many different children there are.
fn distinct(tasks: &impl Tasks) -> usize {
    if tasks.len() > FEW {
        return sorted(tasks);
    }
    let mut addresses = [0; FEW];
    let mut count = 0;
    tasks.for_each(&mut |Child(child)| {
        let address = child.address();
        if !addresses[..count].contains(&address) {
            addresses[count] = address;
            count += 1;
        }
    });
    count
}

fn sorted(tasks: &impl Tasks) -> usize {
    let mut addresses = Vec::with_capacity(tasks.len());
    tasks.for_each(&mut |Child(child)| addresses.push(child.address()));
    addresses.sort_unstable();
    addresses.dedup();
    addresses.len()
}
