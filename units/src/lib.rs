//! Units for systemd: pure text to text.
//!
//! The place is kept; nothing is here yet.
