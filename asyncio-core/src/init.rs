//! What a program does before anything else.

/// Makes this process ready, first of all in `main`.
///
/// The attributes [`main`](macro@crate::main) and [`test`](macro@crate::test) do it by themselves. A
/// program without them that has a `ProcessPoolExecutor`, its own or one of a library, calls this
/// before anything else: a worker of such a pool is the same program, started once more, and this is
/// where it turns into a worker and does not return. Whatever comes before it happens in every worker
/// too. For anything else it is not needed, and calling it twice is fine.
///
/// ```
/// fn main() -> asyncio_core::Result<()> {
///     asyncio_core::init();
///     asyncio_core::run(async { Ok(()) })
/// }
/// ```
///
/// In a test it is the attribute that has to be there: a test binary has a `main` of its own, and the
/// attribute alone knows the name of the test as which a worker is to be started.
pub fn init() {
    #[cfg(all(feature = "process-pool", unix))]
    crate::executors::init(crate::executors::Start::Main);
}
