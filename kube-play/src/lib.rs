//! Kubernetes manifests become pods, and pods become manifests.
//!
//! The way is: [`read`] the text strictly, with the place of every value; [`plan`] what it asks for, a pure value that can
//! be compared and printed; then act. Here is all that needs no kernel: nothing is created before every document has been
//! read, checked and planned, and all that is wrong is said at once.

pub mod act;
mod changes;
mod decode;
mod document;
mod ephemeral;
mod explain;
mod generate;
mod history;
pub mod kubeconfig;
mod lower;
mod manifest;
mod model;
mod names;
mod plan;
mod problem;
mod quantity;
mod schedule;
pub mod show;
pub mod steps;
pub mod write;
mod yaml;

pub use changes::{Change, ObjectChange};
pub use decode::Validate;
pub use document::support_page;
pub use ephemeral::{DebugProfile, Ephemeral, EphemeralContainer};
pub use explain::explain;
pub use generate::{Error as GenerateError, Generate, Kind as GeneratedKind, Manifest, generate};
pub use history::{History, Revision};
pub use lower::{Options, Stored, plan, service_name};
pub use manifest::{Manifests, Source, Unknown, read};
pub use plan::*;
pub use problem::{Origin, Problem, Severity};
pub use quantity::{Quantity, QuantityError};
pub use schedule::Schedule;
