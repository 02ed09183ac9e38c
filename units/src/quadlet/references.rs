//! Names of other Quadlets: `a.volume` in a value becomes the volume's name, and its service a dependency.

use std::collections::BTreeMap;

use super::kind::{Kind, stem, template};
use super::translation::{Source, Translation};
use crate::error::{Error, Result};
use crate::file::{Entry, UnitFile};
use crate::words::quoted;

/// Keys of `[Unit]` whose values are units.
const DEPENDENCIES: &[&str] = &[
    "After",
    "Before",
    "BindsTo",
    "Conflicts",
    "OnFailure",
    "OnSuccess",
    "PartOf",
    "PropagatesReloadTo",
    "PropagatesStopTo",
    "ReloadPropagatedFrom",
    "Requires",
    "Requisite",
    "StopPropagatedFrom",
    "Upholds",
    "Wants",
];

/// `After=a.container` becomes `After=a.service`.
pub(super) fn translate_dependencies(service: &mut UnitFile, all: &BTreeMap<String, Source>) -> Result<()> {
    service.change("Unit", DEPENDENCIES, |entry| {
        let words = entry.words()?;
        if words.iter().all(|word| Kind::of(word).is_none()) {
            return Ok(None);
        }
        let mut units = Vec::new();
        for word in &words {
            units.push(match (Kind::of(word), find(all, word)) {
                (None, _) => quoted(word),
                (Some(_), Some((_, service))) => quoted(&service),
                (Some(_), None) => {
                    let why = format!("unable to translate dependency for {word}");
                    return Err(Error::Reference { why, at: entry.at.clone() });
                }
            });
        }
        Ok(Some(units.join(" ")))
    })
}

/// The Quadlet of this name and its service. An instance is one of its template where it has no file of its own.
fn find<'a>(all: &'a BTreeMap<String, Source>, name: &str) -> Option<(&'a Source, String)> {
    if let Some(source) = all.get(name) {
        return Some((source, format!("{}.service", source.service)));
    }
    let kind = Kind::of(name)?;
    let (base, Some(instance)) = template(stem(name))? else { return None };
    let source = all.get(&format!("{base}@.{}", kind.extension()))?;
    let service = source.service.strip_suffix('@')?;
    Some((source, format!("{service}@{instance}.service")))
}

/// What a container, a pod, a volume ... is called that a Quadlet makes.
pub(super) fn resource(source: &Source) -> Option<String> {
    let text = |key| source.unit.text(source.kind.section(), key).map(str::to_owned);
    let stem = stem(&source.name);
    Some(match source.kind {
        Kind::Container => text("ContainerName").unwrap_or_else(|| match template(&source.service) {
            Some(_) => "systemd-%p_%i".to_owned(),
            None => format!("systemd-{}", source.service),
        }),
        Kind::Volume => text("VolumeName").unwrap_or_else(|| of_template(stem)),
        Kind::Network => text("NetworkName").unwrap_or_else(|| of_template(stem)),
        Kind::Pod => text("PodName").unwrap_or_else(|| of_template(stem)),
        Kind::Image => text("ImageTag").or_else(|| text("Image"))?,
        Kind::Build => source.unit.all("Build", "ImageTag").first()?.value.clone(),
        Kind::Artifact => text("Artifact")?,
        Kind::Kube => return None,
    })
}

fn of_template(stem: &str) -> String {
    match template(stem) {
        Some((base, None)) => format!("systemd-{base}-%i"),
        Some((base, Some(instance))) => format!("systemd-{base}-{instance}"),
        None => format!("systemd-{stem}"),
    }
}

impl Translation<'_> {
    /// What the Quadlet of this name makes; this service needs its service from now on. `what` is the subject of the error
    /// where there is no such Quadlet.
    pub(super) fn refer(&mut self, name: &str, what: &str, entry: &Entry) -> Result<String> {
        let lost =
            || Error::Reference { why: format!("requested Quadlet {what} {name} was not found"), at: entry.at.clone() };
        let (source, service) = find(self.all, name).ok_or_else(lost)?;
        let resource = resource(source).ok_or_else(lost)?;
        self.service.add("Unit", "Requires", &service);
        self.service.add("Unit", "After", &service);
        Ok(resource)
    }

    /// The pod of this name, and its service.
    pub(super) fn refer_to_pod(&mut self, name: &str, entry: &Entry) -> Result<String> {
        if Kind::of(name) != Some(Kind::Pod) {
            return Err(Error::Value { why: format!("pod {name} is not Quadlet based"), at: entry.at.clone() });
        }
        let lost = || Error::Reference { why: format!("quadlet pod unit {name} does not exist"), at: entry.at.clone() };
        let (source, service) = find(self.all, name).ok_or_else(lost)?;
        self.service.add("Unit", "BindsTo", &service);
        self.service.add("Unit", "After", &service);
        resource(source).ok_or_else(lost)
    }
}
