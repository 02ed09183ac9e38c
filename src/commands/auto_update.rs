//! `creel auto-update`

use std::path::PathBuf;

use containers::{AutoUpdate, Container, Engine, OnFailure, PodRole, Replaced, Replacing, SYSTEMD_UNIT, Source};
use images::{Image, Platform, PullOptions, PullPolicy};
use kube_play::ObjectId;
use kube_play::act;

use super::login;
use crate::arguments;
use crate::caller;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Format, Headings, Value};
use crate::{object, output, systemctl, transfer};

/// Update containers whose image has changed
///
/// Looks at the running containers with the label io.containers.autoupdate: "registry" asks the image's registry, "local"
/// the local images. A container that a unit of systemd runs (label PODMAN_SYSTEMD_UNIT) is updated by restarting the
/// unit. The pods of a workload that was played are replaced as by kube rollout restart. In the place of any other
/// container creel puts one like it on the new image: the old one is stopped and kept until the new one has run for three
/// seconds or, with a health check, is healthy.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// File with the registries' credentials
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Only say what would be updated
    #[arg(long)]
    dry_run: bool,
    /// Show as JSON or through a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Go back to the old image where the new one does not run
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    rollback: bool,
    /// Require TLS and check certificates
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    tls_verify: Option<bool>,
    words: Vec<String>,
}

const HEADINGS: Headings = &[("ContainerID", "CONTAINERID"), ("ContainerName", "CONTAINERNAME")];

/// Podman's table has an empty column on the left.
const TABLE: &str = "table \t{{.Unit}}\t{{.Container}}\t{{.Image}}\t{{.Policy}}\t{{.Updated}}";

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "auto-update")?;
    login::check_files(args.authfile.as_deref(), None, None)?;
    let layout = args.format.as_deref().filter(|format| *format != "table").unwrap_or(TABLE);
    let format = Format::parse("auto-update", layout)?.within(output::room(false, args.format.as_deref()));
    let mut pull = PullOptions { tls_verify: args.tls_verify, policy: PullPolicy::Always, ..PullOptions::default() };
    pull.retry = transfer::retries(context.config()?, None);
    pull.retry_delay = transfer::retry_delay(context.config()?, None)?;
    let engine = context.engine()?;
    let mut update = Update { engine: &engine, args: &args, pull, errors: Vec::new() };
    // Who only looks waits for nobody.
    let replacing = if args.dry_run { None } else { Some(Replacing::begin(&engine)?) };
    if let Some(replacing) = &replacing {
        update.finish_interrupted(replacing)?;
    }
    let mut tasks = update.tasks()?;
    for group in groups(&mut tasks) {
        update.check(group);
        if let Some(replacing) = &replacing {
            update.carry_out(group, replacing);
        }
    }
    if !tasks.is_empty() {
        output::print(&format.list(tasks.iter().map(Task::value).collect(), HEADINGS, true, 4)?)?;
    }
    update.conclude()
}

/// A container that asks to be updated.
struct Task {
    container: Container,
    policy: AutoUpdate,
    /// The image's name as the user gave it.
    image: String,
    runner: Runner,
    outcome: Outcome,
}

/// Who makes a container anew.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Runner {
    /// A unit of systemd.
    Unit(String),
    /// The supervisor of what was played.
    Workload(ObjectId),
    /// This command.
    Us,
}

impl Runner {
    fn of(container: &Container) -> Result<Runner, Failure> {
        if let Some(unit) = container.spec().labels.get(SYSTEMD_UNIT).filter(|unit| !unit.is_empty()) {
            return Ok(Runner::Unit(unit.clone()));
        }
        Ok(match act::owner_of(container) {
            Some((owner, namespace)) => Runner::Workload(super::kube::one_object(&[owner.to_owned()], namespace)?),
            None => Runner::Us,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Its image is the newest.
    Current,
    Pending,
    Updated,
    RolledBack,
    Failed,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Current => "false",
            Outcome::Pending => "pending",
            Outcome::Updated => "true",
            Outcome::RolledBack => "rolled back",
            Outcome::Failed => "failed",
        }
    }
}

impl Task {
    fn of(container: Container) -> Result<Option<Task>, Failure> {
        let spec = container.spec();
        let is_of_interest = containers::running(&container)
            && container.record.retired.is_none()
            && spec.pod_role != Some(PodRole::Infra);
        let Some(policy) = is_of_interest.then(|| containers::auto_update(spec)).transpose()?.flatten() else {
            return Ok(None);
        };
        let image = match &spec.source {
            Source::Image { name, .. } if spec.raw_image.is_empty() => name.clone(),
            Source::Image { .. } => spec.raw_image.clone(),
            Source::None | Source::Directory { .. } | Source::Holder => {
                return Err(Failure::plain("it has no image").context(about(&container)));
            }
        };
        let runner = Runner::of(&container)?;
        Ok(Some(Task { policy, image, runner, outcome: Outcome::Current, container }))
    }

