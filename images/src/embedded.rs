//! The image creel carries in itself: its own binary in an empty root, saying hello.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;

use jiff::Timestamp;
use storage::Store;

use crate::commit::{CommitRequest, Content, commit};
use crate::error::{Error, Result};
use crate::find;
use crate::image::Image;
use crate::settings::{Empty, Settings};

pub const NAME: &str = "localhost/creel/hello:latest";

/// Whether a name that was typed means the embedded image.
pub fn is_named(name: &str) -> bool {
    let name = name.strip_suffix(":latest").unwrap_or(name);
    matches!(name, "localhost/creel/hello" | "creel/hello")
}

const BINARY: &str = "/proc/self/exe";

/// The embedded image, made from `/proc/self/exe` where it is missing or from another binary.
pub fn ensure(store: &Store) -> Result<Image> {
    let binary = File::open(BINARY).map_err(Error::file(BINARY))?;
    let about = binary.metadata().map_err(Error::file(BINARY))?;
    if let Some(image) = find::find(store, NAME)?
        && let Some(top) = image.layers.last()
        && let Ok(there) = std::fs::metadata(store.layer_path(top).join("creel"))
        // The file in the layer has the size and the time of the binary it was made from: no need to read either.
        && (there.size(), there.mtime()) == (about.size(), about.mtime())
    {
        return Ok(image);
    }
    let staging = store.staging()?;
    let path = staging.path().join("root.tar");
    let mut archive =
        File::options().read(true).write(true).create_new(true).open(&path).map_err(Error::file(&path))?;
    write_root(&mut archive, binary, about.size(), about.mtime().unsigned_abs()).map_err(Error::file(&path))?;
    archive.rewind().map_err(Error::file(&path))?;
    let mut request = CommitRequest::new(None, Content::Tar(Box::new(archive)));
    request.settings = Some(Settings {
        entrypoint: Some(vec!["/creel".to_owned(), "__hello".to_owned()]),
        exposed_ports: BTreeMap::from([("8080/tcp".to_owned(), Empty {})]),
        env: vec!["PATH=/".to_owned()],
        working_dir: "/".to_owned(),
        labels: BTreeMap::from([
            ("org.opencontainers.image.title".to_owned(), "hello".to_owned()),
            ("org.opencontainers.image.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ]),
        ..Settings::default()
    });
    // The same binary gives the same image id.
    request.created = Timestamp::from_second(about.mtime()).ok();
    request.created_by = "creel".to_owned();
    request.names = vec![NAME.to_owned()];
    commit(store, request)
}

fn write_root(out: &mut File, binary: File, size: u64, mtime: u64) -> io::Result<()> {
    let mut archive = tar::Builder::new(io::BufWriter::new(out));
    let header = |mode: u32, size: u64, kind: tar::EntryType| {
        let mut header = tar::Header::new_ustar();
        header.set_mode(mode);
        header.set_size(size);
        header.set_entry_type(kind);
        header.set_mtime(mtime);
        header.set_uid(0);
        header.set_gid(0);
        header
    };
    for (path, mode) in [("etc/", 0o755), ("tmp/", 0o1777)] {
        archive.append_data(&mut header(mode, 0, tar::EntryType::Directory), path, io::empty())?;
    }
    let files = [
        ("etc/passwd", "root:x:0:0:root:/:/creel\nnobody:x:65534:65534:nobody:/:/creel\n"),
        ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ];
    for (path, text) in files {
        let mut header = header(0o644, text.len() as u64, tar::EntryType::Regular);
        archive.append_data(&mut header, path, text.as_bytes())?;
    }
    // A binary that is replaced meanwhile is still this one, by its open file.
    archive.append_data(&mut header(0o755, size, tar::EntryType::Regular), "creel", binary.take(size))?;
    archive.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(())
}
