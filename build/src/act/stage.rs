//! One stage: its steps in order, each found in the cache or done, each made an image.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use containers::{ContainerSpec, Endpoint, ImageVolumes, LogConfig, LogDriver, Working};
use images::{CommitRequest, Content, Empty, HistoryEntry, Image, Settings};
use jiff::Timestamp;
use storage::{Algorithm, Hasher, Staging};

use super::cache::{self, Key};
use super::copy::{self, Attributes, Destination, Tree};
use super::mounts::{Kind, Mount, Mounted, Origin};
use super::{Build, Context, Event, Named, Squash};
use crate::containerfile::Step;
use crate::error::{Error, Problem, Result};
use crate::instruction::{self, Argument, Command, Copy, Instruction, Run};
use crate::lines;
use crate::pattern::Ignore;
use crate::plan::{Base, Numbers, stage_named};
use crate::words;

/// Arguments that need no ARG, and that no cache looks at.
pub(super) const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "no_proxy",
    "all_proxy",
];

/// Names that ARG has declared, with values.
pub(super) type Arguments = Vec<(String, Option<String>)>;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Carries a stage out and says what it has come to. `unused` loses the arguments that were asked for.
pub(super) fn carry_out(
    build: &mut Build<'_>,
    number: usize,
    is_last: bool,
    unused: &mut Vec<String>,
) -> Result<Option<Image>> {
    let of_file = build.file.stages[number].clone();
    let text = from_text(build, number);
    let from_problem = |build: &Build<'_>, why: String| {
        let (file, line) = super::place(build.options, of_file.line);
        Error::Step { step: text.clone(), file: file.to_owned(), line, why }
    };
    let mut steps = Vec::new();
    let position = build.position(number);
    let is_pulled = matches!(build.plan.bases[number], Base::Image(_));
    let mut of = of_file.steps.len() + 1;
    let extras = extra_steps(build, of_file.line, is_last);
    of += extras.0.len() + extras.1.len();
    (build.tell)(Event::Step { stage: position, number: 1, of, text: &text });
    if let Some(platform) = &of_file.platform {
        let host = format!("linux/{}", images::host_architecture());
        let lookup = |name: &str| build.plan.globals.get(name).or_else(|| build.predefined.get(name)).cloned();
        let platform = words::expand(platform, build.file.escape, &lookup).map_err(|why| from_problem(build, why))?;
        if platform != host && !platform.starts_with(&format!("{host}/")) {
            let why = format!("--platform={platform}: this machine builds {host} only");
            return Err(from_problem(build, why));
        }
    }
    let base = build.base(number)?;
    let mut settings = base.as_ref().map(|base| base.settings.clone()).unwrap_or_default();
    if settings.variable("PATH").is_none() {
        settings.set_variable("PATH", PATH);
    }
    let triggers = std::mem::take(&mut settings.on_build);
    steps.extend(extras.0);
    for trigger in triggers.iter().filter(|_| is_pulled) {
        let line = lines::Line { number: of_file.line, text: trigger.clone(), heredocs: Vec::new() };
        let instruction = instruction::parse(&line, '\\')
            .map_err(|Problem { what, .. }| from_problem(build, format!("ONBUILD {trigger}: {what}")))?;
        steps.push(Step { line: of_file.line, text: trigger.clone(), instruction });
    }
    steps.extend(of_file.steps.iter().cloned());
    steps.extend(extras.1);
    of = steps.len() + 1;

    let known_as = match &build.plan.bases[number] {
        Base::Image(name) => base.as_ref().map(|base| base.names.first().cloned().unwrap_or_else(|| name.clone())),
        Base::Scratch | Base::Stage(_) => None,
    };
    // A stage sees what the one below it has declared.
    let arguments = match &build.plan.bases[number] {
        Base::Stage(earlier) => build.arguments.get(earlier).cloned().unwrap_or_default(),
        Base::Scratch | Base::Image(_) => Vec::new(),
    };
    let mut stage = Stage {
        build,
        number,
        is_last,
        base: base.clone(),
        image: base,
        known_as,
        settings,
        arguments,
        author: None,
        working: None,
        pending: Vec::new(),
        unused,
        misses: false,
    };
    let count = steps.len();
    for (at, step) in steps.iter().enumerate() {
        (stage.build.tell)(Event::Step { stage: position, number: at + 2, of, text: &step.text });
        let ends = at + 1 == count;
        stage.step(step, ends).map_err(|error| named(stage.build, step, error))?;
    }
    if stage.build.options.squash != Squash::Steps || (is_last && count == 0) {
        stage.finish(count == 0)?;
    } else if let Some(image) = stage.image.as_ref().filter(|_| count == 0) {
        (stage.build.tell)(Event::Made { id: &image.id });
    }
    let Stage { image, arguments, .. } = stage;
    build.arguments.insert(number, arguments);
    Ok(image)
}

