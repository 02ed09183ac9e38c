//! The pull worker: a process of its own, because skopeo's proxy needs an asynchronous runtime and the rest of creel has
//! no thread.
//!
//! Layers come several at once and are unpacked from the bottom up, each while it comes: the fetchers write blobs, one
//! thread follows them. Content is believed when its digest is right: the manifest's because the tag or the user says
//! so, the configuration's because the manifest says so, a layer's because the configuration does.

mod fetch;
mod proxy;
mod registry;
mod turn;
mod unpack;

use std::io::{self, BufRead};
use std::process::ExitCode;

use storage::Store;

use crate::collect;
use crate::error::{Error, Result};
use crate::load;
use crate::platform;
use crate::progress::Report;
use crate::pull::PullOptions;
use crate::reference::{Reference, Source};
use crate::skopeo;
use crate::trust::{self, Verdict};
use crate::wire::{Event, Failure, Request, send};

pub(crate) use turn::forget_turns;

/// The hidden command `__pull`: JSON request on standard input, JSON lines on standard output.
pub fn pull_worker() -> ExitCode {
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line).is_err() {
        return ExitCode::FAILURE;
    }
    let Ok(request) = serde_json::from_str::<Request>(&line) else { return ExitCode::FAILURE };
    // The parent keeps the other end open for as long as it lives and wants the image.
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(1);
    });
    let (event, code) = match pull(&request) {
        Ok((id, changed)) => (Event::Done { id, changed }, ExitCode::SUCCESS),
        Err(error) => (Event::Failed(Failure::from(error)), ExitCode::FAILURE),
    };
    send(&event);
    code
}

fn line(text: impl Into<String>) {
    send(&Event::Line(text.into()));
}

fn pull(request: &Request) -> Result<(String, bool)> {
    let store = Store::open(request.dirs.clone(), request.store.clone())?;
    let source: Source = request.source.parse()?;
    attempt(&store, &source, &request.options)
        .map_err(|error| error.while_doing(&format!("unable to copy from source {source}")))
}

fn attempt(store: &Store, source: &Source, options: &PullOptions) -> Result<(String, bool)> {
    match (source, trust::verdict(&options.places, source)?) {
        (Source::Registry(reference), Verdict::Check) => {
            copy_first(store, source, options, &[reference.complete().to_string()])
        }
        (Source::Registry(reference), _) => {
            let name = reference.complete();
            let warn = |text: &str| send(&Event::Warning(text.to_owned()));
            let pulled = options.retries().run(warn, || registry::attempt(store, &name, options));
            if pulled.as_ref().is_err_and(Error::is_lasting) {
                collect::give_up(store, &name.to_string())?;
            }
            pulled
        }
        (Source::Storage(name), _) => {
            let name = name.rsplit_once(']').map_or(name.as_str(), |(_, name)| name);
            let names: Vec<String> =
                name.parse::<Reference>().ok().map(|name| name.local().to_string()).into_iter().collect();
            copy_first(store, source, options, &names)
        }
        (Source::Path { transport, path, reference }, verdict) => {
            trust::unsigned(verdict, transport.name())?;
            let platform = options.platform.as_ref();
            let image = load::load_one(store, *transport, path, reference.as_deref(), platform, &Report::events())?;
            Ok((image.id, true))
        }
    }
}

/// Lets skopeo make a whole copy and takes it from there: the way for everything the proxy cannot do.
fn copy_first(store: &Store, source: &Source, options: &PullOptions, names: &[String]) -> Result<(String, bool)> {
    line("Getting image source signatures");
    let staging = store.staging()?;
    let dir = staging.path().join("copy");
    let mut command = match source {
        // Its storage library mounts, if only to look whether it can.
        Source::Storage(_) => skopeo::command_with_mounts(&options.places),
        Source::Registry(_) | Source::Path { .. } => skopeo::command_with_policy(&options.places),
    };
    platform_arguments(&mut command, options);
    command.args(["copy", "-q"]);
    if let Source::Registry(_) = source {
        // What Podman's store hands out is not compressed, whatever its manifest says.
        command.arg("--preserve-digests");
    }
    if let Source::Registry(reference) = source {
        skopeo::add_source_access(&mut command, reference, options, staging.path())?;
    }
    command.arg(source.to_string()).arg(format!("dir:{}", dir.display()));
    skopeo::output(&mut command, &source.to_string())?;
    let repositories = match source {
        Source::Registry(reference) => vec![reference.repository()],
        Source::Storage(_) | Source::Path { .. } => Vec::new(),
    };
    let image =
        load::load_copy(store, &dir, names.to_vec(), repositories, options.platform.as_ref(), &Report::events())?;
    Ok((image.id, true))
}

fn platform_arguments(command: &mut std::process::Command, options: &PullOptions) {
    if let Some(platform) = &options.platform {
        let all = [
            ("--override-os", platform.os.as_deref()),
            ("--override-arch", platform.architecture.as_deref().map(platform::normalized)),
            ("--override-variant", platform.variant.as_deref()),
        ];
        for (flag, value) in all {
            if let Some(value) = value {
                command.args([flag, value]);
            }
        }
    }
}

fn bad(name: &str, reason: String) -> Error {
    Error::BadImage { reference: name.to_owned(), reason }
}

/// A thread of ours cannot panic but by a mistake of ours.
fn joined<T>(result: std::result::Result<T, tokio::task::JoinError>) -> Result<T> {
    result.map_err(|error| Error::Pull { message: error.to_string() })
}
