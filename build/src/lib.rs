//! A Containerfile becomes an image.
//!
//! The place is kept; nothing is here yet.
