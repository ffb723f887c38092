//! What is accepted, and what is refused with which words.

use serde_json::{Value as Json, json};

use super::{BadProgram, parse};
use crate::program::{Program, Statement};

fn parsed(body: &Json) -> Result<Program, BadProgram> {
    parse(
        &json!({"name": "p", "pins": ["x"], "objects": {"q0": ["queue", 2]}, "funcs": {"main": body, "f": []}}),
    )
}

#[test]
fn numbers_keep_the_text_python_gives_them() {
    let program = parsed(&json!([
        ["sleep", 0.125],
        ["sleep", 0],
        ["sleep", 1.0],
        ["sleep", 1e-7]
    ]))
    .unwrap();
    let texts: Vec<_> = program.functions[0]
        .body
        .iter()
        .map(|line| match &line.statement {
            Statement::Sleep { text, .. } => text.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, ["0.125", "0", "1.0", "1e-07"]);
}

#[test]
fn ill_formed_programs_are_errors() {
    for (body, why) in [
        (json!([["frobnicate"]]), "unknown statement \"frobnicate\""),
        (json!([["sleep"]]), "sleep lacks an argument"),
        (json!([["sleep", null]]), "expected a number, not null"),
        (json!([["call", "nowhere"]]), "no function \"nowhere\""),
        (json!([["time", 1]]), "time has too many arguments"),
        (json!([["reraise"]]), "reraise outside a handler of try"),
        (
            json!([["call_soon", "h0", ["sleep", 0]]]),
            "unknown statement \"sleep\"",
        ),
        (
            json!([["try", [], [[["Oops"], []]], [], []]]),
            "unknown kind of exception \"Oops\"",
        ),
        (
            json!([["return", 18_446_744_073_709_551_615_u64]]),
            "number too large: 18446744073709551615",
        ),
        (json!({}), "a body must be an array"),
    ] {
        assert_eq!(parsed(&body).unwrap_err(), BadProgram::new(why), "{body}");
    }
    assert_eq!(
        parse(&json!({"funcs": {"main": []}})).unwrap_err(),
        BadProgram::new("a program needs a name")
    );
    assert_eq!(
        parse(&json!({"name": "p", "funcs": {}})).unwrap_err(),
        BadProgram::new("no function main")
    );
}

#[test]
fn uses_are_in_order_of_appearance() {
    let program = parsed(&json!([
        ["wait", ["t1", "t0"], null, "ALL_COMPLETED"],
        ["cancel", "self"]
    ]))
    .unwrap();
    let names: Vec<_> = program.functions[0].body[0]
        .uses
        .iter()
        .map(|&name| program.names[name].as_str())
        .collect();
    assert_eq!(names, ["t1", "t0"]);
    assert!(program.functions[0].body[1].uses.is_empty());
}
