//! The porting guide's programs in Rust: `guide 001` runs the twin of `python/001-hello-loop.py`.
//!
//! `guide --list` says which there are, and where each of them may run; `guide --threads 002` runs one
//! on many threads. Comparing what they print with what Python printed is the work of `cargo xtask
//! guide`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what the programs do"
)]

mod p001_hello_loop;
mod p002_run_returns_value;
mod p003_sequential_vs_concurrent;
mod p004_interleaved_steps;
mod p005_coroutine_object;
mod p006_await_need_not_suspend;
mod p007_kinds_of_awaitables;
mod p008_coroutine_composition;
mod p009_forgotten_await;
mod p010_manual_loop;
mod p011_loop_is_closed;
mod p012_run_ends_with_main;
mod p013_one_thread_one_step;
mod p014_thousands_of_sleepers;
mod p101_background_tasks;
mod p102_created_is_not_started;
mod p103_await_tasks_in_turn;
mod p104_gather_over_tasks;
mod p105_fire_and_forget;
mod p106_unretrieved_exception;
mod p107_current_and_all_tasks;
mod p108_gather_keeps_order;
mod p109_gather_return_exceptions;
mod p110_gather_error_leaves_siblings;
mod p111_cancelled_gather;
mod p112_split_outcomes;
mod p113_wait_first_completed;
mod p114_wait_first_exception;
mod p115_wait_with_timeout;
mod p116_wait_wants_tasks;
mod p117_as_completed;
mod p118_as_completed_gives_tasks;
mod p119_taskgroup_results;
mod p120_taskgroup_failure;
mod p121_taskgroup_equal_delays;
mod p122_taskgroup_several_errors;
mod p123_taskgroup_collects_outcomes;
mod p201_cancel_clean_up_reraise;
mod p202_finally_on_cancel;
mod p203_cancel_before_first_step;
mod p204_swallowed_cancel;
mod p205_cancel_is_a_request;
mod p206_wait_for;
mod p207_timeout_block;
mod p208_timeout_gives_none;
mod p209_timeout_at_deadline;
mod p210_gather_of_limited_calls;
mod p211_timeout_is_a_cancel_inside;
mod p212_cancel_unwanted_rest;
mod p301_lock_against_lost_updates;
mod p302_lock_order;
mod p303_lock_belongs_to_a_loop;
mod p304_event_wakes_all;
mod p305_semaphore_cap;
mod p306_semaphore_waves;
mod p307_semaphore_is_no_rate_limit;
mod p308_queue_one_consumer;
mod p309_queue_backpressure;
mod p310_one_sentinel_many_consumers;
mod p311_sentinel_per_consumer;
mod p312_queue_shutdown;
mod p313_queue_join_then_stop;
mod p314_missing_task_done;
mod p315_queue_is_not_thread_safe;
mod p316_thread_feeds_queue;
mod p317_event_set_from_a_thread;
mod p318_many_tasks_or_few_workers;
mod p401_async_context_manager;
mod p402_async_context_manager_on_error;
mod p403_asynccontextmanager;
mod p404_async_iterator_class;
mod p405_aiter_must_be_plain;
mod p406_async_generator;
mod p407_async_comprehensions;
mod p408_paged_generator;
mod p409_closing_a_generator;
mod p410_retry_with_backoff;
mod p411_async_chain;
mod p412_context_variables;
mod p501_executor_keeps_loop_alive;
mod p502_executor_arguments;
mod p503_process_pool;
mod p504_to_thread;
mod p505_threads_for_computing;
mod p506_file_reading_in_a_thread;
mod p507_blocking_freezes_the_loop;
mod p508_async_from_sync;
mod p509_run_until_complete_leftovers;
mod p510_nested_run;
mod p511_nested_run_in_a_thread;
mod p512_nest_asyncio;
mod p513_getting_the_loop;
mod p514_callbacks_soon_later_at;
mod p515_callback_order;
mod p516_future_set_later;
mod p517_future_for_callback_code;
mod p518_slow_callback_in_debug_mode;
mod p519_ways_to_debug_mode;
mod p520_destroyed_while_pending;
mod p521_deadlocks;
mod p522_uvloop_same_output;
mod p523_standing_in_for_uvloop;
mod p601_aiohttp_get_json;
mod p602_aiohttp_gather;
mod p603_aiohttp_post_json;
mod p604_aiohttp_connector_limit;
mod p605_aiohttp_unread_responses;
mod p606_aiohttp_errors_as_values;
mod p607_aiohttp_semaphore;
mod p608_limited_scraper;
mod p609_scraper_with_queue;
mod p610_aiohttp_retry;
mod p611_session_reuse;
mod p612_blocking_async_limited;
mod p621_httpx_configured_client;
mod p622_httpx_stream_download;
mod p623_httpx_semaphore;
mod p624_httpx_kinds_of_timeout;
mod p625_httpx_sync_and_async;
mod p701_aiofiles_read_many;
mod p702_aiofiles_write_and_lines;
mod p703_aiosqlite;
mod p711_asyncpg_connect;
mod p712_asyncpg_pool_queries;
mod p713_asyncpg_execute;
mod p714_asyncpg_transaction;
mod p715_asyncpg_copy_records;
mod p716_asyncpg_pool_concurrent;
mod p717_asyncpg_pool_in_a_class;
mod p721_sqlalchemy_postgres;
mod p722_sqlalchemy_sqlite;
mod p811_pytest_asyncio;
mod web;

