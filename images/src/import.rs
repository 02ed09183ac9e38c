//! A file system in a tarball becomes an image of one layer.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use storage::Store;

use crate::archive::{self, Filter, Input};
use crate::commit::{CommitRequest, Content, commit};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::places::Places;
use crate::platform::Platform;
use crate::progress::Progress;
use crate::{events, trust};

#[derive(Clone, Debug)]
pub struct ImportOptions {
    pub changes: Vec<String>,
    pub message: Option<String>,
    pub platform: Option<Platform>,
    pub progress: Progress,
    pub places: Places,
}

impl Default for ImportOptions {
    fn default() -> Self {
        ImportOptions {
            changes: Vec::new(),
            message: None,
            platform: None,
            progress: Progress::default(),
            places: Places::from_environment(),
        }
    }
}

/// `source` is a path, `-` for standard input, or a URL. The tarball may be compressed.
pub fn import(store: &Store, source: &str, reference: Option<&str>, options: &ImportOptions) -> Result<Image> {
    trust::admit_tarball(&options.places, source)?;
    let mut created = None;
    let reader: Box<dyn Read + Send> = match source {
        "-" => Box::new(std::io::stdin()),
        url if url.starts_with("http://") || url.starts_with("https://") => fetch(url)?,
        path => {
            let file = File::open(path).map_err(Error::file(path))?;
            // As Podman: the same file makes the same image.
            let modified = file.metadata().and_then(|about| about.modified()).map_err(Error::file(path))?;
            created = Timestamp::try_from(modified).ok();
            Box::new(file)
        }
    };
    let mut request = CommitRequest::new(None, Content::Tar(archive::layer_stream(reader, Path::new(source))?));
    request.changes = options.changes.clone();
    request.platform = options.platform.clone();
    request.message = Some(options.message.clone().unwrap_or_else(|| "imported from tarball".to_owned()));
    request.created = created;
    request.progress = options.progress;
    request.names = reference.map(str::to_owned).into_iter().collect();
    let image = commit(store, request)?;
    if let Some(name) = reference {
        events::record(store, "tag", &image.id, name);
    }
    Ok(image)
}

/// What a URL gives, as a stream. curl knows proxies, certificates and redirects; it is on most machines.
pub fn fetch(url: &str) -> Result<Box<dyn Read + Send>> {
    let mut command = Command::new("curl");
    // Only these two after a redirect too: a server must not send us to file://.
    command.args(["-fsSL", "--proto", "=http,https", "--proto-redir", "=http,https", "--", url]);
    match Filter::start("curl", &mut command, Input::Nothing) {
        Ok(filter) => Ok(Box::new(filter)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::Unsupported {
            what: format!("importing from {url}"),
            reason: "the program curl is not installed".to_owned(),
        }),
        Err(error) => Err(Error::file("curl")(error)),
    }
}
