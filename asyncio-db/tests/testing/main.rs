//! What the helpers of tests promise, with real servers and sockets.

mod cluster;
mod orphans;
mod proxy;
