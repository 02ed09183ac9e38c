//! A plan becomes reality: records, pods, Services, and the one process that keeps them so.

mod child;
mod down;
mod error;
mod launch;
mod objects;
mod observe;
mod play;
mod routes;
mod secrets;
mod services;
mod supervise;
mod volumes;

pub use child::pod_main;
pub use down::{Claims, Down, down};
pub use error::{Error, Result};
pub use launch::{FindImage, Launched, PodRequest, Start};
pub use objects::{Body, Object, Revision, Shelf};
pub use observe::{Seen, pods};
pub use play::{Actor, Change, PlayOptions, Played, changes, have_ended, play};
pub use routes::published;
pub use supervise::{Kept, is_needed, kept, start_supervisor, supervisor_main};