use std::env;
use std::process::ExitCode;
use std::sync::OnceLock;

use asyncio_compat as asyncio;
use asyncio_db::testing::PgCluster;

/// A program, and where it may run.
struct Twin {
    name: &'static str,
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    /// It makes its own loops.
    Itself(fn() -> asyncio::Result<()>),
    /// An event loop: its order is the point, or it asks for the loop.
    Loop(fn() -> asyncio::Result<()>),
    /// An event loop, with a PostgreSQL beside it.
    Postgres(fn() -> asyncio::Result<()>),
    /// An event loop or many threads.
    Anywhere(fn() -> asyncio::Result<()>, fn() -> asyncio::Result<()>),
}

macro_rules! place {
    (itself $module:ident) => {
        Place::Itself($module::main)
    };
    (on_loop $module:ident) => {
        Place::Loop(|| asyncio::run($module::main()))
    };
    (postgres $module:ident) => {
        Place::Postgres(|| asyncio::run($module::main()))
    };
    (anywhere $module:ident) => {
        Place::Anywhere(
            || asyncio::run($module::main()),
            || {
                let runner = asyncio::Runner::builder().worker_threads(2).build()?;
                runner.run($module::main())?;
                runner.close()
            },
        )
    };
}

macro_rules! twins {
    ($($module:ident $place:ident,)*) => {
        const TWINS: &[Twin] = &[$(Twin {
            name: stringify!($module),
            place: place!($place $module),
        }),*];
    };
}

twins! {
    p001_hello_loop itself,
    p002_run_returns_value itself,
    p003_sequential_vs_concurrent on_loop,
    p004_interleaved_steps on_loop,
    p005_coroutine_object itself,
    p006_await_need_not_suspend on_loop,
    p007_kinds_of_awaitables on_loop,
    p008_coroutine_composition anywhere,
    p009_forgotten_await anywhere,
    p010_manual_loop itself,
    p011_loop_is_closed itself,
    p012_run_ends_with_main itself,
    p013_one_thread_one_step on_loop,
    p014_thousands_of_sleepers on_loop,
    p101_background_tasks on_loop,
    p102_created_is_not_started on_loop,
    p103_await_tasks_in_turn anywhere,
    p104_gather_over_tasks on_loop,
    p105_fire_and_forget on_loop,
    p106_unretrieved_exception on_loop,
    p107_current_and_all_tasks on_loop,
    p108_gather_keeps_order anywhere,
    p109_gather_return_exceptions anywhere,
    p110_gather_error_leaves_siblings anywhere,
    p111_cancelled_gather on_loop,
    p112_split_outcomes anywhere,
    p113_wait_first_completed anywhere,
    p114_wait_first_exception anywhere,
    p115_wait_with_timeout anywhere,
    p116_wait_wants_tasks anywhere,
    p117_as_completed anywhere,
    p118_as_completed_gives_tasks anywhere,
    p119_taskgroup_results anywhere,
    p120_taskgroup_failure anywhere,
    p121_taskgroup_equal_delays on_loop,
    p122_taskgroup_several_errors on_loop,
    p123_taskgroup_collects_outcomes anywhere,
    p201_cancel_clean_up_reraise on_loop,
    p202_finally_on_cancel anywhere,
    p203_cancel_before_first_step on_loop,
    p204_swallowed_cancel anywhere,
    p205_cancel_is_a_request on_loop,
    p206_wait_for anywhere,
    p207_timeout_block anywhere,
    p208_timeout_gives_none anywhere,
    p209_timeout_at_deadline on_loop,
    p210_gather_of_limited_calls anywhere,
    p211_timeout_is_a_cancel_inside anywhere,
    p212_cancel_unwanted_rest on_loop,
    p301_lock_against_lost_updates on_loop,
    p302_lock_order on_loop,
    p303_lock_belongs_to_a_loop itself,
    p304_event_wakes_all on_loop,
    p305_semaphore_cap on_loop,
    p306_semaphore_waves on_loop,
    p307_semaphore_is_no_rate_limit anywhere,
    p308_queue_one_consumer on_loop,
    p309_queue_backpressure on_loop,
    p310_one_sentinel_many_consumers anywhere,
    p311_sentinel_per_consumer on_loop,
    p312_queue_shutdown on_loop,
    p313_queue_join_then_stop anywhere,
    p314_missing_task_done anywhere,
    p315_queue_is_not_thread_safe itself,
    p316_thread_feeds_queue on_loop,
    p317_event_set_from_a_thread on_loop,
    p318_many_tasks_or_few_workers on_loop,
    p401_async_context_manager anywhere,
    p402_async_context_manager_on_error anywhere,
    p403_asynccontextmanager anywhere,
    p404_async_iterator_class anywhere,
    p405_aiter_must_be_plain anywhere,
    p406_async_generator anywhere,
    p407_async_comprehensions anywhere,
    p408_paged_generator anywhere,
    p409_closing_a_generator anywhere,
    p410_retry_with_backoff anywhere,
    p411_async_chain anywhere,
    p412_context_variables on_loop,
    p501_executor_keeps_loop_alive on_loop,
    p502_executor_arguments on_loop,
    p503_process_pool on_loop,
    p504_to_thread anywhere,
    p505_threads_for_computing on_loop,
    p506_file_reading_in_a_thread anywhere,
    p507_blocking_freezes_the_loop on_loop,
    p508_async_from_sync itself,
    p509_run_until_complete_leftovers itself,
    p510_nested_run itself,
    p511_nested_run_in_a_thread on_loop,
    p512_nest_asyncio itself,
    p513_getting_the_loop itself,
    p514_callbacks_soon_later_at itself,
    p515_callback_order on_loop,
    p516_future_set_later on_loop,
    p517_future_for_callback_code on_loop,
    p518_slow_callback_in_debug_mode itself,
    p519_ways_to_debug_mode itself,
    p520_destroyed_while_pending itself,
    p521_deadlocks anywhere,
    p522_uvloop_same_output itself,
    p523_standing_in_for_uvloop itself,
    p601_aiohttp_get_json anywhere,
    p602_aiohttp_gather anywhere,
    p603_aiohttp_post_json anywhere,
    // On threads a connection may come back a moment after the request that had it is over.
    p604_aiohttp_connector_limit on_loop,
    p605_aiohttp_unread_responses anywhere,
    p606_aiohttp_errors_as_values anywhere,
    p607_aiohttp_semaphore anywhere,
    p608_limited_scraper anywhere,
    p609_scraper_with_queue anywhere,
    p610_aiohttp_retry anywhere,
    p611_session_reuse anywhere,
    p612_blocking_async_limited itself,
    p621_httpx_configured_client anywhere,
    p622_httpx_stream_download anywhere,
    p623_httpx_semaphore anywhere,
    p624_httpx_kinds_of_timeout anywhere,
    p625_httpx_sync_and_async anywhere,
    p701_aiofiles_read_many anywhere,
    p702_aiofiles_write_and_lines anywhere,
    p703_aiosqlite on_loop,
    p711_asyncpg_connect postgres,
    p712_asyncpg_pool_queries postgres,
    p713_asyncpg_execute postgres,
    p714_asyncpg_transaction postgres,
    p715_asyncpg_copy_records postgres,
    p716_asyncpg_pool_concurrent postgres,
    p717_asyncpg_pool_in_a_class postgres,
    p721_sqlalchemy_postgres postgres,
    p722_sqlalchemy_sqlite on_loop,
    p811_pytest_asyncio itself,
}

