//! Variables of a container: where they come from, and what they are for one pod.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Objects, PodFacts};
use crate::quantity::Quantity;

/// One entry, in order; a later one of the same name wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnvEntry {
    /// May hold `$(OTHER)`.
    Value {
        name: String,
        value: String,
    },
    ConfigMapKey {
        name: String,
        object: String,
        key: String,
        optional: bool,
    },
    SecretKey {
        name: String,
        object: String,
        key: String,
        optional: bool,
    },
    Field {
        name: String,
        field: FieldRef,
    },
    Resource {
        name: String,
        resource: ResourceRef,
    },
    ConfigMap {
        prefix: String,
        object: String,
        optional: bool,
    },
    Secret {
        prefix: String,
        object: String,
        optional: bool,
    },
}

/// A fact of the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldRef {
    Name,
    Namespace,
    Uid,
    Label(String),
    Annotation(String),
    /// All of them, as `key="value"` lines; volumes only.
    Labels,
    Annotations,
    NodeName,
    ServiceAccountName,
    PodIp,
    PodIps,
    HostIp,
    HostIps,
}

/// A limit or a request of a container, in units of the divisor, rounded up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceRef {
    pub resource: ResourceName,
    /// What is set; `None`: nothing, so the machine's own size is meant.
    pub amount: Option<Quantity>,
    pub divisor: Option<Quantity>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceName {
    LimitsCpu,
    LimitsMemory,
    LimitsStorage,
    RequestsCpu,
    RequestsMemory,
    RequestsStorage,
}

impl FieldRef {
    /// `metadata.labels['app']`; fails with what can be asked.
    pub(crate) fn parse(path: &str, volume: bool) -> Result<FieldRef, String> {
        let indexed = |field: &str| -> Option<String> {
            let key = path.strip_prefix(field)?.strip_prefix("['")?.strip_suffix("']")?;
            (!key.is_empty()).then(|| key.to_owned())
        };
        if let Some(key) = indexed("metadata.labels") {
            return Ok(FieldRef::Label(key));
        }
        if let Some(key) = indexed("metadata.annotations") {
            return Ok(FieldRef::Annotation(key));
        }
        let known: &[(&str, FieldRef)] = &[
            ("metadata.name", FieldRef::Name),
            ("metadata.namespace", FieldRef::Namespace),
            ("metadata.uid", FieldRef::Uid),
            ("metadata.labels", FieldRef::Labels),
            ("metadata.annotations", FieldRef::Annotations),
            ("spec.nodeName", FieldRef::NodeName),
            ("spec.serviceAccountName", FieldRef::ServiceAccountName),
            ("status.podIP", FieldRef::PodIp),
            ("status.podIPs", FieldRef::PodIps),
            ("status.hostIP", FieldRef::HostIp),
            ("status.hostIPs", FieldRef::HostIps),
        ];
        let whole = |field: &FieldRef| matches!(field, FieldRef::Labels | FieldRef::Annotations);
        // Volumes are written before the pod has an address, as in Kubernetes.
        let volumes =
            |field: &FieldRef| matches!(field, FieldRef::Name | FieldRef::Namespace | FieldRef::Uid) || whole(field);
        let fits = |field: &FieldRef| if volume { volumes(field) } else { !whole(field) };
        match known.iter().find(|(word, field)| *word == path && fits(field)) {
            Some((_, field)) => Ok(field.clone()),
            None => {
                let mut words: Vec<&str> =
                    known.iter().filter(|(_, field)| fits(field)).map(|(word, _)| *word).collect();
                words.extend(["metadata.labels['KEY']", "metadata.annotations['KEY']"]);
                let words = words.join(", ");
                Err(format!("fieldPath {path} is either not valid or not supported: there are {words}"))
            }
        }
    }

