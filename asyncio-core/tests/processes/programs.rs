//! Programs that have pools, with and without `init`.
#![expect(clippy::print_stdout, reason = "programs talk by their output")]

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Stdio};

use asyncio_core::{
    BrokenProcess, BrokenProcessPool, Exception, Job, ProcessPoolExecutor, Result, RuntimeError,
};

use crate::harness::{PROGRAM, Test};
use crate::support::{
    children, error_of, is_alive, kill, nap, pid, pool, pow, program, wait_until,
};

/// What the tests start as programs of their own.
pub(super) const PROGRAMS: &[Test] = &[
    ("uninitialized", uninitialized),
    ("initialized_late", initialized_late),
    ("never_initialized", never_initialized),
    ("worker_that_exits", worker_that_exits),
    ("prints", prints),
    ("attribute", attribute),
    ("parent_that_is_killed", parent_that_is_killed),
    ("nested", nested),
    ("parent_that_dies_early", parent_that_dies_early),
    ("without_stdin", without_stdin),
];

fn prints() -> Result<()> {
    asyncio_core::init();
    let pool = pool(1)?;
    let print = |text: String| {
        let mut read = String::new();
        let read = std::io::stdin().read_to_string(&mut read);
        print!("worker says {text}, ");
        read.ok()
    };
    for text in ["hello", "\u{0}\u{1}\u{2}", "good bye"] {
        let read = pool.submit(print, text.to_owned()).result(60)?;
        println!("read {read:?}");
    }
    pool.shutdown(true, false);
    Ok(())
}

pub(super) fn stdin_is_empty_and_stdout_is_the_programs() -> Result<()> {
    let mut program = Command::new(std::env::current_exe()?)
        .env(PROGRAM, "prints")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = program.stdin.take().expect("it is piped");
    stdin.write_all(b"nobody reads this")?;
    let output = program.wait_with_output()?;
    assert_eq!(output.status.code(), Some(0));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(stdout.matches("read Some(0)").count(), 3, "{stdout}");
    for text in ["hello", "\u{0}\u{1}\u{2}", "good bye"] {
        assert!(
            stdout.contains(&format!("worker says {text}, ")),
            "{stdout:?}"
        );
    }
    Ok(())
}

fn uninitialized() -> Result<()> {
    let error = ProcessPoolExecutor::new().expect_err("there can be no workers");
    assert!(error.is::<RuntimeError>());
    println!("{error}");
    Ok(())
}

pub(super) fn without_init_there_is_no_pool() -> Result<()> {
    let (code, stdout, stderr) = program("uninitialized")?;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("call asyncio_core::init() first in main"));
    Ok(())
}

fn initialized_late() -> Result<()> {
    println!("before");
    asyncio_core::init();
    println!("after");
    let value = ProcessPoolExecutor::new()?.submit(pow, (2, 3)).result(60)?;
    println!("{value}");
    Ok(())
}

pub(super) fn init_may_come_late_and_main_is_never_run_twice() -> Result<()> {
    let (code, stdout, _) = program("initialized_late")?;
    assert_eq!(code, Some(0));
    assert_eq!(stdout, "before\nafter\nbefore\n8\n");
    Ok(())
}

/// As a program does whose library has called `init`, for its own process alone.
fn never_initialized() -> Result<()> {
    if std::env::var_os("ASYNCIO_CORE_WORKER_OF").is_some() {
        println!("worker");
        let error = ProcessPoolExecutor::new().expect_err("no workers of workers");
        println!("{error}");
        return Ok(());
    }
    asyncio_core::init();
    let pool = pool(2)?;
    for job in pool.map(pow, [(2, 2); 10]) {
        let error = error_of(job);
        assert!(error.is::<BrokenProcessPool>(), "{error:?}");
    }
    Ok(())
}

pub(super) fn a_program_without_init_breaks_the_pool() -> Result<()> {
    let (code, stdout, stderr) = program("never_initialized")?;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        (1..=2).contains(&stdout.matches("worker\n").count()),
        "{stdout}"
    );
    Ok(())
}

fn worker_that_exits() -> Result<()> {
    if std::env::var_os("ASYNCIO_CORE_WORKER_OF").is_some() {
        kill(std::process::id(), "TERM");
    }
    asyncio_core::init();
    let pool = pool(1)?;
    for _ in 0..2 {
        let error = error_of(pool.submit(pow, (2, 2)));
        let broken = error.downcast_ref::<BrokenProcess>().expect("its kind");
        assert_eq!(broken.status().and_then(|status| status.signal()), Some(15));
    }
    Ok(())
}

pub(super) fn a_worker_that_exits_before_it_is_ready() -> Result<()> {
    let (code, _, stderr) = program("worker_that_exits")?;
    assert_eq!(code, Some(0), "{stderr}");
    Ok(())
}

fn attribute() -> Result<()> {
    #[asyncio_core::main]
    async fn main() -> Result<()> {
        let pool = pool(1)?;
        println!("{}", pool.submit(pow, (2, 4)).await?);
        Ok(())
    }
    let code = main();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    Ok(())
}

