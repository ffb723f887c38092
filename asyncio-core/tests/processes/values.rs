//! What is sent to a worker and back.

use std::sync::atomic::{AtomicU32, Ordering};

use asyncio_core::{
    BrokenProcess, Context, ContextVar, PanicError, ProcessPoolExecutor, Result, TransferError,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::support::{error_of, pid, pool};

/// What happens when a value of it is written or read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Odd {
    ErrorWhenWritten,
    PanicWhenWritten,
    ErrorWhenRead,
    PanicWhenRead,
    ExitWhenReadInWorker,
    CrashWhenReadInWorker,
    ExitWhenWrittenInWorker,
    CrashWhenWrittenInWorker,
}

const ODD: [Odd; 8] = [
    Odd::ErrorWhenWritten,
    Odd::PanicWhenWritten,
    Odd::ErrorWhenRead,
    Odd::PanicWhenRead,
    Odd::ExitWhenReadInWorker,
    Odd::CrashWhenReadInWorker,
    Odd::ExitWhenWrittenInWorker,
    Odd::CrashWhenWrittenInWorker,
];

/// The process that runs the tests, as its workers know it.
static PARENT: AtomicU32 = AtomicU32::new(0);

fn in_worker() -> bool {
    PARENT.load(Ordering::Relaxed) != 0
}

fn know_parent(parent: u32) -> Result<()> {
    PARENT.store(parent, Ordering::Relaxed);
    Ok(())
}

impl Serialize for Odd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::ErrorWhenWritten => {
                return Err(serde::ser::Error::custom("not to be written"));
            }
            Self::PanicWhenWritten => panic!("while writing"),
            Self::ExitWhenWrittenInWorker if in_worker() => std::process::exit(1),
            Self::CrashWhenWrittenInWorker if in_worker() => std::process::abort(),
            _ => {}
        }
        let number = ODD.iter().position(|odd| odd == self);
        serializer.serialize_u8(number.map_or(0, |number| number as u8))
    }
}

impl<'de> Deserialize<'de> for Odd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let odd = ODD[usize::from(u8::deserialize(deserializer)?)];
        match odd {
            Self::ErrorWhenRead => return Err(serde::de::Error::custom("not to be read")),
            Self::PanicWhenRead => panic!("while reading"),
            Self::ExitWhenReadInWorker if in_worker() => std::process::exit(1),
            Self::CrashWhenReadInWorker if in_worker() => std::process::abort(),
            _ => {}
        }
        Ok(odd)
    }
}

fn take(_: Odd) {}

fn give(number: usize) -> Odd {
    ODD[number]
}

fn with_odd_types() -> Result<ProcessPoolExecutor> {
    ProcessPoolExecutor::builder()
        .max_workers(1)
        .initializer(know_parent, std::process::id())
        .build()
}

/// `test_deadlock.ExecutorDeadlockTest.test_error_at_task_pickle`, `test_error_at_task_unpickle`,
/// `test_error_during_result_pickle_on_worker`,
/// `test_error_during_result_unpickle_in_result_handler`
pub(super) fn arguments_and_values_that_cannot_be_sent() -> Result<()> {
    let pool = with_odd_types()?;
    let before = pool.submit(pid, ()).result(60)?;
    let sent = "the argument cannot be sent to a worker";
    let given = "the value cannot be sent back by its worker";
    let (write, read) = (Odd::ErrorWhenWritten, Odd::ErrorWhenRead);
    for (error, expected) in [
        (error_of(pool.submit(take, write)), sent),
        (error_of(pool.submit(take, read)), sent),
        (error_of(pool.submit(give, 0)), given),
        (error_of(pool.submit(give, 2)), given),
    ] {
        assert!(error.is::<TransferError>(), "{error:?}");
        assert_eq!(error.to_string(), expected);
        assert!(error.as_error().source().is_some());
    }
    for (error, expected) in [
        (
            error_of(pool.submit(take, Odd::PanicWhenWritten)),
            "while writing",
        ),
        (
            error_of(pool.submit(take, Odd::PanicWhenRead)),
            "while reading",
        ),
        (error_of(pool.submit(give, 1)), "while writing"),
        (error_of(pool.submit(give, 3)), "while reading"),
    ] {
        let panic = error.downcast_ref::<PanicError>().map(PanicError::message);
        assert_eq!(panic, Some(expected));
    }
    let unsendable = ProcessPoolExecutor::builder()
        .initializer(|_| Ok(()), Odd::ErrorWhenWritten)
        .build();
    assert!(unsendable.is_err_and(|error| error.is::<TransferError>()));
    assert_eq!(pool.submit(pid, ()).result(60)?, before);
    pool.shutdown(true, false);
    Ok(())
}

