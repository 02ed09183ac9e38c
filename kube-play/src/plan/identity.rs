//! Who a pod is: what Kubernetes adds to it beside the template, and by which names it is found.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, ObjectId, PodTemplate};

/// The domain of all names that Services give.
pub const CLUSTER_DOMAIN: &str = "cluster.local";

/// What one pod has that its template does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodIdentity {
    /// The template's and those of its owner.
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// What hostname(1) says in it.
    pub hostname: String,
    /// Where it is one under a headless Service: the same with its domain.
    pub full_name: Option<String>,
    /// By which the pods of its network find it; with a subdomain those under that headless Service, too.
    pub names: BTreeSet<String>,
    /// Variables beside those of the manifest.
    pub environment: Vec<(String, String)>,
}

/// For the pod `name` of `owner`; `index` is the ordinal of a StatefulSet's pod or the completion index of a Job's.
pub fn identity(
    owner: Option<&ObjectId>,
    template: &PodTemplate,
    namespace: &str,
    name: &str,
    index: Option<u32>,
) -> PodIdentity {
    let mut identity = PodIdentity {
        labels: template.labels.clone(),
        annotations: template.annotations.clone(),
        ..PodIdentity::default()
    };
    let labels = &mut identity.labels;
    let mut label = |key: &str, value: &str| drop(labels.insert(key.to_owned(), value.to_owned()));
    let mut hostname = template.hostname.clone();
    // Only a name that was given on purpose is one under the subdomain.
    let mut named = hostname.is_some();
    match owner.map(|owner| (owner.kind, owner)) {
        Some((Kind::Deployment | Kind::ReplicaSet, _)) => label("pod-template-hash", &template.hash),
        Some((Kind::DaemonSet, _)) => label("controller-revision-hash", &template.hash),
        Some((Kind::StatefulSet, owner)) => {
            label("controller-revision-hash", &format!("{}-{}", owner.name, template.hash));
            label("statefulset.kubernetes.io/pod-name", name);
            if let Some(index) = index {
                label("apps.kubernetes.io/pod-index", &index.to_string());
            }
            hostname = Some(name.to_owned());
            named = true;
        }
        Some((Kind::Job, owner)) => {
            label("batch.kubernetes.io/job-name", &owner.name);
            label("job-name", &owner.name);
            if let Some(index) = index {
                const INDEX: &str = "batch.kubernetes.io/job-completion-index";
                label(INDEX, &index.to_string());
                identity.annotations.insert(INDEX.to_owned(), index.to_string());
                identity.environment.push(("JOB_COMPLETION_INDEX".to_owned(), index.to_string()));
                hostname = Some(format!("{}-{index}", owner.name));
                named = true;
            }
        }
        Some(_) | None => {}
    }
    // The kernel takes 64 bytes, DNS 63; Kubernetes cuts and leaves no dash at the end.
    let hostname = hostname.unwrap_or_else(|| name.to_owned());
    let short: String = hostname.chars().take(63).collect();
    let short = short.trim_end_matches(['-', '.']).to_owned();
    identity.names = BTreeSet::from([name.to_owned(), short.clone()]);
    identity.hostname = short;
    if let Some(subdomain) = &template.subdomain {
        let base = format!("{}.{subdomain}", identity.hostname);
        let full = format!("{base}.{namespace}.svc.{CLUSTER_DOMAIN}");
        if named {
            let (in_namespace, in_services) = (format!("{base}.{namespace}"), format!("{base}.{namespace}.svc"));
            identity.names.extend([base, in_namespace, in_services, full.clone()]);
            identity.full_name = Some(full.clone());
        }
        if template.hostname_is_fqdn {
            identity.hostname = full;
        }
    }
    identity
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::planned;

    fn template(extra: &str) -> PodTemplate {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{ name: x, labels: {{ a: b }} }}\nspec: {{ containers: [{{ name: c, image: box }}]{extra} }}\n"
        );
        let mut template = planned(&text).pods.remove(0).template;
        template.hash = "hash".to_owned();
        template
    }

    #[test]
    fn owners_name_their_pods() {
        let plain = template("");
        let named = template(", hostname: h, subdomain: s");
        let full = template(", hostname: h, subdomain: s, setHostnameAsFQDN: true");
        let of = |kind, template: &PodTemplate, index| {
            identity(Some(&ObjectId::new(kind, "n", "web")), template, "n", "web-1", index)
        };
        let alone = identity(None, &plain, "n", "web-1", None);
        assert_eq!((alone.hostname.as_str(), alone.labels.len()), ("web-1", 1));
        assert_eq!(alone.names, BTreeSet::from(["web-1".to_owned()]));
        let alone = identity(None, &named, "n", "web-1", None);
        assert_eq!(alone.hostname, "h");
        assert_eq!(alone.full_name.as_deref(), Some("h.s.n.svc.cluster.local"));
        let names: Vec<&str> = alone.names.iter().map(String::as_str).collect();
        assert_eq!(names, ["h", "h.s", "h.s.n", "h.s.n.svc", "h.s.n.svc.cluster.local", "web-1"]);
        assert_eq!(identity(None, &full, "n", "web-1", None).hostname, "h.s.n.svc.cluster.local");
        assert_eq!(of(Kind::Deployment, &plain, None).labels["pod-template-hash"], "hash");
        let mut set = plain.clone();
        set.subdomain = Some("s".to_owned());
        assert!(of(Kind::StatefulSet, &set, Some(1)).names.contains("web-1.s.n.svc.cluster.local"));
        assert!(!of(Kind::Deployment, &set, None).names.contains("web-1.s"));
        let job = of(Kind::Job, &plain, Some(4));
        assert_eq!((job.hostname.as_str(), job.labels["job-name"].as_str()), ("web-4", "web"));
        assert_eq!(job.environment, [("JOB_COMPLETION_INDEX".to_owned(), "4".to_owned())]);
        let long = identity(None, &plain, "n", &format!("{}-b", "a".repeat(62)), None);
        assert_eq!(long.hostname, "a".repeat(62));
    }
}
