//! Another OCI runtime (`--runtime PATH`).
