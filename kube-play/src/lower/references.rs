//! What one object says of another: it must be there, in the play or in the store.

use super::{At, Lowering};
use crate::decode::Validate;
use crate::plan::{ConfigObject, Kind, ObjectId, volume_name};
use crate::problem::{Problem, Severity, meant};

/// A reference, checked when all objects are known.
pub(super) struct Reference {
    id: ObjectId,
    /// Of a ConfigMap or a Secret.
    pub(super) key: Option<String>,
    purpose: Purpose,
    /// Of a Secret: clients are shown the certificate in it.
    is_certificate: bool,
    problem: Problem,
}

/// What a ConfigMap or a Secret is wanted for.
enum Purpose {
    Variables,
    Variable(String),
    Files,
}

impl Reference {
    pub(super) fn new(id: ObjectId, at: &At<'_>) -> Reference {
        Reference {
            id,
            key: None,
            purpose: Purpose::Variables,
            is_certificate: false,
            problem: at.problem(Severity::Error, "", None),
        }
    }

    pub(super) fn of_certificate(self) -> Reference {
        Reference { is_certificate: true, ..self }
    }

    pub(super) fn for_variable(&mut self, name: &str) -> &mut Reference {
        self.purpose = Purpose::Variable(name.to_owned());
        self
    }

    pub(super) fn for_files(&mut self) -> &mut Reference {
        self.purpose = Purpose::Files;
        self
    }

    /// It goes on without.
    pub(super) fn or_warn(&mut self) {
        self.problem.severity = Severity::Warning;
    }
}

impl Lowering<'_> {
    pub(super) fn check_references(&mut self) {
        for reference in std::mem::take(&mut self.references) {
            let Reference { id, key, purpose, is_certificate, mut problem } = reference;
            let what = match &purpose {
                Purpose::Variable(name) => format!("cannot set env {name}: "),
                Purpose::Variables | Purpose::Files => String::new(),
            };
            let names = self.names(id.kind, &id.namespace);
            if !names.contains(&id.name) {
                if key.is_some() {
                    // Said of its name already.
                    continue;
                }
                let place = match id.namespace.as_str() {
                    "" | "default" => String::new(),
                    namespace => format!(" in namespace {namespace}"),
                };
                let name = &id.name;
                // Podman's words come first where it has any.
                let missing = match (id.kind, &purpose) {
                    (Kind::ConfigMap, Purpose::Files) => format!("no such ConfigMap {name:?}: it"),
                    (Kind::ConfigMap, _) => format!("configmap {name} not found: it"),
                    (Kind::Secret, _) => format!("no secret with name or id {name:?}: no such secret: it"),
                    (kind, _) => format!("{kind} {name:?}"),
                };
                problem.text = format!("{what}{missing} is neither in these files nor stored{place}");
                problem.hint = match meant(&id.name, names.iter().map(String::as_str)) {
                    Some(meant) => Some(format!("did you mean \"{meant}\"?")),
                    None if id.kind == Kind::PersistentVolumeClaim => {
                        let volume = volume_name(&id.namespace, &id.name);
                        Some(format!("add one, or make the volume with \"creel volume create {volume}\""))
                    }
                    None if id.kind == Kind::Secret => {
                        Some("what \"creel secret create\" makes has no keys: write a Secret".to_owned())
                    }
                    None => None,
                };
                // Podman makes a volume for every claim, and starts without optional things.
                if self.validate != Validate::Strict && id.kind == Kind::PersistentVolumeClaim {
                    problem.severity = Severity::Warning;
                }
                self.problems.push(problem);
                continue;
            }
            if let (true, Some(Err(why))) = (is_certificate, self.config(&id).map(ConfigObject::certificate)) {
                problem.text = format!("{} {:?} {why}", id.kind, id.name);
                self.problems.push(problem);
                continue;
            }
            let Some(key) = key else { continue };
            let keys = self.keys(&id);
            if !keys.contains(&key) {
                problem.text = match id.kind {
                    Kind::Secret => format!("{what}secret {} has not {key} key", id.name),
                    _ => format!("{what}key {key} not found in configmap {}", id.name),
                };
                problem.hint =
                    meant(&key, keys.iter().map(String::as_str)).map(|meant| format!("did you mean \"{meant}\"?"));
                self.problems.push(problem);
            }
        }
    }

    /// What objects of a kind there are in a namespace.
    fn names(&self, kind: Kind, namespace: &str) -> Vec<String> {
        let planned = self.plan.metas().map(|meta| &meta.id);
        let mut names: Vec<String> = planned
            .chain(&self.stored.workloads)
            .filter(|id| id.kind == kind && id.namespace == namespace)
            .map(|id| id.name.clone())
            .collect();
        let objects = &self.stored.objects;
        match kind {
            Kind::ConfigMap => names.extend(in_namespace(&objects.config_maps, namespace)),
            Kind::Secret => names.extend(in_namespace(&objects.secrets, namespace)),
            Kind::Service => names.extend(in_namespace(&objects.services, namespace)),
            Kind::PersistentVolumeClaim => {
                let prefix = volume_name(namespace, "");
                names.extend(
                    self.stored.volumes.iter().filter_map(|name| name.strip_prefix(&prefix)).map(str::to_owned),
                );
            }
            _ => {}
        }
        names
    }

    fn keys(&self, id: &ObjectId) -> Vec<String> {
        self.config(id).map(|object| object.data.keys().cloned().collect()).unwrap_or_default()
    }

    /// The ConfigMap or Secret, as it is to be.
    fn config(&self, id: &ObjectId) -> Option<&ConfigObject> {
        let planned = self.plan.config_maps.iter().chain(&self.plan.secrets).find(|object| object.meta.id == *id);
        let stored = || match id.kind {
            Kind::ConfigMap => self.stored.objects.config_map(&id.namespace, &id.name),
            _ => self.stored.objects.secret(&id.namespace, &id.name),
        };
        planned.or_else(stored)
    }
}

fn in_namespace<T>(map: &std::collections::BTreeMap<(String, String), T>, namespace: &str) -> Vec<String> {
    map.keys().filter(|(other, _)| other == namespace).map(|(_, name)| name.clone()).collect()
}
