//! Changes of what is there: another number of pods, another template, other labels.

use containers::Engine;
use jiff::Timestamp;

use super::error::{Error, Result};
use super::launch::{FindImage, WantedImage};
use super::objects::{Body, Object, Shelf, Waits};
use super::observe;
use crate::history::History;
use crate::names;
use crate::plan::{Kind, Meta, ObjectId, WorkloadPlan};

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

/// `kube set image`. The images are had first. `false`: they are that already.
pub fn set_images(
    engine: &Engine,
    find_image: &FindImage<'_>,
    id: &ObjectId,
    images: &[(String, String)],
    waits: Waits<'_>,
) -> Result<bool> {
    let mut plan = match Shelf::new(engine).get(id)? {
        Some(Object { body: Body::Workload { plan, .. }, .. }) => plan,
        Some(_) => return Err(Error::Invalid(format!("{} is no workload: its file says its image", id.resource()))),
        None => return Err(Error::NotFound(id.resource())),
    };
    let before = plan.meta.manifest.clone();
    plan.set_images(images, &History::default()).map_err(Error::Invalid)?;
    if plan.meta.manifest == before {
        return Ok(false);
    }
    for container in plan.template.all_containers().filter(|one| images.iter().any(|(_, image)| *image == one.image)) {
        let wanted = WantedImage { name: &container.image, pull: container.pull, logins: &[] };
        find_image(engine, &wanted).map_err(Error::Image)?;
    }
    change(engine, id, waits, |plan, history| plan.set_images(images, history).map_err(Error::Invalid))?;
    Ok(true)
}

/// Which texts of an object's metadata are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notes {
    Labels,
    Annotations,
}

/// What `kube label` or `annotate` has made of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    pub set: bool,
    pub removed: bool,
}

/// `kube label` and `annotate`: values by key, `None` takes one away. What is there already stays unless `overwrite`.
pub fn note(
    engine: &Engine,
    id: &ObjectId,
    which: Notes,
    changes: &[(String, Option<String>)],
    overwrite: bool,
    waits: Waits<'_>,
) -> Result<Noted> {
    let shelf = Shelf::new(engine);
    let _acting = shelf.act_in(&id.namespace, waits)?;
    let object: Object = shelf.get(id)?.ok_or_else(|| Error::NotFound(id.resource()))?;
    let mut body = object.body.clone();
    let Some(meta) = body.meta_mut() else { return Err(Error::NotFound(id.resource())) };
    let noted = meta.note(which == Notes::Labels, changes, overwrite).map_err(Error::Invalid)?;
    if noted != Noted::default() {
        // What is said of it, not what it is: nobody has to look at it again.
        shelf.put(id, &Object { body, ..object })?;
    }
    Ok(noted)
}

impl Meta {
    fn note(
        &mut self,
        is_label: bool,
        changes: &[(String, Option<String>)],
        overwrite: bool,
    ) -> std::result::Result<Noted, String> {
        let (texts, word) = match is_label {
            true => (&mut self.labels, "labels"),
            false => (&mut self.annotations, "annotations"),
        };
        let mut noted = Noted::default();
        for (key, value) in changes {
            let broken = |what: &str, rule: &str| format!("{what:?} is not valid in {word}: {rule}");
            names::qualified(key).map_err(|rule| broken(key, rule))?;
            match value {
                Some(new) if texts.get(key) == Some(new) => {}
                Some(new) => {
                    if let Some(old) = texts.get(key).filter(|_| !overwrite) {
                        return Err(format!("{key:?} already has a value ({old}), and --overwrite is false"));
                    }
                    if is_label {
                        names::label_value(new).map_err(|rule| broken(new, rule))?;
                    }
                    texts.insert(key.clone(), new.clone());
                    noted.set = true;
                }
                None => noted.removed |= texts.remove(key).is_some(),
            }
        }
        if noted != Noted::default() {
            let written = texts.iter().map(|(key, value)| (key.clone(), value.as_str().into()));
            self.manifest["metadata"][word] = written.collect::<serde_json::Map<_, _>>().into();
            // The next play of the file leads back.
            self.hash = format!("noted-{}", crate::lower::short_hash(&[&self.manifest]));
        }
        Ok(noted)
    }
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
