//! Images into an archive or a directory.

use std::io::Write;
use std::path::Path;
use std::str::FromStr;

use storage::Store;

use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaveFormat {
    #[default]
    DockerArchive,
    OciArchive,
    OciDir,
    DockerDir,
}

impl FromStr for SaveFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<SaveFormat> {
        match text {
            "docker-archive" | "" => Ok(SaveFormat::DockerArchive),
            "oci-archive" => Ok(SaveFormat::OciArchive),
            "oci-dir" => Ok(SaveFormat::OciDir),
            "docker-dir" => Ok(SaveFormat::DockerDir),
            _ => Err(Error::InvalidValue {
                what: "save format",
                value: text.to_owned(),
                reason: "use docker-archive, oci-archive, oci-dir or docker-dir".to_owned(),
            }),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct SaveOptions {
    pub format: SaveFormat,
    /// Several images in one archive; without it further names are names of the first image.
    pub multi_image: bool,
    /// Compress the layers of a directory.
    pub compress: bool,
    /// Write the layers of an OCI archive or directory without compression.
    pub uncompressed: bool,
}

/// Where to.
pub enum SaveTarget<'a> {
    /// Archives only.
    Stream(&'a mut dyn Write),
    Path(&'a Path),
}

pub fn save(store: &Store, names: &[&str], target: SaveTarget<'_>, options: &SaveOptions) -> Result<()> {
    let _ = (store, names, target, options);
    unimplemented!()
}
