//! The divergences that were traced to faults of CPython: `known-faults.json`.
//!
//! Each entry is an object with the minimised program (`program`) and the reason (`reason`). A
//! divergence is known when its program, or what it is minimised to, is an entry's program but for
//! names, texts and messages.

use std::collections::HashMap;
use std::fs;

use serde_json::{Value as Json, json};

use super::corpus;
use crate::Failure;

/// A fault of CPython's.
#[derive(Debug)]
pub(crate) struct Fault {
    shape: Json,
    pub(crate) reason: String,
}

/// Reads the table.
pub(crate) fn load() -> Result<Vec<Fault>, Failure> {
    let path = corpus::directory().join("known-faults.json");
    let entries: Vec<Json> = serde_json::from_str(&fs::read_to_string(&path)?)?;
    entries
        .iter()
        .map(|entry| match entry["reason"].as_str() {
            Some(reason) if entry["program"].is_object() => Ok(Fault {
                shape: shape(&entry["program"]),
                reason: reason.to_owned(),
            }),
            _ => Err(format!("{}: an entry needs a program and a reason", path.display()).into()),
        })
        .collect()
}

/// The known fault that a program shows, if it does.
pub(crate) fn find<'a>(faults: &'a [Fault], program: &Json) -> Option<&'a Fault> {
    let shape = shape(program);
    faults.iter().find(|fault| fault.shape == shape)
}

/// A program with its names numbered in order of appearance: equal for programs that differ in
/// nothing but names, texts and the order of their functions and objects.
fn shape(program: &Json) -> Json {
    let mut names = HashMap::new();
    let mut bodies = Vec::new();
    let mut next = vec!["main".to_owned()];
    while let Some(function) = next.pop() {
        if bodies.iter().any(|(known, _)| *known == function) {
            continue;
        }
        let body = &program["funcs"][&function];
        // Functions come in the order in which the program mentions them.
        let mut mentioned = Vec::new();
        strings(body, &mut mentioned);
        mentioned.retain(|text| program["funcs"].get(text).is_some());
        next.extend(mentioned.into_iter().rev());
        bodies.push((function, body));
    }
    let bodies: Vec<Json> = bodies
        .into_iter()
        .map(|(function, body)| {
            json!([
                renamed(&json!(function), &mut names),
                renamed(body, &mut names)
            ])
        })
        .collect();
    let mut objects: Vec<Json> = Vec::new();
    if let Some(all) = program["objects"].as_object() {
        for (name, spec) in all {
            if names.contains_key(name) {
                objects.push(json!([
                    renamed(&json!(name), &mut names),
                    renamed(spec, &mut names)
                ]));
            }
        }
    }
    objects.sort_by_key(ToString::to_string);
    json!([bodies, objects])
}

/// The words that mean something: the first of every list (statements, kinds of spec and object,
/// exceptions) and what is written like one of them.
fn renamed(json: &Json, names: &mut HashMap<String, usize>) -> Json {
    match json {
        Json::Array(items) => {
            let word = |item: &Json| item.as_str().is_some_and(meaningful);
            items
                .iter()
                .map(|item| {
                    if word(item) {
                        item.clone()
                    } else {
                        renamed(item, names)
                    }
                })
                .collect()
        }
        Json::String(text) => {
            let fresh = names.len();
            json!(names.entry(text.clone()).or_insert(fresh))
        }
        other => other.clone(),
    }
}

fn meaningful(word: &str) -> bool {
    const WORDS: &[&str] = &[
        "self",
        "var",
        "iter",
        "aiter",
        "FIRST_COMPLETED",
        "FIRST_EXCEPTION",
        "ALL_COMPLETED",
    ];
    const STATEMENTS: &str = "log time tasks sleep spawn spawn_eager await call cancel uncancel cancelling inspect \
        return raise raise_group try reraise trystar repeat gather gather_bg wait as_completed wait_for shield \
        shield_bg timeout timeout_at reschedule when taskgroup tg_spawn call_soon call_later call_at handle_cancel \
        add_done_callback set_result set_exception ctx_set ctx_get acquire release with locked set clear is_set \
        wait_event cond_wait cond_wait_for notify notify_all incr barrier_wait barrier_reset barrier_abort \
        barrier_state put get put_nowait get_nowait task_done join shutdown qsize feed feed_eof stream_exception \
        at_eof read readline readexactly readuntil lock event semaphore bounded_semaphore condition barrier queue \
        priority_queue lifo_queue future stream_reader";
    WORDS.contains(&word)
        || crate::program::Kind::named(word).is_some()
        || STATEMENTS
            .split_whitespace()
            .any(|statement| statement == word)
}

fn strings(json: &Json, found: &mut Vec<String>) {
    match json {
        Json::String(text) => found.push(text.clone()),
        Json::Array(items) => items.iter().for_each(|item| strings(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_do_not_matter() {
        let one = json!({"name": "a", "objects": {"f0": ["future"], "f1": ["future"]},
            "funcs": {"main": [["spawn", "t0", "work"], ["log", "x"], ["await", "f1"]], "work": [["raise", "ErrA", "e1"]]}});
        let two = json!({"name": "b", "pins": "p", "objects": {"g": ["future"]},
            "funcs": {"fn3": [["raise", "ErrA", "oh"]], "main": [["spawn", "t4", "fn3"], ["log", "y"], ["await", "g"]]}});
        assert_eq!(shape(&one), shape(&two));
    }

    #[test]
    fn everything_else_does() {
        let with = |body: Json| {
            shape(&json!({"objects": {"f0": ["future"], "l0": ["lock"]}, "funcs": {"main": body}}))
        };
        let first = with(json!([["await", "f0"], ["cancel", "self"]]));
        for other in [
            json!([["await", "l0"], ["cancel", "self"]]),
            json!([["await", "f0"], ["cancel", "f0"]]),
            json!([["inspect", "f0"], ["cancel", "self"]]),
            json!([["await", "f0"]]),
        ] {
            assert_ne!(first, with(other.clone()), "{other}");
        }
        assert_ne!(with(json!([["sleep", 0]])), with(json!([["sleep", 1]])));
        assert_ne!(
            with(json!([["raise", "ErrA", "x"]])),
            with(json!([["raise", "ErrB", "x"]]))
        );
    }

    #[test]
    fn the_table_is_readable() {
        load().unwrap();
    }
}
