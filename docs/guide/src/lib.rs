//! The porting guide's programs are the program `asyncio-guide`; what is here is the chapter whose
//! programs are compiled as tests.
#![doc = include_str!("../compile-errors.md")]
