//! `loop.add_signal_handler` (`asyncio/unix_events.py`); Ctrl-C has a test binary of its own.

use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use asyncio_core::{
    ContextVar, Result, RuntimeError, ValueError, current_task, get_running_loop, new_event_loop,
    run, sleep, timeout,
};

use crate::support::{Log, Reports, error_of, fails_with, turns};

/// Signals are the whole process's, so that tests of one signal take turns.
static TURN: Mutex<()> = Mutex::new(());

fn signal_me(name: &str) -> Result<()> {
    let me = std::process::id().to_string();
    let status = Command::new("kill")
        .args([&format!("-{name}"), &me])
        .status()?;
    assert!(status.success());
    Ok(())
}

async fn until(mut condition: impl FnMut() -> bool) -> Result<()> {
    timeout(20, async {
        while !condition() {
            sleep(0.001).await?;
        }
        Ok(())
    })
    .await
}

/// `test_events.EventLoopTestsMixin.test_add_signal_handler`
#[test]
fn a_handler_is_called_for_each_signal_until_it_is_removed() -> Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let event_loop = get_running_loop()?;
        for invalid in [-1, 0, 65, 1000] {
            let error = error_of(event_loop.add_signal_handler(invalid, || ()));
            assert!(error.is::<ValueError>());
            assert_eq!(
                error.to_string(),
                format!("invalid signal number {invalid}")
            );
            assert!(fails_with::<ValueError, _>(
                event_loop.remove_signal_handler(invalid)
            ));
        }
        for never in [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV] {
            let error = error_of(event_loop.add_signal_handler(never, || ()));
            assert!(error.is::<RuntimeError>());
            assert_eq!(error.to_string(), format!("sig {never} cannot be caught"));
            assert!(!event_loop.remove_signal_handler(never)?);
        }
        let log = Log::default();
        let told = log.clone();
        event_loop.add_signal_handler(libc::SIGUSR1, move || {
            assert!(current_task().is_none(), "it is a callback");
            told.add("called");
        })?;
        for _ in 0..3 {
            signal_me("USR1")?;
            let seen = log.clone();
            until(|| !seen.take().is_empty()).await?;
        }
        // Another one takes its place.
        let told = log.clone();
        event_loop.add_signal_handler(libc::SIGUSR1, move || told.add("the second"))?;
        signal_me("USR1")?;
        let mut seen = Vec::new();
        until(|| {
            seen.extend(log.take());
            !seen.is_empty()
        })
        .await?;
        assert_eq!(seen, ["the second"]);
        assert!(event_loop.remove_signal_handler(libc::SIGUSR1)?);
        assert!(!event_loop.remove_signal_handler(libc::SIGUSR1)?);
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_signal_handling_while_selecting`
#[test]
fn a_signal_wakes_a_loop_that_sleeps() -> Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let event_loop = new_event_loop()?;
    let stopper = event_loop.clone();
    event_loop.add_signal_handler(libc::SIGALRM, move || stopper.stop())?;
    let killer = std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(20));
        signal_me("ALRM").map_err(|error| error.to_string())
    });
    event_loop.run_forever()?;
    assert_eq!(killer.join().expect("no panic"), Ok(()));
    event_loop.close()?;
    Ok(())
}

static USER: ContextVar<&str> = ContextVar::with_default("user", "nobody");

/// `test_events.EventLoopTestsMixin.test_signal_handling_args`: here a closure's captures, and the
/// context of who added it.
#[test]
fn a_handler_has_its_context_and_may_fail() -> Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let event_loop = get_running_loop()?;
        let reports = Reports::of_running()?;
        let _ = USER.set("ada")?;
        event_loop.add_signal_handler(libc::SIGUSR2, || {
            Err::<(), _>(ValueError::new(USER.get().unwrap_or_default()))
        })?;
        let _ = USER.set("bob")?;
        signal_me("USR2")?;
        let mut lines = Vec::new();
        until(|| {
            lines.extend(reports.take_lines());
            !lines.is_empty()
        })
        .await?;
        assert_eq!(lines, ["Exception in callback: ada"]);
        Ok(())
    })
}

/// `test_unix_events.SelectorEventLoopSignalTests.test_close`: and a signal belongs to one loop.
#[test]
fn closing_a_loop_removes_its_handlers() -> Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (first, second) = (new_event_loop()?, new_event_loop()?);
    first.add_signal_handler(libc::SIGUSR1, || ())?;
    first.add_signal_handler(libc::SIGUSR2, || ())?;
    let error = error_of(second.add_signal_handler(libc::SIGUSR1, || ()));
    assert!(error.is::<RuntimeError>());
    first.close()?;
    assert!(fails_with::<RuntimeError, _>(
        first.add_signal_handler(libc::SIGUSR1, || ())
    ));
    assert!(fails_with::<RuntimeError, _>(
        first.remove_signal_handler(libc::SIGUSR1)
    ));
    second.add_signal_handler(libc::SIGUSR1, || ())?;
    second.run_until_complete(turns(1))?;
    second.close()?;
    Ok(())
}

/// tokio's listeners hear of the signal too, and of the next one after ours is gone.
#[test]
fn a_handler_takes_nothing_from_who_listened_before() -> Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let event_loop = get_running_loop()?;
        let kind = tokio::signal::unix::SignalKind::from_raw(libc::SIGWINCH);
        let mut theirs = tokio::signal::unix::signal(kind)?;
        let log = Log::default();
        let told = log.clone();
        event_loop.add_signal_handler(libc::SIGWINCH, move || told.add("ours"))?;
        signal_me("WINCH")?;
        assert!(theirs.recv().await.is_some());
        until(|| !log.take().is_empty()).await?;
        event_loop.remove_signal_handler(libc::SIGWINCH)?;
        signal_me("WINCH")?;
        assert!(theirs.recv().await.is_some());
        Ok(())
    })
}

#[test]
fn a_handler_can_only_be_added_on_the_loops_thread() -> Result<()> {
    let event_loop = new_event_loop()?;
    let theirs = event_loop.clone();
    let refused = std::thread::spawn(move || {
        fails_with::<RuntimeError, _>(theirs.add_signal_handler(libc::SIGHUP, || ()))
            && fails_with::<RuntimeError, _>(theirs.remove_signal_handler(libc::SIGHUP))
    });
    assert!(refused.join().expect("no panic"));
    event_loop.close()?;
    Ok(())
}
