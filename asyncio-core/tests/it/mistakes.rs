//! What the compiler says of the likeliest mistakes: programs that must not compile, in `tests/ui/types`.
//!
//! Where traits of ours are concerned the words are ours (`#[diagnostic::on_unimplemented]`); most are
//! the compiler's own, and change with it. So they are compared for one version of it, and looked at
//! again when they are recorded for another: `TRYBUILD=overwrite cargo test -p asyncio-core mistakes`.

use std::process::Command;

use asyncio_core::Result;

/// The version whose words were recorded.
const RECORDED: &str = "rustc 1.95.";

#[test]
fn the_likeliest_mistakes_are_understood() -> Result<()> {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(compiler).arg("--version").output()?.stdout;
    let version = String::from_utf8_lossy(&version).into_owned();
    if version.starts_with(RECORDED) {
        trybuild::TestCases::new().compile_fail("tests/ui/types/*.rs");
    }
    Ok(())
}