/// FROM as it is shown: with what its variables came to.
fn from_text(build: &Build<'_>, number: usize) -> String {
    let stage = &build.file.stages[number];
    let base = match &build.plan.bases[number] {
        Base::Scratch => "scratch".to_owned(),
        Base::Image(name) => name.clone(),
        Base::Stage(earlier) => match build.made.get(earlier).and_then(Option::as_ref) {
            Some(image) => image.id.clone(),
            None => "scratch".to_owned(),
        },
    };
    match stage.base == base {
        true => stage.text.clone(),
        false => stage.text.replacen(&stage.base, &base, 1),
    }
}

/// What flags add to the last stage: `--env` at its beginning, `--label` at its end.
fn extra_steps(build: &Build<'_>, line: usize, is_last: bool) -> (Vec<Step>, Vec<Step>) {
    let step = |word: &str, pairs: &[(String, String)]| {
        let shown: Vec<String> = pairs.iter().map(|(key, value)| format!("{key:?}={value:?}")).collect();
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\"'\"'"));
        let pairs = pairs.iter().map(|(key, value)| (quoted(key), quoted(value))).collect();
        let instruction = if word == "ENV" { Instruction::Env(pairs) } else { Instruction::Label(pairs) };
        Step { line, text: format!("{word} {}", shown.join(" ")), instruction }
    };
    let some = |word: &str, pairs: &[(String, String)]| match pairs.is_empty() || !is_last {
        true => Vec::new(),
        false => vec![step(word, pairs)],
    };
    (some("ENV", &build.options.env), some("LABEL", &build.options.labels))
}

/// Says which step it was.
fn named(build: &Build<'_>, step: &Step, error: Error) -> Error {
    let text = step.text.clone();
    match error {
        Error::Exit { code, .. } => Error::Exit { step: text, code },
        Error::Containers(containers::Error::StartFailed { message, exit_code }) => {
            Error::Start { step: text, why: message, code: exit_code }
        }
        error @ (Error::Step { .. } | Error::Containerfile { .. }) => error,
        error => {
            let (file, line) = super::place(build.options, step.line);
            Error::Step { step: text, file: file.to_owned(), line, why: error.to_string() }
        }
    }
}

struct Stage<'a, 'b> {
    build: &'a mut Build<'b>,
    number: usize,
    is_last: bool,
    base: Option<Image>,
    /// What it has come to so far.
    image: Option<Image>,
    /// The name of the base, for the history.
    known_as: Option<String>,
    settings: Settings,
    /// What ARG has declared here, with values.
    arguments: Arguments,
    author: Option<String>,
    /// With one layer for all steps: where they work.
    working: Option<Working<'b>>,
    /// History without a layer yet.
    pending: Vec<HistoryEntry>,
    unused: &'a mut Vec<String>,
    /// A step was done anew: what follows is, too.
    misses: bool,
}

