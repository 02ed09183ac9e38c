//! Changes of a workload that is there: another number, another template.

use containers::Engine;
use jiff::Timestamp;

use super::error::{Error, Result};
use super::objects::{Body, Object, Shelf, Waits};
use super::observe;
use crate::history::History;
use crate::plan::{Kind, ObjectId, WorkloadPlan};

/// `kube scale`.
pub fn scale(engine: &Engine, id: &ObjectId, replicas: u32, waits: Waits<'_>) -> Result<()> {
    change(engine, id, waits, |plan, _| {
        plan.scale(replicas);
        Ok(())
    })
}

/// `kube rollout undo`: back to the revision with that number, or to the one before.
pub fn undo(engine: &Engine, id: &ObjectId, number: Option<u64>, waits: Waits<'_>) -> Result<()> {
    change(engine, id, waits, |plan, history| {
        check_goes_on(plan, "roll back")?;
        history.target(number).map_err(Error::Invalid)?.clone().restore(plan);
        Ok(())
    })
}

/// `kube rollout restart`: all pods are replaced by their equals.
pub fn restart(engine: &Engine, id: &ObjectId, waits: Waits<'_>) -> Result<()> {
    change(engine, id, waits, |plan, _| {
        check_goes_on(plan, "restart")?;
        plan.restart(Timestamp::now());
        Ok(())
    })
}

/// `kube rollout pause` and `resume`.
pub fn pause(engine: &Engine, id: &ObjectId, paused: bool, waits: Waits<'_>) -> Result<()> {
    if id.kind != Kind::Deployment {
        return Err(Error::Invalid(format!("{} cannot be paused: only Deployments can", id.resource())));
    }
    change(engine, id, waits, |plan, _| {
        if plan.paused == paused {
            let already = if paused { "is already paused" } else { "is not paused" };
            return Err(Error::Invalid(format!("{} {already}", id.resource())));
        }
        plan.set_paused(paused);
        Ok(())
    })
}

fn check_goes_on(plan: &WorkloadPlan, what: &str) -> Result<()> {
    let id = plan.meta.id.resource();
    match plan.paused {
        true => Err(Error::Invalid(format!("cannot {what} the paused {id}: run kube rollout resume {id} first"))),
        false => Ok(()),
    }
}

fn change(
    engine: &Engine,
    id: &ObjectId,
    waits: Waits<'_>,
    work: impl FnOnce(&mut WorkloadPlan, &mut History) -> Result<()>,
) -> Result<()> {
    let shelf = Shelf::new(engine);
    let _acting = shelf.act_in(&id.namespace, waits)?;
    let object: Object = shelf.get(id)?.ok_or_else(|| Error::NotFound(id.resource()))?;
    let Body::Workload { mut plan, mut history } = object.body.clone() else {
        return Err(Error::Invalid(format!("{} has no replicas", id.resource())));
    };
    work(&mut plan, &mut history)?;
    let running: Vec<String> = observe::pods(engine)?.into_iter().map(|pod| pod.hash).collect();
    history.record(&plan, &running, Timestamp::now());
    shelf.put(id, &object.changed(Body::Workload { plan, history }))
}
