//! Programs whose traces are known, and programs that must be survived.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::Outcome;
use super::harness::{finish, run};
use crate::parse::parse;

fn outcome(program: &Json) -> Outcome {
    run(parse(program).unwrap())
}

fn with_functions(functions: &Json) -> Outcome {
    outcome(&json!({"name": "p", "objects": {"f0": ["future"]}, "funcs": functions}))
}

fn trace(lines: &[&str]) -> Outcome {
    Outcome::Trace(lines.iter().map(|&line| line.to_owned()).collect())
}

#[test]
fn hello() {
    let functions = json!({
        "main": [["spawn", "t0", "work"], ["await", "t0"], ["await", "nothing"]],
        "work": [["sleep", 0.5], ["return", [1, "a", 2.0, null]]]
    });
    assert_eq!(
        with_functions(&functions),
        trace(&[
            "0.000 main.0 start",
            "0.000 main.0 spawn t0",
            "0.000 work.1 start",
            "0.500 work.1 slept 0.5",
            "0.500 work.1 return [1, a, 2.0, None]",
            "0.500 main.0 await t0 [1, a, 2.0, None]",
            "0.500 main.0 unbound nothing",
            "0.500 main.0 return None",
            "0.500 loop main result None",
            "0.500 loop task 0 result None",
            "0.500 loop task 1 result [1, a, 2.0, None]",
        ])
    );
}

#[test]
fn what_main_leaves_is_cancelled_and_awaited() {
    let functions = json!({
        "main": [["spawn", "t0", "work"], ["sleep", 0], ["raise", "ErrA", "e"]],
        "work": [["try", [["await", "f0"]], [[["CancelledError"], [["sleep", 1], ["reraise"]]]], [], [["time"]]]]
    });
    assert_eq!(
        with_functions(&functions),
        trace(&[
            "0.000 main.0 start",
            "0.000 main.0 spawn t0",
            "0.000 work.1 start",
            "0.000 main.0 slept 0",
            "0.000 main.0 raise ErrA(e)",
            "0.000 loop main exception ErrA(e)",
            "0.000 work.1 except CancelledError()",
            "1.000 work.1 slept 1",
            "1.000 work.1 finally",
            "1.000 work.1 time 1.000",
            "1.000 work.1 raise CancelledError()",
            "1.000 loop task 0 exception ErrA(e)",
            "1.000 loop task 1 cancelled",
        ])
    );
}

#[test]
fn return_is_no_error_that_a_handler_sees() {
    let functions = json!({"main": [
        ["try", [["return", 1]], [[["Exception", "CancelledError"], [["log", "seen"]]]], [], [["log", "last"]]],
        ["log", "not reached"]
    ]});
    assert_eq!(
        with_functions(&functions),
        trace(&[
            "0.000 main.0 start",
            "0.000 main.0 finally",
            "0.000 main.0 log last",
            "0.000 main.0 return 1",
            "0.000 loop main result 1",
            "0.000 loop task 0 result 1",
        ])
    );
}

#[test]
fn an_unknown_statement_is_said_before_anything_runs() {
    let functions = json!({"main": [["log", "a"]], "never": [["repeat", 2, [["nap", 1]]]]});
    assert!(parse(&json!({"name": "p", "funcs": functions})).is_err());
}

#[test]
fn programs_that_python_refuses_are_skipped() {
    for body in [
        json!([["uncancel", "f0"]]),
        json!([["call_soon", "h0", ["return", 1]], ["sleep", 0]]),
        json!([["call_soon", "h0", ["cancel", "self"]], ["sleep", 0]]),
        json!([["raise", "ExceptionGroup", "m"]]),
        json!([["call_soon", "h0", ["log", "x"]], ["await", "h0"]]),
    ] {
        let functions = json!({"main": body});
        assert!(
            matches!(with_functions(&functions), Outcome::Skip(why) if why.starts_with("ill-formed")),
            "{body}"
        );
    }
}

#[test]
fn a_program_that_never_ends_is_given_up() {
    let ignore = json!([["Exception", "CancelledError"], []]);
    let functions =
        json!({"main": [["repeat", 100, [["try", [["sleep", 5000]], [ignore], [], []]]]]});
    assert_eq!(with_functions(&functions), Outcome::Skip("hung".to_owned()));
}

#[test]
fn calls_without_end_are_given_up() {
    for statement in [
        json!(["call", "again"]),
        json!(["spawn_eager", "t", "again"]),
    ] {
        let program =
            json!({"name": "p", "funcs": {"main": [["call", "again"]], "again": [statement]}});
        // The depth that is allowed needs more stack than a thread of the tests has.
        let thread = std::thread::Builder::new().stack_size(512 << 20);
        let ended = thread
            .spawn(move || outcome(&program))
            .unwrap()
            .join()
            .unwrap();
        assert_eq!(
            ended,
            Outcome::Skip("ill-formed: calls nest too deep".to_owned())
        );
    }
}

#[test]
fn tasks_that_wait_in_a_circle_are_survived() {
    let functions = json!({
        "main": [["spawn", "t0", "a"], ["spawn", "t1", "b"], ["sleep", 1], ["cancel", "t0"], ["sleep", 1]],
        "a": [["await", "t1"]],
        "b": [["await", "t0"]]
    });
    // CPython ends here with a RecursionError; whatever we say, it must be said.
    let _said = with_functions(&functions);
}

#[test]
fn everything_is_freed() {
    for main in [
        json!([
            ["spawn", "t0", "waits"],
            ["add_done_callback", "t0", "k"],
            ["add_done_callback", "f0", "k"],
            ["sleep", 1]
        ]),
        json!([
            ["spawn", "t0", "waits"],
            ["call_later", "h0", 500, ["log", "never"]],
            ["raise", "ErrA", "e"]
        ]),
        json!([["spawn", "t0", "stubborn"], ["call", "stubborn"]]),
        json!([
            ["spawn_eager", "t0", "waits"],
            ["cancel", "t0"],
            ["await", "t0"]
        ]),
    ] {
        let ignore = json!([[["CancelledError"], []]]);
        let program = json!({"name": "p", "objects": {"f0": ["future"]}, "funcs": {
            "main": main,
            "waits": [["await", "f0"]],
            "stubborn": [["repeat", 9, [["try", [["sleep", 9000]], ignore, [], []]]]]
        }});
        let program = Arc::new(parse(&program).unwrap());
        finish(Arc::clone(&program), None).unwrap();
        assert_eq!(Arc::strong_count(&program), 1, "{main}");
    }
}
