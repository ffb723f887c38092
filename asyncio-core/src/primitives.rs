//! What cells, mailboxes and the current frame are synchronised with: the standard library's
//! primitives, and with `--cfg asyncio_loom` those of loom, which tries every order that they allow.

#[cfg(not(asyncio_loom))]
pub(crate) use std::{
    cell::Cell,
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32},
    sync::{Mutex, MutexGuard},
    thread::yield_now,
    thread_local,
};

#[cfg(asyncio_loom)]
mod loomed;
#[cfg(asyncio_loom)]
pub(crate) use {
    loom::hint::spin_loop,
    loom::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32},
    loom::sync::{Mutex, MutexGuard},
    loom::thread::yield_now,
    loomed::{Cell, Local, sleep_in_model, thread_local, wake_in_model},
};

/// Sleeps until `wake_in_model` is called for the lock with this address, but in a model only, where a
/// thread that looks again and again would be tried with every number of looks.
#[cfg(not(asyncio_loom))]
pub(crate) const fn sleep_in_model(_lock: usize) -> bool {
    false
}

/// The lock was given back.
#[cfg(not(asyncio_loom))]
#[inline(always)]
pub(crate) const fn wake_in_model(_lock: usize) {}

/// Makes a function `const`, but not with loom, whose primitives are made while a model runs.
macro_rules! const_fn {
    ($(#[$attribute:meta])* $visibility:vis fn $($function:tt)*) => {
        #[cfg(not(asyncio_loom))]
        $(#[$attribute])* $visibility const fn $($function)*
        #[cfg(asyncio_loom)]
        $(#[$attribute])* $visibility fn $($function)*
    };
}
pub(crate) use const_fn;

/// A reference to a value of the whole program, or with loom of one execution of a model.
macro_rules! global {
    ($type:ty = $value:expr) => {{
        #[cfg(not(asyncio_loom))]
        static GLOBAL: $type = $value;
        #[cfg(asyncio_loom)]
        loom::lazy_static! {
            static ref GLOBAL: $type = $value;
        }
        let global: &'static $type = &GLOBAL;
        global
    }};
}
pub(crate) use global;
