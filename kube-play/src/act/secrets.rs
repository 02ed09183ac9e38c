//! Kubernetes' Secrets are secrets of the store: their content is the manifest, so that those which somebody made by hand
//! from a manifest are found as well.

use std::collections::BTreeMap;

use containers::Engine;
use storage::OnTaken;

use super::error::Result;
use super::sources::Sources;
use crate::plan::{Bytes, ConfigObject, Kind, Meta, ObjectId, volume_name};

/// On secrets that a manifest made: `NAMESPACE/NAME`.
const LABEL: &str = "io.creel.kube";
/// Where it was played from, as a list in JSON.
const SOURCES: &str = "io.creel.kube.sources";

/// Stores a Secret, or changes the one that is there in place.
pub(super) fn store(engine: &Engine, secret: &ConfigObject, source: Option<&str>) -> Result<String> {
    let id = &secret.meta.id;
    let mut labels = secret.meta.labels.clone();
    labels.insert(LABEL.into(), format!("{}/{}", id.namespace, id.name));
    let known = record(engine, id)?.as_ref().map(sources).unwrap_or_default();
    labels.extend(label(known, source));
    let name = volume_name(&id.namespace, &id.name);
    let made = storage::Secret { name, labels, ..storage::Secret::default() };
    let content =
        serde_json::to_vec(&secret.meta.manifest).map_err(|error| super::Error::Invalid(error.to_string()))?;
    Ok(engine.store.create_secret(made, &content, OnTaken::Replace)?.secret.id)
}

/// Notes that an unchanged Secret was played from there.
pub(super) fn play(engine: &Engine, id: &ObjectId, source: Option<&str>) -> Result<()> {
    let Some(secret) = record(engine, id)? else { return Ok(()) };
    let known = sources(&secret);
    if source.is_none() || known.last() == source {
        return Ok(());
    }
    let mut labels = secret.labels;
    labels.extend(label(known, source));
    Ok(engine.store.label_secret(&secret.id, labels)?)
}

fn label(mut known: Sources, source: Option<&str>) -> Option<(String, String)> {
    source.into_iter().for_each(|source| known.play(source));
    let text = serde_json::to_string(&known).ok()?;
    known.last().map(|_| (SOURCES.to_owned(), text))
}

fn sources(secret: &storage::Secret) -> Sources {
    secret.labels.get(SOURCES).and_then(|label| serde_json::from_str(label).ok()).unwrap_or_default()
}

/// Every Secret that a manifest made, with where that is.
pub(super) fn played(engine: &Engine) -> Result<Vec<(ObjectId, Sources)>> {
    let of_manifest = |secret: storage::Secret| {
        let (namespace, name) = secret.labels.get(LABEL)?.split_once('/')?;
        Some((ObjectId::new(Kind::Secret, namespace, name), sources(&secret)))
    };
    // A damaged one is told by whoever uses it.
    Ok(engine.store.secrets()?.into_iter().filter_map(|(_, secret)| of_manifest(secret.ok()?)).collect())
}

/// `None`: it was not there.
pub(super) fn remove(engine: &Engine, id: &ObjectId) -> Result<Option<String>> {
    match engine.store.remove_secret(&volume_name(&id.namespace, &id.name)) {
        Ok(secret) => Ok(Some(secret.id)),
        Err(storage::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The manifest that a stored Secret was made from.
pub(super) fn manifest(engine: &Engine, id: &ObjectId) -> Result<Option<serde_json::Value>> {
    Ok(content(engine, id)?.and_then(|content| serde_json::from_slice(&content).ok()))
}

fn record(engine: &Engine, id: &ObjectId) -> Result<Option<storage::Secret>> {
    match engine.store.secret(&volume_name(&id.namespace, &id.name)) {
        Ok(secret) => Ok(Some(secret)),
        Err(storage::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn content(engine: &Engine, id: &ObjectId) -> Result<Option<Vec<u8>>> {
    match record(engine, id)? {
        Some(secret) => Ok(Some(engine.store.secret_data(&secret)?.unwrap_or_default())),
        None => Ok(None),
    }
}

/// The Secret as it is stored.
pub(super) fn find(engine: &Engine, id: &ObjectId) -> Result<Option<ConfigObject>> {
    Ok(content(engine, id)?.and_then(|content| read(&id.namespace, &id.name, &content)))
}

/// Every secret of the store that holds a manifest, by namespace and name.
pub(super) fn all(engine: &Engine) -> Result<BTreeMap<(String, String), ConfigObject>> {
    let mut found = BTreeMap::new();
    for (_, secret) in engine.store.secrets()? {
        // A damaged one is told by whoever uses it.
        let Ok(secret) = secret else { continue };
        let (namespace, name) = match secret.labels.get(LABEL).and_then(|label| label.split_once('/')) {
            Some((namespace, name)) => (namespace.to_owned(), name.to_owned()),
            None => ("default".to_owned(), secret.name.clone()),
        };
        let Ok(Some(content)) = engine.store.secret_data(&secret) else { continue };
        let Some(object) = read(&namespace, &name, &content) else { continue };
        found.insert((namespace, name), object);
    }
    Ok(found)
}

fn read(namespace: &str, name: &str, content: &[u8]) -> Option<ConfigObject> {
    let manifest: serde_json::Value = serde_json::from_slice(content).ok()?;
    if manifest.get("kind")?.as_str()? != "Secret" {
        return None;
    }
    let mut data = BTreeMap::new();
    let texts = |field: &str| manifest.get(field).and_then(serde_json::Value::as_object).into_iter().flatten();
    for (key, value) in texts("data") {
        let bytes = crate::model::decoded(value.as_str()?)?;
        data.insert(key.clone(), Bytes { bytes, binary: false });
    }
    for (key, value) in texts("stringData") {
        data.insert(key.clone(), Bytes { bytes: value.as_str()?.as_bytes().to_vec(), binary: false });
    }
    let kind = manifest.get("type").and_then(serde_json::Value::as_str).unwrap_or("Opaque").to_owned();
    let meta = Meta {
        id: ObjectId::new(Kind::Secret, namespace, name),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        origin: crate::Origin::default(),
        hash: String::new(),
        manifest,
    };
    let immutable = meta.manifest.get("immutable") == Some(&serde_json::Value::Bool(true));
    Some(ConfigObject { meta, data, kind, immutable })
}
