//! `creel cp`: between the host and a container, between containers, and from or to a tar stream.
//!
//! What is copied always goes as a tar stream from one side to the other; here is decided under which names. The rules are
//! Docker's: an existing directory takes the source under its own name, what does not exist becomes the source, and
//! `SOURCE/.` means what is in it.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use containers::{Container, CopyOptions, Endpoint, Engine, FileFact, FileKind};

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Copy files into and out of containers
///
/// One of the two is CONTAINER:PATH, or both are. "-" stands for a tar stream on standard input or output.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Give what is copied to the container's user, not to the numbers it had
    #[arg(short, long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub archive: bool,
    /// A directory may replace a file, and a file a directory
    #[arg(long)]
    pub overwrite: bool,
    /// Say what is at the source, as JSON, and copy nothing: for Docker's API
    #[arg(long, hide = true)]
    pub stat: bool,
    /// Where from and where to
    #[arg(value_name = "[CONTAINER:]SRC_PATH [CONTAINER:]DEST_PATH")]
    pub words: Vec<String>,
}

/// One side as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Side {
    Host(String),
    Container { name: String, path: String },
    Stream,
}

impl Side {
    fn parse(text: &str) -> Side {
        if text == "-" {
            return Side::Stream;
        }
        // A path that could be mistaken for a container is written with `./`.
        match text.split_once(':') {
            Some((name, path)) if !name.is_empty() && !text.starts_with(['.', '/']) => {
                Side::Container { name: name.to_owned(), path: path.to_owned() }
            }
            _ => Side::Host(text.to_owned()),
        }
    }
}

/// A side that is open.
struct Place {
    endpoint: Arc<Endpoint>,
    /// Of the container; `None` on the host.
    name: Option<String>,
    id: Option<String>,
    /// As typed, for messages and for what its end says.
    typed: String,
    /// Absolute, without `.` and `..`.
    path: PathBuf,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.words, 2)?;
    let (from, to) = (Side::parse(&args.words[0]), Side::parse(&args.words[1]));
    let in_container = |side: &Side| matches!(side, Side::Container { .. });
    if !in_container(&from) && !in_container(&to) {
        return Err(Failure::plain("name or ID cannot be empty")
            .hint("one of the two must be in a container: write CONTAINER:PATH for a path in a container"));
    }
    let is_empty = |side: &Side| matches!(side, Side::Container { path, .. } if path.is_empty());
    if is_empty(&from) || is_empty(&to) {
        let [from, to] = [&args.words[0], &args.words[1]].map(|word| arguments::go_quote(word));
        return Err(Failure::plain(format!("invalid arguments {from}, {to}: you must specify paths")));
    }
    if to == Side::Stream && output::stdout_is_terminal() {
        return Err(Failure::plain("refusing to write a tar archive to the terminal. Redirect standard output"));
    }
    let engine = context.engine()?;
    if let (true, Some(place)) = (args.stat, open(&engine, &from)?) {
        return tell_facts(&place);
    }
    match open_both(&engine, &from, &to)? {
        (Some(from), Some(to)) => between(&from, &to, &args)?,
        (Some(from), None) => to_stream(&from)?,
        (None, Some(to)) => from_stream(&to, &args)?,
        (None, None) => {}
    }
    Ok(ExitCode::Success)
}

fn tell_facts(place: &Place) -> Result<ExitCode, Failure> {
    let fact = place.stat()?.ok_or_else(|| place.not_found())?;
    let name = place.path.file_name().map_or_else(|| "/".into(), |name| name.to_string_lossy());
    output::line(serde_json::json!({
        "name": name,
        "size": fact.size,
        "mode": fact.mode,
        "mtime": fact.modified.to_string(),
    }))?;
    Ok(ExitCode::Success)
}

