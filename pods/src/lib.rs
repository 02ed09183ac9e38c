//! Containers that share namespaces and a life.
//!
//! The place is kept; nothing is here yet. A pod will know its members as containers and hold their namespaces itself,
//! without an image for it.