fn main() -> ExitCode {
    // The process pools of two programs start this one again.
    asyncio::init();
    let mut args: Vec<String> = env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "--list") {
        list();
        return ExitCode::SUCCESS;
    }
    let threads = args.first().is_some_and(|arg| arg == "--threads");
    if threads {
        args.remove(0);
    }
    let number = args.first().map_or("", String::as_str);
    let Some(twin) = TWINS.iter().find(|twin| &twin.name[1..4] == number) else {
        println!("usage: guide [--threads] NUMBER, or guide --list");
        return ExitCode::from(2);
    };
    match twin.place {
        Place::Postgres(run) => with_postgres(run),
        Place::Anywhere(_, run) if threads => asyncio::exit_code(run()),
        Place::Itself(run) | Place::Loop(run) | Place::Anywhere(run, _) => {
            asyncio::exit_code(run())
        }
    }
}

/// Runs a program with the server that `PG_DSN` names, or else with one of its own.
fn with_postgres(run: fn() -> asyncio::Result<()>) -> ExitCode {
    let named = env::var("PG_DSN");
    let cluster = match &named {
        Ok(_) => None,
        Err(_) => match PgCluster::create() {
            Ok(cluster) => Some(cluster),
            Err(error) => {
                eprintln!("no PostgreSQL: {error}");
                return ExitCode::from(NO_SERVER);
            }
        },
    };
    let dsn = cluster.as_ref().map(PgCluster::dsn).or(named.ok());
    DSN.get_or_init(|| dsn.unwrap_or_default());
    asyncio::exit_code(run())
}

/// The code of a program that has not run, for there is no server.
const NO_SERVER: u8 = 77;

static DSN: OnceLock<String> = OnceLock::new();

/// Where the PostgreSQL is.
fn dsn() -> &'static str {
    DSN.get().map_or("", String::as_str)
}

fn list() {
    for Twin { name, place } in TWINS {
        let place = match place {
            Place::Itself(_) => "itself",
            Place::Loop(_) => "loop",
            Place::Postgres(_) => "postgres",
            Place::Anywhere(..) => "anywhere",
        };
        println!("{} {place}", &name[1..4]);
    }
}

/// How the programs answer a question.
fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}
