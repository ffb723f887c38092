//! `shield`: awaiting something without passing a cancellation on to it.

use std::future::{Future as StdFuture, IntoFuture};
use std::panic::Location;
use std::pin::Pin;

use super::ensure::Spawner;
use super::task::Task;
use crate::cell::{self, CANCELLED, Callback, CellRef, Outer, Part, Token, Typed};
use crate::exceptions::Result;
use crate::futures::Future;
use crate::ready::Ready;
use crate::slab::Key;

/// A future with the result of another that does not pass a cancellation on to it
/// (`asyncio.shield`).
///
/// Cancelling the future, or the task that awaits it, cancels it alone: what is inside runs on. When
/// what is inside is cancelled, so is the future.
///
/// ```
/// use asyncio_core::{Result, create_task, run, shield, sleep};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let save = create_task(async {
///         sleep(0.001).await?;
///         Ok("saved")
///     });
///     let shielded = shield(save.clone());
///     let request = create_task(shielded);
///     sleep(0).await?;
///     request.cancel();
///     assert!(request.await.is_err_and(|error| error.is_cancelled()));
///     assert_eq!(save.await?, "saved");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// The future ends with what is inside ends with, or with
/// [`CancelledError`](crate::CancelledError).
///
/// # Cancel safety
///
/// Dropping the future lets what is inside run on. An exception that it ends with then is reported,
/// unless somebody else asks for it.
///
/// # asyncio
///
/// As in Python what is done already comes back as it is.
#[track_caller]
pub fn shield<T, F>(future: F) -> Future<T>
where
    F: IntoFuture<Output = Result<T>>,
    F::IntoFuture: Send + 'static,
    T: Send + 'static,
{
    start(future.into_future(), Spawner::new(true, Location::caller()))
}

/// As [`shield`], for a future that must stay on this thread.
#[track_caller]
pub fn shield_local<T, F>(future: F) -> Future<T>
where
    F: IntoFuture<Output = Result<T>>,
    F::IntoFuture: 'static,
    T: 'static,
{
    start(
        future.into_future(),
        Spawner::new(false, Location::caller()),
    )
}

fn start<T, F>(future: F, spawner: Spawner) -> Future<T>
where
    F: StdFuture<Output = Result<T>> + 'static,
    T: 'static,
{
    let mut inner = spawner.ensure(future);
    if !inner.typed().cell().is_reachable() {
        // Another loop's: a task of this one waits for it.
        let wait = std::future::poll_fn(move |cx| Pin::new(&mut inner).poll(cx));
        inner = spawner.ensure(wait);
    }
    if inner.done() {
        return Future::of(inner.into_typed());
    }
    let child = inner.typed().cell().clone();
    let core = child.home().core();
    let outer = Outer::new(
        core,
        Shielded {
            inner: Some(inner),
            token: Token::MAX,
            key: Key::NONE,
        },
        spawner.is_send(),
    );
    let key = core.map(|core| core.families.borrow_mut().insert(outer.cell().clone()));
    let token = cell::add_callback(&child, Callback::Family(outer.cell().clone(), 0));
    outer.with(|part| {
        part.token = token;
        part.key = key.unwrap_or(Key::NONE);
    });
    Future::of(Typed::outer(&outer))
}

/// What the future knows of the one inside.
struct Shielded<T> {
    inner: Option<Task<T>>,
    /// Names our callback there.
    token: Token,
    /// Where the loop keeps the future while what is inside is not done.
    key: Key,
}

impl<T: 'static> Part for Shielded<T> {
    type Value = T;

    fn child_done(outer: &Outer<Self>, child: &CellRef, _: u32) {
        if child == outer.cell() {
            // The turn after the future was cancelled (`_outer_done_callback`).
            let goes_on = outer.with(|part| part.inner.as_ref().is_some_and(|task| !task.done()));
            if goes_on == Some(true) {
                let (inner, token) = take(outer);
                if let Some(inner) = &inner {
                    cell::remove_callback(inner.typed().cell(), token);
                }
            }
            return;
        }
        let (inner, _) = take(outer);
        if outer.cell().has(CANCELLED) {
            if !child.has(CANCELLED) {
                cell::mark_retrieved(child);
            }
        } else if child.has(CANCELLED) {
            cell::cancel(outer.cell(), &None);
        } else if let Some(inner) = inner {
            match inner.typed().take_result() {
                // Whoever set it meanwhile was quicker.
                Ok(value) => drop(outer.complete(value)),
                Err(error) => outer.fail(error),
            }
        }
    }

    fn forwards_to(&self) -> Option<Vec<CellRef>> {
        None
    }

    fn asked(&mut self) {}

    fn answered(_: &Outer<Self>, _: bool) {}

    fn cancelled(outer: &Outer<Self>) {
        match outer.cell().home().core() {
            Some(core) => core.push(Ready::Family(outer.cell().clone(), outer.cell().clone(), 0)),
            None => Self::child_done(outer, outer.cell(), 0),
        }
    }

    fn let_go(outer: &Outer<Self>) {
        drop(take(outer));
    }
}

/// Takes out what is inside, and has the loop forget the future.
fn take<T: 'static>(outer: &Outer<Shielded<T>>) -> (Option<Task<T>>, Token) {
    let taken = outer.with(|part| {
        let key = std::mem::replace(&mut part.key, Key::NONE);
        (part.inner.take(), part.token, key)
    });
    let Some((inner, token, key)) = taken else {
        return (None, Token::MAX);
    };
    if let Some(core) = outer.cell().home().core() {
        let kept = core.families.borrow_mut().remove(key);
        drop(kept);
    }
    (inner, token)
}
