//! The kinds of Quadlets, told apart by how a file's name ends.

use super::keys::{self, Key};
use crate::file::UnitFile;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    // In the order in which they are translated and printed.
    Artifact,
    Image,
    Network,
    Volume,
    Build,
    Container,
    Kube,
    Pod,
}

impl Kind {
    pub const ALL: [Self; 8] =
        [Self::Container, Self::Pod, Self::Volume, Self::Network, Self::Kube, Self::Image, Self::Build, Self::Artifact];

    /// By the name of a file.
    pub fn of(name: &str) -> Option<Self> {
        let (stem, extension) = name.rsplit_once('.')?;
        (!stem.is_empty()).then(|| Self::ALL.into_iter().find(|kind| kind.extension() == extension)).flatten()
    }

    pub fn extension(self) -> &'static str {
        match self {
            Self::Artifact => "artifact",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Build => "build",
            Self::Container => "container",
            Self::Kube => "kube",
            Self::Pod => "pod",
        }
    }

    /// Its own section.
    pub fn section(self) -> &'static str {
        match self {
            Self::Artifact => "Artifact",
            Self::Image => "Image",
            Self::Network => "Network",
            Self::Volume => "Volume",
            Self::Build => "Build",
            Self::Container => "Container",
            Self::Kube => "Kube",
            Self::Pod => "Pod",
        }
    }

    /// What the name of its service has after the name of its file.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Container | Self::Kube => "",
            Self::Artifact => "-artifact",
            Self::Image => "-image",
            Self::Network => "-network",
            Self::Volume => "-volume",
            Self::Build => "-build",
            Self::Pod => "-pod",
        }
    }

    pub(super) fn keys(self) -> &'static [Key] {
        match self {
            Self::Artifact => keys::ARTIFACT,
            Self::Image => keys::IMAGE,
            Self::Network => keys::NETWORK,
            Self::Volume => keys::VOLUME,
            Self::Build => keys::BUILD,
            Self::Container => keys::CONTAINER,
            Self::Kube => keys::KUBE,
            Self::Pod => keys::POD,
        }
    }
}

/// The name of a file, without what makes it a Quadlet.
pub(super) fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// `web` of `web@.container`, with the instance where there is one; nothing for what is no template.
pub(super) fn template(stem: &str) -> Option<(&str, Option<&str>)> {
    let (base, instance) = stem.split_once('@')?;
    Some((base, Some(instance).filter(|instance| !instance.is_empty())))
}

/// The name of the service that a Quadlet becomes, without `.service`.
pub fn service_stem(name: &str, kind: Kind, unit: &UnitFile) -> String {
    if let Some(named) = unit.text(kind.section(), "ServiceName") {
        return named.to_owned();
    }
    let stem = stem(name);
    match stem.split_once('@') {
        Some((base, instance)) => format!("{base}{}@{instance}", kind.suffix()),
        None => format!("{stem}{}", kind.suffix()),
    }
}