pub(super) fn an_attribute_is_enough() -> Result<()> {
    let (code, stdout, stderr) = program("attribute")?;
    assert_eq!((code, stdout.as_str()), (Some(0), "16\n"), "{stderr}");
    Ok(())
}

fn parent_that_is_killed() -> Result<()> {
    asyncio_core::init();
    let pool = pool(2)?;
    let idle = pool.submit(pid, ()).result(60)?;
    let jobs = pool.map(nap, [120_000; 2]);
    wait_until(|| jobs.iter().all(Job::running));
    let workers = children();
    assert!(workers.len() == 2 && workers.iter().any(|(pid, _)| *pid == idle));
    for (pid, _) in workers {
        println!("{pid}");
    }
    kill(std::process::id(), "KILL");
    Ok(())
}

pub(super) fn workers_end_with_their_parent() -> Result<()> {
    let (code, stdout, _) = program("parent_that_is_killed")?;
    assert_eq!(code, None, "by a signal");
    let workers: Vec<u32> = stdout
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect();
    assert_eq!(workers.len(), 2);
    wait_until(|| !workers.iter().any(|pid| is_alive(*pid)));
    Ok(())
}

/// Dies before its worker has got as far as `init`.
fn parent_that_dies_early() -> Result<()> {
    let is_worker = std::env::var_os("ASYNCIO_CORE_WORKER_OF").is_some();
    if is_worker {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    asyncio_core::init();
    println!("went on");
    if !is_worker {
        let _job = pool(1)?.submit(pow, (2, 2));
        wait_until(|| !children().is_empty());
        kill(std::process::id(), "KILL");
    }
    Ok(())
}

pub(super) fn a_worker_is_one_also_when_its_parent_is_gone() -> Result<()> {
    let (code, stdout, stderr) = program("parent_that_dies_early")?;
    assert_eq!((code, stdout.as_str()), (None, "went on\n"), "{stderr}");
    Ok(())
}

/// Starts itself anew before `init`, with another standard input.
fn without_stdin() -> Result<()> {
    let is_worker = std::env::var_os("ASYNCIO_CORE_WORKER_OF").is_some();
    if is_worker {
        use std::os::unix::process::CommandExt;
        if std::env::args().len() < 2 {
            let mut again = Command::new(std::env::current_exe()?);
            return Err(again.arg("again").stdin(Stdio::null()).exec().into());
        }
    }
    asyncio_core::init();
    if is_worker {
        let error = pool(1).expect_err("no workers of what should be one");
        println!("{error}");
        return Ok(());
    }
    let error = error_of(pool(1)?.submit(pow, (2, 2)));
    assert!(error.is::<BrokenProcessPool>(), "{error:?}");
    Ok(())
}

pub(super) fn a_worker_without_its_socket_has_no_workers() -> Result<()> {
    let (code, stdout, stderr) = program("without_stdin")?;
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(
        stdout
            .matches("its standard input was not left to it")
            .count(),
        1
    );
    Ok(())
}

fn inner_pool(base: u64) -> u64 {
    let value = || {
        let pool = pool(1)?;
        let value = pool.submit(pow, (base, 2)).result(60)?;
        pool.shutdown(true, false);
        Ok::<_, Exception>(value)
    };
    value().unwrap_or(0)
}

fn nested() -> Result<()> {
    asyncio_core::init();
    println!("{}", pool(1)?.submit(inner_pool, 9).result(60)?);
    Ok(())
}

pub(super) fn a_worker_may_have_a_pool() -> Result<()> {
    let (code, stdout, stderr) = program("nested")?;
    assert_eq!((code, stdout.as_str()), (Some(0), "81\n"), "{stderr}");
    Ok(())
}

/// A program that a job starts inherits its environment, but it is no worker.
pub(super) fn a_worker_does_not_pass_its_role_on() -> Result<()> {
    let start = |name: String| program(&name).ok().map(|(code, stdout, _)| (code, stdout));
    let pool = pool(1)?;
    let output = pool.submit(start, "attribute".to_owned()).result(60)?;
    assert_eq!(output, Some((Some(0), "16\n".to_owned())));
    pool.shutdown(true, false);
    Ok(())
}

pub(super) fn an_interrupt_is_not_for_workers() -> Result<()> {
    let pool = pool(1)?;
    let worker = pool.submit(pid, ()).result(60)?;
    let job = pool.submit(nap, 200);
    wait_until(|| job.running());
    kill(worker, "INT");
    assert_eq!(job.result(60)?, worker);
    // What a worker starts may be interrupted as ever.
    let interrupted = |()| {
        let mut command = Command::new("sh");
        command.args(["-c", "kill -INT $$; sleep 60"]);
        command.status().ok().and_then(|status| status.signal())
    };
    assert_eq!(pool.submit(interrupted, ()).result(60)?, Some(2));
    pool.shutdown(true, false);
    Ok(())
}
