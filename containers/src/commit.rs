//! A container becomes an image: what it changed or all that it sees, with its settings on top of its image's.

use jiff::Timestamp;

use crate::container::Container;
use crate::engine::Engine;
use crate::error::Result;
use crate::files::Endpoint;
use crate::spec::{MountKind, Source};
use crate::{events, list, oci, pause};

/// How a container becomes an image.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    /// Names to give it; may be none.
    pub names: Vec<String>,
    /// `--change` instructions.
    pub changes: Vec<String>,
    pub author: Option<String>,
    pub message: Option<String>,
    pub format: images::Format,
    pub squash: images::Squash,
    /// Freeze it meanwhile where that is possible.
    pub pause: bool,
    /// Declare all its mounts as volumes of the image, not only those that were anonymous.
    pub include_volumes: bool,
    /// Settings to lay over the container's.
    pub config: Option<images::Settings>,
    pub progress: images::Progress,
}

/// Makes an image of the container's root file system and settings.
pub fn commit(engine: &Engine, container: &Container, options: &CommitOptions) -> Result<images::Image> {
    let container = list::again(engine, container)?;
    let frozen = if options.pause { Frozen::freeze(&container) } else { None };
    let image = container.record.image.as_ref();
    let base = match image {
        Some(image) => images::find(&engine.store, &image.id)?,
        None => None,
    };
    let dir = engine.container_dir(container.id());
    let (upper, copied) = (dir.join("upper"), dir.join("rootfs"));
    // One layer of all needs all: what the container sees, without what is mounted in it.
    let whole = match options.squash {
        images::Squash::All => Some(Endpoint::without_volumes(engine, &container)?),
        images::Squash::No => None,
    };
    let whole_path = whole.as_ref().map(Endpoint::path);
    let content = match (&whole_path, &container.spec().source) {
        (Some(path), _) | (None, Source::Directory { path, overlay: false }) => images::Content::Tree(path),
        (None, _) if copied.exists() => images::Content::Tree(&copied),
        (None, _) if upper.exists() => images::Content::Upper(&upper),
        (None, _) => images::Content::Nothing,
    };
    // A whole tree already has what the base has.
    let base = if matches!(content, images::Content::Tree(_)) && whole.is_none() { None } else { base };
    let mut request = images::CommitRequest::new(base.as_ref(), content);
    let mut settings = settings(&container, base.as_ref(), options.include_volumes);
    if let Some(config) = &options.config {
        settings.merge(config);
    }
    request.settings = Some(settings);
    if let Source::Image { name, .. } = &container.spec().source {
        request.from = Some(name.clone());
    }
    request.changes = options.changes.clone();
    request.author = options.author.clone();
    request.message = options.message.clone();
    // As Podman: what ran is in the configuration, what was done in it nobody knows.
    request.created_by = "/bin/sh".to_owned();
    let now = Timestamp::now();
    request.created = Some(now);
    request.annotations = vec![("org.opencontainers.image.created".to_owned(), now.to_string())];
    request.format = options.format;
    request.squash = options.squash;
    request.names = options.names.clone();
    request.progress = options.progress;
    let made = images::commit(&engine.store, request);
    drop(frozen);
    let made = made?;
    events::record(engine, &container, "commit");
    Ok(made)
}

/// The image's settings with the container's own on top.
fn settings(container: &Container, base: Option<&images::Image>, volumes: bool) -> images::Settings {
    let spec = container.spec();
    let mut settings = base.map(|base| base.settings.clone()).unwrap_or_default();
    if settings.variable("PATH").is_none() {
        settings.set_variable("PATH", oci::PATH);
    }
    for (name, value) in &spec.env {
        settings.set_variable(name, value);
    }
    for name in &spec.unset_env {
        settings.env.retain(|entry| entry.split('=').next() != Some(name));
    }
    if let Some(entrypoint) = &spec.entrypoint {
        settings.entrypoint = Some(entrypoint.clone()).filter(|entrypoint| !entrypoint.is_empty());
        settings.cmd = None;
    }
    if !spec.command.is_empty() {
        settings.cmd = Some(spec.command.clone());
    }
    if let Some(user) = &spec.user {
        settings.user.clone_from(user);
    }
    if let Some(workdir) = &spec.workdir {
        settings.working_dir.clone_from(workdir);
    }
    if settings.working_dir.is_empty() {
        settings.working_dir = "/".to_owned();
    }
    if let Some(signal) = spec.stop_signal.and_then(sys::signals::name) {
        settings.stop_signal = signal;
    }
    settings.labels.extend(spec.labels.clone());
    for port in &spec.network.expose {
        let port = if port.contains('/') { port.clone() } else { format!("{port}/tcp") };
        settings.exposed_ports.entry(port).or_default();
    }
    for mapping in &spec.network.ports {
        for port in mapping.container_port..mapping.container_port.saturating_add(mapping.range) {
            settings.exposed_ports.entry(format!("{port}/{}", mapping.protocol)).or_default();
        }
    }
    for mount in &spec.mounts {
        let anonymous = matches!(mount.kind, MountKind::Volume { anonymous: true, .. });
        if anonymous || volumes {
            settings.volumes.entry(mount.destination.display().to_string()).or_default();
        }
    }
    settings
}

/// A container that is frozen while this lives.
struct Frozen(runtime::cgroup::Cgroup);

impl Frozen {
    /// `None` where it does not run, is frozen already, or cannot be.
    fn freeze(container: &Container) -> Option<Frozen> {
        if !list::running(container) || pause::paused(container) {
            return None;
        }
        let cgroup = pause::cgroup_of(container).ok().flatten()?;
        cgroup.freeze().ok()?;
        Some(Frozen(cgroup))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Err(error) = self.0.thaw() {
            tracing::warn!(%error, "cannot thaw the container");
        }
    }
}
