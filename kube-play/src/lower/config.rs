//! ConfigMaps, Secrets, claims.

use std::collections::BTreeMap;

use super::{At, Lowering};
use crate::manifest::Manifests;
use crate::model::{self, ClaimTemplate, Object, ObjectMeta};
use crate::plan::{BoundVolume, Bytes, ConfigObject, Kind, Meta, ObjectId, VolumePlan, volume_name};

/// Bytes of one ConfigMap or Secret, as Kubernetes has it.
const MAX_DATA: usize = 1 << 20;
const PODMAN: &str = "volume.podman.io/";

/// A directory of the host that claims may bind to.
pub(super) struct Persistent {
    name: String,
    class: String,
    claim: Option<(String, String)>,
    labels: BTreeMap<String, String>,
    path: String,
    kind: model::HostPathType,
    bound: Option<ObjectId>,
}

/// All PersistentVolumes, before any claim is looked at.
pub(super) fn persistent_volumes(manifests: &Manifests) -> Vec<Persistent> {
    let mut volumes = Vec::new();
    for document in &manifests.documents {
        let Object::PersistentVolume(volume) = &document.object else { continue };
        let spec = &volume.spec;
        let (path, kind) = match (&spec.host_path, &spec.local) {
            (Some(host), _) => (host.path.to_string(), host.kind.unwrap_or_default()),
            (None, Some(local)) => (local.path.to_string(), model::HostPathType::Directory),
            (None, None) => continue,
        };
        let claim = spec.claim_ref.as_ref().and_then(|claim| {
            let namespace = claim.namespace.clone().unwrap_or_else(|| "default".to_owned());
            Some((namespace, claim.name.as_ref()?.to_string()))
        });
        volumes.push(Persistent {
            name: document.id.name.clone(),
            class: spec.storage_class_name.clone().unwrap_or_default(),
            claim,
            labels: volume.metadata.labels.0.clone(),
            path,
            kind,
            bound: None,
        });
    }
    volumes
}

