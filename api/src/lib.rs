//! Docker's Engine API (version 1.44, clients from 1.24) for programs that speak nothing else: a request becomes command
//! lines of creel, and what these print becomes Docker's JSON.
//!
//! Nothing here opens the store or knows what a container is: whoever may call the socket may do what the user may
//! type, no more, and it is done the same way. A thread serves a connection; a process that has threads never forks a
//! container itself.

mod build;
mod call;
mod containers;
mod credentials;
mod creel;
mod events;
mod exec;
mod http;
mod images;
mod json;
mod networks;
mod route;
mod serve;
mod stats;
mod streams;
mod system;
mod transfer;
mod volumes;

pub use creel::Creel;
pub use serve::{Listener, serve};
