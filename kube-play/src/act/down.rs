//! The story of `kube down`: what manifests name goes, with all its pods.

use std::collections::BTreeSet;
use std::process::Command;

use containers::Engine;

use super::child::{self, Deed, Working};
use super::error::Result;
use super::objects::{Body, Shelf, Waits};
use super::observe::{self, Seen};
use super::{networks, secrets};
use crate::plan::{Kind, ObjectId, RetentionPolicy, claim_name, volume_name};

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
pub fn down(
    engine: &Engine,
    pod_program: fn() -> Command,
    ids: &[ObjectId],
    claims: Claims,
    waits: Waits<'_>,
) -> Result<Down> {
    let shelf = Shelf::new(engine);
    let mut down = Down::default();
    let namespaces: BTreeSet<&str> = ids.iter().map(|id| id.namespace.as_str()).collect();
    {
        // Without their records nobody makes their pods again.
        let _acting = namespaces.iter().map(|namespace| shelf.act_in(namespace, waits)).collect::<Result<Vec<_>>>()?;
        let of_sets = claims_of_sets(engine, &shelf, ids)?;
        for id in ids {
            forget(engine, &shelf, id, &mut down)?;
        }
        remove_pods(engine, pod_program, ids, &mut down)?;
        for name in of_sets {
            match engine.store.remove_volume(&name) {
                Ok(()) => down.volumes.push(name),
                Err(error) => down.failed.push((name, error.to_string())),
            }
        }
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
        networks::leave(engine, &shelf, namespace);
    }
    Ok(down)
}

/// The volumes of StatefulSets that take them along (`whenDeleted: Delete`).
fn claims_of_sets(engine: &Engine, shelf: &Shelf, ids: &[ObjectId]) -> Result<Vec<String>> {
    let mut prefixes = Vec::new();
    for id in ids.iter().filter(|id| id.kind == Kind::StatefulSet) {
        let Some(Body::Workload { plan, .. }) = shelf.get(id)?.map(|object| object.body) else { continue };
        let set = plan.stateful.filter(|set| set.when_deleted == RetentionPolicy::Delete);
        // Before the number of the pod.
        let prefix = |claim: &str| volume_name(&id.namespace, &claim_name(claim, &format!("{}-", id.name)));
        prefixes.extend(set.iter().flat_map(|set| &set.claims).map(|claim| prefix(&claim.meta.id.name)));
    }
    if prefixes.is_empty() {
        return Ok(Vec::new());
    }
    let is_its = |name: &str| {
        let number = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix.as_str()));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    Ok(engine.store.volumes()?.into_iter().map(|(name, _)| name).filter(|name| is_its(name)).collect())
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
    if shelf.remove(id)? && !matches!(id.kind, Kind::Pod | Kind::PersistentVolumeClaim) {
        down.removed.push(id.clone());
    }
    Ok(())
}

fn remove_pods(engine: &Engine, pod_program: fn() -> Command, ids: &[ObjectId], down: &mut Down) -> Result<()> {
    let seen = observe::pods(engine)?;
    let is_meant = |pod: &&Seen| {
        // What a CronJob has begun: its Jobs may be gone already.
        let job = pod.owner.as_deref().and_then(|owner| owner.strip_prefix("Job/"));
        let cron_job = job.and_then(|job| Some(job.rsplit_once('-')?.0));
        let of_cron_job = |id: &ObjectId| {
            id.kind == Kind::CronJob && id.namespace == pod.namespace && cron_job == Some(id.name.as_str())
        };
        ids.iter().any(|id| pod.belongs_to(id) || of_cron_job(id))
    };
    let meant: Vec<&Seen> = seen.iter().filter(is_meant).collect();
    let begun: Vec<(String, Result<Working>)> = meant
        .iter()
        .map(|pod| {
            let id = pod.pod.id().to_string();
            let deed = Deed::Remove { pod: id.clone(), timeout: None };
            (id, child::begin(engine, pod_program(), deed))
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
