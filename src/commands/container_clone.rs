//! `creel container clone`

use containers::{CreateRequest, MountKind, RemoveRequest, Source, StartRequest};

use crate::arguments;
use crate::context::Context;
use crate::create_args::{LimitFlags, resources};
use crate::error::{ExitCode, Failure};
use crate::output;

/// Create a container like another one
///
/// It has the other's settings and its own, fresh root file system.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove the other container
    #[arg(long)]
    destroy: bool,
    /// Remove it also when it runs
    #[arg(short, long)]
    force: bool,
    /// Name of the new container
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Start the new container
    #[arg(long)]
    run: bool,
    #[command(flatten)]
    limits: LimitFlags,
    /// The container, the name of the new one, and another image for it
    #[arg(value_name = "CONTAINER [NAME [IMAGE]]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::between(&args.words, 1, 3)?;
    if args.force && !args.destroy {
        return Err(Failure::plain("cannot set --force without --destroy: invalid argument"));
    }
    let limits = resources::limits(&args.limits)?;
    let engine = context.engine()?;
    let original = containers::find(&engine, &args.words[0])?;
    let mut spec = original.spec().clone();
    if spec.pod.is_some() {
        return Err(Failure::plain("a container of a pod is not cloned by creel yet"));
    }
    let image = match args.words.get(2) {
        Some(name) => Some(images::get(&engine.store, name)?),
        None => match &spec.source {
            Source::Image { id, .. } => Some(images::get(&engine.store, id)?),
            Source::None | Source::Directory { .. } | Source::Holder => None,
        },
    };
    if let (Some(name), Some(image)) = (args.words.get(2), &image) {
        spec.raw_image.clone_from(name);
        let name = image.names.first().unwrap_or(name).clone();
        spec.source = Source::Image { id: image.id.clone(), name };
    }
    super::update::change_limits(&mut spec.resources, limits);
    // What can be one container's only.
    (spec.cidfile, spec.pidfile) = (None, None);
    (spec.network.ip, spec.network.ip6, spec.network.mac) = (None, None, None);
    for mount in &mut spec.mounts {
        if let MountKind::Volume { name, anonymous: true, .. } = &mut mount.kind {
            *name = None;
        }
    }
    spec.create_command.clone_from(&context.command_line);
    let default = format!("{}-clone", original.name());
    let name = args.words.get(1).or(args.name.as_ref()).unwrap_or(&default);
    let request = CreateRequest { spec, name: Some(name), image: image.as_ref(), replace: false };
    let container = containers::create(&engine, request)?;
    if args.destroy {
        let request = RemoveRequest { force: args.force, ..RemoveRequest::default() };
        containers::remove(&engine, &original, &request)?;
    }
    if args.run {
        containers::start(&engine, &container, StartRequest::default())?;
    }
    output::line(container.id())?;
    Ok(ExitCode::Success)
}
