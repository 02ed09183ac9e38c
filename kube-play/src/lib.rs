//! Kubernetes manifests become pods, and pods become manifests.
//!
//! The place is kept; nothing is here yet. The way is: parse strictly, plan as a pure value, act.

mod generate;

pub use generate::{Error as GenerateError, Generate, Kind as GeneratedKind, Manifest, generate};
