//! Who a pod is: what Kubernetes adds to it beside the template, and by which names it is found.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Dns, DnsPolicy, Kind, ObjectId, PodTemplate};

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
    /// With a subdomain: its name under that headless Service, which other pods can look up.
    pub dns_name: Option<String>,
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
    let full =
        template.subdomain.as_ref().map(|subdomain| format!("{short}.{subdomain}.{namespace}.svc.{CLUSTER_DOMAIN}"));
    identity.hostname = match &full {
        Some(full) if template.hostname_is_fqdn => full.clone(),
        Some(_) | None => short,
    };
    identity.dns_name = full.filter(|_| named);
    identity
}

/// The lines of a resolv.conf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    pub servers: Vec<IpAddr>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

impl Dns {
    /// What a pod's resolv.conf says. `cluster`: who knows the names of Services; `host`: the host's own file.
    pub fn resolv_conf(
        &self,
        namespace: &str,
        host_network: bool,
        cluster: &[IpAddr],
        host: &ResolvConf,
    ) -> ResolvConf {
        let mut lines = match self.policy {
            DnsPolicy::None => ResolvConf::default(),
            DnsPolicy::Default => host.clone(),
            // A pod on the host's network has the host's names, unless it asks for both.
            DnsPolicy::ClusterFirst if host_network => host.clone(),
            DnsPolicy::ClusterFirst | DnsPolicy::ClusterFirstWithHostNet => {
                let mut searches = vec![
                    format!("{namespace}.svc.{CLUSTER_DOMAIN}"),
                    format!("svc.{CLUSTER_DOMAIN}"),
                    CLUSTER_DOMAIN.to_owned(),
                ];
                searches.extend(host.searches.iter().cloned());
                ResolvConf { servers: cluster.to_vec(), searches, options: vec!["ndots:5".to_owned()] }
            }
        };
        let name = |option: &str| option.split(':').next().unwrap_or_default().to_owned();
        lines
            .servers
            .extend(self.servers.iter().filter(|server| !lines.servers.contains(server)).copied().collect::<Vec<_>>());
        for search in &self.searches {
            if !lines.searches.contains(search) {
                lines.searches.push(search.clone());
            }
        }
        for option in &self.options {
            lines.options.retain(|known| name(known) != name(option));
            lines.options.push(option.clone());
        }
        lines
    }
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
        assert_eq!((alone.hostname.as_str(), alone.dns_name, alone.labels.len()), ("web-1", None, 1));
        let alone = identity(None, &named, "n", "web-1", None);
        assert_eq!((alone.hostname.as_str(), alone.dns_name.as_deref()), ("h", Some("h.s.n.svc.cluster.local")));
        assert_eq!(identity(None, &full, "n", "web-1", None).hostname, "h.s.n.svc.cluster.local");
        assert_eq!(of(Kind::Deployment, &plain, None).labels["pod-template-hash"], "hash");
        let mut set = plain.clone();
        set.subdomain = Some("s".to_owned());
        assert_eq!(of(Kind::StatefulSet, &set, Some(1)).dns_name.as_deref(), Some("web-1.s.n.svc.cluster.local"));
        let job = of(Kind::Job, &plain, Some(4));
        assert_eq!((job.hostname.as_str(), job.labels["job-name"].as_str()), ("web-4", "web"));
        assert_eq!(job.environment, [("JOB_COMPLETION_INDEX".to_owned(), "4".to_owned())]);
        let long = identity(None, &plain, "n", &format!("{}-b", "a".repeat(62)), None);
        assert_eq!(long.hostname, "a".repeat(62));
    }

    #[test]
    fn names_are_looked_up_by_policy() {
        let host = ResolvConf {
            servers: vec!["9.9.9.9".parse().expect("an address")],
            searches: vec!["lan".to_owned()],
            options: vec!["edns0".to_owned()],
        };
        let cluster = ["10.89.0.1".parse().expect("an address")];
        let look = |extra: &str, host_network| {
            let lines = template(extra).dns.resolv_conf("n", host_network, &cluster, &host);
            let servers: Vec<String> = lines.servers.iter().map(ToString::to_string).collect();
            format!("{} | {} | {}", servers.join(" "), lines.searches.join(" "), lines.options.join(" "))
        };
        let of_cluster = "10.89.0.1 | n.svc.cluster.local svc.cluster.local cluster.local lan | ndots:5";
        assert_eq!(look("", false), of_cluster);
        assert_eq!(look("", true), "9.9.9.9 | lan | edns0");
        assert_eq!(look(", dnsPolicy: ClusterFirstWithHostNet", true), of_cluster);
        assert_eq!(look(", dnsPolicy: Default", false), "9.9.9.9 | lan | edns0");
        assert_eq!(
            look(
                ", dnsPolicy: None, dnsConfig: { nameservers: [1.1.1.1], searches: [x.y], options: [{ name: ndots, value: '2' }, { name: edns0 }] }",
                false
            ),
            "1.1.1.1 | x.y | ndots:2 edns0"
        );
        assert_eq!(
            look(", dnsConfig: { nameservers: [1.1.1.1], options: [{ name: ndots, value: '2' }] }", false),
            "10.89.0.1 1.1.1.1 | n.svc.cluster.local svc.cluster.local cluster.local lan | ndots:2"
        );
    }
}
