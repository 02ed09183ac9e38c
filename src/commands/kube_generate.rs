//! `creel kube generate`

use std::path::{Path, PathBuf};

use containers::{Container, Engine};
use kube_play::{Generate, GeneratedKind, Manifest};
use pods::Pod;

use crate::arguments::{self, number};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Write pods, containers and volumes as Kubernetes manifests
#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Write to a file that does not exist yet
    #[arg(short, long, value_name = "FILE")]
    pub filename: Option<PathBuf>,
    /// Add annotations that only Podman and creel read
    #[arg(long)]
    pub podman_only: bool,
    /// How many pods a deployment has
    #[arg(short, long, value_name = "NUMBER", value_parser = number::i32)]
    pub replicas: Option<i32>,
    /// Write a Service for published ports, too
    #[arg(short, long)]
    pub service: bool,
    /// What a pod is written as: pod, deployment, daemonset or job
    #[arg(short, long, value_name = "KIND")]
    pub r#type: Option<String>,
    /// Names or ids of pods, containers and volumes
    #[arg(value_name = "{CONTAINER...|POD...|VOLUME...}")]
    pub names: Vec<String>,
}

/// What the names mean.
#[derive(Default)]
struct Found {
    pods: Vec<Pod>,
    containers: Vec<Container>,
    volumes: Vec<storage::Volume>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.names, 1)?;
    let config = context.config()?;
    let kind = args.r#type.as_deref().or(config.text("engine", "kube_generate_type")).unwrap_or("pod");
    let manifest = manifest(context, &args, kind.parse().map_err(said)?)?;
    match &args.filename {
        Some(path) => {
            write(path, &manifest.text)?;
            manifest.notes.iter().for_each(|note| output::warn(note));
        }
        None => output::print(&manifest.text)?,
    }
    Ok(ExitCode::Success)
}

/// What is written of the names. `kube apply` sends it.
pub fn manifest(context: &Context, args: &Args, kind: GeneratedKind) -> Result<Manifest, Failure> {
    let engine = context.reader()?;
    let mut found = Found::default();
    for name in &args.names {
        find(&engine, name, &mut found)?;
    }
    let mut random = || {
        // It does not fail once the system runs; a number that is not random is no harm.
        u16::from_le_bytes(sys::random::bytes().unwrap_or_default())
    };
    kube_play::generate(Generate {
        pods: &found.pods,
        containers: &found.containers,
        volumes: &found.volumes,
        kind,
        replicas: args.replicas,
        service: args.service,
        podman_only: args.podman_only,
        default_sysctls: &context.config()?.list("containers", "default_sysctls"),
        now: jiff::Timestamp::now(),
        random: &mut random,
    })
    .map_err(said)
}

fn said(error: kube_play::GenerateError) -> Failure {
    Failure::plain(error.to_string())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write;
    match std::fs::File::options().write(true).create_new(true).open(path) {
        Ok(mut file) => Ok(file.write_all(text.as_bytes())?),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Failure::plain(format!("cannot write to {:?}; file exists", path.display().to_string())))
        }
        Err(error) => {
            let what = format!("cannot write to {:?}", path.display().to_string());
            Err(crate::error::on_path("open", path)(error).context(what))
        }
    }
}

/// A container's name wins over a pod's, and that over a volume's.
fn find(engine: &Engine, name: &str, found: &mut Found) -> Result<(), Failure> {
    match containers::find(engine, name) {
        Ok(container) if container.spec().pod.is_none() => {
            found.containers.push(container);
            return Ok(());
        }
        Ok(container) => {
            let id = container.id();
            return Err(Failure::plain(format!(
                "container {id} is associated with pod {}: use generate on the pod itself",
                container.spec().pod.as_deref().unwrap_or_default()
            )));
        }
        Err(containers::Error::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    match pods::find(engine, name) {
        Ok(pod) => {
            found.pods.push(pod);
            return Ok(());
        }
        Err(pods::Error::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    match engine.store.volume(name) {
        Ok(Some(volume)) => {
            found.volumes.push(volume);
            Ok(())
        }
        Ok(None) | Err(storage::Error::Invalid { .. }) => Err(Failure::plain(format!("name or ID {name:?} not found"))),
        Err(error) => Err(error.into()),
    }
}
