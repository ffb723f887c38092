//! Runs the tests, one after the other, or one of the programs that they start.
#![expect(clippy::print_stdout, reason = "tests talk by their output")]

use std::process::ExitCode;

use asyncio_core::Result;

use crate::support::assert_no_children;

pub(super) const PROGRAM: &str = "ASYNCIO_CORE_PROCESSES_PROGRAM";

pub(super) type Test = (&'static str, fn() -> Result<()>);

pub(super) fn main() -> ExitCode {
    if let Some(name) = std::env::var_os(PROGRAM) {
        let program = super::programs::PROGRAMS
            .iter()
            .find(|(known, _)| name == *known);
        let (_, program) = program.expect("a program of this file");
        return asyncio_core::exit_code(program());
    }
    asyncio_core::init();
    let filter: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| {
        let mut names = filter
            .iter()
            .filter(|text| !text.starts_with('-'))
            .peekable();
        names.peek().is_none() || names.any(|text| name.contains(text.as_str()))
    };
    if filter.iter().any(|text| text == "--list") {
        TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    for (name, test) in TESTS.iter().filter(|(name, _)| wanted(name)) {
        let result = std::panic::catch_unwind(|| {
            let result = test();
            assert_no_children();
            result
        });
        let passed = matches!(result, Ok(Ok(())));
        if let Ok(Err(error)) = result {
            println!("{error:?}");
        }
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += u8::from(!passed);
    }
    ExitCode::from(failed)
}

macro_rules! table {
    ($($module:ident { $($name:ident)* })*) => {
        &[$($((stringify!($name), super::$module::$name),)*)*]
    };
}

const TESTS: &[Test] = table! {
    pool {
        submit map map_exception map_timeout max_workers_and_tasks_are_checked
        a_panic_is_the_jobs_exception a_killed_worker_fails_its_job_alone
        every_tenth_worker_is_killed a_worker_that_exits_or_aborts_is_replaced
        an_idle_worker_that_dies_is_buried_and_replaced saturation idle_workers_are_used_again
        max_tasks_per_child max_tasks_early_shutdown
        initializer failing_initializer initializer_that_dies
        run_after_shutdown processes_terminate dropped_pools_finish_their_jobs shutdown_no_wait
        cancel_futures shutdown_from_many_threads kill_workers
    }
    cancelling {
        a_cancelled_job_frees_its_worker a_job_cancelled_from_a_thread_frees_its_worker
        a_job_that_has_not_begun_is_cancelled_without_a_kill a_time_limit_kills_the_worker
        jobs_cancelled_at_any_moment_harm_no_others the_future_of_a_loop
    }
    values {
        arguments_and_values_that_cannot_be_sent types_that_crash_when_they_are_read
        big_arguments_and_values every_type_comes_back_as_it_was context_variables_are_not_seen
    }
    programs {
        stdin_is_empty_and_stdout_is_the_programs without_init_there_is_no_pool
        init_may_come_late_and_main_is_never_run_twice a_program_without_init_breaks_the_pool
        a_worker_that_exits_before_it_is_ready an_attribute_is_enough
        a_worker_is_one_also_when_its_parent_is_gone
        a_worker_without_its_socket_has_no_workers workers_end_with_their_parent a_worker_may_have_a_pool
        a_worker_does_not_pass_its_role_on an_interrupt_is_not_for_workers
    }
};
