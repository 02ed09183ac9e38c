//! The story of `kube down`: what manifests name, or were played from before, goes with all its pods.

use std::collections::BTreeSet;
use std::process::Command;

use containers::Engine;

use super::child::{self, Deed, Working};
use super::error::Result;
use super::objects::{Body, Shelf, Waits};
use super::observe::{self, Seen};
use super::sources::Sources;
use super::{networks, secrets};
use crate::plan::{Kind, ObjectId, RetentionPolicy, claim_name, volume_name};

/// What is to go.
#[derive(Clone, Debug, Default)]
pub struct Meant {
    /// What the files name now.
    pub ids: Vec<ObjectId>,
    /// Where the files are: what was played from there last goes, too.
    pub sources: Vec<String>,
    /// Seconds that containers have to end, instead of each one's own.
    pub timeout: Option<u32>,
}

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
    /// Objects that stay, each with the file that has taken it over.
    pub taken_over: Vec<(ObjectId, String)>,
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

/// Takes objects away. Those that are not there are no error: it can be repeated, and has to be where it was killed.
pub fn down(
    engine: &Engine,
    pod_program: fn() -> Command,
    meant: &Meant,
    claims: Claims,
    waits: Waits<'_>,
) -> Result<Down> {
    let shelf = Shelf::new(engine);
    let sources: Vec<&str> = meant.sources.iter().map(String::as_str).collect();
    let before = all_meant(engine, &shelf, meant, &sources)?;
    let namespaces: BTreeSet<&str> = before.ids.iter().map(|id| id.namespace.as_str()).collect();
    let mut down = Down::default();
    {
        let _acting = namespaces.iter().map(|namespace| shelf.act_in(namespace, waits)).collect::<Result<Vec<_>>>()?;
        // Somebody else may have acted until now.
        let AllMeant { mut ids, taken_over } = all_meant(engine, &shelf, meant, &sources)?;
        ids.retain(|id| namespaces.contains(id.namespace.as_str()));
        down.taken_over = taken_over;
        let of_sets = claims_of_sets(engine, &shelf, &ids, claims)?;
        // Nobody makes their pods again. They can be found until all that is theirs is gone.
        for id in ids.iter().filter(|id| id.kind != Kind::Secret) {
            if shelf.leave(id)? && !matches!(id.kind, Kind::Pod | Kind::PersistentVolumeClaim) {
                down.removed.push(id.clone());
            }
        }
        let removed = pods_of(engine, &shelf, pod_program, &ids, meant.timeout, &mut down)?;
        not_ours(engine, &ids, &removed, &mut down)?;
        for (name, what) in of_sets {
            remove_claim(engine, name, what, &mut down);
        }
        for id in ids.iter().filter(|id| id.kind == Kind::PersistentVolumeClaim) {
            let name = volume_name(&id.namespace, &id.name);
            if engine.store.volume(&name)?.is_some() {
                remove_claim(engine, name, claims, &mut down);
            }
        }
        for id in ids.iter().filter(|id| id.kind == Kind::Secret) {
            down.secrets.extend(secrets::remove(engine, id)?);
        }
        if down.failed.is_empty() {
            ids.iter().try_for_each(|id| shelf.remove(id).map(drop))?;
        }
    }
    for namespace in namespaces {
        networks::leave(engine, &shelf, namespace);
    }
    Ok(down)
}

/// What was played from there last, is there, and is none of those that are named.
pub fn played_from(engine: &Engine, sources: &[&str], named: &[&ObjectId]) -> Result<Vec<ObjectId>> {
    let mut ids: Vec<ObjectId> = Vec::new();
    for (id, known) in stored(engine, &Shelf::new(engine))? {
        if known.is_of(sources) && !named.contains(&&id) {
            ids.push(id);
        }
    }
    // Of a pod that somebody has removed by hand there is a record yet.
    if ids.iter().any(|id| id.kind == Kind::Pod) {
        let seen = observe::pods(engine)?;
        ids.retain(|id| id.kind != Kind::Pod || seen.iter().any(|pod| pod.belongs_to(id)));
    }
    Ok(ids)
}

/// Every object, with where it comes from; also those that a killed `down` has left. One that cannot be read holds up no
/// other.
fn stored(engine: &Engine, shelf: &Shelf) -> Result<Vec<(ObjectId, Sources)>> {
    let mut found = secrets::played(engine)?;
    for namespace in all_namespaces(shelf)? {
        for object in shelf.all(&namespace)? {
            found.extend(object.body.meta().map(|meta| (meta.id.clone(), object.sources.clone())));
        }
        found.extend(shelf.leaving(&namespace)?.into_iter().map(|(id, object)| (id, object.sources)));
    }
    Ok(found)
}

/// With the one that stands for what lies outside of namespaces.
fn all_namespaces(shelf: &Shelf) -> Result<Vec<String>> {
    Ok(std::iter::once(String::new()).chain(shelf.namespaces()?).collect())
}

struct AllMeant {
    ids: Vec<ObjectId>,
    taken_over: Vec<(ObjectId, String)>,
}

