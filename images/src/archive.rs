//! Images in files: Docker archives, OCI archives and layouts, `dir` directories.
//!
//! Read without skopeo. A member is read at its offset, so several layers of one archive can be unpacked at once; a
//! compressed or piped archive is written out first.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use storage::{Digest, Staging, Store};

use crate::error::{Error, Result};
use crate::platform::{self, Platform};
use crate::reference::Transport;

/// Manifests and configurations are read whole; no honest one comes near this.
const MAX_DOCUMENT: u64 = 16 << 20;

/// A file or directory that holds images.
pub(crate) struct Archive {
    path: PathBuf,
    members: Members,
    /// Holds the copy of a compressed archive.
    _spool: Option<Staging>,
}

enum Members {
    Directory,
    Tar { file: Arc<File>, index: HashMap<PathBuf, Member> },
}

enum Member {
    File { offset: u64, size: u64 },
    Link(PathBuf),
}

/// One image of an archive.
#[derive(Debug)]
pub(crate) struct Found {
    /// As the archive has them: full names, short names, or just a tag.
    pub(crate) names: Vec<String>,
    /// `None` in Docker archives, which have none.
    pub(crate) manifest: Option<Vec<u8>>,
    pub(crate) config: Vec<u8>,
    pub(crate) layers: Vec<FoundLayer>,
}

