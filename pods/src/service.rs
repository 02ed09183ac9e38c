//! The service container: it runs for as long as one of several pods does, so that a service manager has one process to
//! look at. Its monitor is the unit's main process, its exit code says how the pods have ended.

use containers::{
    Container, ContainerSpec, Engine, ExitPropagation, HOLDER_PATH, LogConfig, LogDriver, RemoveRequest, SdNotify,
    Source,
};
use network::Mode;
use serde::{Deserialize, Serialize};
use sys::lock::FileLock;

use crate::error::{Error, Result};
use crate::pod;

/// What it is called, and what its exit code says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceContainer {
    pub name: String,
    pub propagation: ExitPropagation,
}

/// The service container, made where it is not there. The pods' infra containers need it: the first to start starts it,
/// the last to end ends it. While the lock is held nobody takes it away.
pub(crate) fn ensure(engine: &Engine, service: &ServiceContainer) -> Result<(Container, FileLock)> {
    // Pods of one play are made side by side.
    let lock = lock(engine)?;
    let ServiceContainer { name, propagation } = service;
    let spec = ContainerSpec {
        source: Source::Holder,
        entrypoint: Some(vec![HOLDER_PATH.to_owned(), "__hold".to_owned()]),
        log: LogConfig { driver: LogDriver::None, ..LogConfig::default() },
        network: containers::NetworkSpec { mode: Mode::None, ..Default::default() },
        // Whoever plays the pods says when all of them run.
        sdnotify: SdNotify::Ignore,
        ends_unneeded: true,
        service: Some(*propagation),
        ..ContainerSpec::default()
    };
    let request = containers::CreateRequest { spec, name: Some(name), image: None, replace: false };
    match containers::create(engine, request) {
        Err(containers::Error::NameTaken { .. }) => match containers::find(engine, name)? {
            known if known.spec().service == Some(*propagation) => Ok((known, lock)),
            other => Err(Error::Invalid(format!("container {} is no service container of these pods", other.name()))),
        },
        made => Ok((made?, lock)),
    }
}

fn lock(engine: &Engine) -> Result<FileLock> {
    let path = pod::all_dir(engine).join("service.lock");
    FileLock::exclusive(&path).map_err(Error::io(&path))
}

/// Takes it away after the last of its pods.
pub(crate) fn leave(engine: &Engine, name: &str) -> Result<()> {
    let _lock = lock(engine)?;
    let service = match containers::find(engine, name) {
        Ok(found) if found.spec().service.is_some() => found,
        Ok(_) | Err(containers::Error::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let request = RemoveRequest { force: true, timeout: Some(0), ..RemoveRequest::default() };
    match containers::remove(engine, &service, &request) {
        Ok(_) | Err(containers::Error::NotFound { .. } | containers::Error::ServiceOfPods { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
