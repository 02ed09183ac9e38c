//! What is built from: the Containerfiles, the directory of the context, and what is left out of it.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use ::build::{Context, Ignore};
use containers::{CopyOptions, Endpoint, Engine};
use storage::Staging;

use super::Args;
use super::git::{self, is_git};
use crate::arguments::go_quote;
use crate::error::{Failure, on_path};

/// See the module.
pub struct Source {
    /// Names and texts.
    pub files: Vec<(String, String)>,
    pub context: Context,
    /// Where the context lies that came as an archive; gone when dropped.
    pub staging: Option<Staging>,
}

const FILES: [&str; 2] = ["Containerfile", "Dockerfile"];
const IGNORE_FILES: [&str; 2] = [".containerignore", ".dockerignore"];

pub fn find(engine: &Engine, args: &Args) -> Result<Source, Failure> {
    let (root, staging, came) = match args.words.first().map(String::as_str) {
        Some("-") => unpacked(engine, "standard input", Box::new(io::stdin()))?,
        Some(url) if is_url(url) => unpacked(engine, url, images::fetch(url)?)?,
        Some(url) if is_git(url) => {
            let staging = engine.store.staging()?;
            let root = staging.path().join("context");
            fs::create_dir(&root).map_err(on_path("mkdir", &root))?;
            (git::fetch(url, &root)?, Some(staging), None)
        }
        Some(path) => (context_directory(path)?, None, None),
        None => (beside(args)?, None, None),
    };
    let (files, first) = match came {
        // What came was no archive: then it is the file itself.
        Some(text) if args.file.is_empty() => (vec![("Containerfile".to_owned(), text)], None),
        Some(_) => return Err(Failure::plain("the context is no archive and cannot be used together with -f")),
        None => files(&root, args)?,
    };
    let ignore = ignore(&root, args, first.as_deref())?;
    Ok(Source { files, context: Context { path: root, ignore }, staging })
}

/// A directory that is given a name.
pub fn directory(path: &str) -> Result<Context, Failure> {
    let path = context_directory(path)?;
    let ignore = read_ignore(&path)?;
    Ok(Context { path, ignore })
}

fn is_url(text: &str) -> bool {
    (text.starts_with("http://") || text.starts_with("https://")) && !is_git(text)
}

fn context_directory(typed: &str) -> Result<PathBuf, Failure> {
    let path = std::path::absolute(typed)?;
    match fs::metadata(&path) {
        Ok(about) if about.is_dir() => Ok(path.canonicalize()?),
        Ok(_) | Err(_) => {
            Err(Failure::plain(format!("context must be a directory: {}", go_quote(&path.display().to_string()))))
        }
    }
}

/// Without a context: the directory of the first file.
fn beside(args: &Args) -> Result<PathBuf, Failure> {
    let Some(first) = args.file.first().filter(|name| *name != "-" && !is_url(name)) else {
        if args.file.is_empty() {
            return Err(Failure::plain("no context directory and no Containerfile specified")
                .hint("name the directory with the Containerfile: creel build ."));
        }
        return Ok(std::env::current_dir()?);
    };
    let path = std::path::absolute(first)?;
    Ok(path.parent().map_or_else(|| "/".into(), Path::to_owned))
}

/// Unpacks an archive. What is none is text, and comes back as such with an empty directory.
fn unpacked(
    engine: &Engine,
    what: &str,
    mut reader: Box<dyn Read + Send>,
) -> Result<(PathBuf, Option<Staging>, Option<String>), Failure> {
    let staging = engine.store.staging()?;
    let root = staging.path().join("context");
    fs::create_dir(&root).map_err(on_path("mkdir", &root))?;
    let mut start = Vec::new();
    reader.by_ref().take(512).read_to_end(&mut start)?;
    if !::build::begins_like_an_archive(&start) {
        reader.take(1 << 20).read_to_end(&mut start)?;
        let text = String::from_utf8(start)
            .map_err(|_| Failure::plain(format!("{what} is neither an archive nor a Containerfile")))?;
        return Ok((root, Some(staging), Some(text)));
    }
    let whole: Box<dyn Read + Send> = Box::new(io::Cursor::new(start).chain(reader));
    let mut plain = storage::decompress(whole)?;
    let options = CopyOptions { owner: Some((0, 0)), overwrite: true };
    Endpoint::of_directory(&root)?.unpack(Path::new("/"), &mut plain, &options)?;
    Ok((root, Some(staging), None))
}

