//! Kubernetes' objects as far as creel carries them out. What is declared here is what is read, checked and documented.

pub(crate) mod autoscale;
pub(crate) mod config;
pub(crate) mod container;
pub(crate) mod ingress;
pub(crate) mod job;
pub(crate) mod kinds;
pub(crate) mod meta;
pub(crate) mod pod;
pub(crate) mod security;
pub(crate) mod service;
pub(crate) mod storage;
pub(crate) mod volume;
pub(crate) mod workload;

pub(crate) use autoscale::*;
pub(crate) use config::*;
pub(crate) use container::*;
pub(crate) use ingress::*;
pub(crate) use job::*;
pub(crate) use kinds::*;
pub(crate) use meta::*;
pub(crate) use pod::*;
pub(crate) use security::*;
pub(crate) use service::*;
pub(crate) use storage::*;
pub(crate) use volume::*;
pub(crate) use workload::*;