/// Both sides. A container that does not run is locked while its files are open: one that is both sides is opened once,
/// and of two the one with the lesser id first, lest two copies wait for each other.
fn open_both(engine: &Engine, from: &Side, to: &Side) -> Result<(Option<Place>, Option<Place>), Failure> {
    let (Side::Container { name: one, path: source }, Side::Container { name: other, path: target }) = (from, to)
    else {
        return Ok((open(engine, from)?, open(engine, to)?));
    };
    let containers = (find(engine, one)?, find(engine, other)?);
    let open = |container| Ok::<_, Failure>(Arc::new(Endpoint::of_container(engine, container)?));
    let endpoints = match containers.0.id().cmp(containers.1.id()) {
        Ordering::Equal => open(&containers.0).map(|both| (Arc::clone(&both), both))?,
        Ordering::Less => (open(&containers.0)?, open(&containers.1)?),
        Ordering::Greater => {
            let second = open(&containers.1)?;
            (open(&containers.0)?, second)
        }
    };
    let from = Place::of_container(endpoints.0, &containers.0, one, source);
    let to = Place::of_container(endpoints.1, &containers.1, other, target);
    Ok((Some(from), Some(to)))
}

/// `None` for the stream.
fn open(engine: &Engine, side: &Side) -> Result<Option<Place>, Failure> {
    match side {
        Side::Stream => Ok(None),
        Side::Host(typed) => {
            if typed.is_empty() {
                return Err(Failure::plain("name or ID cannot be empty"));
            }
            let path = std::path::absolute(typed)?;
            // `..` after a link leads elsewhere than its words say: the host's own view counts.
            let path = match path.components().any(|part| part == Component::ParentDir) {
                true => path.canonicalize().unwrap_or(path),
                false => path,
            };
            Ok(Some(Place {
                endpoint: Arc::new(Endpoint::of_host()?),
                name: None,
                id: None,
                typed: typed.clone(),
                path: clean(&path),
            }))
        }
        Side::Container { name, path } => {
            let container = find(engine, name)?;
            let endpoint = Arc::new(Endpoint::of_container(engine, &container)?);
            Ok(Some(Place::of_container(endpoint, &container, name, path)))
        }
    }
}

fn find(engine: &Engine, name: &str) -> Result<Container, Failure> {
    containers::find(engine, name).map_err(|error| match error {
        containers::Error::NotFound { name } => {
            let text = format!("container {} does not exist", arguments::go_quote(&name));
            Failure::plain(text).missing("container", &name)
        }
        other => other.into(),
    })
}

/// Absolute, without `.` and `..`.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

impl Place {
    fn of_container(endpoint: Arc<Endpoint>, container: &Container, name: &str, path: &str) -> Place {
        Place {
            endpoint,
            name: Some(name.to_owned()),
            id: Some(container.id().to_string()),
            typed: path.to_owned(),
            path: clean(&Path::new("/").join(path)),
        }
    }

    fn stat(&self) -> Result<Option<FileFact>, Failure> {
        Ok(self.endpoint.stat(&self.path)?)
    }

    /// What the source is called where nothing else is said: on the host a link goes by its own name, in a container by
    /// that of what it leads to, as Podman has it.
    fn file_name(&self) -> Result<PathBuf, Failure> {
        let name = match self.name {
            Some(_) => self.endpoint.name_of(&self.path)?,
            None => self.path.file_name().map(OsStr::to_owned),
        };
        Ok(name.map(PathBuf::from).unwrap_or_default())
    }

    fn not_found(&self) -> Failure {
        let place = self.name.as_ref().map_or_else(|| "the host".to_owned(), |name| format!("container {name}"));
        let typed = arguments::go_quote(&self.typed);
        Failure::plain(format!("{typed} could not be found on {place}: no such file or directory"))
    }

    /// `SOURCE/.`
    fn means_content(&self) -> bool {
        self.typed.ends_with("/.") || self.typed == "." || self.path == Path::new("/")
    }

    fn wants_directory(&self) -> bool {
        self.typed.ends_with('/') || self.typed.ends_with("/.")
    }
}

/// Where a source goes: the directory to unpack in, and the name it gets there; without a name, what is in it.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    dir: PathBuf,
    name: PathBuf,
}