    pub fn value(&self, facts: &PodFacts) -> String {
        let first = |addresses: &[std::net::IpAddr]| addresses.first().map(ToString::to_string).unwrap_or_default();
        let all =
            |addresses: &[std::net::IpAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let lines = |map: &BTreeMap<String, String>| {
            map.iter().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
        };
        match self {
            FieldRef::Name => facts.name.clone(),
            FieldRef::Namespace => facts.namespace.clone(),
            FieldRef::Uid => facts.uid.clone(),
            FieldRef::Label(key) => facts.labels.get(key).cloned().unwrap_or_default(),
            FieldRef::Annotation(key) => facts.annotations.get(key).cloned().unwrap_or_default(),
            FieldRef::Labels => lines(&facts.labels),
            FieldRef::Annotations => lines(&facts.annotations),
            FieldRef::NodeName => facts.node.clone(),
            FieldRef::ServiceAccountName => facts.service_account.clone(),
            FieldRef::PodIp => first(&facts.addresses),
            FieldRef::PodIps => all(&facts.addresses),
            FieldRef::HostIp => first(&facts.host_addresses),
            FieldRef::HostIps => all(&facts.host_addresses),
        }
    }
}

impl ResourceRef {
    pub fn value(&self, facts: &PodFacts) -> String {
        // In thousandths, so that one formula serves cpus and bytes.
        let millis = match (&self.amount, self.resource) {
            (Some(amount), _) => u128::from(amount.millis()),
            (None, ResourceName::LimitsCpu) => u128::from(facts.cpus) * 1000,
            (None, ResourceName::LimitsMemory) => u128::from(facts.memory) * 1000,
            (None, _) => 0,
        };
        let divisor = self.divisor.as_ref().map_or(1000, |divisor| u128::from(divisor.millis())).max(1);
        millis.div_ceil(divisor).to_string()
    }
}

impl EnvEntry {
    /// All variables of a container of this pod: first those of Services, then the entries. Fails with what is missing.
    pub(super) fn resolve_all(
        entries: &[EnvEntry],
        services: &[(String, String)],
        objects: &Objects,
        facts: &PodFacts,
    ) -> Result<Vec<(String, String)>, String> {
        let mut variables = Variables::default();
        // What a manifest sets stands over what a Service gives, and envFrom comes before env.
        for (name, value) in services {
            variables.set(name, value.clone());
        }
        let (from, own): (Vec<&EnvEntry>, Vec<&EnvEntry>) =
            entries.iter().partition(|entry| matches!(entry, EnvEntry::ConfigMap { .. } | EnvEntry::Secret { .. }));
        for entry in from.into_iter().chain(own) {
            entry.resolve(&mut variables, objects, facts)?;
        }
        Ok(variables.list)
    }

    fn resolve(&self, variables: &mut Variables, objects: &Objects, facts: &PodFacts) -> Result<(), String> {
        let namespace = &facts.namespace;
        let missing =
            |word: &str, object: &str| Err(format!("{word} {object:?} does not exist in namespace {namespace}"));
        match self {
            EnvEntry::Value { name, value } => {
                let value = expand(value, &variables.map());
                variables.set(name, value);
            }
            EnvEntry::Field { name, field } => variables.set(name, field.value(facts)),
            EnvEntry::Resource { name, resource } => variables.set(name, resource.value(facts)),
            EnvEntry::ConfigMapKey { name, object, key, optional }
            | EnvEntry::SecretKey { name, object, key, optional } => {
                let (found, word) = match self {
                    EnvEntry::ConfigMapKey { .. } => (objects.config_map(namespace, object), "ConfigMap"),
                    _ => (objects.secret(namespace, object), "Secret"),
                };
                let Some(found) = found else {
                    return if *optional { Ok(()) } else { missing(word, object) };
                };
                match found.data.get(key).filter(|value| !value.binary) {
                    Some(value) => variables.set(name, String::from_utf8_lossy(&value.bytes).into_owned()),
                    None if *optional => {}
                    None => return Err(format!("{word} {object:?} has no key {key:?}")),
                }
            }
            EnvEntry::ConfigMap { prefix, object, optional } | EnvEntry::Secret { prefix, object, optional } => {
                let (found, word) = match self {
                    EnvEntry::ConfigMap { .. } => (objects.config_map(namespace, object), "ConfigMap"),
                    _ => (objects.secret(namespace, object), "Secret"),
                };
                let Some(found) = found else {
                    return if *optional { Ok(()) } else { missing(word, object) };
                };
                for (key, value) in found.data.iter().filter(|(_, value)| !value.binary) {
                    variables.set(&format!("{prefix}{key}"), String::from_utf8_lossy(&value.bytes).into_owned());
                }
            }
        }
        Ok(())
    }
}

/// Variables in the order of their first setting.
#[derive(Default)]
struct Variables {
    list: Vec<(String, String)>,
    index: BTreeMap<String, usize>,
}

impl Variables {
    fn set(&mut self, name: &str, value: String) {
        match self.index.get(name) {
            Some(index) => self.list[*index].1 = value,
            None => {
                self.index.insert(name.to_owned(), self.list.len());
                self.list.push((name.to_owned(), value));
            }
        }
    }

    fn map(&self) -> BTreeMap<&str, &str> {
        self.list.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// `$(NAME)` becomes its value, `$$` a dollar; a name that is not known stays as it is written.
pub(super) fn expand(text: &str, variables: &BTreeMap<&str, &str>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match variables.get(name) {
                Some(value) => result.push_str(value),
                None => result.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            result.push('$');
        }
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_expanded_as_in_kubernetes() {
        let variables = BTreeMap::from([("A", "1"), ("B_C", "x y"), ("EMPTY", "")]);
        for (text, expected) in [
            ("plain", "plain"),
            ("$(A)", "1"),
            ("a$(A)b$(B_C)c", "a1bx yc"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$(NOPE)", "$(NOPE)"),
            ("$(A", "$(A"),
            ("$", "$"),
            ("$A", "$A"),
            ("$(EMPTY)|", "|"),
            ("$()", "$()"),
        ] {
            assert_eq!(expand(text, &variables), expected, "{text}");
        }
    }
}
