//! `asyncio/exceptions.py`, the dynamic exception and exception groups.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use asyncio_core::{
    CancelledError, Exception, ExceptionGroup, InvalidStateError, KeyboardInterrupt, Result,
    RuntimeError, SystemExit, TimeoutError, ValueError,
};

use crate::support::on_small_stack;

fn value(message: &'static str) -> Exception {
    ValueError::new(message).into()
}

fn runtime(message: &'static str) -> Exception {
    RuntimeError::new(message).into()
}

fn group(message: &str, members: Vec<Exception>) -> ExceptionGroup {
    ExceptionGroup::new(message, members).expect("members are given")
}

/// The tree in one line.
fn shape(exception: &Exception) -> String {
    match exception.as_group() {
        None => exception.to_string(),
        Some(group) => {
            let members: Vec<String> = group.exceptions().iter().map(shape).collect();
            format!("{}[{}]", group.message(), members.join(" "))
        }
    }
}

fn shape_of(group: Option<ExceptionGroup>) -> Option<String> {
    group.map(|group| shape(&group.into()))
}

#[test]
fn every_error_becomes_an_exception_through_the_question_mark() {
    fn parse() -> Result<u32> {
        Ok("x".parse::<u32>()?)
    }
    fn open() -> Result<()> {
        Err(io::Error::from(io::ErrorKind::NotFound))?;
        Ok(())
    }
    let error = parse().expect_err("x is no number");
    assert!(error.is::<std::num::ParseIntError>());
    let error = open().expect_err("nothing is found");
    let inner = error.downcast_ref::<io::Error>().expect("an I/O error");
    assert_eq!(inner.kind(), io::ErrorKind::NotFound);
}

#[test]
fn an_exception_survives_the_way_through_a_boxed_error() {
    for exception in [
        value("odd"),
        CancelledError::with_message("stop").into(),
        group("two", vec![value("a"), runtime("b")]).into(),
    ] {
        exception.add_note("on the way");
        let (text, notes) = (format!("{exception:?}"), exception.notes());
        let boxed: Box<dyn Error + Send + Sync> = exception.clone().into();
        assert_eq!(boxed.to_string(), exception.to_string());
        let back = Exception::from_boxed(boxed);
        assert_eq!((format!("{back:?}"), back.notes()), (text, notes));
        assert_eq!(back.is_cancelled(), exception.is_cancelled());
        assert_eq!(back.as_group().is_some(), exception.as_group().is_some());
        assert!(back.is_cancelled() || back.same_as(&exception));
    }
}

#[test]
fn a_group_in_a_box_is_a_group_again() {
    let boxed: Box<dyn Error + Send + Sync> = Box::new(group("one", vec![value("a")]));
    assert_eq!(shape(&Exception::from_boxed(boxed)), "one[a]");
    let boxed: Box<dyn Error + Send + Sync> = Box::new(CancelledError::new());
    assert!(Exception::from_boxed(boxed).is_cancelled());
}

#[test]
fn display_prints_this_level_and_source_carries_the_rest() {
    #[derive(Debug)]
    struct Outer(ValueError);
    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer")
        }
    }
    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }
    let exception = Exception::new(Outer(ValueError::new("inner")));
    assert_eq!(exception.to_string(), "outer");
    let source = exception.as_error().source().map(ToString::to_string);
    assert_eq!(source.as_deref(), Some("inner"));
    let boxed: Box<dyn Error + Send + Sync> = exception.into();
    let source = boxed.source().map(ToString::to_string);
    assert_eq!(source.as_deref(), Some("inner"));
}

#[test]
fn clones_are_the_same_exception_and_share_their_notes() {
    let exception = value("odd");
    let clone = exception.clone();
    clone.add_note("first");
    exception.add_note("second");
    assert!(exception.same_as(&clone));
    assert!(!exception.same_as(&value("odd")));
    assert_eq!(exception.notes(), ["first", "second"]);
    assert_eq!(
        format!("{exception:?}"),
        "ValueError(\"odd\")\nfirst\nsecond"
    );
}

#[test]
fn a_cancellation_takes_no_notes() {
    let cancelled = Exception::from(CancelledError::new());
    cancelled.add_note("lost");
    assert!(cancelled.notes().is_empty());
    assert!(!cancelled.same_as(&cancelled.clone()));
}

#[test]
fn errors_show_what_they_are() {
    let table = [
        (value("m"), "m", "ValueError(\"m\")"),
        (runtime("m"), "m", "RuntimeError(\"m\")"),
        (TimeoutError::new("m").into(), "m", "TimeoutError(\"m\")"),
        (
            InvalidStateError::new("m").into(),
            "m",
            "InvalidStateError(\"m\")",
        ),
        (
            CancelledError::new().into(),
            "cancelled",
            "CancelledError()",
        ),
        (
            CancelledError::with_message("m").into(),
            "cancelled: m",
            "CancelledError(\"m\")",
        ),
        (
            KeyboardInterrupt::new().into(),
            "interrupted",
            "KeyboardInterrupt",
        ),
        (
            SystemExit::new(3).into(),
            "exit with code 3",
            "SystemExit { code: 3 }",
        ),
    ];
    for (exception, display, debug) in table {
        assert_eq!(exception.to_string(), display);
        assert_eq!(format!("{exception:?}"), debug);
    }
}

/// `test_exception_group.BadConstructorArgs.test_bad_EG_construction__empty_group`
#[test]
fn a_group_of_nothing_is_a_value_error() {
    assert!(ExceptionGroup::new("none", Vec::new()).is_err());
    assert!(group("one", vec![value("a")]).derive(Vec::new()).is_err());
}

