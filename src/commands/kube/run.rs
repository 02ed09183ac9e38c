//! `creel kube run`

use kube_play::ObjectId;
use kube_play::write::{self, Exposed, Run};

use super::DEFAULT_NAMESPACE;
use super::make::{Making, make};
use crate::arguments::{self, number};
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Make a pod of one image
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Annotations of the pod (KEY=VALUE)
    #[arg(long, value_name = "KEY=VALUE")]
    annotations: Vec<String>,
    /// What follows the name is the command, not its arguments
    #[arg(long)]
    command: bool,
    /// Variables (NAME=VALUE)
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Make a Service in front of --port, too
    #[arg(long)]
    expose: bool,
    /// The image
    #[arg(long, value_name = "IMAGE", required = true)]
    image: String,
    /// Always, IfNotPresent or Never
    #[arg(long, value_name = "POLICY")]
    image_pull_policy: Option<String>,
    /// Labels of the pod (app=web,tier=front); run=NAME where nothing is said
    #[arg(short = 'l', long, value_name = "LABELS")]
    labels: Option<String>,
    #[command(flatten)]
    making: Making,
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// The port that the container serves
    #[arg(long, value_name = "PORT", value_parser = number::u16)]
    port: Option<u16>,
    /// Always, OnFailure or Never
    #[arg(long, value_name = "POLICY", default_value = "Always")]
    restart: String,
    /// Name of the pod, then arguments for the image's program
    #[arg(value_name = "NAME [-- ARG...]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.words, 1)?;
    if args.expose && args.port.is_none() {
        return Err(Failure::plain("--port must be set when exposing a service"));
    }
    let mut words = args.words;
    let name = words.remove(0);
    if args.command && words.is_empty() {
        return Err(Failure::plain(
            "--command needs a command after the name: creel kube run NAME ... --command -- COMMAND",
        ));
    }
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::plain(format!("invalid env: {text}")).hint("write NAME=VALUE")),
    };
    let mut annotations = std::collections::BTreeMap::new();
    for text in &args.annotations {
        annotations.extend(write::pairs(text).map_err(Failure::plain)?);
    }
    let pod = write::pod(&Run {
        name: name.clone(),
        namespace: args.namespace.clone(),
        image: args.image,
        words,
        is_command: args.command,
        env: args.env.iter().map(pair).collect::<Result<_, _>>()?,
        port: args.port,
        labels: args.labels.as_deref().map(write::pairs).transpose().map_err(Failure::plain)?,
        annotations,
        restart: args.restart,
        pull_policy: args.image_pull_policy,
    });
    let mut objects = Vec::new();
    if args.expose {
        let id = ObjectId::new(kube_play::Kind::Pod, &args.namespace, &name);
        objects.push(write::service(&id, &pod, &Exposed::default()).map_err(Failure::plain)?);
    }
    objects.push(pod);
    make(context, &objects, "created", &args.making)
}
