//! The blobs of an artifact as files: which are meant, what they are called, and their way out of the store.
//!
//! Titles come from whoever pushed the artifact. They become file names only when they can be nothing else.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use storage::{Digest, Hasher, Store};

use super::manifest::Descriptor;
use super::record::Artifact;
use crate::error::{Error, Result};

/// Which blobs are meant; all, where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlobChoice {
    pub title: Option<String>,
    pub digest: Option<String>,
}

/// A blob, and the name it has as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobFile {
    pub digest: Digest,
    /// One component of a path. `Err` is why its title cannot be that.
    name: std::result::Result<String, String>,
}

impl BlobFile {
    pub fn name(&self) -> Result<&str> {
        self.name.as_deref().map_err(|reason| Error::ArtifactBlob { reason: reason.clone() })
    }
}

/// A title that is one component of a path.
pub(super) fn check_title(title: &str) -> Result<()> {
    let reason = match title {
        "." | ".." => format!("invalid name: {title:?} is a directory: artifact blob title invalid"),
        _ if title.contains('/') => format!("invalid name: {title:?} cannot contain /: artifact blob title invalid"),
        _ if title.contains('\0') => format!("invalid name: {title:?} cannot contain \\0: artifact blob title invalid"),
        _ => return Ok(()),
    };
    Err(Error::ArtifactBlob { reason })
}

fn blob_file(layer: &Descriptor) -> BlobFile {
    let name = match layer.title() {
        Some(title) => check_title(title).map(|()| title.to_owned()).map_err(|error| error.to_string()),
        None => Ok(layer.digest.to_string().replace(':', "-")),
    };
    BlobFile { digest: layer.digest.clone(), name }
}

/// The blobs that are meant; at least one.
pub fn blob_files(artifact: &Artifact, choice: &BlobChoice) -> Result<Vec<BlobFile>> {
    let wrong = |reason: String| Err(Error::ArtifactBlob { reason });
    let layers = &artifact.manifest.layers;
    let one = |found: Vec<&Descriptor>, missing: String, several: String| match found.as_slice() {
        [] => wrong(missing),
        [layer] => Ok(vec![blob_file(layer)]),
        _ => wrong(several),
    };
    match (&choice.title, &choice.digest) {
        (Some(_), Some(_)) => wrong("cannot specify both digest and title".to_owned()),
        (Some(title), None) => one(
            layers.iter().filter(|layer| layer.title() == Some(title)).collect(),
            format!("no blob with the title {title:?}"),
            format!("several blobs have the title {title:?}: name one by its digest"),
        ),
        (None, Some(digest)) => one(
            layers.iter().find(|layer| layer.digest.to_string() == *digest).into_iter().collect(),
            format!("no blob with the digest {digest:?}"),
            String::new(),
        ),
        (None, None) if layers.is_empty() => wrong("the artifact has no blobs, nothing to extract".to_owned()),
        (None, None) => Ok(layers.iter().map(blob_file).collect()),
    }
}

/// Refuses files that would take each other's place.
fn check_distinct(files: &[BlobFile]) -> Result<()> {
    for (at, file) in files.iter().enumerate() {
        let name = file.name()?;
        if files[..at].iter().any(|other| other.name.as_deref() == Ok(name)) {
            let reason = format!(
                "annotation \"org.opencontainers.image.title\":{name:?} is used in multiple different layers within artifact"
            );
            return Err(Error::ArtifactBlob { reason });
        }
    }
    Ok(())
}

/// The name of each file where all of them lie in one directory; nothing is missing, nothing is there twice.
pub fn names_in_directory(files: &[BlobFile]) -> Result<Vec<&str>> {
    check_distinct(files)?;
    files.iter().map(BlobFile::name).collect()
}

/// Copies blobs to `target`: into it where it is a directory, else a single one to be that file. Everything that can be
/// known to fail does so before the first file is written.
pub fn extract(store: &Store, artifact: &Artifact, choice: &BlobChoice, target: &Path) -> Result<()> {
    let files = blob_files(artifact, choice)?;
    if target.is_dir() {
        let names = names_in_directory(&files)?;
        return files.iter().zip(names).try_for_each(|(file, name)| copy_out(store, &file.digest, &target.join(name)));
    }
    match files.as_slice() {
        [file] => copy_out(store, &file.digest, target),
        _ => Err(Error::ArtifactBlob {
            reason: format!(
                "the artifact consists of several blobs and the target {:?} is not a directory and neither digest or \
                 title was specified to only copy a single blob",
                target.display().to_string()
            ),
        }),
    }
}