/// `test_exception_group.StrAndReprTests.test_ExceptionGroup`
#[test]
fn a_group_counts_its_members_when_shown() {
    let one = group("flat", vec![value("a")]);
    assert_eq!(one.to_string(), "flat (1 sub-exception)");
    let two = group("flat", vec![value("a"), one.into()]);
    assert_eq!(two.to_string(), "flat (2 sub-exceptions)");
    let shown = format!("{two:?}");
    assert!(shown.starts_with("ExceptionGroup: flat (2 sub-exceptions)\n"));
    assert!(shown.contains("\n  - ValueError(\"a\")"));
    assert!(shown.contains("\n    - ValueError(\"a\")"));
}

fn tree() -> ExceptionGroup {
    let left = group("left", vec![value("a"), runtime("b")]);
    let right = group(
        "right",
        vec![runtime("c"), group("deep", vec![value("d")]).into()],
    );
    group(
        "top",
        vec![left.into(), value("e"), right.into(), runtime("f")],
    )
}

/// `test_exception_group.NestedExceptionGroupSplitTest.test_split_by_type`
#[test]
fn split_keeps_order_and_nesting_and_drops_empty_branches() {
    let (values, rest) = tree().split::<ValueError>();
    assert_eq!(
        shape_of(values).as_deref(),
        Some("top[left[a] e right[deep[d]]]")
    );
    assert_eq!(shape_of(rest).as_deref(), Some("top[left[b] right[c] f]"));
    let (none, all) = tree().split::<TimeoutError>();
    assert!(none.is_none());
    assert_eq!(shape_of(all), shape_of(Some(tree())));
    let (all, none) = tree().split_by(|exception| exception.as_group().is_none());
    assert!(none.is_none());
    assert_eq!(shape_of(all), shape_of(Some(tree())));
}

/// `test_exception_group.ExceptionGroupSubgroupTests.test_basics_subgroup_split__bad_arg_type`,
/// `test_exception_group.ExceptionGroupSubgroupTests.test_basics_subgroup_by_type__passthrough`
#[test]
fn a_group_that_matches_is_taken_whole() {
    let (whole, rest) = tree().split::<ExceptionGroup>();
    assert_eq!(shape_of(whole), shape_of(Some(tree())));
    assert!(rest.is_none());
    let is_left = |exception: &Exception| {
        exception
            .as_group()
            .is_some_and(|group| group.message() == "left")
    };
    let (left, rest) = tree().split_by(is_left);
    assert_eq!(shape_of(left).as_deref(), Some("top[left[a b]]"));
    assert_eq!(shape_of(rest).as_deref(), Some("top[e right[c deep[d]] f]"));
    assert!(tree().subgroup::<TimeoutError>().is_none());
    assert_eq!(
        shape_of(tree().subgroup_by(is_left)).as_deref(),
        Some("top[left[a b]]")
    );
}

#[test]
fn the_members_of_a_part_are_the_same_exceptions() {
    let member = value("a");
    let (part, _) = group("g", vec![member.clone(), runtime("b")]).split::<ValueError>();
    assert!(part.expect("one matches").exceptions()[0].same_as(&member));
}

/// The condition of `split` is asked about the group first and then depth first.
#[test]
fn split_asks_from_the_outside_in() {
    let asked = std::cell::RefCell::new(Vec::new());
    let _ = tree().split_by(|exception| {
        let name = exception
            .as_group()
            .map_or_else(|| exception.to_string(), |group| group.message().to_owned());
        asked.borrow_mut().push(name);
        false
    });
    assert_eq!(
        asked.take(),
        ["top", "left", "a", "b", "e", "right", "c", "deep", "d", "f"]
    );
}

const DEEP: usize = 100_000;

fn deep() -> Exception {
    let mut exception = value("bottom");
    for _ in 0..DEEP {
        exception = group("level", vec![exception, runtime("beside")]).into();
    }
    exception
}

/// `test_exception_group.DeepRecursionInSplitAndSubgroup`
#[test]
fn a_tree_100_000_deep_is_split_shown_and_dropped() {
    on_small_stack(|| {
        let exception = deep();
        let shown = format!("{exception:?}");
        assert!(shown.len() < 1_000_000, "showing a deep tree stays linear");
        let tree = exception.as_group().expect("a group");
        let (values, rest) = tree.split::<ValueError>();
        assert!(values.is_some() && rest.is_some());
        let depth = |group: Option<ExceptionGroup>| {
            let mut depth = 0;
            let mut next = group;
            while let Some(group) = next {
                depth += 1;
                next = group.exceptions()[0].as_group().cloned();
            }
            depth
        };
        assert_eq!(depth(values.clone()), DEEP);
        // What is left at the bottom is a lone RuntimeError, one level above the value.
        assert_eq!(depth(rest.clone()), DEEP);
        drop((values, rest));
        drop(exception);
    });
}

#[test]
fn a_deep_tree_that_is_shared_is_dropped_by_whoever_is_last() {
    on_small_stack(|| {
        let exception = deep();
        let inner = exception.as_group().expect("a group").exceptions()[0].clone();
        drop(exception);
        assert!(inner.as_group().is_some());
        drop(inner);
        for _ in 0..4 {
            let first = Arc::new(deep());
            let second = Arc::clone(&first);
            let other = std::thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn(move || drop(second.as_ref().clone()))
                .expect("a thread can be spawned");
            drop(first);
            other.join().expect("dropping does not panic");
        }
    });
}
