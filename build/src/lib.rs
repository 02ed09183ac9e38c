//! A Containerfile becomes an image.
//!
//! Text to stages and steps and stages to what has to be done are pure. [`build`] alone acts: a
//! working container of `containers` for what a step changes, a layer of `images` for what it has changed. There is no
//! daemon and no state but images, and names that lead from a step's key to its image.

mod act;
mod containerfile;
mod error;
mod instruction;
mod lines;
mod pattern;
mod plan;
mod words;

pub use act::{
    Context, Event, Named, Options, RemoteCache, Secret, Squash, Times, bases, begins_like_an_archive, build, export,
};
pub use error::{Error, Problem, Result};
pub use pattern::Ignore;
pub use words::{Lookup, shell_words};
