//! From a registry, or any other place skopeo can read, into the store.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use storage::Store;

use crate::error::{Error, Result};
use crate::image::Image;
use crate::places::Places;
use crate::platform::{self, Platform};
use crate::policy::PullPolicy;
use crate::progress::{Progress, Report};
use crate::reference::{Reference, Source};
use crate::registries::Registries;
use crate::retry::Retry;
use crate::wire::{Event, Request};
use crate::{events, find, skopeo};

/// The hidden command that runs [`crate::pull_worker`].
pub const WORKER: &str = "__pull";

/// For one registry.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials {{ user: {:?}, .. }}", self.user)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PullOptions {
    pub policy: PullPolicy,
    pub platform: Option<Platform>,
    pub authfile: Option<PathBuf>,
    pub creds: Option<Credentials>,
    pub cert_dir: Option<PathBuf>,
    /// `None` leaves it to registries.conf.
    pub tls_verify: Option<bool>,
    /// How often to try again whatever the network's fault is; `None`: 3 times, where that may help.
    pub retry: Option<u32>,
    /// `None`: 1 s, doubled each time.
    pub retry_delay: Option<Duration>,
    pub decryption_keys: Vec<String>,
    pub all_tags: bool,
    pub progress: Progress,
    pub places: Places,
}

impl Default for PullOptions {
    fn default() -> Self {
        PullOptions {
            policy: PullPolicy::Missing,
            platform: None,
            authfile: None,
            creds: None,
            cert_dir: None,
            tls_verify: None,
            retry: None,
            retry_delay: None,
            decryption_keys: Vec::new(),
            all_tags: false,
            progress: Progress::detect(),
            places: Places::from_environment(),
        }
    }
}

impl PullOptions {
    pub(crate) fn retries(&self) -> Retry {
        Retry { times: self.retry, delay: self.retry_delay }
    }
}

/// What a pull did.
#[derive(Clone, Debug)]
pub struct Pulled {
    pub image: Image,
    /// False when everything was here already.
    pub changed: bool,
}

/// The image of that name, pulled when the policy says so. Makes no thread: a pull happens in a worker process.
pub fn ensure(store: &Store, name: &str, options: &PullOptions) -> Result<Image> {
    let local = match options.policy {
        PullPolicy::Always => None,
        PullPolicy::Missing | PullPolicy::Newer | PullPolicy::Never => find::find(store, name)?,
    };
    match (local, options.policy) {
        (Some(image), PullPolicy::Missing | PullPolicy::Never) if is_wanted(&image, options) => Ok(image),
        // Only the news is worth a word.
        (Some(image), PullPolicy::Newer) => match pull_one(store, name, &quiet(options)) {
            Ok(pulled) => Ok(pulled.image),
            Err(error) => {
                tracing::debug!("{name}: keeping what is here: {error}");
                Ok(image)
            }
        },
        (_, PullPolicy::Never) => Err(Error::PullForbidden { name: name.to_owned() }),
        (None, PullPolicy::Always) if is_local_id(store, name)? => find::get(store, name),
        (_, PullPolicy::Always | PullPolicy::Missing | PullPolicy::Newer) => {
            pull_one(store, name, options).map(|pulled| pulled.image)
        }
    }
}

fn quiet(options: &PullOptions) -> PullOptions {
    PullOptions { progress: Progress::Quiet, ..options.clone() }
}

