//! A function that one process names and another calls.
#![expect(
    unsafe_code,
    reason = "a number that another process sent is the place of a function"
)]

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::native;
use super::reply::Reply;
use super::{TransferError, What, caught};
use crate::exceptions::{Result, RuntimeError};

/// A call as it is sent to a worker: its length, the entry, the function, the argument.
#[derive(Clone)]
pub(super) struct Request(Vec<u8>);

/// Bytes of a length, and of a place.
const WORD: usize = 8;

impl Request {
    /// A call of a function.
    pub(super) fn call<A, R>(function: fn(A) -> R, argument: &A) -> Result<Self>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize,
    {
        Self::of(enter::<A, R>, Place::of(function as *const ()), argument)
    }

    /// A call of an initializer, whose error goes back as text.
    pub(super) fn initializer<A>(function: fn(A) -> Result<()>, argument: &A) -> Result<Self>
    where
        A: Serialize + DeserializeOwned,
    {
        Self::of(initialize::<A>, Place::of(function as *const ()), argument)
    }

    fn of<A: Serialize>(entry: Entry, function: Option<Place>, argument: &A) -> Result<Self> {
        let places = Place::of(entry as *const ()).zip(function);
        let Some((entry, function)) = places else {
            let text = "a worker cannot call a function of a library, only one of the program";
            return Err(RuntimeError::new(text).into());
        };
        // The length is filled in when it is known.
        let mut bytes = vec![0; WORD];
        bytes.extend(entry.0.to_le_bytes());
        bytes.extend(function.0.to_le_bytes());
        // What a type does when it is written is the user's code.
        let mut bytes = caught(|| {
            postcard::to_extend(argument, bytes)
                .map_err(|error| TransferError::new(What::Argument, error).into())
        })?;
        let length = (bytes.len() - WORD) as u64;
        bytes[..WORD].copy_from_slice(&length.to_le_bytes());
        Ok(Self(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Makes the call that a request asks for, given without its length.
///
/// # Safety
///
/// The request was made by a process that runs the same program as this one.
pub(super) unsafe fn answer(request: &[u8]) -> Reply {
    let place = |bytes: &[u8; WORD]| Place(i64::from_le_bytes(*bytes));
    let parts = request.split_first_chunk::<WORD>();
    let parts = parts.and_then(|(entry, rest)| Some((entry, rest.split_first_chunk::<WORD>()?)));
    let address = parts.and_then(|(entry, _)| place(entry).address());
    let (Some((_, (function, argument))), Some(address)) = (parts, address) else {
        return Reply::unreadable("there is no such function in this program");
    };
    // SAFETY: `Request::of` took this place of an `Entry`, in a process that runs the same program, and
    // there it is the same distance away from the origin.
    let entry = unsafe { std::mem::transmute::<*const (), Entry>(address) };
    entry(place(function), argument)
}

/// What a worker calls first: it knows the types. It is given a function of the type that it was made
/// for, and by nobody but `answer`.
type Entry = fn(function: Place, argument: &[u8]) -> Reply;

fn enter<A, R>(function: Place, argument: &[u8]) -> Reply
where
    A: DeserializeOwned,
    R: Serialize,
{
    let Some(address) = function.address() else {
        return Reply::unreadable("there is no such function in this program");
    };
    // SAFETY: `Request::call` took this place of such a function, together with that of this entry.
    let function = unsafe { std::mem::transmute::<*const (), fn(A) -> R>(address) };
    match postcard::from_bytes(argument) {
        Ok(argument) => Reply::value(&function(argument)),
        Err(error) => Reply::unreadable(&error.to_string()),
    }
}

fn initialize<A: DeserializeOwned>(function: Place, argument: &[u8]) -> Reply {
    let Some(address) = function.address() else {
        return Reply::unreadable("there is no such function in this program");
    };
    // SAFETY: `Request::initializer` took this place of such a function, together with that of this
    // entry.
    let function = unsafe { std::mem::transmute::<*const (), fn(A) -> Result<()>>(address) };
    match postcard::from_bytes(argument) {
        Ok(argument) => match function(argument) {
            Ok(()) => Reply::value(&()),
            Err(exception) => Reply::failed(&format!("{exception:?}")),
        },
        Err(error) => Reply::unreadable(&error.to_string()),
    }
}

/// Where a function stands in the program: how far from a byte of ours, which is the same in every
/// process that runs this program, wherever the system has put it.
#[derive(Clone, Copy)]
struct Place(i64);

impl Place {
    /// `None` where the function is not in the program but in a library, which another process may have
    /// elsewhere, or in another version.
    fn of(function: *const ()) -> Option<Self> {
        let address = function.expose_provenance();
        let distance = address.wrapping_sub(native::origin()).cast_signed();
        native::is_in_program(function).then_some(Self(distance as i64))
    }

    /// The address in this process; `None` where nothing of the program's is there.
    fn address(self) -> Option<*const ()> {
        let distance = isize::try_from(self.0).ok()?;
        let address = native::origin().wrapping_add_signed(distance);
        let address = std::ptr::with_exposed_provenance(address);
        native::is_in_program(address).then_some(address)
    }
}