#[derive(Debug)]
pub(crate) struct FoundLayer {
    pub(crate) member: PathBuf,
    /// Of the bytes as they are in the archive.
    pub(crate) digest: Option<Digest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: PathBuf,
    repo_tags: Option<Vec<String>>,
    layers: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    #[serde(default)]
    pub(crate) manifests: Vec<Descriptor>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) digest: Digest,
    /// Bytes.
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) platform: Option<DescriptorPlatform>,
    #[serde(default)]
    pub(crate) annotations: HashMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DescriptorPlatform {
    pub(crate) architecture: String,
    pub(crate) os: String,
    #[serde(default)]
    pub(crate) variant: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Manifest {
    pub(crate) config: Option<Descriptor>,
    #[serde(default)]
    pub(crate) layers: Vec<Descriptor>,
}

impl Archive {
    /// Opens what is at `path`, of whatever kind it is.
    pub(crate) fn open(store: &Store, path: &Path) -> Result<Archive> {
        let file = match path.to_str() {
            // Not by its name: that would open it anew, and a pipe of another user cannot be.
            Some("-" | "/dev/stdin") => io::stdin().as_fd().try_clone_to_owned().map(File::from),
            _ => File::open(path),
        };
        let file = file.map_err(Error::file(path))?;
        if file.metadata().map_err(Error::file(path))?.is_dir() {
            return Ok(Archive { path: path.to_owned(), members: Members::Directory, _spool: None });
        }
        let (file, spool) = seekable(store, file, path)?;
        let index = index(&file, path)?;
        Ok(Archive { path: path.to_owned(), members: Members::Tar { file: Arc::new(file), index }, _spool: spool })
    }

    /// By what it is, not by its name.
    pub(crate) fn transport(&self) -> Transport {
        match &self.members {
            Members::Directory if self.path.join("manifest.json").exists() => Transport::Dir,
            Members::Directory => Transport::Oci,
            Members::Tar { index, .. } if index.contains_key(Path::new("manifest.json")) => Transport::DockerArchive,
            Members::Tar { .. } => Transport::OciArchive,
        }
    }

    /// The images in it. Of an index over several platforms, the one for `platform`.
    pub(crate) fn images(&self, platform: Option<&Platform>) -> Result<Vec<Found>> {
        // Newer Docker archives are both; the names are better in Docker's file.
        if let Some(bytes) = self.document_if_there(Path::new("manifest.json"))? {
            return match serde_json::from_slice(&bytes) {
                Ok(Value::Array(_)) => self.docker_images(&bytes),
                Ok(_) => Ok(vec![self.dir_image(bytes, platform)?]),
                Err(error) => Err(self.bad(format!("manifest.json is no JSON: {error}"))),
            };
        }
        match self.document_if_there(Path::new("index.json"))? {
            Some(bytes) => self.layout_images(&bytes, platform),
            None => Err(self.bad("it has neither manifest.json nor index.json".to_owned())),
        }
    }

    fn docker_images(&self, bytes: &[u8]) -> Result<Vec<Found>> {
        let entries: Vec<DockerEntry> =
            serde_json::from_slice(bytes).map_err(|error| self.bad(format!("manifest.json: {error}")))?;
        let mut images = Vec::new();
        for entry in entries {
            let layers = entry.layers.into_iter().map(|member| FoundLayer { member, digest: None }).collect();
            let config = self.document(&entry.config)?;
            images.push(Found { names: entry.repo_tags.unwrap_or_default(), manifest: None, config, layers });
        }
        Ok(images)
    }

    fn layout_images(&self, bytes: &[u8], platform: Option<&Platform>) -> Result<Vec<Found>> {
        let index: Index = serde_json::from_slice(bytes).map_err(|error| self.bad(format!("index.json: {error}")))?;
        let blob = |digest: &Digest| Path::new("blobs").join(digest.algorithm().as_str()).join(digest.hex());
        let mut images = Vec::new();
        for descriptor in index.manifests {
            let annotation = |key: &str| descriptor.annotations.get(key).cloned();
            let name = annotation("io.containerd.image.name").or(annotation("org.opencontainers.image.ref.name"));
            let manifest = self.checked(&blob(&descriptor.digest), &descriptor.digest)?;
            images.push(self.image(name.into_iter().collect(), manifest, platform, &blob)?);
        }
        Ok(images)
    }

    fn dir_image(&self, manifest: Vec<u8>, platform: Option<&Platform>) -> Result<Found> {
        let name = |digest: &Digest| {
            let plain = PathBuf::from(digest.hex());
            let instance = PathBuf::from(format!("{}.manifest.json", digest.hex()));
            if self.has(&plain) { plain } else { instance }
        };
        self.image(Vec::new(), manifest, platform, &name)
    }

    /// Follows a manifest, through an index where there is one, to configuration and layers.
    fn image(
        &self,
        names: Vec<String>,
        mut manifest: Vec<u8>,
        platform: Option<&Platform>,
        place: &dyn Fn(&Digest) -> PathBuf,
    ) -> Result<Found> {
        // An index in an index in an index: nobody means that.
        for _ in 0..4 {
            let parsed: Value = serde_json::from_slice(&manifest)
                .map_err(|error| self.bad(format!("a manifest is no JSON: {error}")))?;
            if parsed.get("manifests").is_none() {
                break;
            }
            let index: Index =
                serde_json::from_value(parsed).map_err(|error| self.bad(format!("a manifest list: {error}")))?;
            let chosen = platform::choose(&index.manifests, platform).ok_or_else(|| Error::NoPlatform {
                reference: self.path.display().to_string(),
                platform: platform::describe(platform),
            })?;
            manifest = self.checked(&place(&chosen.digest), &chosen.digest)?;
        }
        let parsed: Manifest =
            serde_json::from_slice(&manifest).map_err(|error| self.bad(format!("a manifest: {error}")))?;
        let config = parsed.config.ok_or_else(|| self.bad("Docker schema 1 images are not supported".to_owned()))?;
        let config = self.checked(&place(&config.digest), &config.digest)?;
        let layers = parsed
            .layers
            .into_iter()
            .map(|layer| FoundLayer { member: place(&layer.digest), digest: Some(layer.digest) })
            .collect();
        Ok(Found { names, manifest: Some(manifest), config, layers })
    }

    /// A member as a stream.
    pub(crate) fn read(&self, member: &Path) -> Result<Box<dyn Read + Send>> {
        let missing = || self.bad(format!("{} is missing", member.display()));
        match &self.members {
            Members::Directory => {
                let path = self.path.join(inside(member).ok_or_else(missing)?);
                match File::open(&path) {
                    Ok(file) => Ok(Box::new(file)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing()),
                    Err(error) => Err(Error::file(path)(error)),
                }
            }
            Members::Tar { file, index } => {
                let mut name = inside(member).ok_or_else(missing)?;
                // Old archives share layers by links; a circle of them ends here.
                for _ in 0..8 {
                    match index.get(&name).ok_or_else(missing)? {
                        Member::File { offset, size } => {
                            let slice = Slice { file: Arc::clone(file), position: *offset, end: offset + size };
                            return Ok(Box::new(slice));
                        }
                        Member::Link(target) => name = target.clone(),
                    }
                }
                Err(missing())
            }
        }
    }

    fn has(&self, member: &Path) -> bool {
        match &self.members {
            Members::Directory => self.path.join(member).exists(),
            Members::Tar { index, .. } => index.contains_key(member),
        }
    }

    fn document(&self, member: &Path) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let path = self.path.join(member);
        self.read(member)?.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(Error::file(path))?;
        match bytes.len() as u64 > MAX_DOCUMENT {
            true => Err(self.bad(format!("{} is larger than {MAX_DOCUMENT} bytes", member.display()))),
            false => Ok(bytes),
        }
    }

    fn document_if_there(&self, member: &Path) -> Result<Option<Vec<u8>>> {
        if self.has(member) { self.document(member).map(Some) } else { Ok(None) }
    }

    fn checked(&self, member: &Path, digest: &Digest) -> Result<Vec<u8>> {
        let bytes = self.document(member)?;
        let found = Digest::of(&bytes);
        match digest.algorithm() == found.algorithm() && *digest != found {
            true => Err(Error::DigestMismatch {
                what: self.path.join(member).display().to_string(),
                expected: digest.to_string(),
                found: found.to_string(),
            }),
            false => Ok(bytes),
        }
    }

    fn bad(&self, reason: String) -> Error {
        Error::BadArchive { path: self.path.clone(), reason }
    }
}

