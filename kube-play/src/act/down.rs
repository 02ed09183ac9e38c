//! The story of `kube down`: what manifests name goes, with all its pods.

use std::collections::BTreeSet;
use std::process::Command;

use containers::Engine;

use super::child::{self, Deed, Working};
use super::error::Result;
use super::launch::network_of;
use super::objects::{Body, Shelf};
use super::observe::{self, Seen};
use super::secrets;
use super::supervise::kept_path;
use crate::plan::{Kind, ObjectId, volume_name};

/// What was taken away, and what was not.
#[derive(Debug, Default)]
pub struct Down {
    /// Ids.
    pub pods: Vec<String>,
    pub secrets: Vec<String>,
    /// Names of volumes.
    pub volumes: Vec<String>,
    /// All other objects.
    pub removed: Vec<ObjectId>,
    /// Volumes that stay, since nobody forced it.
    pub kept: Vec<String>,
    /// Pods of that name that no manifest made.
    pub not_ours: Vec<String>,
    /// What could not be removed, and why.
    pub failed: Vec<(String, String)>,
}

/// What happens to volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claims {
    Keep,
    Remove,
}

/// Takes away the objects of these names. Objects that are not there are no error: it can be repeated.
pub fn down(engine: &Engine, pod_program: fn() -> Command, ids: &[ObjectId], claims: Claims) -> Result<Down> {
    let shelf = Shelf::new(engine);
    let mut down = Down::default();
    let namespaces: BTreeSet<&str> = ids.iter().map(|id| id.namespace.as_str()).collect();
    {
        // Without their records nobody makes their pods again.
        let _acting = namespaces.iter().map(|namespace| shelf.act_in(namespace)).collect::<Result<Vec<_>>>()?;
        for id in ids {
            forget(engine, &shelf, id, &mut down)?;
        }
        remove_pods(engine, pod_program, ids, &mut down)?;
        for id in ids.iter().filter(|id| id.kind == Kind::PersistentVolumeClaim) {
            let name = volume_name(&id.namespace, &id.name);
            if engine.store.volume(&name)?.is_none() {
                continue;
            }
            match claims {
                Claims::Keep => down.kept.push(name),
                Claims::Remove => match engine.store.remove_volume(&name) {
                    Ok(()) => down.volumes.push(name),
                    Err(error) => down.failed.push((name, error.to_string())),
                },
            }
        }
    }
    for namespace in namespaces {
        leave(engine, &shelf, namespace);
    }
    Ok(down)
}

fn forget(engine: &Engine, shelf: &Shelf, id: &ObjectId, down: &mut Down) -> Result<()> {
    if id.kind == Kind::Secret {
        down.secrets.extend(secrets::remove(engine, id)?);
        return Ok(());
    }
    // What a CronJob has begun goes with it.
    if id.kind == Kind::CronJob {
        for job in shelf.list(&id.namespace, Kind::Job)? {
            if let Body::Job { plan, owner: Some(owner) } = job.body
                && owner == *id
            {
                shelf.remove(&plan.meta.id)?;
            }
        }
    }
    let _ = std::fs::remove_file(kept_path(shelf, id));
    if shelf.remove(id)? && !matches!(id.kind, Kind::Pod | Kind::PersistentVolumeClaim) {
        down.removed.push(id.clone());
    }
    Ok(())
}

fn remove_pods(engine: &Engine, pod_program: fn() -> Command, ids: &[ObjectId], down: &mut Down) -> Result<()> {
    let seen = observe::pods(engine)?;
    let is_meant = |pod: &&Seen| {
        ids.iter().filter(|id| id.namespace == pod.namespace).any(|id| match &pod.owner {
            None => id.kind == Kind::Pod && id.name == pod.name,
            Some(owner) => {
                let cron = id.kind == Kind::CronJob
                    && owner
                        .strip_prefix("Job/")
                        .and_then(|job| job.rsplit_once('-'))
                        .is_some_and(|(job, _)| job == id.name);
                cron || *owner == format!("{}/{}", id.kind, id.name)
            }
        })
    };
    let meant: Vec<&Seen> = seen.iter().filter(is_meant).collect();
    let begun: Vec<(String, Result<Working>)> = meant
        .iter()
        .map(|pod| {
            let id = pod.pod.id().to_string();
            let deed = Deed::Remove { pod: id.clone(), timeout: None };
            (id, child::start(engine, pod_program(), deed))
        })
        .collect();
    for (id, begun) in begun {
        match begun.and_then(Working::finish) {
            Ok(_) => down.pods.push(id),
            Err(error) => down.failed.push((id, error.to_string())),
        }
    }
    for id in ids.iter().filter(|id| id.kind == Kind::Pod) {
        let name = volume_name(&id.namespace, &id.name);
        let there = pods::names(engine)?.values().any(|known| *known == name);
        if there && !meant.iter().any(|pod| pod.name == id.name && pod.namespace == id.namespace) {
            down.not_ours.push(name);
        }
    }
    Ok(())
}

/// What a namespace needed while there was something in it.
pub(super) fn leave(engine: &Engine, shelf: &Shelf, namespace: &str) {
    if shelf.all(namespace).is_ok_and(|objects| objects.is_empty()) {
        let networks = containers::networks(engine);
        let is_empty = |name: &str| networks.state(name).is_ok_and(|state| state.members.is_empty());
        let name = network_of(namespace);
        // Somebody else's container may be on it, or about to be: then it stays.
        if is_empty(&name)
            && let Ok(network) = networks.named(&name)
        {
            let _ = networks.remove(&network);
        }
    }
}
