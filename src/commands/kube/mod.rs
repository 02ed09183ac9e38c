//! `creel kube ...`: manifests are read, played, looked at and taken down.

use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitCode as ProcessExit};

use images::{Credentials, PullOptions, PullPolicy as ImagePolicy};
use kube_play::act::{Actor, PlayOptions, Played};
use kube_play::{Kind, Manifests, ObjectId, Plan, Problem, PullPolicy, Severity, Source, Unknown, Validate, act};

use crate::error::{ExitCode, Failure};
use crate::output;

use progress::Progress;

pub mod annotate;
pub mod apply;
mod build;
mod changes;
mod chosen;
pub mod cp;
pub mod debug;
pub mod delete;
pub mod describe;
pub mod down;
pub mod events;
pub mod exec;
pub mod explain;
pub mod expose;
pub mod get;
pub mod label;
pub mod logs;
mod make;
pub mod play;
pub mod port_forward;
mod progress;
pub mod ps;
pub mod resume;
pub mod rollout;
pub mod run;
pub mod scale;
pub mod set;
pub mod top;
pub mod wait;

/// Where objects lie that name no namespace.
const DEFAULT_NAMESPACE: &str = "default";

/// kubectl's words for what is not there.
fn not_found(kind: Kind, name: &str) -> Failure {
    Failure::plain(format!("{} {name:?} not found", kind.plural()))
}

/// kubectl's words where nothing is there to be shown.
fn none_found(everywhere: bool, namespace: &str) {
    let place = match everywhere {
        true => "No resources found".to_owned(),
        false => format!("No resources found in {namespace} namespace."),
    };
    output::note(&place);
}

/// `KIND NAME` or `KIND/NAME`.
pub(super) fn one_object(words: &[String], namespace: &str) -> Result<ObjectId, Failure> {
    let (kind, name) = match words {
        [word] => word.split_once('/').ok_or_else(|| Failure::plain("name an object: KIND NAME, or KIND/NAME"))?,
        [kind, name] => (kind.as_str(), name.as_str()),
        _ => return Err(Failure::plain("name one object: KIND NAME, or KIND/NAME")),
    };
    match Kind::typed(kind) {
        Some(kind) => Ok(ObjectId::new(kind, namespace, name)),
        None => Err(Failure::plain(format!("there is no kind of object called {kind:?}"))),
    }
}

/// The whole of `creel __kube-pod`: one pod is made or removed.
pub fn pod_main() -> ProcessExit {
    // Images were had before, with all that the play was told of registries. They do where those cannot be asked again.
    let again = |engine: &containers::Engine, wanted: &act::WantedImage<'_>| {
        let pull = if wanted.pull == PullPolicy::Always { PullPolicy::Newer } else { wanted.pull };
        image(engine, &act::WantedImage { pull, ..*wanted }, &PullOptions::default())
    };
    match act::pod_main(&again) {
        Ok(()) => ProcessExit::SUCCESS,
        Err(_) => ProcessExit::FAILURE,
    }
}

/// The whole of `creel __kube-supervisor`.
pub fn supervisor_main() -> ProcessExit {
    match act::supervisor_main(pod_program, forwarder_program) {
        Ok(()) => ProcessExit::SUCCESS,
        Err(_) => ProcessExit::FAILURE,
    }
}

fn ourselves(mode: &str) -> Command {
    let mut program = Command::new("/proc/self/exe");
    program.arg(mode);
    program
}

fn pod_program() -> Command {
    ourselves("__kube-pod")
}

pub(super) fn supervisor_program() -> Command {
    ourselves("__kube-supervisor")
}

fn forwarder_program() -> Command {
    ourselves("forwarder")
}

/// For whoever has to wait for another command.
pub(super) fn waits(namespace: &str) {
    output::note(&format!("another command acts in namespace {namespace:?}: waiting for its end"));
}

/// Carries a plan out, with images as `find_image` has them. A terminal shows what is waited for.
fn carry_out(
    engine: &containers::Engine,
    find_image: &act::FindImage<'_>,
    plan: &Plan,
    how: PlayOptions<'_>,
    quiet: bool,
) -> Result<Played, Failure> {
    let progress = Progress::new(quiet);
    let actor = Actor {
        engine,
        find_image,
        progress: &|underway| progress.show(underway),
        waits: &waits,
        pod_program,
        supervisor_program,
    };
    Ok(act::play(&actor, plan, how)?)
}

/// The stored objects. Those whose records cannot be read are named.
fn shelf(engine: &containers::Engine) -> Result<act::Shelf, Failure> {
    let shelf = act::Shelf::new(engine);
    for namespace in shelf.namespaces()? {
        for (id, error) in shelf.unreadable(&namespace)? {
            let cure = "`creel kube play` of its file makes it anew, `creel kube down` takes it away";
            output::warn(&format!("the record of {id} cannot be read: {error}; {cure}"));
        }
    }
    Ok(shelf)
}

