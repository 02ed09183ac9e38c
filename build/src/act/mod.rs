//! Carrying a plan out: stage by stage, step by step.

mod cache;
mod copy;
mod emulation;
mod mounts;
mod stage;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use containers::{ContainerSpec, Engine, Working};
use images::{Image, Platform, PullOptions, PushOptions, RemoveOptions};
use storage::FileTimes;

use crate::containerfile::Containerfile;
use crate::error::{Error, Problem, Result};
use crate::pattern::Ignore;
use crate::plan::{self, Base, Plan, Wanted};
use crate::words;

pub use copy::begins_like_an_archive;

/// What is built, and how.
pub struct Options {
    /// The Containerfiles and their names, read one after the other as if they were one.
    pub files: Vec<(String, String)>,
    pub context: Context,
    /// `--build-context`.
    pub contexts: BTreeMap<String, Named>,
    /// Names for the image.
    pub names: Vec<String>,
    pub target: Option<String>,
    pub arguments: BTreeMap<String, String>,
    /// Another image for the first FROM.
    pub from: Option<String>,
    pub every_stage: bool,
    /// Steps that were done before are not done again.
    pub uses_cache: bool,
    pub squash: Squash,
    pub pull: PullOptions,
    pub format: images::Format,
    pub labels: Vec<(String, String)>,
    pub unset_labels: Vec<String>,
    pub annotations: Vec<(String, String)>,
    pub env: Vec<(String, String)>,
    pub unset_env: Vec<String>,
    pub unset_annotations: Vec<String>,
    /// Labels of the images that the steps before the last come to.
    pub layer_labels: Vec<(String, String)>,
    /// Whether labels and annotations of the base stay.
    pub inherits_labels: bool,
    pub inherits_annotations: bool,
    /// Whether an annotation says when the image was made.
    pub annotates_creation: bool,
    pub omits_history: bool,
    pub times: Times,
    /// `--os-version`, `--os-feature`: of the image alone. A feature with `-` at its end is taken away.
    pub os_version: Option<String>,
    pub os_features: Vec<String>,
    /// Whether what RUN writes to a volume is thrown away.
    pub discards_volumes: bool,
    pub remote_cache: RemoteCache,
    /// How long what an earlier build has made may be used.
    pub cache_ttl: Option<Duration>,
    pub secrets: BTreeMap<String, Secret>,
    /// Sockets of ssh agents, by id.
    pub agents: BTreeMap<String, PathBuf>,
    /// What every RUN has in common: network, security, limits, mounts.
    pub spec: ContainerSpec,
    pub streams: containers::Streams,
}

/// What the image says of when it and its files were made (seconds since 1970).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Times {
    #[default]
    Now,
    /// `--timestamp`: the image and every file of its layers.
    All(i64),
    /// `--source-date-epoch`: the image; with `--rewrite-timestamp` files that are newer, too.
    Epoch { seconds: i64, rewrites_files: bool },
}

impl Times {
    fn created(self) -> Option<i64> {
        match self {
            Times::Now => None,
            Times::All(seconds) | Times::Epoch { seconds, .. } => Some(seconds),
        }
    }

    fn of_files(self) -> FileTimes {
        match self {
            Times::Now | Times::Epoch { rewrites_files: false, .. } => FileTimes::Kept,
            Times::All(seconds) => FileTimes::All(seconds),
            Times::Epoch { seconds, rewrites_files: true } => FileTimes::AtMost(seconds),
        }
    }
}

/// Repositories in which steps are kept for other machines, each under its key as tag.
#[derive(Clone, Debug, Default)]
pub struct RemoteCache {
    pub from: Vec<String>,
    pub to: Vec<String>,
    pub push: PushOptions,
}

/// How many layers an image gets above its base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Squash {
    /// One for each step.
    #[default]
    Steps,
    /// One for each stage; nothing is kept for the next build.
    Stages,
    /// One in all.
    All,
}

/// A directory whose files can be copied.
pub struct Context {
    pub path: PathBuf,
    pub ignore: Ignore,
}

/// What a name given with `--build-context` stands for.
pub enum Named {
    Directory(Context),
    Image(String),
}

/// What `--mount=type=secret` shows.
pub enum Secret {
    File(PathBuf),
    Value(String),
}