/// A part of a file, read without moving its position.
struct Slice {
    file: Arc<File>,
    position: u64,
    end: u64,
}

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let count = self.file.read_at(&mut buffer[..wanted], self.position)?;
        if count == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += count as u64;
        Ok(count)
    }
}

/// The path without `.` and `..`; `None` where it leads out.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir => clean.pop().then_some(())?,
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

fn index(file: &File, path: &Path) -> Result<HashMap<PathBuf, Member>> {
    // The reader's message may hold half of the file: its first line says enough.
    let bad = |error: io::Error| {
        let text = error.to_string();
        let reason = match text.starts_with("numeric field was not a number") {
            true => "it is no tar archive".to_owned(),
            false => text.lines().next().unwrap_or_default().to_owned(),
        };
        Error::BadArchive { path: path.to_owned(), reason }
    };
    let mut index = HashMap::new();
    let mut archive = tar::Archive::new(BufReader::new(file));
    for entry in archive.entries_with_seek().map_err(bad)? {
        let entry = entry.map_err(bad)?;
        let Some(name) = inside(&entry.path().map_err(bad)?) else { continue };
        let member = match entry.header().entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                Member::File { offset: entry.raw_file_position(), size: entry.size() }
            }
            kind @ (tar::EntryType::Symlink | tar::EntryType::Link) => {
                let Some(target) = entry.link_name().map_err(bad)? else { continue };
                let base = match kind {
                    tar::EntryType::Symlink => name.parent().unwrap_or(Path::new("")).to_owned(),
                    _ => PathBuf::new(),
                };
                let Some(target) = inside(&base.join(target)) else { continue };
                Member::Link(target)
            }
            _ => continue,
        };
        index.insert(name, member);
    }
    match index.is_empty() {
        true => {
            Err(Error::BadArchive { path: path.to_owned(), reason: "it is no tar archive, or an empty one".to_owned() })
        }
        false => Ok(index),
    }
}

/// The archive as a plain file: itself where it is one, else a decompressed copy in the store's staging.
fn seekable(store: &Store, mut file: File, path: &Path) -> Result<(File, Option<Staging>)> {
    let plain_file = file.metadata().map_err(Error::file(path))?.is_file();
    let mut magic = [0; 6];
    if plain_file {
        let count = file.read_at(&mut magic, 0).map_err(Error::file(path))?;
        if count >= 6 && compression(&magic).is_none() {
            file.seek(SeekFrom::Start(0)).map_err(Error::file(path))?;
            return Ok((file, None));
        }
    }
    let spool = store.staging()?;
    let copy = spool.path().join("archive");
    let mut out = File::options().read(true).write(true).create_new(true).open(&copy).map_err(Error::file(&copy))?;
    let mut plain = decompressed(Box::new(file), path)?;
    io::copy(&mut plain, &mut out).map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull => Error::NoSpace { what: path.display().to_string() },
        _ => Error::BadArchive { path: path.to_owned(), reason: error.to_string() },
    })?;
    out.seek(SeekFrom::Start(0)).map_err(Error::file(&copy))?;
    Ok((out, Some(spool)))
}

