//! What is wanted is written down, before anything is made of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;

use super::{Work, without_pull};
use crate::act::error::Result;
use crate::act::objects::{Body, Object, service_address};
use crate::act::observe::{Seen, template_of};
use crate::act::{launch, secrets, volumes};
use crate::changes::Change;
use crate::history::History;
use crate::plan::{Kind, Meta, ObjectId, WorkloadPlan, identity};

impl Work<'_> {
    /// Writes down what is wanted.
    pub(super) fn store(&mut self, seen: &[Seen]) -> Result<()> {
        let plan = self.plan;
        for namespace in &plan.namespaces {
            if let Some(meta) = &namespace.meta {
                self.put(meta, |_| Ok(Body::Namespace(namespace.clone())))?;
            }
        }
        for map in &plan.config_maps {
            self.put(&map.meta, |_| Ok(Body::ConfigMap(map.clone())))?;
        }
        for secret in &plan.secrets {
            let id = &secret.meta.id;
            let change = match secrets::manifest(self.engine(), id)? {
                Some(manifest) if manifest == secret.meta.manifest => Change::Unchanged,
                Some(_) => Change::Configured,
                None => Change::Created,
            };
            if change != Change::Unchanged {
                let made = secrets::store(self.engine(), secret, self.source(&secret.meta))?;
                if change == Change::Created {
                    self.made.push(id.clone());
                }
                self.played.secrets.push(made);
            } else {
                secrets::play(self.engine(), id, self.source(&secret.meta))?;
            }
            self.played.changes.push((id.clone(), change));
        }
        for volume in &plan.volumes {
            let change = self.put(&volume.meta, |_| Ok(Body::Volume(volume.clone())))?;
            let made = volumes::make_claim(self.engine(), volume)?;
            if made {
                self.made_volumes.push(volume.volume.clone());
            }
            if made || change == Change::Created {
                self.played.volumes.push(volume.volume.clone());
            }
        }
        let mut taken = self.service_addresses()?;
        for service in &plan.services {
            let key = format!("{}/{}", service.meta.id.namespace, service.meta.id.name);
            self.put(&service.meta, |old| {
                let had = match old {
                    Some(Body::Service { address, .. }) => *address,
                    _ => None,
                };
                let address = match service.headless || service.external_name.is_some() {
                    true => None,
                    false => Some(service_address(service.address, had, &key, &taken)?),
                };
                taken.extend(address.map(|address| (address, key.clone())));
                Ok(Body::Service { plan: service.clone(), address })
            })?;
        }
        for workload in &plan.workloads {
            self.put(&workload.meta, |old| Ok(workload_body(workload, old, seen)))?;
        }
        for job in &plan.jobs {
            self.put(&job.meta, |_| Ok(Body::Job { plan: job.clone(), owner: None }))?;
        }
        for job in &plan.cron_jobs {
            self.put(&job.meta, |_| Ok(Body::CronJob(job.clone())))?;
        }
        for ingress in &plan.ingresses {
            self.put(&ingress.meta, |_| Ok(Body::Ingress(ingress.clone())))?;
        }
        for autoscaler in &plan.autoscalers {
            self.put(&autoscaler.meta, |_| Ok(Body::Autoscaler(autoscaler.clone())))?;
        }
        Ok(())
    }

    fn put(&mut self, meta: &Meta, body: impl FnOnce(Option<&Body>) -> Result<Body>) -> Result<Change> {
        let old = self.shelf.get_to_replace(&meta.id)?;
        let same = old.as_ref().is_some_and(|old| old.body.meta().is_some_and(|old| old.hash == meta.hash));
        let change = match (&old, same) {
            (Some(old), true) => {
                self.note_source(meta, old.clone())?;
                Change::Unchanged
            }
            (Some(old), false) => {
                let body = body(Some(&old.body)).map_err(|error| error.of(&meta.id))?;
                self.shelf.put(&meta.id, &old.changed(body).played_from(self.source(meta)))?;
                Change::Configured
            }
            (None, _) => {
                let body = body(None).map_err(|error| error.of(&meta.id))?;
                self.shelf.put(&meta.id, &Object::new(body).played_from(self.source(meta)))?;
                self.made.push(meta.id.clone());
                Change::Created
            }
        };
        self.played.changes.push((meta.id.clone(), change));
        Ok(change)
    }

    /// Where the file is that an object is written in.
    pub(super) fn source(&self, meta: &Meta) -> Option<&str> {
        self.options.sources.get(&meta.origin.file).map(String::as_str)
    }

    /// An unchanged object may be written in another file now.
    pub(super) fn note_source(&self, meta: &Meta, known: Object) -> Result<()> {
        match self.source(meta) {
            Some(source) if known.sources.last() != Some(source) => {
                self.shelf.put(&meta.id, &known.played_from(Some(source)))
            }
            _ => Ok(()),
        }
    }

    fn service_addresses(&self) -> Result<BTreeMap<IpAddr, String>> {
        let mut taken = BTreeMap::new();
        for namespace in self.shelf.namespaces()? {
            for object in self.shelf.list(&namespace, Kind::Service)? {
                if let Body::Service { plan, address: Some(address) } = object.body {
                    taken.insert(address, format!("{namespace}/{}", plan.meta.id.name));
                }
            }
        }
        Ok(taken)
    }

    /// Brings changed ConfigMaps and Secrets to the pods that have them mounted.
    pub(super) fn refresh(&self, seen: &[Seen]) -> Result<()> {
        let changed = |(id, change): &(ObjectId, Change)| {
            matches!(id.kind, Kind::ConfigMap | Kind::Secret) && *change == Change::Configured
        };
        if !self.played.changes.iter().any(changed) {
            return Ok(());
        }
        let objects = self.shelf.objects(self.engine())?;
        for pod in seen.iter().filter(|pod| !pod.has_ended()) {
            let Some(template) = template_of(&self.shelf, pod)? else { continue };
            // Its files are another template's: they change with the pod.
            if template.hash != pod.hash {
                continue;
            }
            let id = pod.pod.id().as_str();
            let owner = pod.object().filter(|_| pod.owner.is_some());
            let identity = identity(owner.as_ref(), &template, &pod.namespace, &pod.name, pod.index);
            let facts = launch::facts(id, &pod.name, &pod.namespace, &template, &identity);
            volumes::refresh(self.engine(), &pod.pod, &template, &objects, &facts)
                .map_err(|error| error.of(format!("pod {}", pod.name)))?;
        }
        Ok(())
    }
}

fn workload_body(plan: &WorkloadPlan, old: Option<&Body>, seen: &[Seen]) -> Body {
    let mut plan = plan.clone();
    let mut history = History::default();
    if let Some(Body::Workload { plan: before, history: known }) = old {
        plan.adopt(before);
        history.clone_from(known);
    }
    plan.template = without_pull(&plan.template);
    let running: Vec<String> = seen.iter().map(|pod| pod.hash.clone()).collect();
    history.record(&plan, &running, Timestamp::now());
    Body::Workload { plan, history }
}