/// What is named, but for what others have taken over, and what was played from there.
fn all_meant(engine: &Engine, shelf: &Shelf, meant: &Meant, sources: &[&str]) -> Result<AllMeant> {
    let mut all = AllMeant { ids: meant.ids.clone(), taken_over: Vec::new() };
    for (id, known) in stored(engine, shelf)? {
        if let Some(by) = known.taken_over(sources) {
            all.ids.retain(|named| *named != id);
            all.taken_over.push((id, by.to_owned()));
        } else if known.is_of(sources) && !all.ids.contains(&id) {
            all.ids.push(id);
        }
    }
    let mut begun = Vec::new();
    for namespace in all_namespaces(shelf)? {
        let leaving = shelf.leaving(&namespace)?.into_iter().map(|(_, object)| object);
        for object in shelf.list(&namespace, Kind::Job)?.into_iter().chain(leaving) {
            if let Body::Job { plan, owner: Some(owner) } = object.body {
                begun.push((plan.meta.id, owner));
            }
        }
    }
    // What a CronJob has begun goes with it.
    for (job, owner) in begun {
        if all.ids.contains(&owner) && !all.ids.contains(&job) {
            all.ids.push(job);
        }
    }
    Ok(all)
}

fn remove_claim(engine: &Engine, name: String, claims: Claims, down: &mut Down) {
    match claims {
        Claims::Keep => down.kept.push(name),
        Claims::Remove => match engine.store.remove_volume(&name) {
            Ok(()) => down.volumes.push(name),
            Err(error) => down.failed.push((name, error.to_string())),
        },
    }
}

/// The volumes of StatefulSets' own claims, and what is to become of each: a set may take them along
/// (`whenDeleted: Delete`).
fn claims_of_sets(engine: &Engine, shelf: &Shelf, ids: &[ObjectId], claims: Claims) -> Result<Vec<(String, Claims)>> {
    let mut prefixes = Vec::new();
    for id in ids.iter().filter(|id| id.kind == Kind::StatefulSet) {
        let Some(Body::Workload { plan, .. }) = shelf.get_or_leaving(id).map(|object| object.body) else { continue };
        let Some(set) = plan.stateful else { continue };
        let claims = if set.when_deleted == RetentionPolicy::Delete { Claims::Remove } else { claims };
        for claim in &set.claims {
            // Before the number of the pod.
            let claim = claim_name(&claim.meta.id.name, &format!("{}-", id.name));
            prefixes.push((volume_name(&id.namespace, &claim), claims));
        }
    }
    if prefixes.is_empty() {
        return Ok(Vec::new());
    }
    let its = |name: String| {
        let (_, claims) = prefixes.iter().find(|(prefix, _)| {
            let number = name.strip_prefix(prefix.as_str());
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        })?;
        Some((name, *claims))
    };
    Ok(engine.store.volumes()?.into_iter().filter_map(|(name, _)| its(name)).collect())
}

/// Removes the pods of these objects, and says which those were.
fn pods_of(
    engine: &Engine,
    shelf: &Shelf,
    pod_program: fn() -> Command,
    ids: &[ObjectId],
    timeout: Option<u32>,
    down: &mut Down,
) -> Result<Vec<Seen>> {
    let is_meant = |pod: &Seen| {
        // What a CronJob has begun: its Jobs may be gone already. One that is there is meant itself, or somebody else's.
        let job = pod.owner.as_deref().and_then(|owner| owner.strip_prefix("Job/"));
        let is_gone = |job: &&str| {
            let id = ObjectId { kind: Kind::Job, namespace: pod.namespace.clone(), name: (*job).to_owned() };
            matches!(shelf.get(&id), Ok(None))
        };
        let cron_job = job.filter(is_gone).and_then(|job| Some(job.rsplit_once('-')?.0));
        let of_cron_job = |id: &ObjectId| {
            id.kind == Kind::CronJob && id.namespace == pod.namespace && cron_job == Some(id.name.as_str())
        };
        ids.iter().any(|id| pod.belongs_to(id) || of_cron_job(id))
    };
    let mut meant = observe::pods(engine)?;
    meant.retain(is_meant);
    remove_pods(engine, pod_program, &meant, timeout, down);
    Ok(meant)
}

/// Removes pods, side by side. What keeps them makes others.
pub fn remove_pods(
    engine: &Engine,
    pod_program: fn() -> Command,
    pods: &[Seen],
    timeout: Option<u32>,
    down: &mut Down,
) {
    let begun: Vec<(String, Result<Working>)> = pods
        .iter()
        .map(|pod| {
            let id = pod.pod.id().to_string();
            let deed = Deed::Remove { pod: id.clone(), timeout };
            (id, child::begin(engine, pod_program(), deed))
        })
        .collect();
    for (id, begun) in begun {
        match begun.and_then(Working::finish) {
            Ok(_) => down.pods.push(id),
            Err(error) => down.failed.push((id, error.to_string())),
        }
    }
}

/// Notes the pods that are called like those that were meant, and are from no manifest.
fn not_ours(engine: &Engine, ids: &[ObjectId], removed: &[Seen], down: &mut Down) -> Result<()> {
    for id in ids.iter().filter(|id| id.kind == Kind::Pod) {
        let name = volume_name(&id.namespace, &id.name);
        let there = pods::names(engine)?.values().any(|known| *known == name);
        if there && !removed.iter().any(|pod| pod.name == id.name && pod.namespace == id.namespace) {
            down.not_ours.push(name);
        }
    }
    Ok(())
}
