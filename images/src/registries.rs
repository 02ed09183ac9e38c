//! registries.conf.