/// What a step does to files.
enum Work<'a> {
    Nothing,
    Run(&'a Run),
    Copy(&'a Copy),
}

impl<'b> Stage<'_, 'b> {
    fn step(&mut self, step: &Step, ends: bool) -> Result<()> {
        let work = self.apply(step)?;
        let created_by = self.created_by(step, &work)?;
        if self.build.options.squash != Squash::Steps {
            let mut working = self.working()?;
            let done = match work {
                Work::Nothing => Ok(()),
                Work::Run(run) => self.run(run, &mut working),
                Work::Copy(copy) => self.copy(copy, &working),
            };
            self.working = Some(working);
            done?;
            self.pending.push(self.history(created_by));
            return Ok(());
        }
        let is_image = ends && self.is_last;
        let position = self.build.position(self.number);
        let name = self.build.options.names.first().map(String::as_str);
        let keys = self.keys(&work, &created_by, is_image)?;
        let found = match self.build.options.uses_cache && !self.misses {
            true => self.cached(&keys)?,
            false => None,
        };
        match found {
            Some(image) => {
                (self.build.tell)(Event::Cached { id: &image.id });
                if is_image && name.is_some() {
                    (self.build.tell)(Event::Commit { stage: position, name });
                }
                self.image = Some(image);
            }
            None => {
                self.misses = true;
                let working = match work {
                    Work::Nothing => None,
                    Work::Run(_) | Work::Copy(_) => Some(self.working()?),
                };
                let working = match (work, working) {
                    (Work::Run(run), Some(mut working)) => {
                        self.run(run, &mut working)?;
                        Some(working)
                    }
                    (Work::Copy(copy), Some(working)) => {
                        self.copy(copy, &working)?;
                        Some(working)
                    }
                    (_, working) => working,
                };
                if is_image {
                    (self.build.tell)(Event::Commit { stage: position, name });
                }
                let entry = self.history(created_by);
                let image = self.commit(entry, working.as_ref(), is_image)?;
                for key in &keys {
                    cache::remember(&self.build.engine.store, key, &image)?;
                }
                self.image = Some(image);
            }
        }
        if let Some(image) = &self.image {
            (self.build.tell)(Event::Made { id: &image.id });
        }
        Ok(())
    }

    fn cached(&self, keys: &[String]) -> Result<Option<Image>> {
        for key in keys {
            if let Some(image) = cache::find(&self.build.engine.store, key)? {
                return Ok(Some(image));
            }
        }
        Ok(None)
    }

    /// A container over what the stage has come to, or the one in use.
    fn working(&mut self) -> Result<Working<'b>> {
        match self.working.take() {
            Some(working) => Ok(working),
            None => Ok(Working::new(self.build.engine, self.image.as_ref())?),
        }
    }

    /// The end of a stage whose steps are one layer, or that has no steps.
    fn finish(&mut self, is_empty: bool) -> Result<()> {
        let name = self.build.options.names.first().map(String::as_str);
        if self.is_last {
            let stage = self.build.position(self.number);
            (self.build.tell)(Event::Commit { stage, name });
        }
        let changes_config = self.is_last
            && !(self.build.options.annotations.is_empty()
                && self.build.options.unset_env.is_empty()
                && self.build.options.unset_labels.is_empty());
        let all = self.is_last && self.build.options.squash == Squash::All;
        if !is_empty || self.image.is_none() || all || changes_config {
            let entry = self.pending.pop();
            let working = match (self.working.take(), all) {
                (None, true) => Some(Working::new(self.build.engine, self.image.as_ref())?),
                (working, _) => working,
            };
            let image = self.commit(entry.unwrap_or_default(), working.as_ref(), self.is_last)?;
            self.image = Some(image);
        }
        if let Some(image) = self.image.as_ref().filter(|_| self.is_last) {
            (self.build.tell)(Event::Made { id: &image.id });
        }
        Ok(())
    }

    /// Makes an image of the settings and of what the working container has changed.
    fn commit(&mut self, entry: HistoryEntry, working: Option<&Working<'_>>, is_image: bool) -> Result<Image> {
        let options = self.build.options;
        let store = &self.build.engine.store;
        let mut settings = self.settings.clone();
        if is_image {
            settings.env.retain(|entry| {
                let name = entry.split('=').next().unwrap_or_default();
                !options.unset_env.iter().any(|unset| unset == name)
            });
            settings.labels.retain(|label, _| !options.unset_labels.contains(label));
        }
        let squash = match is_image && options.squash == Squash::All {
            true => images::Squash::All,
            false => images::Squash::No,
        };
        let dir = working.map(Working::dir);
        let files = match (working, squash) {
            (Some(working), images::Squash::All) => Some(working.files()?),
            _ => None,
        };
        let root = files.as_ref().map(Endpoint::path);
        let has_changed = dir.as_ref().is_some_and(|dir| dir.join("upper").exists() || dir.join("rootfs").exists());
        let content = match (&root, &dir) {
            (Some(root), _) => Content::Tree(root),
            (None, Some(dir)) if has_changed => Content::Container(dir),
            (None, _) => Content::Nothing,
        };
        let base = self.image.as_ref();
        let mut request = CommitRequest::new(base, content);
        request.settings = Some(settings);
        request.created_by = entry.created_by;
        request.author = self.author.clone();
        request.history_before = std::mem::take(&mut self.pending);
        // Only what comes straight on the base is from it.
        let is_first = self.image.as_ref().map(|image| &image.id) == self.base.as_ref().map(|base| &base.id);
        request.from = self.known_as.clone().filter(|_| is_first);
        request.created = options.timestamp.and_then(|seconds| Timestamp::from_second(seconds).ok());
        request.file_times = options.timestamp;
        request.format = options.format;
        request.squash = squash;
        request.annotations = self.annotations(is_image);
        Ok(images::commit(store, request)?)
    }

    /// What the image is from, as the OCI has words for it, and the user's own.
    fn annotations(&self, is_image: bool) -> Vec<(String, String)> {
        let mut all = BTreeMap::new();
        if let (Some(base), Some(name)) = (&self.base, &self.known_as) {
            all.insert("org.opencontainers.image.base.digest".to_owned(), base.digest.to_string());
            all.insert("org.opencontainers.image.base.name".to_owned(), name.clone());
        }
        if is_image {
            all.extend(self.build.options.annotations.iter().cloned());
        }
        all.into_iter().collect()
    }

    fn history(&self, created_by: String) -> HistoryEntry {
        let author = self.author.clone().unwrap_or_default();
        HistoryEntry { created_by, comment: String::new(), author }
    }

    /// Takes over what the step says of the image's settings; what is left is work on files.
    fn apply<'s>(&mut self, step: &'s Step) -> Result<Work<'s>> {
        let value = |stage: &Self, text: &str| stage.expand(text);
        match &step.instruction {
            Instruction::Run(run) => return Ok(Work::Run(run)),
            Instruction::Copy(copy) => return Ok(Work::Copy(copy)),
            Instruction::Arg(arguments) => {
                for argument in arguments {
                    self.declare(argument)?;
                }
            }
            Instruction::Env(pairs) => {
                // Every value of one instruction sees what was before it.
                let pairs: Vec<(String, String)> = pairs
                    .iter()
                    .map(|(name, text)| Ok((value(self, name)?, value(self, text)?)))
                    .collect::<Result<_>>()?;
                for (name, value) in pairs {
                    self.settings.set_variable(&name, &value);
                }
            }
            Instruction::Label(pairs) => {
                for (name, text) in pairs {
                    let (name, text) = (value(self, name)?, value(self, text)?);
                    self.settings.labels.insert(name, text);
                }
            }
            Instruction::Expose(ports) => {
                for port in ports {
                    for port in self.expand_words(port)? {
                        images::apply_change(&mut self.settings, &format!("EXPOSE {port}"))?;
                    }
                }
            }
            Instruction::Volume(paths) => {
                for path in paths {
                    let path = value(self, path)?;
                    self.settings.volumes.insert(path, Empty {});
                }
            }
            Instruction::User(text) => self.settings.user = value(self, text)?,
            Instruction::Workdir(text) => {
                let typed = value(self, text)?;
                let path = Path::new("/").join(&self.settings.working_dir).join(typed);
                let names = crate::pattern::names(&path);
                self.settings.working_dir = format!("/{}", names.join("/"));
            }
            Instruction::Stopsignal(text) => {
                let signal = value(self, text)?;
                if sys::signals::parse(&signal).is_none() {
                    return Err(Error::Invalid(format!("Invalid signal: {signal}")));
                }
                self.settings.stop_signal = signal;
            }
            Instruction::Maintainer(text) => self.author = Some(text.clone()),
            Instruction::Setting(text) => {
                let had = self.settings.cmd.clone();
                images::apply_change(&mut self.settings, text)?;
                // A new entry point forgets the command of the base, not one of this file.
                let of_base = self.base.as_ref().and_then(|base| base.settings.cmd.clone());
                if self.settings.cmd.is_none() && had != of_base && text.starts_with("ENTRYPOINT") {
                    self.settings.cmd = had;
                }
            }
        }
        Ok(Work::Nothing)
    }

    fn declare(&mut self, Argument { name, default }: &Argument) -> Result<()> {
        let build = &self.build;
        let value = match (build.options.arguments.get(name), default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => Some(self.expand(default)?),
            (None, None) => build.plan.globals.get(name).or_else(|| build.predefined.get(name)).cloned(),
        };
        self.unused.retain(|unused| unused != name);
        self.arguments.retain(|(known, _)| known != name);
        self.arguments.push((name.clone(), value));
        Ok(())
    }

    /// ENV first, then ARG.
    fn lookup(&self, name: &str) -> Option<String> {
        let argument = || self.arguments.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.clone());
        self.settings.variable(name).map(str::to_owned).or_else(argument)
    }

    fn expand(&self, text: &str) -> Result<String> {
        words::expand(text, self.build.file.escape, &|name| self.lookup(name)).map_err(Error::Invalid)
    }

    fn expand_words(&self, text: &str) -> Result<Vec<String>> {
        words::expand_words(text, self.build.file.escape, &|name| self.lookup(name)).map_err(Error::Invalid)
    }

    /// The line of the history.
    fn created_by(&self, step: &Step, work: &Work<'_>) -> Result<String> {
        let times = self.build.options.timestamp.map(|time| format!("|force-mtime={time}")).unwrap_or_default();
        Ok(match work {
            Work::Run(run) => {
                let set: Vec<String> = self.set_arguments().map(|(name, value)| format!("{name}={value}")).collect();
                let given = if set.is_empty() { String::new() } else { format!("|{} {} ", set.len(), set.join(" ")) };
                let documents: String =
                    run.heredocs.iter().map(|doc| format!("\n{}{}", doc.content, doc.name)).collect();
                let line = match &run.command {
                    Command::Shell(line) => format!("{} {line}", self.shell().join(" ")),
                    Command::Exec(words) => words.join(" "),
                };
                format!("{given}{line}{documents}{times}")
            }
            Work::Copy(_) | Work::Nothing => format!("/bin/sh -c #(nop) {}{times}", self.shown(step)),
        })
    }

    /// As the history has it: what an argument is by default is nobody's business.
    fn shown(&self, step: &Step) -> String {
        match &step.instruction {
            Instruction::Arg(arguments) => {
                let names: Vec<&str> = arguments.iter().map(|argument| argument.name.as_str()).collect();
                format!("ARG {}", names.join(" "))
            }
            _ => step.text.clone(),
        }
    }

    /// Declared arguments that have a value and that no ENV hides.
    fn set_arguments(&self) -> impl Iterator<Item = (&str, &str)> {
        let hidden = |name: &str| self.settings.variable(name).is_some();
        let set = self.arguments.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)));
        set.filter(move |(name, _)| !hidden(name) && !PROXIES.contains(name))
    }

    fn shell(&self) -> Vec<String> {
        match self.settings.shell.is_empty() {
            true => vec!["/bin/sh".to_owned(), "-c".to_owned()],
            false => self.settings.shell.clone(),
        }
    }

    /// What the step is known by; any of several.
    fn keys(&mut self, work: &Work<'_>, created_by: &str, is_image: bool) -> Result<Vec<String>> {
        let options = self.build.options;
        let begin = |stage: &Self| -> Result<Key> {
            let mut key = Key::new(stage.image.as_ref());
            key.part(created_by);
            let settings = serde_json::to_vec(&stage.settings).map_err(|error| Error::Invalid(error.to_string()))?;
            key.part(settings);
            key.part(stage.author.as_deref().unwrap_or_default());
            key.part(format!("{:?} {:?}", options.format, options.timestamp));
            if is_image {
                key.part(format!("{:?} {:?} {:?}", options.annotations, options.unset_env, options.unset_labels));
            }
            Ok(key)
        };
        match work {
            Work::Nothing => Ok(vec![begin(self)?.finish()]),
            Work::Run(run) => {
                let mut key = begin(self)?;
                key.part(run.network.as_deref().unwrap_or_default());
                for text in &run.mounts {
                    let text = self.expand(text)?;
                    key.part(&text);
                    let mount: Mount = text.parse().map_err(Error::Invalid)?;
                    if mount.kind == Kind::Bind {
                        key.part(self.mount_digest(&mount)?);
                    }
                }
                Ok(vec![key.finish()])
            }
            Work::Copy(copy) => {
                let expanded = self.expanded(copy)?;
                let facts = format!("{expanded:?} {}", self.settings.working_dir);
                let origin = match &expanded.from {
                    Some(from) => Some(self.origin(from)?),
                    None => None,
                };
                if let Some(Source::Image(Some(image))) = &origin {
                    let mut quick = begin(self)?;
                    quick.part(&facts);
                    quick.part(&image.id);
                    let quick = quick.finish();
                    // No need to read an image that was read before.
                    if options.uses_cache && cache::find(&self.build.engine.store, &quick)?.is_some() {
                        return Ok(vec![quick]);
                    }
                    let mut key = begin(self)?;
                    key.part(&facts);
                    key.part(self.copy_digest(&expanded)?);
                    return Ok(vec![quick, key.finish()]);
                }
                let mut key = begin(self)?;
                key.part(&facts);
                key.part(self.copy_digest(&expanded)?);
                Ok(vec![key.finish()])
            }
        }
    }

    /// The content that a bind mount shows.
    fn mount_digest(&self, mount: &Mount) -> Result<String> {
        let source = mount.source.clone().unwrap_or_else(|| "/".to_owned());
        let origin = match &mount.from {
            Some(from) => self.origin(from)?,
            None => Source::Directory(&self.build.options.context),
        };
        let context = match origin {
            Source::Image(image) => return Ok(image.map(|image| image.id).unwrap_or_default()),
            Source::Directory(context) => context,
        };
        let files = Endpoint::of_directory(&context.path)?;
        let tree = Tree { files: &files, ignore: &Ignore::default(), keeps_owners: false };
        let sources = copy::find(&tree, &[source]).map_err(Error::Invalid)?;
        let to = Destination { path: "/".into(), is_directory: true };
        let items = copy::collect(&tree, &sources, &to, &Attributes::default(), false)?;
        copy::digest(&files, &items)
    }

    /// COPY with its variables replaced.
    fn expanded(&self, copy: &Copy) -> Result<Copy> {
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

    /// A stage, a named context or an image.
    fn origin(&self, name: &str) -> Result<Source<'b>> {
        if let Some(Named::Directory(context)) = self.build.options.contexts.get(name) {
            return Ok(Source::Directory(context));
        }
        if !self.build.options.contexts.contains_key(name)
            && let Some(stage) = stage_named(&self.build.file.stages[..self.number], name, Numbers::Count)
        {
            return Ok(Source::Image(self.build.made.get(&stage).cloned().flatten().map(Box::new)));
        }
        if name.parse::<usize>().is_ok() {
            return Err(Error::Invalid(format!("there is no stage {name} before this one")));
        }
        match self.build.image(name) {
            Ok(image) => Ok(Source::Image(Some(Box::new(image)))),
            Err(error) => {
                let names: Vec<&str> =
                    self.build.file.stages[..self.number].iter().filter_map(|stage| stage.name.as_deref()).collect();
                let meant = instruction::meant(name, &names).map(|meant| format!(" (did you mean the stage {meant}?)"));
                Err(Error::Invalid(format!("no stage or image {name}{}: {error}", meant.unwrap_or_default())))
            }
        }
    }

    /// Opens what is copied from while `then` works with it.
    fn with_origin<T>(&self, copy: &Copy, then: impl FnOnce(&Tree<'_>) -> Result<T>) -> Result<T> {
        let origin = match &copy.from {
            Some(from) => self.origin(from)?,
            None => Source::Directory(&self.build.options.context),
        };
        match origin {
            Source::Directory(context) => {
                let files = Endpoint::of_directory(&context.path)?;
                then(&Tree { files: &files, ignore: &context.ignore, keeps_owners: false })
            }
            Source::Image(image) => {
                let working = Working::new(self.build.engine, image.as_deref())?;
                let files = working.files()?;
                then(&Tree { files: &files, ignore: &Ignore::default(), keeps_owners: true })
            }
        }
    }

    fn copy_digest(&self, copy: &Copy) -> Result<String> {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        for document in &copy.heredocs {
            hasher.update(self.document(document)?.as_bytes());
        }
        let (urls, sources) = split_urls(copy);
        for url in urls {
            match &copy.checksum {
                Some(checksum) => hasher.update(checksum.as_bytes()),
                None => hasher.update(self.fetch(url, None)?.digest.as_bytes()),
            }
        }
        if !sources.is_empty() {
            let attributes = Attributes { exclude: exclude(copy), ..Attributes::default() };
            let digest = self.with_origin(copy, |tree| {
                let found = copy::find(tree, &sources).map_err(Error::Invalid)?;
                let to = Destination { path: "/".into(), is_directory: true };
                let items = copy::collect(tree, &found, &to, &attributes, copy.parents)?;
                copy::digest(tree.files, &items)
            })?;
            hasher.update(digest.as_bytes());
        }
        Ok(hasher.finish().hex().to_owned())
    }

    fn document(&self, document: &lines::Heredoc) -> Result<String> {
        match document.expands {
            false => Ok(document.content.clone()),
            true => words::expand_document(&document.content, self.build.file.escape, &|name| self.lookup(name))
                .map_err(Error::Invalid),
        }
    }

    /// Carries out COPY or ADD.
    fn copy(&self, copy: &Copy, working: &Working<'_>) -> Result<()> {
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
                unpack(&fetched.path, &to, &image, owner)?;
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
            for path in found {
                let is_file =
                    tree.files.followed(&path)?.is_some_and(|entry| entry.kind == containers::EntryKind::File);
                if copy.adds && copy.unpack != Some(false) && is_file && copy::is_archive(tree.files, &path)? {
                    let archive = tree.files.open_file(&path)?;
                    image.make_directory(&to.path, made_for)?;
                    unpack_stream(Box::new(archive), &to, &image, owner)?;
                } else {
                    plain.push(path);
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
    fn fetch(&self, url: &str, checksum: Option<&str>) -> Result<Fetched> {
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

    /// Carries out RUN.
    fn run(&self, run: &Run, working: &mut Working<'_>) -> Result<()> {
        let options = self.build.options;
        let mut mounted = Mounted::default();
        for text in &run.mounts {
            let mount: Mount = self.expand(text)?.parse().map_err(Error::Invalid)?;
            self.mount(&mount, &mut mounted)?;
        }
        let command = self.command(run, &mut mounted)?;
        let mut env: Vec<(String, String)> = self
            .set_arguments()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .chain(PROXIES.iter().filter_map(|name| Some(((*name).to_owned(), options.arguments.get(*name)?.clone()))))
            .collect();
        env.extend(self.settings.env.iter().filter_map(|entry| {
            let (name, value) = entry.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        }));
        env.append(&mut mounted.env);
        let mut spec = ContainerSpec {
            command,
            entrypoint: Some(Vec::new()),
            env,
            user: Some(self.settings.user.clone()).filter(|user| !user.is_empty()),
            workdir: Some(self.settings.working_dir.clone()).filter(|path| !path.is_empty()),
            image_volumes: ImageVolumes::Ignore,
            log: LogConfig { driver: LogDriver::None, ..LogConfig::default() },
            no_healthcheck: true,
            stdin: options.streams.stdin,
            ..options.spec.clone()
        };
        spec.mounts.append(&mut mounted.mounts);
        if let Some(network) = &run.network {
            spec.network.mode = match network.as_str() {
                "default" => spec.network.mode,
                "none" => network::Mode::None,
                "host" => network::Mode::Host,
                other => {
                    return Err(Error::Invalid(format!("--network={other}: use default, none or host")));
                }
            };
        }
        let files = working.files()?;
        for path in self.settings.volumes.keys() {
            files.make_directory(Path::new(path), (0, 0))?;
        }
        drop(files);
        let code = working.run(spec, self.image.as_ref(), options.streams)?;
        drop(mounted);
        match code {
            0 => Ok(()),
            code => Err(Error::Exit { step: String::new(), code }),
        }
    }

    /// The words that are executed. A here-document alone is a script.
    fn command(&self, run: &Run, mounted: &mut Mounted) -> Result<Vec<String>> {
        let line = match &run.command {
            Command::Exec(words) => return Ok(words.clone()),
            Command::Shell(line) => line,
        };
        let mut shell = self.shell();
        if let [document] = run.heredocs.as_slice()
            && line.starts_with("<<")
            && !line.contains(char::is_whitespace)
        {
            if document.content.starts_with("#!") {
                let place = PathBuf::from("/dev/pipes").join(&document.name);
                mounted.script(&self.build.engine.store, &document.content, place.clone()).map_err(Error::Invalid)?;
                return Ok(vec![place.display().to_string()]);
            }
            shell.push(document.content.clone());
            return Ok(shell);
        }
        let documents: String = run.heredocs.iter().map(|doc| format!("\n{}{}", doc.content, doc.name)).collect();
        shell.push(format!("{line}{documents}{}", if documents.is_empty() { "" } else { "\n" }));
        Ok(shell)
    }

    fn mount(&self, mount: &Mount, mounted: &mut Mounted) -> Result<()> {
        let options = self.build.options;
        let store = &self.build.engine.store;
        let workdir = &self.settings.working_dir;
        let invalid = Error::Invalid;
        match mount.kind {
            Kind::Tmpfs => mounted.tmpfs(mount, workdir),
            Kind::Secret => mounted.secret(store, mount, options, workdir).map_err(invalid)?,
            Kind::Ssh => mounted.ssh(mount, options, workdir).map_err(invalid)?,
            Kind::Bind => {
                let origin = match &mount.from {
                    Some(from) => self.origin(from)?,
                    None => Source::Directory(&options.context),
                };
                match &origin {
                    Source::Directory(context) => {
                        mounted.bind(mount, &Origin::Directory(&context.path), workdir).map_err(invalid)?;
                    }
                    Source::Image(Some(image)) => {
                        mounted.bind(mount, &Origin::Image(&image.id), workdir).map_err(invalid)?;
                    }
                    Source::Image(None) => return Err(invalid("there is nothing in scratch to mount".to_owned())),
                }
            }
            Kind::Cache => match &mount.from {
                None => mounted.cache(store, mount, None, workdir)?,
                Some(from) => {
                    let copy = Copy { from: Some(from.clone()), ..Copy::default() };
                    self.with_origin(&copy, |tree| mounted.cache(store, mount, Some(tree.files), workdir))?;
                }
            },
        }
        Ok(())
    }
}

/// What `--from` means.
enum Source<'a> {
    /// `None` is scratch.
    Image(Option<Box<Image>>),
    Directory(&'a Context),
}

struct Fetched {
    path: PathBuf,
    name: String,
    digest: String,
    _staging: Staging,
}

fn exclude(copy: &Copy) -> Ignore {
    Ignore::of(copy.exclude.iter().map(String::as_str))
}

/// ADD takes URLs too.
fn split_urls(copy: &Copy) -> (Vec<&str>, Vec<String>) {
    let is_url = |source: &str| copy.adds && (source.starts_with("http://") || source.starts_with("https://"));
    let urls = copy.sources.iter().map(String::as_str).filter(|source| is_url(source)).collect();
    (urls, copy.sources.iter().filter(|source| !is_url(source)).cloned().collect())
}

fn unpack(path: &Path, to: &Destination, image: &Endpoint, owner: Option<(u32, u32)>) -> Result<()> {
    let file = fs::File::open(path).map_err(Error::io(path))?;
    image.make_directory(&to.path, owner.unwrap_or_default())?;
    unpack_stream(Box::new(file), to, image, owner)
}

fn unpack_stream(
    archive: Box<dyn std::io::Read + Send>,
    to: &Destination,
    image: &Endpoint,
    owner: Option<(u32, u32)>,
) -> Result<()> {
    let mut plain = storage::decompress(archive)?;
    let options = containers::CopyOptions { owner, overwrite: true };
    Ok(image.unpack(&to.path, &mut plain, &options)?)
}
