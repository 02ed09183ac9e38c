//! The kinds of objects, and their names.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of object that can be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    Namespace,
    ConfigMap,
    Secret,
    PersistentVolume,
    PersistentVolumeClaim,
    Service,
    Pod,
    Deployment,
    ReplicaSet,
    ReplicationController,
    DaemonSet,
    StatefulSet,
    Job,
    CronJob,
    Ingress,
    HorizontalPodAutoscaler,
    StorageClass,
    IngressClass,
}

impl Kind {
    /// In the order in which they are made.
    pub const ALL: [Kind; 18] = [
        Kind::Namespace,
        Kind::StorageClass,
        Kind::IngressClass,
        Kind::ConfigMap,
        Kind::Secret,
        Kind::PersistentVolume,
        Kind::PersistentVolumeClaim,
        Kind::Service,
        Kind::Pod,
        Kind::ReplicaSet,
        Kind::ReplicationController,
        Kind::Deployment,
        Kind::DaemonSet,
        Kind::StatefulSet,
        Kind::Job,
        Kind::CronJob,
        Kind::Ingress,
        Kind::HorizontalPodAutoscaler,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Kind::Namespace => "Namespace",
            Kind::ConfigMap => "ConfigMap",
            Kind::Secret => "Secret",
            Kind::PersistentVolume => "PersistentVolume",
            Kind::PersistentVolumeClaim => "PersistentVolumeClaim",
            Kind::Service => "Service",
            Kind::Pod => "Pod",
            Kind::Deployment => "Deployment",
            Kind::ReplicaSet => "ReplicaSet",
            Kind::ReplicationController => "ReplicationController",
            Kind::DaemonSet => "DaemonSet",
            Kind::StatefulSet => "StatefulSet",
            Kind::Job => "Job",
            Kind::CronJob => "CronJob",
            Kind::Ingress => "Ingress",
            Kind::HorizontalPodAutoscaler => "HorizontalPodAutoscaler",
            Kind::StorageClass => "StorageClass",
            Kind::IngressClass => "IngressClass",
        }
    }

    /// The words of `apiVersion` that are read, the current one first.
    pub fn api_versions(self) -> &'static [&'static str] {
        match self {
            Kind::Namespace
            | Kind::ConfigMap
            | Kind::Secret
            | Kind::PersistentVolume
            | Kind::PersistentVolumeClaim
            | Kind::Service
            | Kind::Pod
            | Kind::ReplicationController => &["v1"],
            Kind::Deployment | Kind::ReplicaSet | Kind::DaemonSet | Kind::StatefulSet => &["apps/v1"],
            Kind::Job | Kind::CronJob => &["batch/v1"],
            Kind::Ingress | Kind::IngressClass => &["networking.k8s.io/v1"],
            Kind::HorizontalPodAutoscaler => &["autoscaling/v2", "autoscaling/v1"],
            Kind::StorageClass => &["storage.k8s.io/v1"],
        }
    }

    /// `""` for the core group.
    pub fn group(self) -> &'static str {
        self.api_versions()[0].split_once('/').map_or("", |(group, _)| group)
    }

    /// As kubectl's table of resources has it: `deployments`.
    pub fn plural(self) -> &'static str {
        match self {
            Kind::Namespace => "namespaces",
            Kind::ConfigMap => "configmaps",
            Kind::Secret => "secrets",
            Kind::PersistentVolume => "persistentvolumes",
            Kind::PersistentVolumeClaim => "persistentvolumeclaims",
            Kind::Service => "services",
            Kind::Pod => "pods",
            Kind::Deployment => "deployments",
            Kind::ReplicaSet => "replicasets",
            Kind::ReplicationController => "replicationcontrollers",
            Kind::DaemonSet => "daemonsets",
            Kind::StatefulSet => "statefulsets",
            Kind::Job => "jobs",
            Kind::CronJob => "cronjobs",
            Kind::Ingress => "ingresses",
            Kind::HorizontalPodAutoscaler => "horizontalpodautoscalers",
            Kind::StorageClass => "storageclasses",
            Kind::IngressClass => "ingressclasses",
        }
    }

    pub fn short(self) -> Option<&'static str> {
        match self {
            Kind::Namespace => Some("ns"),
            Kind::ConfigMap => Some("cm"),
            Kind::PersistentVolume => Some("pv"),
            Kind::PersistentVolumeClaim => Some("pvc"),
            Kind::Service => Some("svc"),
            Kind::Pod => Some("po"),
            Kind::Deployment => Some("deploy"),
            Kind::ReplicaSet => Some("rs"),
            Kind::ReplicationController => Some("rc"),
            Kind::DaemonSet => Some("ds"),
            Kind::StatefulSet => Some("sts"),
            Kind::CronJob => Some("cj"),
            Kind::Ingress => Some("ing"),
            Kind::HorizontalPodAutoscaler => Some("hpa"),
            Kind::StorageClass => Some("sc"),
            Kind::Secret | Kind::Job | Kind::IngressClass => None,
        }
    }

    /// Does it lie outside of namespaces?
    pub fn global(self) -> bool {
        matches!(self, Kind::Namespace | Kind::PersistentVolume | Kind::StorageClass | Kind::IngressClass)
    }

    /// What a user types: `deploy`, `deployment`, `deployments`, `Deployment`, `deployments.apps`.
    pub fn typed(text: &str) -> Option<Kind> {
        let lower = text.to_ascii_lowercase();
        Kind::ALL.into_iter().find(|kind| {
            let word = kind.word().to_ascii_lowercase();
            let short = kind.short();
            let (name, group) =
                lower.split_once('.').map_or((lower.as_str(), None), |(name, group)| (name, Some(group)));
            let named = name == word || name == kind.plural() || Some(name) == short;
            named && group.is_none_or(|group| !group.is_empty() && kind.group().starts_with(group))
        })
    }

    /// The lower case word with its group, as kubectl prints it: `deployment.apps`.
    pub fn resource(self) -> String {
        match self.group() {
            "" => self.word().to_ascii_lowercase(),
            group => format!("{}.{group}", self.word().to_ascii_lowercase()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}

/// What an object is known by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId {
    pub kind: Kind,
    /// Empty for kinds outside of namespaces.
    pub namespace: String,
    pub name: String,
}

impl ObjectId {
    pub fn new(kind: Kind, namespace: &str, name: &str) -> ObjectId {
        let namespace = if kind.global() { "" } else { namespace };
        ObjectId { kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// kubectl's way to name it: `deployment.apps/web`.
    pub fn resource(&self) -> String {
        format!("{}/{}", self.kind.resource(), self.name)
    }
}

/// `Deployment/web`, with `-n NAMESPACE` behind it outside of `default`.
impl fmt::Display for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.kind, self.name)?;
        match self.namespace.as_str() {
            "" | "default" => Ok(()),
            namespace => write!(formatter, " (namespace {namespace})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_all_their_names() {
        for (text, expected) in [
            ("deploy", Some(Kind::Deployment)),
            ("Deployment", Some(Kind::Deployment)),
            ("deployments.apps", Some(Kind::Deployment)),
            ("deployment.batch", None),
            ("svc", Some(Kind::Service)),
            ("ingresses", Some(Kind::Ingress)),
            ("po", Some(Kind::Pod)),
            ("nodes", None),
            ("", None),
        ] {
            assert_eq!(Kind::typed(text), expected, "{text}");
        }
        assert_eq!(ObjectId::new(Kind::CronJob, "default", "tick").resource(), "cronjob.batch/tick");
    }
}