impl Lowering<'_> {
    pub(super) fn config_map(&mut self, map: &model::ConfigMap, meta: Meta, at: &At<'_>) -> ConfigObject {
        let mut data = BTreeMap::new();
        for (key, text) in &map.data.0 {
            data.insert(key.clone(), Bytes { bytes: text.clone().into_bytes(), binary: false });
        }
        for (key, bytes) in &map.binary_data.0 {
            if data.insert(key.clone(), Bytes { bytes: bytes.0.clone(), binary: true }).is_some() {
                self.wrong(&at.key("binaryData").key(key), "is in data, too");
            }
        }
        let immutable = map.immutable.unwrap_or(false);
        self.config_object(ConfigObject { meta, data, kind: String::new(), immutable }, at)
    }

    pub(super) fn secret(&mut self, secret: &model::Secret, meta: Meta, at: &At<'_>) -> ConfigObject {
        let mut data = BTreeMap::new();
        for (key, bytes) in &secret.data.0 {
            data.insert(key.clone(), Bytes { bytes: bytes.0.clone(), binary: false });
        }
        for (key, text) in &secret.string_data.0 {
            data.insert(key.clone(), Bytes { bytes: text.clone().into_bytes(), binary: false });
        }
        let kind = secret.kind.clone().filter(|kind| !kind.is_empty()).unwrap_or_else(|| "Opaque".to_owned());
        let needed: &[&str] = match kind.as_str() {
            "kubernetes.io/tls" => &["tls.crt", "tls.key"],
            "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
            "kubernetes.io/dockercfg" => &[".dockercfg"],
            "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
            _ => &[],
        };
        for key in needed.iter().filter(|key| !data.contains_key(**key)) {
            self.wrong(&at.key("data").key(key), format!("is required of a Secret of type {kind}"));
        }
        if kind == "kubernetes.io/basic-auth" && !data.contains_key("username") && !data.contains_key("password") {
            self.wrong(&at.key("data").key("username"), format!("or password is required of a Secret of type {kind}"));
        }
        for key in [".dockerconfigjson", ".dockercfg"].iter().filter(|key| needed.contains(key)) {
            let broken = data.get(*key).is_some_and(|value| {
                !serde_json::from_slice::<serde_json::Value>(&value.bytes).is_ok_and(|value| value.is_object())
            });
            if broken {
                self.wrong(&at.key("data").key(key), "does not hold a JSON object");
            }
        }
        let immutable = secret.immutable.unwrap_or(false);
        let object = self.config_object(ConfigObject { meta, data, kind, immutable }, at);
        if self.stored.certificates.contains(&object.meta.id)
            && let Err(why) = object.certificate()
        {
            self.wrong(&at.key("data"), format!("{why}, and clients of an Ingress are shown it"));
        }
        object
    }

    fn config_object(&mut self, object: ConfigObject, at: &At<'_>) -> ConfigObject {
        let size: usize = object.data.iter().map(|(key, value)| key.len() + value.bytes.len()).sum();
        if size > MAX_DATA {
            self.wrong(&at.key("data"), format!("must have at most {MAX_DATA} bytes, and has {size}"));
        }
        let id = &object.meta.id;
        let objects = &self.stored.objects;
        let stored = match id.kind {
            Kind::Secret => objects.secret(&id.namespace, &id.name),
            _ => objects.config_map(&id.namespace, &id.name),
        };
        if stored.is_some_and(|stored| stored.immutable && (stored.data != object.data || !object.immutable)) {
            self.wrong_with(&at.key("data"), "cannot be changed: the stored one is immutable", "remove that one first");
        }
        object
    }

    pub(super) fn persistent_volume(&mut self, volume: &model::PersistentVolume, at: &At<'_>) {
        if volume.spec.host_path.is_none() && volume.spec.local.is_none() {
            self.wrong(&at.key("spec"), "must have hostPath or local");
        }
    }

    pub(super) fn claim(&mut self, claim: &model::PersistentVolumeClaim, meta: Meta, at: &At<'_>) -> VolumePlan {
        let volume = volume_name(&meta.id.namespace, &meta.id.name);
        let mut plan = self.volume_plan(meta, volume, at);
        if let Some(spec) = &claim.spec {
            self.claim_spec(spec, &mut plan, at);
        }
        plan
    }

    /// A claim of a StatefulSet or of one pod: `name` is its own or the volume's.
    pub(super) fn claim_template(
        &mut self,
        template: &ClaimTemplate,
        name: &str,
        namespace: &str,
        at: &At<'_>,
    ) -> VolumePlan {
        let metadata: Option<&ObjectMeta> = template.metadata.as_ref();
        let meta = Meta {
            id: ObjectId::new(Kind::PersistentVolumeClaim, namespace, name),
            labels: metadata.map(|metadata| metadata.labels.0.clone()).unwrap_or_default(),
            annotations: metadata.map(|metadata| metadata.annotations.0.clone()).unwrap_or_default(),
            origin: at.origin(),
            hash: super::hash::hex(&[&at.json()], ""),
            manifest: at.json(),
        };
        let mut plan = self.volume_plan(meta, volume_name(namespace, name), at);
        self.claim_spec(&template.spec, &mut plan, at);
        plan
    }

    fn claim_spec(&mut self, spec: &model::ClaimSpec, plan: &mut VolumePlan, at: &At<'_>) {
        plan.size = spec.resources.as_ref().and_then(|resources| resources.requests.get("storage").cloned());
        plan.access.clone_from(&spec.access_modes);
        plan.storage_class.clone_from(&spec.storage_class_name);
        let class = spec.storage_class_name.clone().unwrap_or_default();
        let id = (plan.meta.id.namespace.clone(), plan.meta.id.name.clone());
        let wanted = spec.volume_name.as_ref().map(|name| name.to_string());
        let selector = spec.selector.as_ref().map(super::workload::selector);
        let named = wanted.as_deref().is_some_and(|wanted| self.persistent.iter().any(|volume| volume.name == wanted));
        let found = self.persistent.iter_mut().find(|volume| match (&wanted, &volume.claim) {
            _ if volume.bound.is_some() => false,
            (Some(wanted), _) => volume.name == *wanted,
            (None, Some(claim)) => *claim == id,
            (None, None) => {
                let chosen = selector.as_ref().map(|selector| selector.matches(&volume.labels));
                chosen.unwrap_or(true)
                    && volume.class == class
                    && (!class.is_empty() || spec.storage_class_name.is_some() || chosen.is_some())
            }
        });
        match found {
            Some(volume) => {
                volume.bound = Some(plan.meta.id.clone());
                plan.bound =
                    Some(BoundVolume { name: volume.name.clone(), path: volume.path.clone(), kind: volume.kind });
            }
            None if named => {
                self.wrong(&at.keys("spec.volumeName"), "is bound to another claim already");
            }
            None => {}
        }
    }

    /// With Podman's annotations.
    fn volume_plan(&mut self, meta: Meta, volume: String, at: &At<'_>) -> VolumePlan {
        let mut plan = VolumePlan {
            meta,
            volume,
            size: None,
            access: Vec::new(),
            storage_class: None,
            bound: None,
            driver: None,
            options: BTreeMap::new(),
            import: None,
        };
        let mut mount_options = Vec::new();
        for (key, value) in plan.meta.annotations.clone() {
            let Some(word) = key.strip_prefix(PODMAN) else { continue };
            match word {
                "driver" if matches!(value.as_str(), "local" | "image") => plan.driver = Some(value),
                "driver" => {
                    let at = at.keys("metadata.annotations").key(&key);
                    self.wrong(&at, format!("must be \"local\" or \"image\", and is {value:?}"));
                }
                "device" | "type" | "image" => drop(plan.options.insert(word.to_owned(), value)),
                "import-source" => plan.import = Some(self.options.directory.join(value)),
                "mount-options" => mount_options.push(value),
                "uid" | "gid" if value.parse::<u32>().is_ok() => mount_options.push(format!("{word}={value}")),
                "uid" | "gid" => {
                    let at = at.keys("metadata.annotations").key(&key);
                    self.wrong(&at, format!("must be a number, and is {value:?}"));
                }
                _ => {
                    let at = at.keys("metadata.annotations").key(&key);
                    self.unsupported(&at, "unknown annotation of Podman's volumes");
                }
            }
        }
        if !mount_options.is_empty() {
            plan.options.insert("o".to_owned(), mount_options.join(","));
        }
        let at = |word: &str| at.keys("metadata.annotations").key(&format!("{PODMAN}{word}"));
        match (plan.driver.as_deref() == Some("image"), plan.image().is_some()) {
            (false, true) => self.wrong(&at("image"), format!("needs {PODMAN}driver: image")),
            (true, false) => self.wrong(&at("driver"), format!("needs {PODMAN}image")),
            _ => {}
        }
        if plan.image().is_some() && plan.import.is_some() {
            self.wrong(&at("import-source"), format!("cannot be beside {PODMAN}image: that cannot be written to"));
        }
        plan
    }
}