/// Checks what it copies; a damaged blob is an error and leaves no whole file.
fn copy_out(store: &Store, digest: &Digest, target: &Path) -> Result<()> {
    let mut blob = store.open_blob(digest)?;
    let mut file = File::create(target).map_err(|source| Error::ArtifactBlob {
        reason: format!("failed to create target file: open {}: {source}", target.display()),
    })?;
    let mut hasher = Hasher::new(digest.algorithm());
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = blob.read(&mut buffer).map_err(Error::file(store.blob_path(digest)))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        file.write_all(&buffer[..count]).map_err(Error::file(target))?;
    }
    let found = hasher.finish();
    if found != *digest {
        // What it is not must not be taken for it. A device or a pipe keeps its length.
        let _ = file.set_len(0);
        return Err(Error::DigestMismatch {
            what: "a blob of the store".to_owned(),
            expected: digest.to_string(),
            found: found.to_string(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::super::manifest::{Manifest, TITLE};
    use super::*;

    fn artifact(titles: &[Option<&str>]) -> Artifact {
        let mut manifest = Manifest::new("", &BTreeMap::new(), Timestamp::UNIX_EPOCH);
        for (at, title) in titles.iter().enumerate() {
            let annotations = title.iter().map(|title| (TITLE.to_owned(), (*title).to_owned())).collect();
            let digest = Digest::of(at.to_string().as_bytes());
            manifest.layers.push(Descriptor {
                media_type: String::new(),
                digest,
                size: 1,
                annotations,
                data: String::new(),
            });
        }
        let digest = Digest::of(b"");
        Artifact { name: "x".to_owned(), digest, stored: Timestamp::UNIX_EPOCH, manifest }
    }

    fn names(titles: &[Option<&str>]) -> std::result::Result<Vec<String>, String> {
        let files = blob_files(&artifact(titles), &BlobChoice::default()).map_err(|error| error.to_string())?;
        let names = names_in_directory(&files).map_err(|error| error.to_string())?;
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn titles_that_are_no_file_names_are_refused() {
        for title in ["../x", "/etc/passwd", "a/b", ".", "..", "a\0b", "/"] {
            let error = names(&[Some("fine"), Some(title)]).unwrap_err();
            assert!(error.ends_with("artifact blob title invalid"), "{title:?}: {error}");
        }
        assert_eq!(names(&[Some("...")]).unwrap(), ["..."]);
        assert!(names(&[Some("x"), Some("x")]).unwrap_err().contains("multiple different layers"));
    }

    #[test]
    fn a_blob_without_a_title_is_called_by_its_digest() {
        let expected = Digest::of(b"0").to_string().replace(':', "-");
        assert_eq!(names(&[None]).unwrap(), [expected.as_str()]);
        assert_eq!(names(&[Some("")]).unwrap(), [expected]);
    }

    #[test]
    fn one_blob_can_be_chosen() {
        let artifact = artifact(&[Some("a"), Some("b")]);
        let choose = |title: Option<&str>, digest: Option<&str>| {
            let choice = BlobChoice { title: title.map(str::to_owned), digest: digest.map(str::to_owned) };
            blob_files(&artifact, &choice).map_err(|error| error.to_string())
        };
        assert_eq!(choose(Some("b"), None).unwrap()[0].digest, Digest::of(b"1"));
        assert_eq!(choose(None, Some(&Digest::of(b"1").to_string())).unwrap()[0].name().unwrap(), "b");
        assert_eq!(choose(Some("c"), None).unwrap_err(), "no blob with the title \"c\"");
        assert_eq!(choose(None, Some("5891")).unwrap_err(), "no blob with the digest \"5891\"");
        assert_eq!(choose(Some("a"), Some("b")).unwrap_err(), "cannot specify both digest and title");
    }
}