enum Compression {
    /// The store's own decoders know it.
    Known,
    /// A program of the host does.
    Program(&'static str),
}

fn compression(magic: &[u8]) -> Option<Compression> {
    match magic {
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Known),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Compression::Program("xz")),
        [b'B', b'Z', b'h', ..] => Some(Compression::Program("bzip2")),
        _ => None,
    }
}

/// Any stream without its compression: gzip and zstd by our own means, xz and bzip2 by the host's programs.
pub(crate) fn decompressed(reader: Box<dyn Read + Send>, path: &Path) -> Result<Box<dyn Read + Send>> {
    let (whole, kind) = sniff(reader, path)?;
    match kind {
        Some(Compression::Known) => Ok(storage::decompress(whole)?),
        Some(Compression::Program(program)) => by_program(program, Input::Stream(whole), path),
        None => Ok(whole),
    }
}

/// The same of a file, without a thread that feeds a program.
pub fn decompressed_file(mut file: File, path: &Path) -> Result<Box<dyn Read + Send>> {
    let mut magic = Vec::new();
    file.by_ref().take(6).read_to_end(&mut magic).map_err(Error::file(path))?;
    file.rewind().map_err(Error::file(path))?;
    match compression(&magic) {
        Some(Compression::Known) => Ok(storage::decompress(Box::new(file))?),
        Some(Compression::Program(program)) => by_program(program, Input::File(file), path),
        None => Ok(Box::new(file)),
    }
}

/// A stream that may become a layer as it is: only xz and bzip2, which layers cannot have, are taken off.
pub(crate) fn layer_stream(reader: Box<dyn Read + Send>, path: &Path) -> Result<Box<dyn Read + Send>> {
    let (whole, kind) = sniff(reader, path)?;
    match kind {
        Some(Compression::Program(program)) => by_program(program, Input::Stream(whole), path),
        Some(Compression::Known) | None => Ok(whole),
    }
}

fn sniff(mut reader: Box<dyn Read + Send>, path: &Path) -> Result<(Box<dyn Read + Send>, Option<Compression>)> {
    let mut magic = Vec::new();
    reader.by_ref().take(6).read_to_end(&mut magic).map_err(Error::file(path))?;
    let kind = compression(&magic);
    Ok((Box::new(io::Cursor::new(magic).chain(reader)), kind))
}

fn by_program(program: &'static str, input: Input, path: &Path) -> Result<Box<dyn Read + Send>> {
    match Filter::start(program, Command::new(program).arg("-dc"), input) {
        Ok(filter) => Ok(Box::new(filter)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Unsupported {
            what: format!("{program} compression of {}", path.display()),
            reason: format!("the program {program} is not installed"),
        }),
        Err(error) => Err(Error::file(path)(error)),
    }
}

/// What a child reads.
pub(crate) enum Input {
    Nothing,
    File(File),
    /// A thread feeds it.
    Stream(Box<dyn Read + Send>),
}

/// The output of a child, as a stream that fails when the child does.
pub(crate) struct Filter {
    child: Child,
    program: &'static str,
    done: bool,
}

impl Filter {
    pub(crate) fn start(program: &'static str, command: &mut Command, input: Input) -> io::Result<Filter> {
        let (stdin, stream) = match input {
            Input::Nothing => (Stdio::null(), None),
            Input::File(file) => (file.into(), None),
            Input::Stream(stream) => (Stdio::piped(), Some(stream)),
        };
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).spawn()?;
        if let (Some(mut input), Some(mut stdin)) = (stream, child.stdin.take()) {
            std::thread::spawn(move || {
                // A broken pipe means the child has failed, which its exit status tells.
                let _ = io::copy(&mut input, &mut stdin);
            });
        }
        Ok(Filter { child, program, done: false })
    }
}

impl Read for Filter {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.done {
            return Ok(0);
        }
        let Some(stdout) = self.child.stdout.as_mut() else { return Ok(0) };
        let count = stdout.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            self.done = true;
            if !self.child.wait()?.success() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} failed", self.program)));
            }
        }
        Ok(count)
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        if !self.done {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
