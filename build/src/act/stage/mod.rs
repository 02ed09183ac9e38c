//! One stage: its steps in order, each found in the cache or done, each made an image.

mod commit;
mod copy;
mod keys;
mod known;
mod origin;
mod run;
mod settings;

use containers::Working;
use images::{HistoryEntry, Image, Platform, Settings};

use super::{Build, Event, Squash, cache, emulation};
use crate::containerfile::Step;
use crate::error::{Error, Problem, Result};
use crate::instruction::{self, Copy, Instruction, Run};
use crate::lines;
use crate::plan::Base;
use keys::CopyContent;

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
    let platform = build.platform(number).map_err(|error| from_problem(build, error.to_string()))?;
    if let Some(platform) = &platform {
        build.platforms.insert(number, platform.clone());
    }
    let base = build.base(number, platform.as_ref())?;
    let mut settings = base.as_ref().map(|base| base.settings.clone()).unwrap_or_default();
    if base.is_none() {
        settings.working_dir = "/".to_owned();
    }
    if settings.variable("PATH").is_none() {
        settings.set_variable("PATH", PATH);
    }
    if is_pulled && !build.options.inherits_labels {
        settings.labels.clear();
    }
    let triggers = std::mem::take(&mut settings.on_build);
    steps.extend(extras.0);
    for trigger in &triggers {
        let line = lines::Line { number: of_file.line, text: trigger.clone(), heredocs: Vec::new() };
        let instruction = instruction::parse(&line, '\\')
            .map_err(|Problem { what, .. }| from_problem(build, format!("ONBUILD {trigger}: {what}")))?;
        steps.push(Step { line: of_file.line, text: trigger.clone(), instruction });
    }
    steps.extend(of_file.steps.iter().cloned());
    steps.extend(extras.1);
    of = steps.len() + 1;
    if let Some(platform) = platform.as_ref().filter(|platform| !emulation::can_run(platform))
        && let Some(run) = steps.iter().find(|step| matches!(step.instruction, Instruction::Run(_)))
    {
        let why = format!("{} needs an emulator for {platform}, and the kernel has none registered", run.text);
        return Err(from_problem(build, why));
    }

    let known_as = match &build.plan.bases[number] {
        Base::Image(name) => base.as_ref().map(|base| base.full_name(name).unwrap_or_else(|| name.clone())),
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
        platform,
        base: base.clone(),
        image: base,
        known_as,
        settings,
        arguments,
        author: None,
        working: None,
        pending: Vec::new(),
        unused,
        content: None,
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
    let text = match stage.base == base {
        true => stage.text.clone(),
        false => stage.text.replacen(&stage.base, &base, 1),
    };
    match (&stage.platform, build.platform(number)) {
        (Some(typed), Ok(Some(platform))) if typed.contains('$') => text.replacen(typed, &platform.to_string(), 1),
        _ => text,
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
    /// What it is for, where somebody said so.
    platform: Option<Platform>,
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
    /// What the step at hand copies, once it has been looked at.
    content: Option<CopyContent>,
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
        self.content = None;
        if self.build.options.squash != Squash::Steps {
            let mut working = self.working()?;
            let done = match &work {
                Work::Nothing => Ok(()),
                Work::Run(run) => self.run(run, &mut working),
                Work::Copy(copy) => self.copy(copy, &working),
            };
            self.working = Some(working);
            done?;
            let line = self.history_line(created_by, &work)?;
            self.pending.push(self.history(line));
            return Ok(());
        }
        let is_image = ends && self.is_last;
        let position = self.build.position(self.number);
        let name = self.build.options.names.first().map(String::as_str);
        let keys = self.keys(&work, &created_by, is_image)?;
        let may_be_known = self.build.options.uses_cache && !self.misses;
        let known = if may_be_known { self.cached(&keys)? } else { None };
        let fetched = if may_be_known && known.is_none() { self.fetched(&keys)? } else { None };
        let is_elsewhere = fetched.is_some();
        match known.or(fetched) {
            Some(image) => {
                if !is_elsewhere {
                    (self.build.tell)(Event::Cached { id: &image.id });
                }
                if is_image && name.is_some() {
                    (self.build.tell)(Event::Commit { stage: position, name });
                }
                self.image = Some(image);
            }
            None => {
                self.misses = true;
                let working = self.carry_out(&work)?;
                if is_image {
                    (self.build.tell)(Event::Commit { stage: position, name });
                }
                let line = self.history_line(created_by, &work)?;
                let entry = self.history(line);
                let image = self.commit(entry, working.as_ref(), is_image)?;
                for key in &keys {
                    cache::remember(&self.build.engine.store, key, &image)?;
                }
                self.image = Some(image);
            }
        }
        if !is_elsewhere {
            self.send(&keys)?;
        }
        if let Some(image) = &self.image {
            (self.build.tell)(Event::Made { id: &image.id });
        }
        Ok(())
    }

    /// Does the step's work on files, in a container over what the stage has come to.
    fn carry_out(&mut self, work: &Work<'_>) -> Result<Option<Working<'b>>> {
        match work {
            Work::Nothing => Ok(None),
            Work::Run(run) => {
                let mut working = self.working()?;
                self.run(run, &mut working)?;
                Ok(Some(working))
            }
            Work::Copy(copy) => {
                let working = self.working()?;
                self.copy(copy, &working)?;
                Ok(Some(working))
            }
        }
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
}
