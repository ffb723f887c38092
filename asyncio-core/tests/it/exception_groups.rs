//! Exception groups and `except_star!`: CPython's `test_except_star` and `test_exception_group`.

use asyncio_core::{
    CancelledError, ExceptStar, Exception, ExceptionGroup, Result, RuntimeError, TimeoutError,
    ValueError, except_star,
};

fn group(message: &str, members: Vec<Exception>) -> Exception {
    ExceptionGroup::new(message, members).map_or_else(Exception::from, Exception::from)
}

fn value(message: &'static str) -> Exception {
    ValueError::new(message).into()
}

fn runtime(message: &'static str) -> Exception {
    RuntimeError::new(message).into()
}

/// A tree in one line.
fn show(exception: &Exception) -> String {
    match exception.as_group() {
        None => exception.to_string(),
        Some(group) => {
            let members: Vec<_> = group.exceptions().iter().map(show).collect();
            format!("{}[{}]", group.message(), members.join(" "))
        }
    }
}

fn tree() -> Exception {
    group(
        "top",
        vec![
            value("a"),
            group("inner", vec![runtime("b"), value("c")]),
            runtime("d"),
        ],
    )
}

/// `test_exception_group.ExceptionGroupSplitTests.test_split_by_type`: order, nesting and notes.
#[test]
fn a_split_keeps_order_nesting_and_notes() {
    let tree = tree();
    tree.add_note("a note");
    let (values, rest) = tree.as_group().expect("a group").split::<ValueError>();
    let values = Exception::from(values.expect("some match"));
    assert_eq!(show(&values), "top[a inner[c]]");
    assert_eq!(values.notes(), ["a note"]);
    assert_eq!(
        show(&rest.expect("some are left").into()),
        "top[inner[b] d]"
    );
    assert!(
        format!("{values:?}")
            .starts_with("ExceptionGroup: top (2 sub-exceptions)\n  a note\n  - ValueError(\"a\")")
    );
}

/// `test_except_star.TestExceptStarSplitSemantics`: each clause once, of what is left.
#[test]
fn clauses_take_their_parts_in_turn() {
    let mut seen = Vec::new();
    let outcome = except_star!(Err::<u32, _>(tree()), {
        TimeoutError => |_group| { panic!("nothing matches") },
        ValueError => |group| {
            seen.push(show(&group.into()));
            Ok(())
        },
        ValueError | RuntimeError => |group| {
            seen.push(show(&group.into()));
            Ok(())
        }
    });
    assert!(matches!(outcome, Ok(None)));
    assert_eq!(seen, ["top[a inner[c]]", "top[inner[b] d]"]);
}

/// `test_except_star.TestExceptStarSplitSemantics.test_no_match_single_type` and a value.
#[test]
fn what_no_clause_takes_goes_on() {
    let outcome: Result<Option<()>> = except_star!(Err(value("bare")), {
        RuntimeError => |_group| { Ok(()) }
    });
    let error = outcome.unwrap_err();
    assert!(error.as_group().is_none(), "it stays bare");
    let outcome: Result<Option<()>> = except_star!(Err(tree()), {
        RuntimeError => |_group| { Ok(()) }
    });
    assert_eq!(show(&outcome.unwrap_err()), "top[a inner[c]]");
    let outcome: Result<Option<u32>> = except_star!(Ok::<_, Exception>(7), {
        _ => |_group| { Ok(()) }
    });
    assert_eq!(outcome.ok().flatten(), Some(7));
}

/// `test_except_star.TestExceptStarReraise`: what is raised again goes back to its place.
#[test]
fn what_is_raised_again_goes_back_to_its_place() {
    let outcome: Result<Option<()>> = except_star!(Err(tree()), {
        RuntimeError => |group| { Err(group.into()) }
    });
    assert_eq!(show(&outcome.unwrap_err()), "top[a inner[b c] d]");
    let outcome: Result<Option<()>> = except_star!(Err(value("bare")), {
        ValueError => |group| { Err(group.into()) }
    });
    assert_eq!(show(&outcome.unwrap_err()), "[bare]", "it stays wrapped");
}

/// `test_except_star.TestExceptStarRaise`: what is new becomes a sibling.
#[test]
fn what_is_new_becomes_a_sibling() {
    let outcome: Result<Option<()>> = except_star!(Err(tree()), {
        ValueError => |_group| { Err(TimeoutError::new("new").into()) }
    });
    assert_eq!(show(&outcome.unwrap_err()), "[new top[inner[b] d]]");
    let outcome: Result<Option<()>> = except_star!(Err(tree()), {
        _ => |_group| {
            Err::<(), _>(TimeoutError::new("only"))?;
            Ok(())
        }
    });
    assert_eq!(show(&outcome.unwrap_err()), "only");
    let outcome: Result<Option<()>> = except_star!(Err(tree()), {
        ValueError => |group| { Err(group.into()) },
        RuntimeError => |group| { Err(group.derive(vec![runtime("made")])?.into()) }
    });
    assert_eq!(show(&outcome.unwrap_err()), "[top[made] top[a inner[c]]]");
}

/// `test_except_star.TestExceptStarExceptionGroupSubclass`'s neighbour: a clause for groups is an error.
#[test]
fn a_clause_for_groups_has_no_meaning() {
    let outcome: Result<Option<()>> = except_star!(Err(tree()), {
        ExceptionGroup => |_group| { Ok(()) }
    });
    assert!(outcome.is_err_and(|error| error.is::<RuntimeError>()));
}

#[test]
fn a_clause_for_everything_leaves_cancellations() {
    let both = group(
        "both",
        vec![CancelledError::with_message("x").into(), value("a")],
    );
    let outcome: Result<Option<()>> = except_star!(Err(both), {
        _ => |group| {
            assert_eq!(show(&group.into()), "both[a]");
            Ok(())
        }
    });
    assert_eq!(show(&outcome.unwrap_err()), "both[cancelled: x]");
}

#[test]
fn cancellations_that_are_raised_again_are_counted() {
    let cancelled = || Exception::from(CancelledError::new());
    let mut star = ExceptStar::new(group("g", vec![cancelled(), value("a"), cancelled()]));
    let taken = star.take::<CancelledError>().expect("two");
    star.raised(taken.into());
    assert_eq!(
        show(&star.finish().unwrap_err()),
        "g[cancelled a cancelled]"
    );
}
