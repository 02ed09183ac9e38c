//! COPY and ADD.

use std::fs;
use std::path::{Path, PathBuf};

use containers::{Endpoint, Working};
use storage::{Algorithm, Hasher, Staging};

use super::Stage;
use crate::act::copy::{self, Attributes, Destination};
use crate::error::{Error, Result};
use crate::instruction::Copy;
use crate::lines;
use crate::pattern::Ignore;
use crate::words;

impl Stage<'_, '_> {
    /// COPY with its variables replaced.
    pub(super) fn expanded(&self, copy: &Copy) -> Result<Copy> {
        let some = |text: &Option<String>| text.as_deref().map(|text| self.expand(text)).transpose();
        let mut sources = Vec::new();
        for source in &copy.sources {
            // A here-document has been read already.
            match source.trim_start_matches(|letter: char| letter.is_ascii_digit()).starts_with("<<") {
                true => {}
                false => sources.push(self.expand(source)?),
            }
        }
        Ok(Copy {
            from: some(&copy.from)?,
            chown: some(&copy.chown)?,
            chmod: some(&copy.chmod)?,
            checksum: some(&copy.checksum)?,
            exclude: copy.exclude.iter().map(|pattern| self.expand(pattern)).collect::<Result<_>>()?,
            destination: self.expand(&copy.destination)?,
            sources,
            ..copy.clone()
        })
    }

    pub(super) fn document(&self, document: &lines::Heredoc) -> Result<String> {
        match document.expands {
            false => Ok(document.content.clone()),
            true => words::expand_document(&document.content, self.build.file.escape, &|name| self.lookup(name))
                .map_err(Error::Invalid),
        }
    }

    /// Carries out COPY or ADD.
    pub(super) fn copy(&self, copy: &Copy, working: &Working<'_>) -> Result<()> {
        let copy = self.expanded(copy)?;
        let image = working.files()?;
        let owner = copy.chown.as_deref().map(|owner| image.account(owner)).transpose()?;
        let mode = copy.chmod.as_deref().map(str::parse).transpose().map_err(Error::Invalid)?;
        let attributes = Attributes { owner, mode, exclude: exclude(&copy) };
        let (urls, sources) = split_urls(&copy);
        let count = copy.heredocs.len() + urls.len();
        let made_for = owner.unwrap_or_default();
        let workdir = &self.settings.working_dir;
        let destination =
            |sources: usize| Destination::new(&image, &copy.destination, workdir, sources).map_err(Error::Invalid);
        if !workdir.is_empty() {
            image.make_directory(Path::new(workdir), (0, 0))?;
        }
        let nothing = Endpoint::of_directory(&self.build.options.context.path)?;
        for document in &copy.heredocs {
            let to = destination(count + sources.len())?;
            let content = self.document(document)?.into_bytes();
            let item = copy::written(content, &document.name, 0o644, &to, &attributes);
            copy::carry(&nothing, &[item], &image, made_for)?;
        }
        for url in urls {
            let to = destination(count + sources.len())?;
            let fetched = self.fetch(url, copy.checksum.as_deref())?;
            if copy.unpack == Some(true) {
                let file = fs::File::open(&fetched.path).map_err(Error::io(&fetched.path))?;
                unpack(file, Path::new(url), &to, &image, owner)?;
                continue;
            }
            let content = fs::read(&fetched.path).map_err(Error::io(&fetched.path))?;
            let item = copy::written(content, &fetched.name, 0o600, &to, &attributes);
            copy::carry(&nothing, &[item], &image, made_for)?;
        }
        if sources.is_empty() {
            return Ok(());
        }
        self.with_origin(&copy, |tree| {
            let found = copy::find(tree, &sources).map_err(Error::Invalid)?;
            let to = destination(count + found.len())?;
            let mut plain = Vec::new();
            for one in found {
                let path = &one.path;
                let is_file = tree.files.followed(path)?.is_some_and(|entry| entry.kind == containers::EntryKind::File);
                if copy.adds && copy.unpack != Some(false) && is_file && copy::is_archive(tree.files, path)? {
                    unpack(tree.files.open_file(path)?, path, &to, &image, owner)?;
                } else {
                    plain.push(one);
                }
            }
            let items = copy::collect(tree, &plain, &to, &attributes, copy.parents)?;
            if items.is_empty() && !plain.is_empty() {
                // An empty directory makes one.
                image.make_directory(&to.path, made_for)?;
            }
            copy::carry(tree.files, &items, &image, made_for)
        })
    }

    /// Fetches a URL into a file that is there as long as the answer.
    pub(super) fn fetch(&self, url: &str, checksum: Option<&str>) -> Result<Fetched> {
        let staging = self.build.engine.store.staging()?;
        let path = staging.path().join("fetched");
        let mut file = fs::File::create(&path).map_err(Error::io(&path))?;
        let mut reader = images::fetch(url)?;
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = std::io::Read::read(&mut reader, &mut buffer).map_err(Error::io(url))?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            std::io::Write::write_all(&mut file, &buffer[..count]).map_err(Error::io(&path))?;
        }
        let digest = hasher.finish().to_string();
        if let Some(wanted) = checksum.filter(|wanted| **wanted != digest) {
            return Err(Error::Invalid(format!("{url}: its digest is {digest}, not {wanted}")));
        }
        let without_query = url.split(['?', '#']).next().unwrap_or(url);
        let name = without_query.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("index.html");
        Ok(Fetched { path, name: name.to_owned(), digest, _staging: staging })
    }
}

pub(super) struct Fetched {
    path: PathBuf,
    name: String,
    pub(super) digest: String,
    _staging: Staging,
}

pub(super) fn exclude(copy: &Copy) -> Ignore {
    Ignore::of(copy.exclude.iter().map(String::as_str))
}

/// ADD takes URLs too.
pub(super) fn split_urls(copy: &Copy) -> (Vec<&str>, Vec<String>) {
    let is_url = |source: &str| copy.adds && (source.starts_with("http://") || source.starts_with("https://"));
    let urls = copy.sources.iter().map(String::as_str).filter(|source| is_url(source)).collect();
    (urls, copy.sources.iter().filter(|source| !is_url(source)).cloned().collect())
}

fn unpack(archive: fs::File, name: &Path, to: &Destination, image: &Endpoint, owner: Option<(u32, u32)>) -> Result<()> {
    image.make_directory(&to.path, owner.unwrap_or_default())?;
    let mut plain = images::decompressed_file(archive, name)?;
    let options = containers::CopyOptions { owner, overwrite: true };
    Ok(image.unpack(&to.path, &mut plain, &options)?)
}
