//! Files of the host become an artifact, or part of one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};

use jiff::Timestamp;
use storage::{Digest, Store};

use super::manifest::{Descriptor, EMPTY_CONTENT, Manifest, TITLE};
use super::record::{Artifact, read, write};
use super::{files, media_type};
use crate::error::{Error, Result};
use crate::reference::Reference;

/// A file that is to be added.
#[derive(Debug)]
pub struct Input {
    /// Its name in the artifact.
    pub title: String,
    pub file: File,
}

/// What to do where the name is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Onto {
    /// Refuse.
    #[default]
    Nothing,
    Replace,
    /// The artifact must be there.
    Append,
}

#[derive(Clone, Debug, Default)]
pub struct AddOptions {
    pub onto: Onto,
    /// Of the artifact.
    pub artifact_type: String,
    /// The media type of the files, instead of one by their content.
    pub file_type: Option<String>,
    /// For the files, and for a new artifact itself.
    pub annotations: BTreeMap<String, String>,
}

/// Stores the files and then the record that names them.
pub fn add(store: &Store, name: &str, inputs: Vec<Input>, options: &AddOptions) -> Result<Artifact> {
    name.parse::<Reference>()?;
    // Until the record is there nothing may be collected.
    let adding = store.adding()?;
    let known = read(store, name)?;
    let mut manifest = match (known, options.onto) {
        (Some(known), Onto::Append) => known.manifest,
        (None, Onto::Append) => return Err(Error::ArtifactNotFound { name: name.to_owned() }),
        (Some(_), Onto::Nothing) => return Err(Error::ArtifactExists { name: name.to_owned() }),
        (Some(_), Onto::Replace) | (None, Onto::Replace | Onto::Nothing) => {
            Manifest::new(&options.artifact_type, &options.annotations, Timestamp::now())
        }
    };
    let before = Digest::of(&bytes_of(&manifest)?);
    let mut titles: Vec<String> = manifest.layers.iter().filter_map(Descriptor::title).map(str::to_owned).collect();
    for input in &inputs {
        files::check_title(&input.title)?;
        if titles.contains(&input.title) {
            return Err(Error::ArtifactBlob { reason: format!("{}: file already exists in artifact", input.title) });
        }
        titles.push(input.title.clone());
    }
    for input in inputs {
        manifest.layers.push(store_file(store, input, options)?);
    }
    if manifest.config.digest == Digest::of(EMPTY_CONTENT) {
        store.put_blob(EMPTY_CONTENT)?;
    }
    let digest = store.put_blob(&bytes_of(&manifest)?)?;
    let artifact = Artifact { name: name.to_owned(), digest, stored: Timestamp::now(), manifest };
    let _lock = store.lock()?;
    // Somebody else may have been faster: what is there now is not what was added to.
    match (read(store, name)?, options.onto) {
        (Some(_), Onto::Nothing) => return Err(Error::ArtifactExists { name: name.to_owned() }),
        (Some(now), Onto::Append) if now.digest != before => {
            let reason = format!("{name}: the artifact was changed by another command meanwhile; try again");
            return Err(Error::ArtifactBlob { reason });
        }
        (None, Onto::Append) => return Err(Error::ArtifactNotFound { name: name.to_owned() }),
        (Some(_), Onto::Append | Onto::Replace) | (None, Onto::Nothing | Onto::Replace) => {}
    }
    write(store, &artifact)?;
    drop(adding);
    Ok(artifact)
}

fn bytes_of(manifest: &Manifest) -> Result<Vec<u8>> {
    serde_json::to_vec(manifest).map_err(|error| Error::file("manifest")(error.into()))
}

fn store_file(store: &Store, mut input: Input, options: &AddOptions) -> Result<Descriptor> {
    let failed = |source: io::Error| Error::file(&input.title)(source);
    let mut start = Vec::new();
    (&mut input.file).take(media_type::LENGTH as u64).read_to_end(&mut start).map_err(failed)?;
    let mut writer = store.blob_writer()?;
    writer.write_all(&start).and_then(|()| io::copy(&mut input.file, &mut writer)).map_err(failed)?;
    let size = writer.size();
    let mut annotations = BTreeMap::from([(TITLE.to_owned(), input.title.clone())]);
    annotations.extend(options.annotations.clone());
    let media_type = options.file_type.clone().unwrap_or_else(|| media_type::of(&start).to_owned());
    Ok(Descriptor { media_type, digest: writer.commit(None)?, size, annotations, data: String::new() })
}
