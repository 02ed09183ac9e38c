//! Pods and their volumes.

use std::collections::{BTreeMap, BTreeSet};

use containers::SysctlNamespace;

use super::{At, Lowering, hash, podman};
use crate::decode::{FileMode, Validate};
use crate::model::{self, DownwardApiFile, KeyToPath, ObjectMeta, PodSpec, PodTemplateSpec};
use crate::plan::{
    Dns, DownwardFile, DownwardValue, FieldRef, KeyPath, Kind, Meta, PodNetwork, PodPlan, PodTemplate, PodVolume,
    ProjectedSource, Projection, VolumeSource,
};

/// The ConfigMap that a cluster makes in every namespace, and mounts in every pod beside the pod's token: the certificate of
/// its API server. Where there is none it is not missed.
const CLUSTER_AUTHORITY: &str = "kube-root-ca.crt";

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

    fn volumes(&mut self, spec: &PodSpec, namespace: &str, at: &At<'_>) -> Vec<PodVolume> {
        let mut volumes = Vec::new();
        let mut names = BTreeSet::new();
        self.faulty_volumes.clear();
        // A claim of a StatefulSet stands over a volume of its name.
        for template in self.claim_volumes.clone() {
            names.insert(template.clone());
            volumes.push(PodVolume { name: template.clone(), source: VolumeSource::OwnClaim { template } });
        }
        for (index, volume) in spec.volumes.iter().enumerate() {
            let at = at.key("volumes").index(index);
            if !names.insert(volume.name.to_string()) {
                self.wrong(&at.key("name"), format!("{:?} is there twice", &*volume.name));
            }
            let name = volume.name.to_string();
            match self.volume(volume, spec, namespace, &at) {
                Some(source) => volumes.push(PodVolume { name, source }),
                None => drop(self.faulty_volumes.insert(name)),
            }
        }
        volumes
    }

    /// Says where the size of an emptyDir has no bounds: only a file system of its own has any.
    fn size_limits(&mut self, spec: &PodSpec, template: &PodTemplate, at: &At<'_>) {
        for (index, volume) in spec.volumes.iter().enumerate() {
            let planned = template.volumes.iter().find(|planned| planned.name == *volume.name);
            if matches!(
                planned.map(|planned| &planned.source),
                Some(VolumeSource::EmptyDir { memory: false, limit: Some(_) })
            ) {
                let at = at.key("volumes").index(index).keys("emptyDir.sizeLimit");
                self.warn(&at, "is not enforced without medium: Memory");
            }
        }
    }

    fn volume(&mut self, volume: &model::Volume, spec: &PodSpec, namespace: &str, at: &At<'_>) -> Option<VolumeSource> {
        let model::Volume {
            name: _,
            empty_dir,
            host_path,
            config_map,
            secret,
            projected,
            downward_api,
            persistent_volume_claim,
            image,
            ephemeral,
        } = volume;
        let mut sources = Vec::new();
        if let Some(source) = empty_dir {
            sources.push(VolumeSource::EmptyDir {
                memory: source.medium == Some(model::EmptyDirMedium::Memory),
                limit: source.size_limit.as_ref().filter(|limit| !limit.is_zero()).map(|limit| limit.units()),
            });
        }
        if let Some(source) = host_path {
            if source.path.split('/').any(|part| part == "..") {
                self.wrong(&at.keys("hostPath.path"), "must not contain \"..\"");
            }
            let (path, kind) = (source.path.to_string(), source.kind.unwrap_or_default());
            sources.push(VolumeSource::HostPath { path, kind });
        }
        if let Some(source) = config_map {
            let at = at.key("configMap");
            let optional = source.optional.unwrap_or(false);
            let source_of = self.keys_source(
                Kind::ConfigMap,
                source.name.as_deref(),
                &source.items,
                optional,
                namespace,
                &at,
                &at.key("name"),
            );
            sources.push(files(source.default_mode, vec![source_of?]));
        }
        if let Some(source) = secret {
            let at = at.key("secret");
            let optional = source.optional.unwrap_or(false);
            let source_of = self.keys_source(
                Kind::Secret,
                source.secret_name.as_deref(),
                &source.items,
                optional,
                namespace,
                &at,
                &at.key("secretName"),
            );
            sources.push(files(source.default_mode, vec![source_of?]));
        }
        if let Some(source) = projected {
            let mut parts = Vec::new();
            for (index, part) in source.sources.iter().enumerate() {
                let at = at.keys("projected.sources").index(index);
                parts.extend(self.projection(part, spec, namespace, &at));
            }
            sources.push(files(source.default_mode, parts));
        }
        if let Some(source) = downward_api {
            let items = self.downward(&source.items, spec, &at.keys("downwardAPI.items"));
            sources.push(files(source.default_mode, vec![ProjectedSource::Downward { items }]));
        }
        if let Some(source) = persistent_volume_claim {
            let claim = source.claim_name.to_string();
            self.refer(Kind::PersistentVolumeClaim, namespace, &claim, &at.keys("persistentVolumeClaim.claimName"));
            sources.push(VolumeSource::Claim { claim, read_only: source.read_only.unwrap_or(false) });
        }
        if let Some(source) = image {
            sources.push(VolumeSource::Image {
                reference: source.reference.to_string(),
                pull: super::container::pull_policy(source.pull_policy, &source.reference),
            });
        }
        if let Some(source) = ephemeral {
            let at = at.keys("ephemeral.volumeClaimTemplate");
            let claim = self.claim_template(&source.volume_claim_template, &volume.name, namespace, &at);
            if !claim.is_plain() {
                self.wrong(&at, "must ask for an empty volume: one with a content is a PersistentVolumeClaim's");
            }
            sources.push(VolumeSource::Ephemeral(Box::new(claim)));
        }
        match (sources.pop(), sources.is_empty()) {
            (Some(source), true) => Some(source),
            (Some(_), false) => {
                self.wrong(at, "has more than one source: a volume has one");
                None
            }
            // Kubernetes' own default is an emptyDir; a refused source has been named already.
            (None, _) => match at
                .json()
                .as_object()
                .is_some_and(|written| written.iter().any(|(key, value)| key != "name" && !value.is_null()))
            {
                true => {
                    // It can be passed over where nobody mounts it.
                    let containers = || spec.init_containers.iter().chain(&spec.containers);
                    let mut mounts = containers().flat_map(|container| &container.volume_mounts);
                    if self.validate != Validate::Strict && mounts.any(|mount| *mount.name == *volume.name) {
                        self.wrong(at, "is mounted, and has no source that is supported");
                    }
                    None
                }
                false => Some(VolumeSource::EmptyDir { memory: false, limit: None }),
            },
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the words of ConfigMap and Secret differ in most of these")]
    fn keys_source(
        &mut self,
        kind: Kind,
        name: Option<&str>,
        items: &[KeyToPath],
        optional: bool,
        namespace: &str,
        at: &At<'_>,
        name_at: &At<'_>,
    ) -> Option<ProjectedSource> {
        let Some(name) = name else {
            self.wrong(name_at, "is required");
            return None;
        };
        if !optional {
            self.refer(kind, namespace, name, name_at).for_files();
        }
        let mut paths = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let at = at.key("items").index(index);
            if !optional {
                self.refer(kind, namespace, name, &at.key("key")).for_files().key = Some(item.key.to_string());
            }
            self.file_path(&item.path, &mut paths, &at.key("path"));
        }
        let items = items
            .iter()
            .map(|item| KeyPath {
                key: item.key.to_string(),
                path: item.path.to_string(),
                mode: item.mode.map(|mode| mode.0),
            })
            .collect();
        let name = name.to_owned();
        Some(match kind {
            Kind::Secret => ProjectedSource::Secret { name, items, optional },
            _ => ProjectedSource::ConfigMap { name, items, optional },
        })
    }

    fn file_path(&mut self, path: &str, paths: &mut BTreeSet<String>, at: &At<'_>) {
        if path.is_empty() || path.split('/').any(|part| part.is_empty() || part == ".") {
            self.wrong(at, format!("{path:?} is no path of a file"));
        } else if !paths.insert(path.to_owned()) {
            self.wrong(at, format!("the path {path:?} is there twice"));
        }
    }

    fn projection(
        &mut self,
        part: &model::Projection,
        spec: &PodSpec,
        namespace: &str,
        at: &At<'_>,
    ) -> Option<ProjectedSource> {
        let model::Projection { config_map, secret, downward_api } = part;
        match (config_map, secret, downward_api) {
            (Some(keys), None, None) | (None, Some(keys), None) => {
                let (kind, word) = match config_map {
                    Some(_) => (Kind::ConfigMap, "configMap"),
                    None => (Kind::Secret, "secret"),
                };
                let at = at.key(word);
                let is_of_cluster = kind == Kind::ConfigMap && keys.name.as_deref() == Some(CLUSTER_AUTHORITY);
                let optional = keys.optional.unwrap_or(false) || is_of_cluster;
                self.keys_source(kind, keys.name.as_deref(), &keys.items, optional, namespace, &at, &at.key("name"))
            }
            (None, None, Some(downward)) => {
                let items = self.downward(&downward.items, spec, &at.keys("downwardAPI.items"));
                Some(ProjectedSource::Downward { items })
            }
            (None, None, None) => None,
            _ => {
                self.wrong(at, "has more than one source: each item of \"sources\" has one");
                None
            }
        }
    }

    fn downward(&mut self, items: &[DownwardApiFile], spec: &PodSpec, at: &At<'_>) -> Vec<DownwardFile> {
        let mut files = Vec::new();
        let mut paths = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let at = at.index(index);
            self.file_path(&item.path, &mut paths, &at.key("path"));
            let value = match (&item.field_ref, &item.resource_field_ref) {
                (Some(field), None) => match FieldRef::parse(&field.field_path, true) {
                    Ok(field) => DownwardValue::Field(field),
                    Err(text) => {
                        self.wrong(&at.keys("fieldRef.fieldPath"), text);
                        continue;
                    }
                },
                (None, Some(resource)) => {
                    let at = at.key("resourceFieldRef");
                    match self.resource_ref(resource, None, spec, &at) {
                        Some(resource) => DownwardValue::Resource(resource),
                        None => continue,
                    }
                }
                (Some(_), Some(_)) | (None, None) => {
                    self.wrong(&at, "must have fieldRef or resourceFieldRef");
                    continue;
                }
            };
            files.push(DownwardFile { path: item.path.to_string(), value, mode: item.mode.map(|mode| mode.0) });
        }
        files
    }
}

fn files(mode: Option<FileMode>, sources: Vec<ProjectedSource>) -> VolumeSource {
    VolumeSource::Files(Projection { mode: mode.map_or(0o644, |mode| mode.0), sources })
}
