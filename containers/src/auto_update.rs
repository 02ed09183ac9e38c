//! The labels by which a container asks to be updated when its image is: what they mean, and what they need.

use std::path::PathBuf;
use std::str::FromStr;

use images::Reference;

use crate::error::{Error, Result};
use crate::spec::ContainerSpec;

const POLICY: &str = "io.containers.autoupdate";
const AUTHFILE: &str = "io.containers.autoupdate.authfile";
/// The label, and the variable of the caller it comes from, that names the unit of systemd a container is run by.
pub const SYSTEMD_UNIT: &str = "PODMAN_SYSTEMD_UNIT";

/// Where the news of an image comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoUpdate {
    /// The registry has another image under the name.
    Registry,
    /// The store has.
    Local,
}

impl AutoUpdate {
    pub fn word(self) -> &'static str {
        match self {
            AutoUpdate::Registry => "registry",
            AutoUpdate::Local => "local",
        }
    }
}

/// What the label says; `None` where nothing is to be done.
///
/// # Errors
/// A word that is no policy.
pub fn auto_update(spec: &ContainerSpec) -> Result<Option<AutoUpdate>> {
    match spec.labels.get(POLICY).map(|word| word.to_ascii_lowercase()).as_deref() {
        None | Some("" | "disabled") => Ok(None),
        Some("registry" | "image") => Ok(Some(AutoUpdate::Registry)),
        Some("local") => Ok(Some(AutoUpdate::Local)),
        Some(_) => Err(Error::Invalid(format!(
            "invalid auto-update policy {:?}: valid policies are [\"disabled\" \"image\" \"local\" \"registry\"]",
            spec.labels[POLICY]
        ))),
    }
}

/// The credentials that this container's registry wants.
pub fn auto_update_authfile(spec: &ContainerSpec) -> Option<PathBuf> {
    spec.labels.get(AUTHFILE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// A name that could mean another registry tomorrow is refused where the registry is to be asked. Other mistakes in the
/// label are said by whoever updates.
pub(crate) fn check(spec: &ContainerSpec) -> Result<()> {
    let name = &spec.raw_image;
    if name.is_empty() || auto_update(spec).ok().flatten() != Some(AutoUpdate::Registry) {
        return Ok(());
    }
    match Reference::from_str(name) {
        Ok(reference) if !reference.is_short() => Ok(()),
        Ok(_) | Err(_) => {
            Err(Error::Invalid(format!("short name: auto updates require fully-qualified image reference: \"{name}\"")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(policy: &str, image: &str) -> ContainerSpec {
        let labels = [(POLICY.to_owned(), policy.to_owned())].into();
        ContainerSpec { labels, raw_image: image.to_owned(), ..ContainerSpec::default() }
    }

    #[test]
    fn policies_have_several_words() {
        let policy = |word| auto_update(&labelled(word, "")).ok();
        assert_eq!(policy("registry"), Some(Some(AutoUpdate::Registry)));
        assert_eq!(policy("image"), Some(Some(AutoUpdate::Registry)));
        assert_eq!(policy("Local"), Some(Some(AutoUpdate::Local)));
        assert_eq!(policy("disabled"), Some(None));
        assert_eq!(policy(""), Some(None));
        assert_eq!(policy("always"), None);
        assert_eq!(auto_update(&ContainerSpec::default()).unwrap(), None);
    }

    #[test]
    fn a_registry_is_asked_for_whole_names_only() {
        for name in [
            "localhost/box",
            "127.0.0.1:5000/box:1",
            "quay.io/a/b@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ] {
            check(&labelled("registry", name)).unwrap();
        }
        let error = check(&labelled("registry", "box")).unwrap_err().to_string();
        assert_eq!(error, "short name: auto updates require fully-qualified image reference: \"box\"");
        check(&labelled("local", "box")).unwrap();
        // Without an image there is nothing to ask for.
        check(&labelled("registry", "")).unwrap();
    }
}