/// What the destination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Directory,
    Other,
}

fn target(from: &Source<'_>, to: &Path, to_wants_directory: bool, found: Found) -> Result<Target, Refused> {
    let as_named = || -> Result<Target, Refused> {
        match (to.parent(), to.file_name()) {
            (Some(dir), Some(name)) => Ok(Target { dir: dir.to_owned(), name: name.into() }),
            _ => Err(Refused::NotFound),
        }
    };
    match (from.is_directory, found) {
        (true, Found::Directory) if from.content_only => Ok(Target { dir: to.to_owned(), name: PathBuf::new() }),
        (_, Found::Directory) => Ok(Target { dir: to.to_owned(), name: from.name.to_owned() }),
        (_, Found::Nothing) if to_wants_directory => Err(Refused::NotFound),
        (true, Found::Nothing) => as_named(),
        (true, Found::Other) => Err(Refused::DirectoryOverFile),
        (false, Found::Other) if to_wants_directory => Err(Refused::NotADirectory),
        (false, Found::Nothing | Found::Other) => as_named(),
    }
}

struct Source<'a> {
    is_directory: bool,
    content_only: bool,
    name: &'a Path,
}

#[derive(Debug, PartialEq, Eq)]
enum Refused {
    NotFound,
    NotADirectory,
    DirectoryOverFile,
}

fn between(from: &Place, to: &Place, args: &Args) -> Result<(), Failure> {
    let source = from.stat()?.ok_or_else(|| from.not_found())?;
    let is_directory = source.kind == FileKind::Directory;
    if from.wants_directory() && !is_directory {
        return Err(Failure::plain(format!("{} is not a directory", arguments::go_quote(&from.typed))));
    }
    let found = match to.stat()?.map(|fact| fact.kind) {
        None => Found::Nothing,
        Some(FileKind::Directory) => Found::Directory,
        Some(FileKind::File | FileKind::Other) => Found::Other,
    };
    let name = from.file_name()?;
    let what = Source { is_directory, content_only: from.means_content(), name: &name };
    let target = target(&what, &to.path, to.wants_directory(), found).map_err(|refused| match refused {
        Refused::NotFound => to.not_found(),
        Refused::NotADirectory => Failure::plain(format!("{} is not a directory", arguments::go_quote(&to.typed))),
        Refused::DirectoryOverFile => Failure::plain("destination must be a directory when copying a directory"),
    })?;
    if to.endpoint.stat(&target.dir)?.is_none_or(|fact| fact.kind != FileKind::Directory) {
        return Err(to.not_found());
    }
    if is_directory && from.id == to.id && target.dir.join(&target.name).starts_with(&from.path) {
        return Err(Failure::plain("a directory cannot be copied into itself"));
    }
    let (mut reader, writer) = io::pipe()?;
    let options = options(to, args);
    // On the host the directory is all there is: a link that a container has planted by an earlier copy leads nowhere else.
    let host = to.name.is_none().then(|| Endpoint::of_directory(&target.dir)).transpose()?;
    let (endpoint, dir) = match &host {
        Some(directory) => (directory, Path::new("/")),
        None => (&*to.endpoint, target.dir.as_path()),
    };
    // One side reads while the other one writes; nothing is forked from here on.
    let (packed, unpacked) = std::thread::scope(|scope| {
        let packing = scope.spawn(|| {
            let mut out = BufWriter::with_capacity(1 << 16, writer);
            let packed = from.endpoint.pack(&from.path, &target.name, &mut out);
            packed.and_then(|()| out.flush().map_err(containers::Error::io(&from.path)))
        });
        let unpacked = endpoint.unpack(dir, &mut reader, &options);
        // A writer that still has something to say must not wait for us.
        drop(reader);
        (packing.join(), unpacked)
    });
    let packed = packed.map_err(|_| Failure::plain("the thread that reads the source ended"))?;
    match (packed, unpacked) {
        // What broke the pipe is the other side's failure.
        (Err(containers::Error::Io { source, .. }), Err(error)) if source.kind() == io::ErrorKind::BrokenPipe => {
            Err(error.into())
        }
        (Err(error), _) | (Ok(()), Err(error)) => Err(error.into()),
        (Ok(()), Ok(())) => Ok(()),
    }
}