    fn value(&self) -> Value {
        let (id, name) = (self.container.id(), self.container.name());
        let unit = match &self.runner {
            Runner::Unit(unit) => unit.as_str(),
            Runner::Workload(_) | Runner::Us => "",
        };
        object! {
            "Unit": unit,
            "Container": format!("{} ({name})", id.short()),
            "ContainerName": name,
            "ContainerID": id.as_str(),
            "Image": self.image.as_str(),
            "Policy": self.policy.word(),
            "Updated": self.outcome.word(),
        }
    }

    fn image_id(&self) -> &str {
        self.container.record.image.as_ref().map_or("", |image| &image.id)
    }
}

fn about(container: &Container) -> String {
    format!("auto-updating container \"{}\"", container.id())
}

/// The tasks that go together: a unit or a workload is restarted once; what nobody runs is alone.
fn groups(tasks: &mut [Task]) -> impl Iterator<Item = &mut [Task]> {
    let runners: Vec<Runner> = tasks.iter().map(|task| task.runner.clone()).collect();
    // Beside the first one of the same runner.
    tasks.sort_by_key(|task| match &task.runner {
        Runner::Us => runners.len(),
        runner => runners.iter().position(|other| other == runner).unwrap_or_default(),
    });
    tasks.chunk_by_mut(|one, next| one.runner != Runner::Us && one.runner == next.runner)
}

struct Update<'a> {
    engine: &'a Engine,
    args: &'a Args,
    pull: PullOptions,
    errors: Vec<Failure>,
}

