//! Variables of containers, and what they may be of: a key of an object, a field of the pod, a resource.

use super::{At, Lowering};
use crate::model::{self, PodSpec};
use crate::plan::{EnvEntry, FieldRef, Kind, ResourceName, ResourceRef};

impl Lowering<'_> {
    pub(super) fn environment(
        &mut self,
        container: &model::Container,
        pod: &PodSpec,
        namespace: &str,
        at: &At<'_>,
    ) -> Vec<EnvEntry> {
        let mut entries = Vec::new();
        for (index, source) in container.env_from.iter().enumerate() {
            let at = at.key("envFrom").index(index);
            let prefix = source.prefix.clone().unwrap_or_default();
            let (kind, reference, word) = match (&source.config_map_ref, &source.secret_ref) {
                (Some(reference), None) => (Kind::ConfigMap, reference, "configMapRef"),
                (None, Some(reference)) => (Kind::Secret, reference, "secretRef"),
                (Some(_), Some(_)) | (None, None) => {
                    self.wrong(&at, "must have configMapRef or secretRef");
                    continue;
                }
            };
            let (object, optional) = (reference.name.to_string(), reference.optional.unwrap_or(false));
            if !optional {
                self.refer(kind, namespace, &object, &at.key(word).key("name"));
            }
            entries.push(match kind {
                Kind::Secret => EnvEntry::Secret { prefix, object, optional },
                _ => EnvEntry::ConfigMap { prefix, object, optional },
            });
        }
        for (index, variable) in container.env.iter().enumerate() {
            let at = at.key("env").index(index);
            let name = variable.name.to_string();
            match (&variable.value, &variable.value_from) {
                (value, None) => entries.push(EnvEntry::Value { name, value: value.clone().unwrap_or_default() }),
                (Some(value), Some(_)) if !value.is_empty() => {
                    self.wrong(&at.key("valueFrom"), "must not be set where value is");
                }
                (_, Some(source)) => {
                    entries.extend(self.variable(name, source, container, pod, namespace, &at.key("valueFrom")))
                }
            }
        }
        entries
    }

    fn variable(
        &mut self,
        name: String,
        source: &model::EnvVarSource,
        container: &model::Container,
        pod: &PodSpec,
        namespace: &str,
        at: &At<'_>,
    ) -> Option<EnvEntry> {
        let model::EnvVarSource { config_map_key_ref, secret_key_ref, field_ref, resource_field_ref } = source;
        match (config_map_key_ref, secret_key_ref, field_ref, resource_field_ref) {
            (Some(selector), None, None, None) | (None, Some(selector), None, None) => {
                let (kind, word) = match config_map_key_ref {
                    Some(_) => (Kind::ConfigMap, "configMapKeyRef"),
                    None => (Kind::Secret, "secretKeyRef"),
                };
                let (object, key) = (selector.name.to_string(), selector.key.to_string());
                let optional = selector.optional.unwrap_or(false);
                if !optional {
                    self.refer(kind, namespace, &object, &at.key(word).key("name")).for_variable(&name);
                    let of_key = self.refer(kind, namespace, &object, &at.key(word).key("key"));
                    of_key.for_variable(&name).key = Some(key.clone());
                }
                Some(match kind {
                    Kind::Secret => EnvEntry::SecretKey { name, object, key, optional },
                    _ => EnvEntry::ConfigMapKey { name, object, key, optional },
                })
            }
            (None, None, Some(field), None) => match FieldRef::parse(&field.field_path, false) {
                Ok(field) => Some(EnvEntry::Field { name, field }),
                Err(text) => {
                    self.wrong(&at.keys("fieldRef.fieldPath"), format!("can not set env {name}. Reason: {text}"));
                    None
                }
            },
            (None, None, None, Some(resource)) => {
                let resource = self.resource_ref(resource, Some(container), pod, &at.key("resourceFieldRef"))?;
                Some(EnvEntry::Resource { name, resource })
            }
            (None, None, None, None) => {
                self.wrong(at, "must have one of configMapKeyRef, secretKeyRef, fieldRef, resourceFieldRef");
                None
            }
            _ => {
                self.wrong(at, "has more than one source: a variable has one");
                None
            }
        }
    }

    /// `limits.cpu` of a container; `own` is the one that asks, where no name is written.
    pub(super) fn resource_ref(
        &mut self,
        resource: &model::ResourceFieldSelector,
        own: Option<&model::Container>,
        pod: &PodSpec,
        at: &At<'_>,
    ) -> Option<ResourceRef> {
        let name = match resource.resource.as_str() {
            "limits.cpu" => ResourceName::LimitsCpu,
            "limits.memory" => ResourceName::LimitsMemory,
            "limits.ephemeral-storage" => ResourceName::LimitsStorage,
            "requests.cpu" => ResourceName::RequestsCpu,
            "requests.memory" => ResourceName::RequestsMemory,
            "requests.ephemeral-storage" => ResourceName::RequestsStorage,
            other => {
                let known = "limits.cpu, limits.memory, limits.ephemeral-storage, requests.cpu, requests.memory, \
                             requests.ephemeral-storage";
                self.wrong(&at.key("resource"), format!("unsupported value {other:?}: supported are {known}"));
                return None;
            }
        };
        let container = match (&resource.container_name, own) {
            (None, Some(own)) => own,
            (None, None) => {
                self.wrong(&at.key("containerName"), "is required in a volume");
                return None;
            }
            (Some(wanted), _) => {
                let mut all = pod.containers.iter().chain(&pod.init_containers);
                match all.find(|container| container.name == *wanted) {
                    Some(container) => container,
                    None => {
                        self.wrong(&at.key("containerName"), format!("the pod has no container {:?}", &**wanted));
                        return None;
                    }
                }
            }
        };
        let (section, word) = resource.resource.split_once('.').unwrap_or_default();
        let amount = container.resources.as_ref().and_then(|resources| {
            let limit = resources.limits.get(word);
            if section == "limits" { limit } else { resources.requests.get(word).or(limit) }
        });
        let divisor = resource.divisor.clone().filter(|divisor| !divisor.is_zero());
        Some(ResourceRef { resource: name, amount: amount.cloned(), divisor })
    }
}
