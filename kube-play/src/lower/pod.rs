//! Pods, and the templates that workloads make them of.

use std::collections::BTreeMap;

use containers::SysctlNamespace;

use super::{At, Lowering, hash, podman};
use crate::model::{self, ObjectMeta, PodSpec, PodTemplateSpec};
use crate::plan::{Dns, Kind, Meta, PodNetwork, PodPlan, PodTemplate};

/// What a pod is of: it decides defaults and what may be written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Pod,
    Workload,
    Job,
}

impl Lowering<'_> {
    pub(super) fn pod(&mut self, pod: &model::Pod, meta: Meta, at: &At<'_>) -> PodPlan {
        let namespace = meta.id.namespace.clone();
        let template = self.pod_spec(
            Some(&pod.metadata),
            &pod.spec,
            &namespace,
            Owner::Pod,
            &at.key("metadata"),
            &at.key("spec"),
            &[&meta.manifest],
        );
        let template = self.fixed_address(template, at);
        PodPlan { meta, template }
    }

    /// The next address and the next MAC of the command line, each for one pod.
    fn fixed_address(&mut self, mut template: PodTemplate, at: &At<'_>) -> PodTemplate {
        let number = self.plan.pods.len();
        template.address = self.options.addresses.get(number).copied();
        template.mac = self.options.macs.get(number).cloned();
        let is_fixed = template.address.is_some() || template.mac.is_some();
        if is_fixed && template.network == PodNetwork::Host {
            self.wrong(&at.keys("spec.hostNetwork"), "leaves no room for --ip and --mac-address: the host has its own");
        }
        template
    }

    /// Pods of a workload come and go, and are there side by side while they change.
    fn no_fixed_address(&mut self, at: &At<'_>) {
        if !self.options.addresses.is_empty() || !self.options.macs.is_empty() {
            self.wrong(at, "cannot have an address of --ip or --mac-address: write a Pod, or give it a Service");
        }
    }

    /// The template of a workload or a Job; `at` is the template's place.
    pub(super) fn template(
        &mut self,
        template: &PodTemplateSpec,
        namespace: &str,
        owner: Owner,
        at: &At<'_>,
    ) -> PodTemplate {
        let json = at.json();
        self.no_fixed_address(at);
        self.pod_spec(
            template.metadata.as_ref(),
            &template.spec,
            namespace,
            owner,
            &at.key("metadata"),
            &at.key("spec"),
            &[&json],
        )
    }

    #[expect(clippy::too_many_arguments, reason = "a pod and a template differ in all of these")]
    fn pod_spec(
        &mut self,
        metadata: Option<&ObjectMeta>,
        spec: &PodSpec,
        namespace: &str,
        owner: Owner,
        metadata_at: &At<'_>,
        at: &At<'_>,
        written: &[&serde_json::Value],
    ) -> PodTemplate {
        let mut labels = metadata.map(|metadata| metadata.labels.0.clone()).unwrap_or_default();
        labels.extend(self.options.unit.iter().map(|unit| (containers::SYSTEMD_UNIT.to_owned(), unit.clone())));
        let mut annotations = metadata.map(|metadata| metadata.annotations.0.clone()).unwrap_or_default();
        annotations.extend(self.options.annotations.clone());
        if owner != Owner::Pod && metadata.is_some_and(|metadata| metadata.namespace.is_some()) {
            let of = metadata.and_then(|metadata| metadata.namespace.as_deref());
            if of != Some(namespace) {
                self.wrong(&metadata_at.key("namespace"), "must be the namespace of what the template is in");
            }
        }
        let restart = spec.restart_policy.unwrap_or_default();
        match owner {
            Owner::Workload if restart != model::PodRestartPolicy::Always => {
                self.wrong(
                    &at.key("restartPolicy"),
                    format!("unsupported value {:?}: supported is \"Always\"", restart.word()),
                );
            }
            Owner::Job if restart == model::PodRestartPolicy::Always => {
                let text = match spec.restart_policy {
                    Some(_) => "unsupported value \"Always\": supported are \"OnFailure\", \"Never\"",
                    None => "is required of a Job: \"OnFailure\" or \"Never\"",
                };
                self.wrong(&at.key("restartPolicy"), text);
            }
            Owner::Pod | Owner::Workload | Owner::Job => {}
        }
        if spec.active_deadline_seconds.is_some() && restart != model::PodRestartPolicy::Never {
            self.unsupported(&at.key("activeDeadlineSeconds"), "is carried out with restartPolicy: Never only");
        }
        let host_network = spec.host_network.unwrap_or(false);
        let share_processes = spec.share_process_namespace.unwrap_or(false);
        let host_pid = spec.host_pid.unwrap_or(false);
        if share_processes && host_pid {
            self.wrong(&at.key("shareProcessNamespace"), "shareProcessNamespace and hostPID cannot both be true");
        }
        let volumes = self.volumes(spec, namespace, at);
        let mut template = PodTemplate {
            labels,
            hash: hash::short(written, &self.print(written)),
            init: Vec::new(),
            containers: Vec::new(),
            volumes,
            restart,
            grace: spec.termination_grace_period_seconds.unwrap_or(30),
            active_deadline: spec.active_deadline_seconds.map(|seconds| seconds.0),
            hostname: spec.hostname.clone().map(Into::into),
            subdomain: spec.subdomain.clone().map(Into::into),
            hostname_is_fqdn: spec.set_hostname_as_fqdn.unwrap_or(false),
            no_hostname: self.options.no_hostname,
            network: match (host_network, self.options.networks.is_empty()) {
                (true, _) => PodNetwork::Host,
                (false, true) => PodNetwork::Namespace,
                (false, false) => PodNetwork::Given(self.options.networks.clone()),
            },
            ports: Vec::new(),
            dns: self.dns(spec, at),
            host_aliases: self.host_aliases(spec, at),
            no_hosts: self.options.no_hosts,
            host_pid,
            host_ipc: spec.host_ipc.unwrap_or(false),
            share_processes,
            user_namespace: self.user_namespace(spec, &annotations, metadata_at),
            sysctls: BTreeMap::new(),
            resources: Default::default(),
            fs_group: None,
            fs_group_change: Default::default(),
            tells_namespace: spec.automount_service_account_token.unwrap_or(true),
            service_account: spec.service_account_name.as_deref().unwrap_or("default").to_owned(),
            pull_secrets: self.pull_secrets(spec, namespace, at),
            service_links: spec.enable_service_links.unwrap_or(true),
            infra_name: annotations.get(podman::INFRA_NAME).cloned(),
            address: None,
            mac: None,
            service: self.options.service.clone(),
            container_prefix: !self.options.no_pod_prefix,
            annotations,
        };
        if let Some(security) = &spec.security_context {
            template.fs_group = security.fs_group.map(|group| group.0);
            template.fs_group_change = security.fs_group_change_policy.unwrap_or_default();
            for (index, sysctl) in security.sysctls.iter().enumerate() {
                let at = at.keys("securityContext.sysctls").index(index).key("name");
                match SysctlNamespace::of(&sysctl.name) {
                    Some(SysctlNamespace::Network) if host_network => {
                        self.wrong(&at, "cannot be set with hostNetwork: true: it would be the host's");
                    }
                    Some(SysctlNamespace::Ipc) if template.host_ipc => {
                        self.wrong(&at, "cannot be set with hostIPC: true: it would be the host's");
                    }
                    Some(_) => {}
                    None => {
                        self.wrong(&at, format!("sysctl '{}' is not allowed: it is the whole machine's", sysctl.name))
                    }
                }
                template.sysctls.insert(sysctl.name.clone(), sysctl.value.clone());
            }
        }
        self.containers(spec, namespace, &mut template, at);
        if let Some(resources) = &spec.resources {
            template.resources = self.pod_resources(resources, &template, &at.key("resources"));
        }
        self.size_limits(spec, &template, at);
        self.podman_annotations(&mut template, metadata_at);
        self.publish(spec, &mut template, host_network, at);
        template
    }

    fn containers(&mut self, spec: &PodSpec, namespace: &str, template: &mut PodTemplate, at: &At<'_>) {
        if spec.containers.is_empty() {
            self.wrong(&at.key("containers"), "is required: a pod has at least one container");
        }
        let mut names: BTreeMap<String, At<'_>> = BTreeMap::new();
        for (list, init) in [(&spec.init_containers, true), (&spec.containers, false)] {
            let at = at.key(if init { "initContainers" } else { "containers" });
            for (index, container) in list.iter().enumerate() {
                let at = at.index(index);
                match names.get(&*container.name) {
                    Some(first) => {
                        let text = format!("{:?} is there twice, first at {}", &*container.name, first.path());
                        self.wrong(&at.key("name"), text);
                    }
                    None => drop(names.insert(container.name.to_string(), at.key("name"))),
                }
                let planned = self.container(container, spec, init, namespace, template, &at);
                if init { template.init.push(planned) } else { template.containers.push(planned) }
            }
        }
        let mut ports = BTreeMap::new();
        for (list, word) in [(&spec.init_containers, "initContainers"), (&spec.containers, "containers")] {
            for (index, container) in list.iter().enumerate() {
                for (number, port) in container.ports.iter().enumerate() {
                    let Some(name) = &port.name else { continue };
                    let at = at.key(word).index(index).key("ports").index(number).key("name");
                    if let Some(first) = ports.insert(name.to_string(), at.path().to_owned()) {
                        let text = format!("{:?} is there twice in the pod, first at {first}", &**name);
                        self.wrong(&at, text);
                    }
                }
            }
        }
    }

    fn dns(&mut self, spec: &PodSpec, at: &At<'_>) -> Dns {
        let mut dns = Dns { policy: spec.dns_policy.unwrap_or_default(), ..Dns::default() };
        if let Some(config) = &spec.dns_config {
            dns.servers.clone_from(&config.nameservers);
            dns.searches.clone_from(&config.searches);
            for option in &config.options {
                dns.options.push(match &option.value {
                    Some(value) => format!("{}:{value}", option.name),
                    None => option.name.clone(),
                });
            }
        }
        if dns.policy == model::DnsPolicy::None && dns.servers.is_empty() {
            self.wrong(&at.keys("dnsConfig.nameservers"), "is required where dnsPolicy is \"None\"");
        }
        if dns.servers.len() > 3 {
            self.wrong(&at.keys("dnsConfig.nameservers"), "must have at most 3 items");
        }
        dns
    }

    /// As in Kubernetes, one that is not there is no reason to give up.
    fn pull_secrets(&mut self, spec: &PodSpec, namespace: &str, at: &At<'_>) -> Vec<String> {
        let mut names = Vec::new();
        for (index, secret) in spec.image_pull_secrets.iter().enumerate() {
            let at = at.key("imagePullSecrets").index(index).key("name");
            self.refer(Kind::Secret, namespace, &secret.name, &at).or_warn();
            names.push(secret.name.to_string());
        }
        names
    }

    fn host_aliases(&mut self, spec: &PodSpec, at: &At<'_>) -> Vec<(std::net::IpAddr, Vec<String>)> {
        if !spec.host_aliases.is_empty() && self.options.no_hosts {
            self.wrong(&at.key("hostAliases"), "cannot be obeyed with --no-hosts");
        }
        spec.host_aliases
            .iter()
            .map(|alias| (alias.ip, alias.hostnames.iter().map(|name| name.to_string()).collect()))
            .collect()
    }
}
