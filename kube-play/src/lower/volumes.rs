//! Volumes of pods, and the files that are made of objects and fields.

use std::collections::BTreeSet;

use super::{At, Lowering};
use crate::decode::{FileMode, Validate};
use crate::model::{self, DownwardApiFile, KeyToPath, PodSpec};
use crate::plan::{
    DownwardFile, DownwardValue, FieldRef, KeyPath, Kind, PodTemplate, PodVolume, ProjectedSource, Projection,
    VolumeSource,
};

/// The ConfigMap that a cluster makes in every namespace, and mounts in every pod beside the pod's token: the certificate of
/// its API server. Where there is none it is not missed.
const CLUSTER_AUTHORITY: &str = "kube-root-ca.crt";

impl Lowering<'_> {
    pub(super) fn volumes(&mut self, spec: &PodSpec, namespace: &str, at: &At<'_>) -> Vec<PodVolume> {
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
    pub(super) fn size_limits(&mut self, spec: &PodSpec, template: &PodTemplate, at: &At<'_>) {
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
