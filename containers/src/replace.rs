//! One container takes another's place: the same specification on another image, under the same name.
//!
//! The old one is stopped first, because a port of the host, an address and a volume have one user at a time. It is kept
//! under a name of its own until the new one runs well, and comes back if that does not. Anonymous volumes go over to the
//! new one.
//!
//! What a kill leaves is found by the next [`Replacing`]: the old one's record says whose place it was and who takes it
//! ([`Retired`]), from before anything is stopped until the old one is gone or back. The name leads to a whole container
//! at every moment. Up to its turn the new one belongs to this process, and is swept away with it.

use std::time::Duration;

use storage::record::{self, Durability};
use sys::lock::FileLock;
use sys::process::Process;

use crate::container::{Container, ImageDefaults, Record, Retired};
use crate::create::{CreateRequest, create_for};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::health::{self, HealthStatus};
use crate::remove::{RemoveRequest, dependents, remove};
use crate::spec::{ContainerSpec, Source};
use crate::start::{StartRequest, start};
use crate::state::State;
use crate::stop::{stop, stop_and_keep};
use crate::{events, list, names, needed, wait};

/// How long a container without a health check has to run before it counts as one that runs.
const SETTLING: Duration = Duration::from_secs(3);

/// What becomes of a new container that does not run well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It goes, and the old one comes back.
    ComeBack,
    /// It stays in its place all the same.
    Stay,
}

#[derive(Debug)]
pub enum Replaced {
    /// The new one runs and, with a health check, is healthy.
    Well,
    /// The old one runs again; why the new one did not.
    CameBack { why: String },
    /// The new one has the place and does not run well.
    Badly { why: String },
}

/// The right to replace containers: one process at a time has it.
pub struct Replacing<'a> {
    engine: &'a Engine,
    _lock: FileLock,
}

