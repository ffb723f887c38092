//! The porting guide's programs are the program `asyncio-guide`; what is here are the pages whose examples
//! are compiled as tests.
#![doc = include_str!("../README.md")]
#![doc = include_str!("../compile-errors.md")]