/// `test_deadlock.ExecutorDeadlockTest.test_exit_at_task_unpickle`, `test_crash_at_task_unpickle`,
/// `test_exit_during_result_pickle_on_worker`, `test_crash_during_result_pickle_on_worker`,
/// `test_shutdown_deadlock`, `test_shutdown_deadlock_pickle`
pub(super) fn types_that_crash_when_they_are_read() -> Result<()> {
    let pool = with_odd_types()?;
    let jobs = [
        error_of(pool.submit(take, Odd::ExitWhenReadInWorker)),
        error_of(pool.submit(take, Odd::CrashWhenReadInWorker)),
        error_of(pool.submit(give, 6)),
        error_of(pool.submit(give, 7)),
    ];
    for error in jobs {
        assert!(error.is::<BrokenProcess>(), "{error:?}");
    }
    let last = pool.submit(take, Odd::CrashWhenReadInWorker);
    pool.shutdown(true, false);
    assert!(error_of(last).is::<BrokenProcess>());
    Ok(())
}

/// `test_deadlock.ExecutorDeadlockTest.test_crash_big_data`,
/// `test_shutdown.ExecutorShutdownTest.test_hang_gh94440`
pub(super) fn big_arguments_and_values() -> Result<()> {
    let pool = pool(2)?;
    let data: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
    let reversed = |mut data: Vec<u8>| {
        data.reverse();
        data
    };
    let mut jobs = pool.map(reversed, [data.clone(), data.clone(), data.clone()]);
    let expected = reversed(data.clone());
    for job in &mut jobs {
        assert!(job.result(120)? == expected);
    }
    // A worker that dies while it is sent something, and one while it sends.
    let crash = |data: Vec<u8>| -> usize { panic_if_small(&data) };
    assert!(error_of(pool.submit(crash, data)).is::<BrokenProcess>());
    pool.shutdown(true, false);
    Ok(())
}

fn panic_if_small(data: &[u8]) -> usize {
    assert!(data.len() > 1000);
    std::process::abort()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Float(f64),
    Nested { name: String, children: Vec<Self> },
    Options(Option<Option<()>>, Option<Option<()>>, Option<Option<()>>),
    Map(std::collections::BTreeMap<(i8, char), Box<Self>>),
    Big(u128, i128, Result<(), String>),
}

pub(super) fn every_type_comes_back_as_it_was() -> Result<()> {
    let pool = pool(1)?;
    let tree = Tree::Nested {
        name: "a\u{0}\u{1F600}".to_owned(),
        children: vec![
            Tree::Leaf,
            Tree::Float(f64::NEG_INFINITY),
            Tree::Options(None, Some(None), Some(Some(()))),
            Tree::Map([((-3, 'x'), Box::new(Tree::Leaf))].into()),
            Tree::Big(u128::MAX, i128::MIN, Err(String::new())),
        ],
    };
    let same = |tree: Tree| tree;
    assert_eq!(pool.submit(same, tree.clone()).result(60)?, tree);
    let nan = pool.submit(|x: f32| x, f32::NAN).result(60)?;
    assert!(nan.is_nan());
    pool.shutdown(true, false);
    Ok(())
}

static USER: ContextVar<&str> = ContextVar::with_default("user", "nobody");

pub(super) fn context_variables_are_not_seen() -> Result<()> {
    let pool = pool(1)?;
    let user = |()| USER.get().map(str::to_owned);
    let seen = Context::new().run(|| {
        USER.set("ada").map(drop)?;
        pool.submit(user, ()).result(60)
    })??;
    assert_eq!(seen.as_deref(), Some("nobody"));
    pool.shutdown(true, false);
    Ok(())
}