/// What `pull` does: one image for each name, more with `all_tags`.
pub fn pull(store: &Store, name: &str, options: &PullOptions) -> Result<Vec<Pulled>> {
    if !options.all_tags {
        return match options.policy {
            PullPolicy::Always => pull_one(store, name, options).map(|pulled| vec![pulled]),
            PullPolicy::Missing | PullPolicy::Newer | PullPolicy::Never => {
                let before = find::find(store, name)?.map(|image| image.id);
                let image = ensure(store, name, options)?;
                Ok(vec![Pulled { changed: before.as_ref() != Some(&image.id), image }])
            }
        };
    }
    let Source::Registry(reference) = name.parse()? else {
        return Err(Error::AllTags { transport: name.split(':').next().unwrap_or(name).to_owned() });
    };
    if reference.tag().is_some() || reference.digest().is_some() {
        let reason = "all tags are wanted, so it must not name one";
        return Err(Error::InvalidReference { name: name.to_owned(), reason });
    }
    let mut last = None;
    for candidate in candidates(name, &reference, &Registries::load(&options.places)?, options)? {
        match skopeo::list_tags(&candidate, options) {
            Ok(tags) => {
                let pull = |tag: &String| {
                    let one = candidate.with_tag(tag)?;
                    let typed = one.to_string();
                    run_worker(store, &Source::Registry(one), &typed, options)
                };
                return tags.iter().map(pull).collect();
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| nowhere(name)))
}

/// Whether a local image is for the platform that was asked for, when one was.
fn is_wanted(image: &Image, options: &PullOptions) -> bool {
    let wanted = options.platform.as_ref();
    wanted.is_none() || platform::fits(wanted, image.os(), image.architecture(), image.variant())
}

/// An id cannot be pulled, so what is here is the newest.
fn is_local_id(store: &Store, name: &str) -> Result<bool> {
    let id = name.strip_prefix("sha256:").unwrap_or(name);
    Ok(id.bytes().all(|byte| byte.is_ascii_hexdigit())
        && find::find(store, name)?.is_some_and(|image| image.id.starts_with(id)))
}

fn pull_one(store: &Store, name: &str, options: &PullOptions) -> Result<Pulled> {
    let reference = match name.parse()? {
        Source::Registry(reference) => reference,
        source @ (Source::Storage(_) | Source::Path { .. }) => return run_worker(store, &source, name, options),
    };
    let mut last = None;
    for candidate in candidates(name, &reference, &Registries::load(&options.places)?, options)? {
        match run_worker(store, &Source::Registry(candidate), name, options) {
            Ok(pulled) => return Ok(pulled),
            // The next registry will not cure these.
            Err(error @ (Error::SkopeoMissing | Error::SkopeoTooOld { .. } | Error::NoSpace { .. })) => {
                return Err(error);
            }
            Err(error) => {
                let better = !matches!(last, Some(Error::Denied { .. }));
                if better {
                    last = Some(error);
                }
            }
        }
    }
    Err(last.unwrap_or_else(|| nowhere(name)))
}

fn nowhere(name: &str) -> Error {
    Error::ShortName { name: name.to_owned(), candidates: Vec::new() }
}

/// The full names to try. Several that nobody has allowed to be tried in turn are an error that lists them.
fn candidates(
    name: &str,
    reference: &Reference,
    registries: &Registries,
    options: &PullOptions,
) -> Result<Vec<Reference>> {
    let resolution = registries.resolve(reference)?;
    if !resolution.may_try {
        let candidates = resolution.candidates.iter().map(Reference::to_string).collect();
        return Err(Error::ShortName { name: name.to_owned(), candidates });
    }
    if let Some(note) = resolution.note {
        Report::new(options.progress).line(&note);
    }
    Ok(resolution.candidates)
}

/// Starts the worker, shows what it tells, and reads back what it has stored. `typed` is what the journal calls the image.
fn run_worker(store: &Store, source: &Source, typed: &str, options: &PullOptions) -> Result<Pulled> {
    let report = Report::new(options.progress);
    let name = match source {
        Source::Registry(reference) => reference.to_string(),
        other => other.to_string(),
    };
    if matches!(source, Source::Registry(_)) {
        report.line(&format!("Trying to pull {name}..."));
    }
    let broken = |error: io::Error| Error::Pull { message: format!("cannot run the pull worker: {error}") };
    let mut worker = Command::new("/proc/self/exe")
        .arg(WORKER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(broken)?;
    let request = Request {
        dirs: store.dirs().clone(),
        store: store.options().clone(),
        source: source.to_string(),
        options: options.clone(),
    };
    let result = talk(&mut worker, &request, &report, &name);
    // Ends the worker where it still runs, as after an error of ours.
    drop(worker.stdin.take());
    worker.wait().map_err(broken)?;
    // What a worker that was killed has left half-done.
    crate::collect::collect_garbage(store)?;
    store.sweep()?;
    let (id, changed) = match result {
        Ok(result) => result,
        Err(error) => {
            let told = storage::events::Event {
                name: typed.to_owned(),
                error: error.to_string(),
                ..storage::events::Event::new(storage::events::Kind::Image, "pull-error")
            };
            storage::events::record(store, told);
            return Err(error);
        }
    };
    events::record(store, "pull", &id, typed);
    Ok(Pulled { image: find::get(store, &format!("sha256:{id}"))?, changed })
}

fn talk(worker: &mut Child, request: &Request, report: &Report, name: &str) -> Result<(String, bool)> {
    let broken = |error: io::Error| Error::Pull { message: format!("cannot talk to the pull worker: {error}") };
    let mut text = serde_json::to_vec(request).map_err(|error| broken(error.into()))?;
    text.push(b'\n');
    let (Some(stdin), Some(stdout)) = (worker.stdin.as_mut(), worker.stdout.take()) else {
        return Err(broken(io::ErrorKind::BrokenPipe.into()));
    };
    // A worker that died at once is seen below, by the end of its output.
    let _ = stdin.write_all(&text);
    let mut bars: HashMap<String, ProgressBar> = HashMap::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(broken)?;
        match serde_json::from_str(&line).map_err(|error| broken(error.into()))? {
            Event::Line(text) => report.line(&text),
            Event::Warning(text) => report.warn(&text),
            Event::Blob { digest, total } => match report.bar(&digest, total) {
                Some(bar) => drop(bars.insert(digest, bar)),
                None => report.line(&format!("Copying blob {digest}")),
            },
            Event::At { digest, bytes } => {
                if let Some(bar) = bars.get(&digest) {
                    bar.set_position(bytes);
                }
            }
            Event::Finished { digest } => {
                if let Some(bar) = bars.get(&digest) {
                    bar.abandon();
                }
            }
            Event::Done { id, changed } => return Ok((id, changed)),
            Event::Failed(failure) => return Err(failure.into()),
        }
    }
    Err(Error::Interrupted { what: format!("the pull of {name}") })
}