type Files = (Vec<(String, String)>, Option<PathBuf>);

/// The texts, and the path of the first of them.
fn files(root: &Path, args: &Args) -> Result<Files, Failure> {
    if args.file.is_empty() {
        let Some(path) = FILES.iter().map(|name| root.join(name)).find(|path| path.is_file()) else {
            return Err(Failure::plain(format!(
                "no Containerfile or Dockerfile specified or found in context directory, {}: no such file or directory",
                root.display()
            )));
        };
        return Ok((vec![read(&path, root, args)?], Some(path)));
    }
    let mut texts = Vec::new();
    let mut first = None;
    for typed in &args.file {
        if typed == "-" || typed == "/dev/stdin" {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text)?;
            texts.push(("standard input".to_owned(), text));
            continue;
        }
        if is_url(typed) {
            let mut text = String::new();
            images::fetch(typed)?.take(1 << 20).read_to_string(&mut text)?;
            texts.push((typed.clone(), text));
            continue;
        }
        // As it is typed, else in the context.
        let here = std::path::absolute(typed)?;
        let path = [here, root.join(typed)].into_iter().find(|path| path.is_file()).ok_or_else(|| {
            Failure::plain(format!(
                "the specified Containerfile or Dockerfile does not exist, {typed}: no such file or directory"
            ))
        })?;
        texts.push(read(&path, root, args)?);
        first.get_or_insert(path);
    }
    Ok((texts, first))
}

fn read(path: &Path, root: &Path, args: &Args) -> Result<(String, String), Failure> {
    let mut text = fs::read_to_string(path).map_err(on_path("open", path))?;
    if path.extension().is_some_and(|ending| ending == "in") {
        text = preprocessed(path, root, &args.cpp_flag)?;
    }
    if text.is_empty() {
        return Err(Failure::plain(format!("no contents in {}", go_quote(&path.display().to_string()))));
    }
    Ok((path.display().to_string(), text))
}

/// What cpp(1) makes of a file. It is told to leave alone what it would do for C alone, and to write no line numbers:
/// `#` begins a comment.
fn preprocessed(path: &Path, root: &Path, flags: &[String]) -> Result<String, Failure> {
    let mut command = Command::new("cpp");
    command.args(["-E", "-P", "-undef", "-traditional", "-iquote"]).arg(root).args(flags).arg("-");
    command.stdin(fs::File::open(path).map_err(on_path("open", path))?);
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::plain(
            "exec: \"cpp\": executable file not found in $PATH: .in support requires cpp to be installed",
        ),
        _ => Failure::plain(format!("cpp: {error}")),
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => String::from_utf8(output.stdout)
            .map_err(|_| Failure::plain(format!("preprocessing {}: cpp has written no text", path.display()))),
        false => Err(Failure::plain(format!("preprocessing {}: {}", path.display(), said.trim_end()))),
    }
}

/// `--ignorefile`, else one that is named after the Containerfile, else that of the context.
fn ignore(root: &Path, args: &Args, file: Option<&Path>) -> Result<Ignore, Failure> {
    if let Some(path) = &args.ignorefile {
        let text = fs::read_to_string(path).map_err(on_path("open", path));
        return Ok(Ignore::parse(&text.map_err(|failure| failure.context("unable to parse ignore file"))?));
    }
    for ending in IGNORE_FILES {
        let Some(file) = file else { break };
        let path = PathBuf::from(format!("{}{ending}", file.display()));
        if path.is_file() {
            return Ok(Ignore::parse(&fs::read_to_string(&path).map_err(on_path("open", &path))?));
        }
    }
    read_ignore(root)
}

fn read_ignore(root: &Path) -> Result<Ignore, Failure> {
    match IGNORE_FILES.iter().map(|name| root.join(name)).find(|path| path.is_file()) {
        Some(path) => Ok(Ignore::parse(&fs::read_to_string(&path).map_err(on_path("open", &path))?)),
        None => Ok(Ignore::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_told_apart() {
        for (text, url, git) in [
            ("https://example.org/a.tar.gz", true, false),
            ("https://example.org/a.git", false, true),
            ("https://example.org/a.git#main:sub", false, true),
            ("git@example.org:a", false, true),
            ("github.com/a/b", false, true),
            ("./dir", false, false),
            ("dir.git", false, false),
        ] {
            assert_eq!((is_url(text), is_git(text)), (url, git), "{text}");
        }
    }
}
