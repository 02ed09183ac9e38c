//! The container in which an image is built: files are copied into it and programs run in it, and what it has changed
//! becomes a layer. It is in no list, has no name of its own, tells no event, and goes with the process that made it.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use storage::record::{self, Durability};
use sys::process::Process;

use crate::attach::{AttachEnd, AttachRequest, Streams};
use crate::container::{Container, Record, Status};
use crate::create;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::files::{self, Endpoint};
use crate::id::ContainerId;
use crate::list;
use crate::remove::{RemoveRequest, remove};
use crate::spec::{ContainerSpec, Source};
use crate::start::{StartRequest, settled, start};
use crate::state::State;

/// A working container; gone when dropped.
pub struct Working<'a> {
    engine: &'a Engine,
    container: Container,
}

impl<'a> Working<'a> {
    /// Over an image, or over nothing.
    pub fn new(engine: &'a Engine, image: Option<&images::Image>) -> Result<Working<'a>> {
        let id = ContainerId::random().map_err(Error::io("/dev/urandom"))?;
        let mut spec = ContainerSpec::default();
        let image = create::complete(engine, &mut spec, image)?;
        let builder = Process::me().map_err(Error::io("/proc/self/stat"))?;
        let record = Record {
            name: format!("{}-working-container", id.short()),
            id,
            created: Timestamp::now(),
            spec: Box::new(spec),
            image,
            anonymous_volumes: Vec::new(),
            single_id: engine.settings.single_id,
            builder: Some(builder),
            retired: None,
        };
        let staging = engine.store.staging()?;
        record::write(&staging.path().join("container.json"), &record, Durability::Visible)?;
        let status = Status::new(State::Created);
        record::write(&staging.path().join("state.json"), &status, Durability::Visible)?;
        create::commit(engine, &record, staging, None)?;
        Ok(Working { engine, container: Container { record, status } })
    }

    /// Its directory in the store, for whoever makes a layer of what it has changed.
    pub fn dir(&self) -> PathBuf {
        self.engine.container_dir(self.container.id())
    }

    /// Its files. No program may run in it while they are held.
    pub fn files(&self) -> Result<Endpoint> {
        Endpoint::without_volumes(self.engine, &self.container)
    }

    /// Runs a program to its end, with our streams, and says how it ended. What was made for it to run, mount points and
    /// the like, is taken away again.
    pub fn run(&mut self, mut spec: ContainerSpec, image: Option<&images::Image>, streams: Streams) -> Result<i32> {
        spec.source = match image {
            Some(image) => Source::Image { id: image.id.clone(), name: String::new() },
            None => Source::None,
        };
        let image = create::complete(self.engine, &mut spec, image)?;
        let traces = Traces::before(&self.files()?, &spec)?;
        *self.container.record.spec = spec;
        self.container.record.image = image;
        record::write(&self.dir().join("container.json"), &self.container.record, Durability::Visible)?;
        let request = StartRequest { attach: Some(streams), preserve_fds: Vec::new() };
        let started = start(self.engine, &self.container, request)?;
        let Some(attached) = started.attached else {
            return Err(Error::Invalid("the build's container was started by somebody else".to_owned()));
        };
        let request = AttachRequest { sig_proxy: Some(started.init), ..AttachRequest::default() };
        let code = match attached.run(request)? {
            AttachEnd::Exited(code) => code,
            AttachEnd::Detached => {
                return Err(Error::Invalid("the connection to the build's container was closed".to_owned()));
            }
        };
        self.container = settled(self.engine, self.container.id())?;
        traces.remove(&self.files()?)?;
        Ok(code)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        let request = RemoveRequest { force: true, timeout: Some(0), ..RemoveRequest::default() };
        // What stays, the next sweep takes: we are its builder, and will be gone.
        if let Err(error) = remove(self.engine, &self.container, &request) {
            tracing::warn!(%error, "cannot remove a working container");
        }
    }
}

/// Takes away the working containers whose builders are gone.
pub fn sweep_working(engine: &Engine) {
    for container in list::list_with_working(engine).unwrap_or_default() {
        if container.record.builder.as_ref().is_none_or(Process::alive) {
            continue;
        }
        let request = RemoveRequest { force: true, timeout: Some(0), ..RemoveRequest::default() };
        if let Err(error) = remove(engine, &container, &request) {
            tracing::warn!(id = %container.id(), %error, "cannot remove what a build has left");
        }
    }
}

/// What a run leaves in the root file system that no program of it has made: empty files and directories where something
/// was mounted, and the directories that lead there.
struct Traces(Vec<PathBuf>);

impl Traces {
    /// Those that are not there yet, the deepest last.
    fn before(files: &Endpoint, spec: &ContainerSpec) -> Result<Traces> {
        let mut paths: Vec<PathBuf> = Vec::new();
        let ours = files::MADE_BY_US.iter().map(Path::new);
        for place in ours.chain(spec.mounts.iter().map(|mount| mount.destination.as_path())) {
            paths.extend(place.ancestors().filter(|path| path.parent().is_some()).map(Path::to_owned));
        }
        paths.sort();
        paths.dedup();
        let mut absent = Vec::new();
        for path in paths {
            if files.stat(&path)?.is_none() {
                absent.push(path);
            }
        }
        Ok(Traces(absent))
    }

    fn remove(&self, files: &Endpoint) -> Result<()> {
        for path in self.0.iter().rev() {
            files.remove_if_empty(path)?;
        }
        Ok(())
    }
}
