//! What can go wrong with an image, divided by what the reader can do about it.

use std::io;
use std::path::PathBuf;

use crate::reference;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such image here. Pull it, or look at the spelling.
    #[error("{name}: image not known")]
    NotFound { name: String },

    /// A prefix of several ids. Write more of it.
    #[error("{name}: ambiguous image id, it fits {}", candidates.join(", "))]
    Ambiguous { name: String, candidates: Vec<String> },

    /// A short name that several registries may have. Write the full name.
    #[error("short name {name:?} {}", which_registry(candidates))]
    ShortName { name: String, candidates: Vec<String> },

    /// No such artifact here. Pull it, or look at the spelling.
    #[error("{name}: artifact does not exist")]
    ArtifactNotFound { name: String },

    /// The name is taken. Append to it, replace it, or take another name.
    #[error("{name}: artifact already exists")]
    ArtifactExists { name: String },

    /// The artifact has no such blob, or one that cannot be had as a file. Look at its blobs.
    #[error("{reason}")]
    ArtifactBlob { reason: String },

    /// Something stands in the way of removing it; `force` may help.
    #[error("image used by {}: image is in use by a container: consider listing external containers and force-removing image", users.join(", "))]
    InUse { name: String, users: Vec<String> },

    /// Typed by id while several names lead to it. Remove the names, or force.
    #[error("unable to delete image {id:?} by ID with more than one tag ([{}]): please force removal", names.join(" "))]
    SeveralNames { id: String, names: Vec<String> },

    /// It is in a store beside this one. Remove it there.
    #[error("cannot remove read-only image {id:?}")]
    ReadOnly { id: String },

    /// It has no name that could be taken, and other images were built on it. Remove these first.
    #[error("unable to delete image {name:?}: it has dependent images")]
    HasChildren { name: String },

    /// The image is there, but not under that name.
    #[error("{name}: tag not known")]
    NotTagged { name: String },

    /// An image where a manifest list is wanted.
    #[error("{name}: image is not a manifest list")]
    NotAList { name: String },

    /// A manifest list without that image.
    #[error("no instance matching {instance:?} found in manifest list {list}: file does not exist")]
    NoInstance { list: String, instance: String },

    /// Another image or list has the name. Remove it, or take another name.
    #[error("image name {name:?} is already associated with image {id:?}: that name is already in use")]
    NameInUse { name: String, id: String },

    /// A name that follows no grammar. Write it differently.
    #[error("parsing reference {name:?}: {}", grammar(reason))]
    InvalidReference { name: String, reason: &'static str },

    /// A digest follows from the content. Give a name with a tag.
    #[error("{name}: tag by digest not supported")]
    TagByDigest { name: String },

    /// Several images where the format holds one. Take another format, or save one after the other.
    #[error("unsupported format {format:?} for saving multiple images (only docker-archive)")]
    OneImageOnly { format: &'static str },

    /// Only a registry has tags.
    #[error("pulling all tags is not supported for {transport} transport")]
    AllTags { transport: String },

    /// A `--change` that cannot be used.
    #[error("invalid change {instruction:?} - {reason}")]
    InvalidChange { instruction: String, reason: String },

    /// A filter that cannot be used.
    #[error("{reason}")]
    InvalidFilter { reason: String },

    /// A value of an option that cannot be used.
    #[error("invalid {what} {value:?}: {reason}")]
    InvalidValue { what: &'static str, value: String, reason: String },

    /// The registry wants other credentials. Log in.
    #[error("{message}")]
    Denied { message: String },

    /// registries.conf says no.
    #[error("{message}")]
    Blocked { message: String },

    /// The registry answered that it has no such thing.
    #[error("{message}")]
    NotInRegistry { message: String },

    /// The registry has it, but not for this machine.
    #[error("{reference}: no image for platform {platform}")]
    NoPlatform { reference: String, platform: String },

    /// Nobody answered. Look at the network, try again.
    #[error("{message}")]
    Unreachable { message: String },

    /// TLS did not come about. Give the CA in certs.d, or say that the registry is plain.
    #[error("{message}")]
    Tls { message: String },

    /// policy.json says no, or cannot be used.
    #[error("{message}")]
    Policy { message: String },

    /// The policy `never` and nothing local.
    #[error("{name}: image not known")]
    PullForbidden { name: String },

    /// No credentials are stored. Log in.
    #[error("not logged into {registry}")]
    NotLoggedIn { registry: String },

    /// Say which one.
    #[error("no registries found in registries.conf, a registry must be provided")]
    NoRegistry,

    /// Install the package skopeo.
    #[error("cannot find the program skopeo, which talks to registries: install the package skopeo")]
    SkopeoMissing,

    /// Install a newer skopeo.
    #[error("this skopeo is too old: it speaks proxy protocol {found}, at least {wanted} is needed")]
    SkopeoTooOld { found: String, wanted: String },

    /// Install a newer skopeo, or leave the flag out.
    #[error("this skopeo has no flag {flag}")]
    SkopeoLacks { flag: String },

    /// No signature came about. Look at the keys.
    #[error("{message}")]
    Signing { message: String },

    /// skopeo failed in a way we have no word for.
    #[error("{message}")]
    Skopeo { message: String },

    /// A pull failed for a reason that has no word of its own.
    #[error("{message}")]
    Pull { message: String },

    /// The content is not what its name says. Nothing of it was kept.
    #[error("{what}: digest mismatch, expected {expected}, found {found}")]
    DigestMismatch { what: String, expected: String, found: String },

    /// A file that is no image archive, or a broken one.
    #[error("{}: not a readable image archive: {reason}", path.display())]
    BadArchive { path: PathBuf, reason: String },

    /// An image that breaks its own specification.
    #[error("{reference}: {reason}")]
    BadImage { reference: String, reason: String },

    /// A configuration file that cannot be used.
    #[error("cannot use {}: {reason}", path.display())]
    BadConfiguration { path: PathBuf, reason: String },

    /// Not there, and why.
    #[error("{what} is not supported: {reason}")]
    Unsupported { what: String, reason: String },

    /// The disk is full. Free some, e.g. by `image prune`.
    #[error("no space left on device while storing {what}")]
    NoSpace { what: String },

    /// Interrupted, or the worker was killed.
    #[error("{what} was interrupted")]
    Interrupted { what: String },

    #[error(transparent)]
    Storage(#[from] storage::Error),

    #[error("cannot access {}", path.display())]
    File { path: PathBuf, source: io::Error },
}

impl Error {
    /// For `map_err` where a file is at fault.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| match source.raw_os_error() {
            Some(code)
                if code == rustix::io::Errno::NOSPC.raw_os_error()
                    || code == rustix::io::Errno::DQUOT.raw_os_error() =>
            {
                Error::NoSpace { what: path.display().to_string() }
            }
            _ => Error::File { path, source },
        }
    }

    /// Whether trying once more may help: the network, not the request, was at fault.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Unreachable { message } if !refused(message))
    }

    /// Whether what came was bad, so that no other try can use any of it.
    pub(crate) fn is_lasting(&self) -> bool {
        use storage::Error as OfStore;
        matches!(
            self,
            Error::BadImage { .. }
                | Error::BadArchive { .. }
                | Error::DigestMismatch { .. }
                | Error::Storage(OfStore::BadArchive { .. } | OfStore::Mismatch { .. })
        )
    }

    /// Puts what was being done before what a registry, or skopeo, has said.
    pub(crate) fn while_doing(mut self, what: &str) -> Error {
        match &mut self {
            Error::Denied { message }
            | Error::NotInRegistry { message }
            | Error::Unreachable { message }
            | Error::Tls { message }
            | Error::Policy { message }
            | Error::Skopeo { message }
            | Error::Pull { message } => message.insert_str(0, &format!("{what}: ")),
            _ => {}
        }
        self
    }
}

/// What every tool says, then what it is.
fn grammar(reason: &str) -> String {
    match reason {
        reference::UPPERCASE | reference::EMPTY => reason.to_owned(),
        reason => format!("invalid reference format: {reason}"),
    }
}

fn which_registry(candidates: &[String]) -> String {
    match candidates {
        [] => "did not resolve to an alias, and unqualified-search-registries of registries.conf is empty".to_owned(),
        candidates => format!("does not say which registry is meant; write one of {}", candidates.join(", ")),
    }
}

/// A port where nobody listens and a name nobody knows do not get better within seconds.
fn refused(message: &str) -> bool {
    ["connection refused", "no such host", "network is unreachable"].iter().any(|text| message.contains(text))
}
