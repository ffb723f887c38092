//! Whether the page of asyncpg's tests is true.

const PAGE: &str = include_str!("../ported.md");

/// The sources that the page may name tests of.
const SOURCES: &[(&str, &str)] = &[
    ("asyncpg::caches", include_str!("asyncpg/caches.rs")),
    ("asyncpg::connecting", include_str!("asyncpg/connecting.rs")),
    ("asyncpg::cursors", include_str!("asyncpg/cursors.rs")),
    ("asyncpg::executing", include_str!("asyncpg/executing.rs")),
    ("asyncpg::pools", include_str!("asyncpg/pools.rs")),
    ("asyncpg::preparing", include_str!("asyncpg/preparing.rs")),
    ("asyncpg::timing", include_str!("asyncpg/timing.rs")),
    (
        "asyncpg::transacting",
        include_str!("asyncpg/transacting.rs"),
    ),
    ("codecs", include_str!("codecs.rs")),
    ("connect", include_str!("connect.rs")),
    ("copy", include_str!("copy.rs")),
    ("copy_cancelled", include_str!("copy_cancelled.rs")),
    ("listeners", include_str!("listeners.rs")),
    ("own_codecs", include_str!("own_codecs.rs")),
    ("pg::config", include_str!("../../src/pg/config/tests.rs")),
    ("records", include_str!("records.rs")),
];

#[test]
fn the_page_names_tests_that_are_there() {
    let (mut ported, mut not) = (0, 0);
    for line in PAGE.lines().filter(|line| line.contains(".test_")) {
        let here = line
            .split(" | ")
            .nth(1)
            .expect("it has two columns")
            .trim_end_matches(" |");
        if let Some(why) = here.strip_prefix("— ") {
            assert!(why.len() > 5, "no reason: {line}");
            not += 1;
            continue;
        }
        ported += 1;
        for name in here.split(", ") {
            let name = name.trim_matches('`');
            let (module, test) = name.rsplit_once("::").expect("a module and a test");
            let source = SOURCES.iter().find(|(it, _)| *it == module);
            let (_, source) = source.unwrap_or_else(|| panic!("no such module: {line}"));
            assert!(
                source.contains(&format!("fn {test}(")),
                "no such test: {line}"
            );
        }
    }
    assert!(ported >= 245, "{ported}");
    assert!(
        PAGE.contains(&format!("| all | {ported} | {not} |")),
        "{ported} and {not}"
    );
}
