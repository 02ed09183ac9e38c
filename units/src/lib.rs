//! Units for systemd: pure text to text.
//!
//! A unit file is read with the place of each value ([`UnitFile`]), a Quadlet becomes a service whose command lines call
//! creel ([`quadlet::translate`]), and what is known of a container becomes a service that starts it ([`generate`]). No file is
//! opened here, nothing is run and nothing is asked of the machine but through [`quadlet::Host`].

mod error;
mod file;
pub mod generate;
pub mod quadlet;
mod words;

pub use error::{Error, Result};
pub use file::{At, UnitFile};
pub use words::{quoted, split};