impl Update<'_> {
    fn on_failure(&self) -> OnFailure {
        if self.args.rollback { OnFailure::ComeBack } else { OnFailure::Stay }
    }

    /// What an update that was killed has left.
    fn finish_interrupted(&mut self, replacing: &Replacing<'_>) -> Result<(), Failure> {
        for old in replacing.unfinished()? {
            let name = old.record.retired.as_ref().map_or(old.name(), |retired| &retired.name).to_owned();
            match replacing.finish(&old, self.on_failure()) {
                Ok(Replaced::Well) => output::note(&format!("{name}: an update that was interrupted is finished")),
                Ok(Replaced::CameBack { why } | Replaced::Badly { why }) => {
                    output::warn(&format!("{name}: an update that was interrupted has failed: {why}"));
                }
                Err(error) => self.errors.push(Failure::from(error).context(about(&old))),
            }
        }
        Ok(())
    }

    /// A mistake in one container's labels does not keep the others from their updates.
    fn tasks(&mut self) -> Result<Vec<Task>, Failure> {
        let mut tasks = Vec::new();
        for container in containers::list(self.engine)? {
            match Task::of(container) {
                Ok(task) => tasks.extend(task),
                Err(failure) => self.errors.push(failure),
            }
        }
        Ok(tasks)
    }

    /// Finds out which of them have a newer image.
    fn check(&mut self, group: &mut [Task]) {
        for task in group {
            task.outcome = match self.is_current(task) {
                Ok(true) => Outcome::Current,
                Ok(false) => Outcome::Pending,
                Err(failure) => {
                    let about = format!("checking image updates for container {}", task.container.id());
                    self.errors.push(failure.context(about));
                    Outcome::Failed
                }
            };
        }
    }

    fn is_current(&self, task: &Task) -> Result<bool, Failure> {
        let store = &self.engine.store;
        match task.policy {
            AutoUpdate::Local => Ok(images::get(store, &task.image)?.id == task.image_id()),
            AutoUpdate::Registry => {
                let image = images::get(store, task.image_id())?;
                let options = self.pull_options(task, &image)?;
                Ok(images::lists::is_current(&image, &task.image, &options)?)
            }
        }
    }

    /// With the container's own credentials, and for the machine that its image is for.
    fn pull_options(&self, task: &Task, image: &Image) -> Result<PullOptions, Failure> {
        let authfile = self.args.authfile.clone().or_else(|| containers::auto_update_authfile(task.container.spec()));
        login::check_files(authfile.as_deref(), None, None)?;
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let platform =
            Platform { os: text(image.os()), architecture: text(image.architecture()), variant: text(image.variant()) };
        Ok(PullOptions { authfile, platform: (!platform.is_native()).then_some(platform), ..self.pull.clone() })
    }

    fn carry_out(&mut self, group: &mut [Task], replacing: &Replacing<'_>) {
        for task in group.iter_mut().filter(|task| task.outcome == Outcome::Pending) {
            if let Err(failure) = self.fetch(task) {
                task.outcome = Outcome::Failed;
                self.errors.push(failure.context(about(&task.container)));
            }
        }
        let Some(first) = group.iter().find(|task| task.outcome == Outcome::Pending) else { return };
        let result = match &first.runner {
            Runner::Unit(unit) => self.restart(unit, group),
            Runner::Workload(id) => self.roll_out(id),
            Runner::Us => self.replace(first, replacing).map_err(|failure| failure.context(about(&first.container))),
        };
        let outcome = result.unwrap_or_else(|failure| {
            self.errors.push(failure);
            Outcome::Failed
        });
        for task in group.iter_mut().filter(|task| task.outcome == Outcome::Pending) {
            task.outcome = outcome;
        }
    }

    fn fetch(&self, task: &mut Task) -> Result<(), Failure> {
        if task.policy == AutoUpdate::Registry {
            let image = images::get(&self.engine.store, task.image_id())?;
            let new = images::ensure(&self.engine.store, &task.image, &self.pull_options(task, &image)?)?;
            if new.id == image.id {
                task.outcome = Outcome::Current;
            }
        }
        Ok(())
    }

    /// By the service manager, which makes the containers of a unit anew.
    fn restart(&self, unit: &str, tasks: &[Task]) -> Result<Outcome, Failure> {
        let failed = |when: &str, why: String| {
            let level = if caller::has_entered() { " --user" } else { "" };
            Failure::plain(why)
                .context(format!("restarting unit {unit} during {when}"))
                .hint(format!("see `systemctl{level} status {unit}`"))
        };
        match systemctl::restart(unit) {
            Ok(()) => Ok(Outcome::Updated),
            Err(why) if !self.args.rollback => Err(failed("update", why)),
            Err(_) => {
                for task in tasks.iter().filter(|task| task.outcome == Outcome::Pending) {
                    self.name_again(task)?;
                }
                systemctl::restart(unit).map(|()| Outcome::RolledBack).map_err(|why| failed("rollback", why))
            }
        }
    }

    /// By its supervisor, pod by pod: it keeps the old pods for as long as new ones are not ready.
    fn roll_out(&self, id: &ObjectId) -> Result<Outcome, Failure> {
        act::restart(self.engine, id, &super::kube::waits)?;
        act::start_supervisor(self.engine, super::kube::supervisor_program())?;
        Ok(Outcome::Updated)
    }

    /// By creel itself.
    fn replace(&self, task: &Task, replacing: &Replacing<'_>) -> Result<Outcome, Failure> {
        let new = images::get(&self.engine.store, &task.image)?;
        match replacing.replace(&task.container, &new, self.on_failure())? {
            Replaced::Well => Ok(Outcome::Updated),
            Replaced::CameBack { why } => {
                let name = task.container.name();
                output::warn(&format!("{name} is back on its old image, with the new one it does not run: {why}"));
                Ok(Outcome::RolledBack)
            }
            Replaced::Badly { why } => Err(Failure::plain(format!("it does not run with the new image: {why}"))),
        }
    }

    /// The name leads to the old image again: a unit makes its containers by that name.
    fn name_again(&self, task: &Task) -> Result<(), Failure> {
        Ok(images::tag(&self.engine.store, task.image_id(), &[task.image.as_str()])?)
    }

    fn conclude(mut self) -> Result<ExitCode, Failure> {
        match self.errors.len() {
            0 => Ok(ExitCode::Success),
            1 => Err(self.errors.remove(0)),
            count => {
                let lines: Vec<String> = self.errors.iter().map(|error| format!("\t* {error}")).collect();
                Err(Failure::plain(format!("{count} errors occurred:\n{}", lines.join("\n"))))
            }
        }
    }
}