/// What a build tells of itself.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A step begins. `stage` is its number and how many there are, where there is more than one.
    Step { stage: Option<(usize, usize)>, number: usize, of: usize, text: &'a str },
    /// It was done before.
    Cached { id: &'a str },
    /// It was done before, elsewhere.
    Fetched { name: &'a str },
    /// What it has come to is sent to where other machines find it.
    Sent { name: &'a str },
    /// It has come to this image.
    Made { id: &'a str },
    /// The image is about to be made.
    Commit { stage: Option<(usize, usize)>, name: Option<&'a str> },
    /// It has got this name.
    Tagged { name: &'a str },
    /// The user should know, but the build goes on.
    Warning { text: &'a str },
    /// `--build-arg` that no ARG asked for.
    Unused { arguments: &'a [String] },
}

/// Everything of a build that its stages share.
pub(crate) struct Build<'a> {
    engine: &'a Engine,
    options: &'a Options,
    file: Containerfile,
    plan: Plan,
    predefined: BTreeMap<String, String>,
    /// What stages have come to; `None` is nothing at all (`FROM scratch` alone).
    made: BTreeMap<usize, Option<Image>>,
    /// What each stage is for, where somebody said so.
    platforms: BTreeMap<usize, Platform>,
    /// What the ARGs of each stage have come to.
    arguments: BTreeMap<usize, stage::Arguments>,
    tell: &'a mut dyn FnMut(Event<'_>),
}

/// Builds the image and gives it its names. A file with a mistake is refused before anything is made.
pub fn build(engine: &Engine, options: &Options, tell: &mut dyn FnMut(Event<'_>)) -> Result<Image> {
    let (file, plan, predefined) = read(options)?;
    for name in &options.names {
        name.parse::<images::Reference>()?;
    }
    containers::sweep_working(engine);
    // What a step has come to has no name yet, nor has what an earlier build has left for this one.
    let _building = engine.store.building()?;
    let mut build = Build {
        engine,
        options,
        file,
        plan,
        predefined,
        made: BTreeMap::new(),
        platforms: BTreeMap::new(),
        arguments: BTreeMap::new(),
        tell,
    };
    let made = build.stages();
    if let Err(error) = cache::sweep(&engine.store) {
        tracing::warn!(%error, "cannot forget what earlier builds have made");
    }
    made
}

/// The images that the stages of the build are made from.
pub fn bases(options: &Options) -> Result<Vec<String>> {
    let (_, plan, _) = read(options)?;
    let of_stage = |number: &usize| match &plan.bases[*number] {
        Base::Image(name) => match options.contexts.get(name) {
            Some(Named::Image(other)) => Some(other.clone()),
            Some(Named::Directory(_)) => None,
            None => Some(name.clone()),
        },
        Base::Scratch | Base::Stage(_) => None,
    };
    Ok(plan.order.iter().filter_map(of_stage).collect())
}

/// The files and what is to be done; pure.
fn read(options: &Options) -> Result<(Containerfile, Plan, BTreeMap<String, String>)> {
    let text: String = options.files.iter().map(|(_, text)| with_end(text)).collect();
    let bad = |problem: Problem| {
        let (file, line) = if problem.line == 0 { ("", 0) } else { place(options, problem.line) };
        Error::Containerfile { file: file.to_owned(), problem: Problem { line, ..problem } }
    };
    let file = Containerfile::parse(&text).map_err(bad)?;
    let predefined = predefined(options.pull.platform.as_ref());
    let wanted = Wanted {
        target: options.target.as_deref(),
        arguments: options.arguments.clone(),
        predefined: predefined.clone(),
        from: options.from.as_deref(),
        every_stage: options.every_stage,
    };
    let plan = plan::plan(&file, &wanted).map_err(bad)?;
    Ok((file, plan, predefined))
}

/// Writes the root file system of an image as a tar.
pub fn export(engine: &Engine, image: &Image, out: &mut dyn Write) -> Result<()> {
    let working = Working::new(engine, Some(image))?;
    let files = working.files()?;
    Ok(engine.store.tree_tar(&files.path(), out)?)
}

impl Build<'_> {
    fn stages(&mut self) -> Result<Image> {
        let order = self.plan.order.clone();
        let Some(last) = order.last().copied() else {
            return Err(Error::Invalid("there is no stage to build".to_owned()));
        };
        let mut unused: Vec<String> = self.options.arguments.keys().cloned().collect();
        for number in order {
            let image = stage::carry_out(self, number, number == last, &mut unused)?;
            self.made.insert(number, image);
        }
        let Some(image) = self.made.remove(&last).flatten() else {
            return Err(Error::Invalid("there is no stage to build".to_owned()));
        };
        if self.options.squash != Squash::Steps {
            self.forget_stages(&image);
        }
        let names: Vec<&str> = self.options.names.iter().map(String::as_str).collect();
        images::name_built(&self.engine.store, &image.id, &names)?;
        let image = images::get(&self.engine.store, &format!("sha256:{}", image.id))?;
        unused.retain(|name| !stage::PROXIES.contains(&name.as_str()) && !self.plan.globals.contains_key(name));
        if !unused.is_empty() {
            (self.tell)(Event::Unused { arguments: &unused });
        }
        for name in image.names.iter().filter(|_| !names.is_empty()) {
            (self.tell)(Event::Tagged { name });
        }
        Ok(image)
    }

    /// Without a cache the images of the other stages are of no use to anybody.
    fn forget_stages(&mut self, kept: &Image) {
        let steps = self.plan.order.iter().filter(|number| !self.file.stages[**number].steps.is_empty());
        let made: Vec<String> = steps
            .filter_map(|number| self.made.get(number)?.as_ref())
            .filter(|image| image.names.is_empty() && image.id != kept.id)
            .map(|image| image.id.clone())
            .collect();
        for id in made {
            // Somebody else may use it by now.
            let users = || containers::image_users(self.engine);
            let _ = images::remove(&self.engine.store, &[&id], &RemoveOptions::default(), users);
        }
    }

    /// The image of a name: a named context, or one that is here or is pulled.
    pub(crate) fn image(&self, name: &str, platform: Option<&Platform>) -> Result<Image> {
        let name = match self.options.contexts.get(name) {
            Some(Named::Image(other)) => other,
            Some(Named::Directory(_)) => {
                return Err(Error::Invalid(format!("{name} is a directory (--build-context), no image")));
            }
            None => name,
        };
        if images::embedded::is_named(name) {
            return Ok(images::embedded::ensure(&self.engine.store)?);
        }
        let options = PullOptions { platform: platform.cloned(), ..self.options.pull.clone() };
        Ok(images::ensure(&self.engine.store, name, &options)?)
    }

    /// What a stage is made from.
    pub(crate) fn base(&self, number: usize, platform: Option<&Platform>) -> Result<Option<Image>> {
        match &self.plan.bases[number] {
            Base::Scratch => Ok(None),
            Base::Stage(earlier) => Ok(self.made.get(earlier).cloned().flatten()),
            Base::Image(name) => self.image(name, platform).map(Some).map_err(|error| match error {
                Error::Images(error) => Error::Base(error),
                error => error,
            }),
        }
    }

    /// What a stage is for: as its FROM says, as the stage below it, or as the whole build.
    fn platform(&self, number: usize) -> Result<Option<Platform>> {
        match (&self.file.stages[number].platform, &self.plan.bases[number]) {
            (Some(text), _) => {
                let lookup = |name: &str| self.plan.globals.get(name).or_else(|| self.predefined.get(name)).cloned();
                let text = words::expand(text, self.file.escape, &lookup).map_err(Error::Invalid)?;
                Ok(Some(text.parse()?))
            }
            (None, Base::Stage(earlier)) => Ok(self.platforms.get(earlier).cloned()),
            (None, Base::Scratch | Base::Image(_)) => Ok(self.options.pull.platform.clone()),
        }
    }

    /// The number of the stage for the user, where there are several.
    pub(crate) fn position(&self, number: usize) -> Option<(usize, usize)> {
        let all = self.plan.order.last().map_or(1, |last| last + 1);
        (all > 1).then_some((number + 1, all))
    }
}

/// Which file a line of the joined text is in, and where.
pub(crate) fn place(options: &Options, line: usize) -> (&str, usize) {
    let mut before = 0;
    for (name, text) in &options.files {
        let lines = with_end(text).lines().count();
        if line <= before + lines {
            return (name, line - before);
        }
        before += lines;
    }
    options.files.last().map_or(("Containerfile", line), |(name, _)| (name, line.saturating_sub(before).max(1)))
}

fn with_end(text: &str) -> String {
    if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

/// Arguments that need only be declared.
fn predefined(target: Option<&Platform>) -> BTreeMap<String, String> {
    let host = Platform::default();
    let mut all = BTreeMap::new();
    for (side, platform) in [("BUILD", &host), ("TARGET", target.unwrap_or(&host))] {
        all.insert(format!("{side}PLATFORM"), platform.to_string());
        all.insert(format!("{side}OS"), platform.os().to_owned());
        all.insert(format!("{side}ARCH"), platform.architecture().to_owned());
        all.insert(format!("{side}VARIANT"), platform.variant.clone().unwrap_or_default());
    }
    all
}
