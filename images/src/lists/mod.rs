//! Manifest lists: one name for the images of several platforms, made here and pushed as a whole.
//!
//! A list is a record beside those of the images, with names in the same index. It holds descriptors: of images of this
//! store, whose blobs it keeps, and of images elsewhere, which come only when the list is pushed.

mod document;
mod edit;
mod push;
mod record;
mod remote;
mod variants;

pub use document::inspect;
pub use edit::{AddOptions, Annotation, CreateOptions, add, annotate, create, create_or_amend, remove_instance};
pub use push::{ListPushOptions, push};
pub use record::{ListRecord, exists, find, list, remove};
pub use remote::{is_current, platforms};

pub(crate) use record::{as_image, blobs, delete, give_names, instance, load, remove_by_name, take_names};
