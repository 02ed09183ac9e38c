//! `creel inspect`: an object of any kind as JSON, or through a template.

pub mod container;

use containers::Engine;

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Format, Value};
use crate::{output, select};

/// Show everything about containers, images, volumes and networks
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show through a Go template
    #[arg(short, long, value_name = "TEMPLATE", default_value = "json")]
    pub format: String,
    /// Show the newest container
    #[arg(short, long)]
    pub latest: bool,
    /// Show a container's sizes, too
    #[arg(short, long)]
    pub size: bool,
    /// What the names mean: container, image, volume, network or all
    #[arg(short, long, value_name = "TYPE", default_value = "all")]
    pub r#type: String,
    /// Names or ids
    #[arg(value_name = "{ARTIFACT|CONTAINER|IMAGE|POD|NETWORK|VOLUME} [...]")]
    pub names: Vec<String>,
}

/// What a name may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Container,
    Image,
    Volume,
    Network,
    Pod,
    Artifact,
    All,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let kind = match args.r#type.as_str() {
        "all" => Kind::All,
        "container" => Kind::Container,
        "image" => Kind::Image,
        "volume" => Kind::Volume,
        "network" => Kind::Network,
        "pod" => Kind::Pod,
        "artifact" => Kind::Artifact,
        other => {
            let other = crate::arguments::go_quote(other);
            let known = "must be \"image\", \"container\", \"pod\", \"network\", \"volume\", \"artifact\", or \"all\"";
            return Err(Failure::plain(format!("invalid type {other}: {known}")));
        }
    };
    if args.latest && !matches!(kind, Kind::All | Kind::Container) {
        return Err(Failure::plain(format!("latest is not supported for type \"{}\"", args.r#type)));
    }
    let kind = if args.latest { Kind::Container } else { kind };
    show(context, &args.names, args.latest, args.size, &args.format, kind)
}

fn show(
    context: &Context,
    names: &[String],
    latest: bool,
    size: bool,
    template: &str,
    kind: Kind,
) -> Result<ExitCode, Failure> {
    if latest && !names.is_empty() {
        return Err(Failure::plain("--latest and arguments cannot be used together"));
    }
    if names.is_empty() && !latest {
        return Err(Failure::plain("no names or ids specified"));
    }
    // Files of other ids are counted only from within the namespace.
    let engine = if size { context.engine()? } else { context.reader()? };
    let (mut values, mut failures) = (Vec::new(), Vec::new());
    let mut command = CONTAINER;
    if latest {
        values.push(container::value(&engine, &select::latest(&engine)?, size)?);
    }
    for name in names {
        match find(&engine, name, size, kind) {
            Ok((of_kind, value)) => {
                command = of_kind;
                values.push(value);
            }
            Err(failure) => failures.push(failure),
        }
    }
    print(command, values, template)?;
    select::conclude_inspect(failures)
}

/// Shows a list of objects, for this command and its kin; `command` is the one for their kind.
pub fn print(command: &'static str, values: Vec<Value>, template: &str) -> Result<(), Failure> {
    if template.is_empty() || matches!(template.trim(), "json" | "{{json}}") {
        return output::print(&(Value::List(values).json_indented(5) + "\n"));
    }
    output::print(&Format::parse(command, template)?.list(values, &[], false, 5)?)
}

const CONTAINER: &str = "container inspect";

/// With the command for its kind.
fn find(engine: &Engine, name: &str, size: bool, kind: Kind) -> Result<(&'static str, Value), Failure> {
    let may_be = |wanted: Kind| kind == wanted || kind == Kind::All;
    if may_be(Kind::Container) {
        match containers::find(engine, name) {
            Ok(container) => return Ok((CONTAINER, container::value(engine, &container, size)?)),
            Err(containers::Error::NotFound { .. }) if kind == Kind::All => {}
            Err(containers::Error::NotFound { .. }) => {
                return Err(Failure::plain(format!("no such container {name:?}")).missing("container", name));
            }
            Err(error) => return Err(error.into()),
        }
    }
    if may_be(Kind::Image) {
        match images::find(&engine.store, name) {
            Ok(Some(image)) => return Ok(("image inspect", super::image_inspect::value(&engine.store, &image)?)),
            Ok(None) if kind == Kind::All => {}
            Ok(None) => return Err(Failure::plain(format!("{name}: image not known"))),
            // A name that cannot be an image's may be something else's.
            Err(_) if kind == Kind::All => {}
            Err(error) => return Err(error.into()),
        }
    }
    if may_be(Kind::Volume) {
        match engine.store.volume(name) {
            Ok(Some(volume)) => return Ok(("volume inspect", super::volume::value(engine, &volume))),
            Ok(None) => {}
            Err(_) if kind == Kind::All => {}
            Err(error) => return Err(error.into()),
        }
        if kind == Kind::Volume {
            return Err(Failure::plain(format!("no volume with name {name:?} found: no such volume")));
        }
    }
    if may_be(Kind::Network) {
        let networks = containers::networks(engine);
        match super::network::find(&networks, name) {
            Ok(network) => return Ok(("network inspect", super::network::full_value(&networks, &network)?)),
            Err(failure) if failure.exit_code() == ExitCode::No && kind == Kind::All => {}
            Err(failure) => return Err(failure.context(format!("network {name}")).code(ExitCode::Failed)),
        }
    }
    if may_be(Kind::Pod) {
        match pods::find(engine, name) {
            Ok(pod) => return Ok(("pod inspect", super::pod::inspect::value(engine, &pod))),
            Err(pods::Error::NotFound { .. }) if kind == Kind::All => {}
            Err(pods::Error::NotFound { .. }) => return Err(Failure::plain(format!("no such pod {name}"))),
            Err(error) => return Err(error.into()),
        }
    }
    if may_be(Kind::Artifact) {
        match images::artifacts::get(&engine.store, name) {
            Ok(artifact) => return Ok(("artifact inspect", super::artifact::value(&artifact))),
            Err(images::Error::ArtifactNotFound { .. }) if kind == Kind::All => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::plain(format!("no such object: {name:?}")))
}