impl<'a> Replacing<'a> {
    /// Waits for another process that replaces containers.
    pub fn begin(engine: &'a Engine) -> Result<Replacing<'a>> {
        let dir = &engine.store.dirs().runroot;
        std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
        let path = dir.join("replacing.lock");
        let lock = FileLock::exclusive(&path).map_err(Error::io(&path))?;
        Ok(Replacing { engine, _lock: lock })
    }

    /// The containers whose replacement was interrupted.
    pub fn unfinished(&self) -> Result<Vec<Container>> {
        let mut all = list::list(self.engine)?;
        all.retain(|container| container.record.retired.is_some());
        Ok(all)
    }

    /// Puts one like it on `image` in its place.
    ///
    /// # Errors
    /// Nothing has changed where the new one cannot be made.
    pub fn replace(&self, old: &Container, image: &images::Image, on_failure: OnFailure) -> Result<Replaced> {
        let engine = self.engine;
        let old = list::again(engine, old)?;
        let others = dependents(engine, &old)?;
        if !others.is_empty() {
            let dependents: Vec<&str> = others.iter().map(Container::name).collect();
            return Err(Error::StateImproper {
                what: format!("container {} cannot be replaced, others need it: {}", old.name(), dependents.join(", ")),
            });
        }
        let me = Process::me().map_err(Error::io("/proc/self/stat"))?;
        let spec = on_image(old.spec(), old.record.image.as_ref(), &image.id);
        let new = create_for(engine, CreateRequest { spec, name: None, image: Some(image), replace: false }, Some(me))?;
        let retired = Retired { name: old.name().to_owned(), by: new.id().clone() };
        let retire = |record: &mut Record| record.retired = Some(retired.clone());
        if let Err(error) = rewrite(engine, &old, retire) {
            self.discard(&new);
            return Err(error);
        }
        self.finish(&list::again(engine, &old)?, on_failure)
    }

    /// Goes on with a replacement, wherever it stands.
    pub fn finish(&self, old: &Container, on_failure: OnFailure) -> Result<Replaced> {
        let engine = self.engine;
        let Some(retired) = &old.record.retired else {
            return Err(Error::StateImproper { what: format!("container {} is not being replaced", old.name()) });
        };
        let was_named = old.name() == retired.name;
        let new = match list::read(engine, &retired.by)? {
            Some(new) if !was_abandoned(&new) => new,
            gone => {
                gone.iter().for_each(|new| self.discard(new));
                self.come_back(old, retired, None)?;
                let why = if was_named { "its update was interrupted" } else { "the new container was removed" };
                return Ok(Replaced::CameBack { why: why.to_owned() });
            }
        };
        // What it needs is not ended between the two.
        let _kept = needed::start_needed(engine, old)?;
        let new = match stop_and_keep(engine, old, None).and_then(|()| self.hand_over(old, &new, retired)) {
            Ok(new) => new,
            Err(error) => {
                self.come_back(old, retired, Some(&new))?;
                return Err(error);
            }
        };
        match (runs_well(engine, &new)?, on_failure) {
            (Ok(()), _) => {
                self.conclude(old, &new)?;
                Ok(Replaced::Well)
            }
            (Err(why), OnFailure::Stay) => {
                self.conclude(old, &new)?;
                Ok(Replaced::Badly { why })
            }
            (Err(why), OnFailure::ComeBack) => {
                self.come_back(old, retired, Some(&new))?;
                Ok(Replaced::CameBack { why })
            }
        }
    }

    /// The name leads to the new one from here on. Each step may have been done before.
    fn hand_over(&self, old: &Container, new: &Container, retired: &Retired) -> Result<Container> {
        let engine = self.engine;
        let names = names::dir(engine);
        let drawn = new.name().to_owned();
        let volumes = &old.record.anonymous_volumes;
        let unveiled = rewrite(engine, new, |record| {
            record.name.clone_from(&retired.name);
            record.builder = None;
            let missing = volumes.iter().filter(|volume| !record.anonymous_volumes.contains(volume));
            let missing: Vec<String> = missing.cloned().collect();
            record.anonymous_volumes.extend(missing);
        })?;
        storage::names::reserve(&names, &aside(old), old.id().as_str())?;
        rewrite(engine, old, |record| record.name = aside(old))?;
        storage::names::hand_over(&names, &retired.name, new.id().as_str())?;
        if drawn != retired.name {
            storage::names::release(&names, &drawn, new.id().as_str())?;
            events::record(engine, &unveiled, "create");
        }
        Ok(unveiled)
    }

    /// The new one stays: the old one goes, and what was written for it is the new one's.
    fn conclude(&self, old: &Container, new: &Container) -> Result<()> {
        let engine = self.engine;
        let mut old = list::again(engine, old)?;
        if let Some(path) = old.spec().cidfile.clone() {
            // Not taken away with the old one.
            old = rewrite(engine, &old, |record| record.spec.cidfile = None)?;
            rewrite(engine, new, |record| record.spec.cidfile = Some(path.clone()))?;
            std::fs::write(&path, new.id().as_str()).map_err(Error::io(&path))?;
        }
        remove(engine, &old, &with_volumes()).map(drop)
    }

    /// The old one gets its name and its place back, and the new one goes. Where the user has removed the new one there
    /// is no place that anybody wants: the old one is only whole again.
    fn come_back(&self, old: &Container, retired: &Retired, new: Option<&Container>) -> Result<()> {
        let engine = self.engine;
        let names = names::dir(engine);
        let had_its_name = old.name() == retired.name;
        if let Some(new) = new {
            match stop(engine, new, None) {
                // It has ended, and gone by its own `--rm`.
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let holder = storage::names::resolve(&names, &retired.name)?;
        let is_free = holder.is_none_or(|holder| holder == old.id().as_str() || holder == retired.by.as_str());
        if is_free {
            rewrite(engine, old, |record| record.name.clone_from(&retired.name))?;
            storage::names::hand_over(&names, &retired.name, old.id().as_str())?;
            storage::names::release(&names, &aside(old), old.id().as_str())?;
        }
        new.into_iter().for_each(|new| self.discard(new));
        if new.is_some() || had_its_name {
            start(engine, &list::again(engine, old)?, StartRequest::default())?;
        }
        rewrite(engine, old, |record| record.retired = None).map(drop)
    }

    /// What stays of it is a container that nobody asked for, and no failure of the old one.
    fn discard(&self, new: &Container) {
        match remove(self.engine, new, &with_volumes()) {
            Ok(_) | Err(Error::NotFound { .. }) => {}
            Err(error) => tracing::warn!(id = %new.id(), %error, "cannot remove a container that failed to run"),
        }
    }
}

/// Volumes that the other one mounts stay.
fn with_volumes() -> RemoveRequest {
    RemoveRequest { force: true, volumes: true, ..RemoveRequest::default() }
}

/// What a container is called while another one tries its place.
fn aside(old: &Container) -> String {
    format!("{}-replaced", old.id().short())
}

/// Whether it never had its turn, and never will: its process is gone.
fn was_abandoned(new: &Container) -> bool {
    new.record.builder.as_ref().is_some_and(|builder| !builder.alive())
}

/// The same wishes for the image of that id. What the old image gave the container goes.
fn on_image(old: &ContainerSpec, given: Option<&ImageDefaults>, id: &str) -> ContainerSpec {
    let mut spec = old.clone();
    if let Source::Image { id: source, .. } = &mut spec.source {
        id.clone_into(source);
    }
    spec.labels.retain(|key, value| given.and_then(|image| image.labels.get(key)) != Some(value));
    // It is the old one's until that is gone.
    spec.cidfile = None;
    spec
}

/// Changes a container's record as it is now.
fn rewrite(engine: &Engine, container: &Container, change: impl FnOnce(&mut Record)) -> Result<Container> {
    let _lock = engine.lock(container.id())?;
    let mut now = list::again(engine, container)?;
    change(&mut now.record);
    let path = engine.container_dir(container.id()).join("container.json");
    record::write(&path, &now.record, Durability::Durable)?;
    Ok(now)
}

/// Starts it, and says why it does not run well where it does not: it ends, is started again by its policy, or its
/// health check fails.
fn runs_well(engine: &Engine, new: &Container) -> Result<std::result::Result<(), String>> {
    let init = match start(engine, new, StartRequest::default()) {
        Ok(started) => started.init,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let ended = |now: Option<&Container>| match now.and_then(|now| now.state().exit().map(|exit| exit.code)) {
        Some(code) => format!("it ended with exit code {code}"),
        None => "it ended".to_owned(),
    };
    let is_checked =
        new.spec().probes.is_watched() || health::spec_of(new).is_some_and(|check| check.interval.is_some());
    if is_checked {
        return wait::until(engine, new, |now| match now.map(|now| (now, now.state())) {
            Some((now, State::Running { init: running, .. })) if *running == init => match now.status.health {
                Some(HealthStatus::Healthy) => Some(Ok(())),
                Some(HealthStatus::Unhealthy) => Some(Err("its health check fails".to_owned())),
                Some(_) | None => None,
            },
            other => Some(Err(ended(other.map(|(now, _)| now)))),
        });
    }
    let has_ended = match init.open() {
        Some(process) => process.wait_end(Some(SETTLING)).map_err(Error::io("the container's first process"))?,
        None => true,
    };
    if !has_ended {
        return Ok(Ok(()));
    }
    // Its monitor is about to write how.
    let now = wait::until(engine, new, |now| match now {
        Some(now) if now.state().init() == Some(&init) => None,
        now => Some(ended(now)),
    })?;
    Ok(Err(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_old_image_gave_goes() {
        let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let spec = ContainerSpec {
            labels: labels(&[("version", "1"), ("mine", "yes"), ("changed", "by me")]),
            cidfile: Some("/id".into()),
            source: Source::Image { id: "old".into(), name: "localhost/box:latest".into() },
            ..ContainerSpec::default()
        };
        let image =
            ImageDefaults { labels: labels(&[("version", "1"), ("changed", "no")]), ..ImageDefaults::default() };
        let spec = on_image(&spec, Some(&image), "new");
        assert_eq!(spec.labels, labels(&[("mine", "yes"), ("changed", "by me")]));
        assert_eq!(spec.source, Source::Image { id: "new".into(), name: "localhost/box:latest".into() });
        assert_eq!(spec.cidfile, None);
    }
}