/// An image by a manifest's policy, from a registry with the pod's pull secrets or else what the user has.
fn image(
    engine: &containers::Engine,
    wanted: &act::WantedImage<'_>,
    options: &PullOptions,
) -> Result<images::Image, String> {
    let policy = match wanted.pull {
        PullPolicy::Always => ImagePolicy::Always,
        // No registry has a newer one of those that were made here.
        PullPolicy::Newer if wanted.name.starts_with("localhost/") => ImagePolicy::Missing,
        PullPolicy::Newer => ImagePolicy::Newer,
        PullPolicy::IfNotPresent => ImagePolicy::Missing,
        PullPolicy::Never => ImagePolicy::Never,
    };
    let reference = wanted.name.parse().ok();
    let login = reference.and_then(|image| wanted.logins.iter().find_map(|it| Credentials::in_config(it, &image)));
    let options = PullOptions { policy, creds: options.creds.clone().or(login), ..options.clone() };
    super::create::find_image(engine, wanted.name, &options).map_err(|error| error.to_string())
}

/// One file of the command line and what is in it.
struct File {
    name: String,
    text: String,
}

/// Where a file is, for objects to remember: the address of a web server's, the canonical path of a regular file, also of
/// one that is gone, and of all else that it was passed in, as by standard input.
fn source(name: &str) -> String {
    if name == act::STANDARD_INPUT || is_url(name) {
        return name.to_owned();
    }
    let path = Path::new(name);
    let canonical = || {
        // The directory may be there still.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        path.canonicalize().or_else(|_| Ok(parent.canonicalize()?.join(path.file_name().unwrap_or_default())))
    };
    let found = canonical().or_else(|_: std::io::Error| std::path::absolute(path));
    match found.ok().filter(|path| path.is_file() || !path.exists()).and_then(|path| path.to_str().map(str::to_owned)) {
        Some(path) => path,
        None => act::STANDARD_INPUT.to_owned(),
    }
}

fn is_url(name: &str) -> bool {
    name.starts_with("http://") || name.starts_with("https://")
}

/// A path, `-` for standard input, or the address of a file on a web server.
fn read(name: &str) -> Result<File, Failure> {
    let text = match name {
        "-" => {
            let mut text = Vec::new();
            std::io::stdin().read_to_end(&mut text)?;
            text
        }
        url if is_url(url) => fetch(url)?,
        path => std::fs::read(path).map_err(crate::error::on_path("open", Path::new(path)))?,
    };
    let text = String::from_utf8(text).map_err(|_| Failure::plain(format!("{name} is not UTF-8 text")))?;
    Ok(File { name: name.to_owned(), text })
}

/// curl knows the user's proxies and certificates.
pub fn fetch(url: &str) -> Result<Vec<u8>, Failure> {
    let fetched = Command::new("curl").args(["--silent", "--show-error", "--fail", "--location", "--", url]).output();
    match fetched {
        Ok(output) if output.status.success() => Ok(output.stdout),
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            Err(Failure::plain(format!("cannot fetch {url}: {}", why.trim())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Failure::plain(format!("cannot fetch {url}: there is no curl"))
                .hint("install curl, or fetch the file first"))
        }
        Err(error) => Err(error.into()),
    }
}

fn parse(files: &[File], config_maps: &[File], validate: Validate, unknown: Unknown) -> Manifests {
    fn source(file: &File, config_maps_only: bool) -> Source<'_> {
        Source { name: &file.name, text: &file.text, config_maps_only }
    }
    let sources: Vec<Source<'_>> =
        files.iter().map(|file| source(file, false)).chain(config_maps.iter().map(|file| source(file, true))).collect();
    kube_play::read(&sources, DEFAULT_NAMESPACE, validate, unknown)
}

/// All that is wrong, one line each; nothing was made.
fn refuse(problems: &[Problem]) -> Failure {
    let (errors, warnings): (Vec<_>, Vec<_>) = problems.iter().partition(|problem| problem.severity == Severity::Error);
    warn(warnings.into_iter());
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Failure::plain(lines.join("\n       "))
}

fn warn<'a>(problems: impl Iterator<Item = &'a Problem>) {
    for problem in problems {
        output::warn(&problem.to_string());
    }
}

impl From<act::Error> for Failure {
    fn from(error: act::Error) -> Failure {
        let failure = match error {
            act::Error::Pod(error) => error.into(),
            act::Error::Container(error) => error.into(),
            act::Error::Storage(error) => error.into(),
            act::Error::Network(error) => error.into(),
            act::Error::NotOurs { .. } => {
                Failure::plain(error.to_string()).hint("remove it, rename yours, or let --replace take its place")
            }
            act::Error::TakenDown { .. } => {
                Failure::plain(error.to_string()).hint("by another command, as creel kube down: play the file again")
            }
            act::Error::Object { object, source } => Failure::from(*source).context(object),
            other => Failure::plain(other.to_string()),
        };
        // Among many containers no one's exit code is the command's.
        failure.code(ExitCode::Failed)
    }
}