fn options(to: &Place, args: &Args) -> CopyOptions {
    // On the host only the caller's own id can be given away.
    let owner = if args.archive || to.name.is_none() { Some(to.endpoint.owner()) } else { None };
    CopyOptions { owner, overwrite: args.overwrite }
}

fn to_stream(from: &Place) -> Result<(), Failure> {
    from.stat()?.ok_or_else(|| from.not_found())?;
    let name = if from.means_content() { PathBuf::new() } else { from.file_name()? };
    let mut out = BufWriter::with_capacity(1 << 16, output::Stream::new());
    from.endpoint.pack(&from.path, &name, &mut out)?;
    out.flush()?;
    Ok(())
}

fn from_stream(to: &Place, args: &Args) -> Result<(), Failure> {
    match to.stat()? {
        Some(fact) if fact.kind == FileKind::Directory => {}
        Some(_) => return Err(Failure::plain("destination must be a directory when copying from stdin")),
        None => return Err(to.not_found()),
    }
    const NO_ARCHIVE: &str = "source must be a (compressed) tar archive when copying from stdin";
    let mut input = BufReader::with_capacity(1 << 16, io::stdin());
    if input.fill_buf()?.is_empty() {
        return Err(Failure::plain(NO_ARCHIVE));
    }
    let input: Box<dyn Read + Send> = Box::new(input);
    let mut input = storage::decompress(input).map_err(|error| Failure::from(error).context(NO_ARCHIVE))?;
    to.endpoint.unpack(&to.path, &mut input, &options(to, args))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_makes_a_container() {
        let container = |name: &str, path: &str| Side::Container { name: name.into(), path: path.into() };
        for (text, expected) in [
            ("one:/a", container("one", "/a")),
            ("one:a:b", container("one", "a:b")),
            ("one:", container("one", "")),
            ("./one:/a", Side::Host("./one:/a".into())),
            ("/one:/a", Side::Host("/one:/a".into())),
            (":/a", Side::Host(":/a".into())),
            ("file", Side::Host("file".into())),
            ("-", Side::Stream),
        ] {
            assert_eq!(Side::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn paths_are_cleaned() {
        assert_eq!(clean(Path::new("/a/./b/../c/")), Path::new("/a/c"));
        assert_eq!(clean(Path::new("/../..")), Path::new("/"));
    }

    #[test]
    fn the_target_is_chosen_as_docker_does() {
        let file = Source { is_directory: false, content_only: false, name: Path::new("src") };
        let directory = Source { is_directory: true, content_only: false, name: Path::new("src") };
        let content = Source { is_directory: true, content_only: true, name: Path::new("src") };
        let to = |dir: &str, name: &str| Ok(Target { dir: dir.into(), name: name.into() });
        for (source, slash, found, expected) in [
            (&file, false, Found::Nothing, to("/x", "dst")),
            (&file, true, Found::Nothing, Err(Refused::NotFound)),
            (&file, false, Found::Other, to("/x", "dst")),
            (&file, true, Found::Other, Err(Refused::NotADirectory)),
            (&file, false, Found::Directory, to("/x/dst", "src")),
            (&directory, false, Found::Nothing, to("/x", "dst")),
            (&directory, true, Found::Nothing, Err(Refused::NotFound)),
            (&directory, false, Found::Directory, to("/x/dst", "src")),
            (&directory, false, Found::Other, Err(Refused::DirectoryOverFile)),
            (&content, false, Found::Nothing, to("/x", "dst")),
            (&content, false, Found::Directory, to("/x/dst", "")),
        ] {
            assert_eq!(target(source, Path::new("/x/dst"), slash, found), expected, "{found:?} {slash}");
        }
    }
}
