//! What the standard library has no way to do: which file code belongs to, file descriptors by their
//! numbers, what becomes of a signal.
#![expect(
    unsafe_code,
    reason = "the operating system is asked by functions that know no types"
)]

use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;

use libc::c_int;

/// A byte of the program's, for who wants to know where the program is. A static, because that has one
/// address, which a function need not have.
static ORIGIN: u8 = 0;

pub(super) fn origin() -> usize {
    (&raw const ORIGIN).expose_provenance()
}

/// Whether an address belongs to the program itself, which is one file, and not to a library.
pub(super) fn is_in_program(address: *const ()) -> bool {
    static PROGRAM: OnceLock<Option<usize>> = OnceLock::new();
    match *PROGRAM.get_or_init(program) {
        Some(program) => image(address) == Some(program),
        // Nothing tells one file from another in a program that is linked statically, and there is
        // one only.
        None => cfg!(target_feature = "crt-static") && image((&raw const ORIGIN).cast()).is_none(),
    }
}

/// Where the file starts in memory that the system has an address from.
fn image(address: *const ()) -> Option<usize> {
    info(address).map(|info| info.dli_fbase.addr())
}

fn info(address: *const ()) -> Option<libc::Dl_info> {
    let mut info = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: any address may be asked about, and the answer has room.
    let is_known = unsafe { libc::dladdr(address.cast(), info.as_mut_ptr()) } != 0;
    // SAFETY: it was filled in, as the answer says.
    is_known.then(|| unsafe { info.assume_init() })
}

/// Where the program itself starts in memory; `None` when this code is in a library.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn program() -> Option<usize> {
    // SAFETY: getauxval has no conditions.
    let headers = unsafe { libc::getauxval(libc::AT_PHDR) };
    let program = image(std::ptr::without_provenance(headers as usize));
    let ours = image((&raw const ORIGIN).cast());
    ours.filter(|_| ours == program)
}

/// Where the program itself starts in memory; `None` when this code is in a library.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn program() -> Option<usize> {
    use std::os::unix::ffi::OsStrExt;
    let info = info((&raw const ORIGIN).cast())?;
    // SAFETY: the name of a file that is loaded and stays so, because this very code is in it.
    let name = unsafe { std::ffi::CStr::from_ptr(info.dli_fname) };
    let file = std::fs::canonicalize(std::ffi::OsStr::from_bytes(name.to_bytes())).ok()?;
    let program = std::fs::canonicalize(std::env::current_exe().ok()?).ok()?;
    (file == program).then(|| info.dli_fbase.addr())
}

/// Takes the socket that a worker is started with as its standard input, which is empty afterwards.
pub(super) fn take_stdin() -> io::Result<UnixStream> {
    let stdin = io::stdin();
    let stream = UnixStream::from(stdin.as_fd().try_clone_to_owned()?);
    // An error where it is no socket.
    stream.local_addr()?;
    let nothing = std::fs::File::open("/dev/null")?;
    replace(stdin.as_fd(), nothing.as_fd())?;
    Ok(stream)
}

/// Has what is written to the standard output appear where errors do.
pub(super) fn stdout_to_stderr() -> io::Result<()> {
    replace(io::stdout().as_fd(), io::stderr().as_fd())
}

fn replace(old: BorrowedFd<'_>, new: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both are open; who reads or writes the old one afterwards finds the new one in its
    // place, and it is one of the standard three, which nobody closes.
    let done = unsafe { libc::dup2(new.as_raw_fd(), old.as_raw_fd()) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Has SIGINT do nothing in this process. Not by ignoring it: that would be inherited by the programs
/// that it starts.
pub(super) fn survive_interrupts() {
    extern "C" fn nothing(_: c_int) {}
    let handler = nothing as extern "C" fn(c_int) as *const c_void;
    // SAFETY: the handler does nothing, which may be done at any time.
    unsafe { libc::signal(libc::SIGINT, handler.addr() as libc::sighandler_t) };
}

/// Whether the program has rights that who started it may not have.
pub(super) fn is_privileged() -> bool {
    // SAFETY: none of these has conditions.
    let user = unsafe { libc::getuid() };
    // SAFETY: as above.
    let effective_user = unsafe { libc::geteuid() };
    // SAFETY: as above.
    let group = unsafe { libc::getgid() };
    // SAFETY: as above.
    let effective_group = unsafe { libc::getegid() };
    user != effective_user || group != effective_group
}

/// Ends this process at once, while another thread of it is at work.
pub(super) fn exit_now() -> ! {
    // SAFETY: nothing of the process is used afterwards; what `exit` would run is not run.
    unsafe { libc::_exit(1) }
}
