use std::io;
use std::path::{Path, PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can be wrong with the store, divided by what one can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing by that name.
    #[error("no {kind} {name:?}")]
    NotFound { kind: &'static str, name: String },

    /// Choose another name, or remove the holder.
    #[error("the {kind} name {name:?} is in use by {holder}")]
    NameTaken { kind: String, name: String, holder: String },

    /// A name, digest or option that cannot be what it is given as.
    #[error("{value:?} is not a valid {what}: {why}")]
    Invalid { what: &'static str, value: String, why: &'static str },

    /// A file of ours that cannot be read as what it should be; everything else in the store goes on.
    #[error("{} is damaged: {why}", path.display())]
    Damaged { path: PathBuf, why: String },

    /// The store was written by a newer creel: that one is needed to read it.
    #[error("{} has version {found}, this creel knows {known}", path.display())]
    TooNew { path: PathBuf, found: u32, known: u32 },

    /// What the archive asks for is refused, or it is no archive.
    #[error("refused layer content at {entry:?}: {why}")]
    BadArchive { entry: String, why: String },

    /// Content is not what its name says: fetch it again.
    #[error("{what} is {found}, expected {expected}")]
    Mismatch { what: String, expected: String, found: String },

    /// A limit against hostile archives was met; the setting raises it.
    #[error("{what} exceeds the limit of {limit} (setting {setting})")]
    Limit { what: &'static str, limit: u64, setting: &'static str },

    /// More sub-ids are needed, or `ignore_chown_errors`.
    #[error("{entry:?} belongs to {kind} {id}, which the user namespace does not map (it has {mapped})")]
    UnmappedId { entry: String, kind: &'static str, id: u64, mapped: String },

    /// The disk or the quota is full.
    #[error("no space left while writing {}: {source}", path.display())]
    NoSpace { path: PathBuf, source: io::Error },

    /// This machine, kernel or format cannot do it; `why` says what would.
    #[error("{what} is not possible: {why}")]
    Unsupported { what: String, why: String },

    /// The kernel said no.
    #[error("{action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

impl Error {
    /// An error of the kernel about `path`; a full disk becomes [`Error::NoSpace`], an error of ours that travelled
    /// through [`io::Error`] comes out as it was.
    pub(crate) fn io(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Error {
        let source = source.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Error::NoSpace { path: path.to_owned(), source }
            }
            _ if source.get_ref().is_some_and(|inner| inner.is::<Error>()) => {
                match source.into_inner().map(|inner| inner.downcast::<Error>()) {
                    Some(Ok(inner)) => *inner,
                    Some(Err(other)) => Error::Io { action, path: path.to_owned(), source: io::Error::other(other) },
                    None => Error::Io { action, path: path.to_owned(), source: io::ErrorKind::Other.into() },
                }
            }
            _ => Error::Io { action, path: path.to_owned(), source },
        }
    }
}

/// Lets an error of the store pass through `Read` and `Write`; [`Error::io`] takes it out again.
impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        io::Error::other(error)
    }
}

/// `.at("cannot open"-like action, path)` on results of system calls.
pub(crate) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::io(action, path, source))
    }
}
