//! A plan becomes reality: records, pods, Services, and the one process that keeps them so.

mod change;
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

pub use change::{restart, scale, undo};
pub use child::pod_main;
pub use down::{Claims, Down, down};
pub use error::{Error, Result};
pub use launch::{FindImage, Launched, PodRequest, Start, WantedImage, node_name};
pub use objects::{Body, Object, Shelf};
pub use observe::{Seen, pod_manifest, pod_uid, pods, uid_of};
pub use play::{Actor, PlayOptions, Played, ShowProgress, have_ended, play, preview, resume, template_of};
pub use routes::{endpoints, published};
pub use supervise::{Kept, end_supervisor, is_needed, kept, start_supervisor, supervisor_main};
