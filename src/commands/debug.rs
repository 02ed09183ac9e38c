//! `creel debug`: a shell with tools beside a container whose image has none.
//!
//! It is a container like any other, of an image of tools, that joins what the one to look into has of its own: processes,
//! network, IPC, names, user namespace. Its root file system is its own, and goes with it; the other's is at [`ROOT`].

use std::path::{Path, PathBuf};

use containers::{
    AttachEnd, AttachRequest, Container, ContainerSpec, IpcMode, MountKind, MountSpec, NamespaceMode, PodRole,
    StartRequest, Streams, UserNamespace,
};
use network::Mode;

use crate::arguments;
use crate::context::Context;
use crate::create_args::CreateArgs;
use crate::error::{ExitCode, Failure};
use crate::{output, select};

/// Look into a container with the tools of another image, also into one that is stopped
#[derive(clap::Args)]
pub struct Args {
    /// Keys that leave the session running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Set a variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// The image that has the tools; else debug_image of containers.conf
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Pass stdin on; always so at a terminal
    #[arg(short, long)]
    interactive: bool,
    /// Look into the newest container
    #[arg(short, long)]
    latest: bool,
    /// What the session is called as a container
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// All capabilities
    #[arg(long)]
    privileged: bool,
    /// When to fetch the image
    #[arg(long, value_name = "POLICY")]
    pull: Option<String>,
    /// The program to begin with, instead of what the image begins with
    #[arg(long, value_name = "PROGRAM")]
    shell: Option<String>,
    /// Give the session a terminal; always so at one
    #[arg(short, long)]
    tty: bool,
    /// User of the image of tools (name or id, optionally :group)
    #[arg(short, long, value_name = "USER", default_value = "0")]
    user: String,
    /// Directory in which the session begins
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    #[arg(value_name = "CONTAINER [COMMAND] [ARG...]")]
    words: Vec<String>,
}

/// Where a session has the root file system of the container.
const ROOT: &str = "/mnt/root";

/// What it takes to see the files and the memory of another's processes, and the packets of its network.
const CAPABILITIES: [&str; 2] = ["NET_RAW", "SYS_PTRACE"];

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let (name, command) = match args.latest {
        true => (None, args.words.as_slice()),
        false => {
            arguments::at_least(&args.words, 1)?;
            (args.words.first(), &args.words[1..])
        }
    };
    if args.shell.is_some() && !command.is_empty() {
        return Err(Failure::plain("give a command or --shell, not both"));
    }
    let command = args.shell.as_ref().map_or(command, std::slice::from_ref);
    let image = image(context, &args)?;
    let detach_keys = super::attach::detach_keys(context, args.detach_keys.as_deref())?;
    let target = select::one(&context.reader()?, name.map(String::as_str), args.latest)?;

    let session = session(&args, &target, image, command);
    let (engine, container) = super::create::make(context, &session, |spec| finish(spec, &target))?;
    let streams = Streams { stdin: session.interactive, stdout: true, stderr: true };
    let request = StartRequest { attach: Some(streams), ..StartRequest::default() };
    let started = super::run::start(&engine, &container, request)?;
    let Some(attached) = started.attached else { return Ok(ExitCode::Success) };
    let request =
        AttachRequest { detach_keys, sig_proxy: Some(started.init).filter(|_| !session.tty), tty: session.tty };
    Ok(match attached.run(request)? {
        AttachEnd::Exited(code) => ExitCode::from_number(code),
        AttachEnd::Detached => ExitCode::Success,
    })
}

fn image(context: &Context, args: &Args) -> Result<String, Failure> {
    let known = args.image.as_deref().or(context.config()?.text("engine", "debug_image"));
    known.filter(|image| !image.is_empty()).map(str::to_owned).ok_or_else(|| {
        Failure::plain("no image of tools is named").hint(
            "give one, as with --image busybox, or name one for good: debug_image under [engine] of containers.conf",
        )
    })
}

/// As it would be asked for by `creel run`.
fn session(args: &Args, target: &Container, image: String, command: &[String]) -> CreateArgs {
    let at_terminal = output::stdin_is_terminal() && output::stdout_is_terminal();
    let mut session = CreateArgs {
        rm: true,
        name: args.name.clone(),
        interactive: args.interactive || at_terminal,
        tty: args.tty || at_terminal,
        user: Some(args.user.clone()),
        workdir: args.workdir.clone(),
        env: args.env.clone(),
        pull: args.pull.clone(),
        privileged: args.privileged,
        cap_add: CAPABILITIES.map(str::to_owned).to_vec(),
        // Where containers.conf wants all roots read-only.
        read_only_tmpfs: true,
        sdnotify: Some("ignore".to_owned()),
        // Of the image's, not of the command's: a shell is no service.
        health: crate::create_args::HealthFlags { no_healthcheck: true, ..Default::default() },
        ..CreateArgs::default()
    };
    if !command.is_empty() {
        session.entrypoint = Some(String::new());
    }
    session.words = std::iter::once(image).chain(command.iter().cloned()).collect();
    if containers::running(target) {
        join(&mut session, target);
    }
    session
}

/// Into the namespaces of a container that runs, and into its pod: that does not count who only looks.
fn join(session: &mut CreateArgs, target: &Container) {
    let spec = target.spec();
    let beside = format!("container:{}", target.id());
    // A namespace of the host's belongs to nobody here who could let others in.
    let unless_host = |is_host| Some(if is_host { "host".to_owned() } else { beside.clone() });
    session.pid = unless_host(spec.namespaces.pid == NamespaceMode::Host);
    session.uts = unless_host(spec.namespaces.uts == NamespaceMode::Host);
    session.ipc = match &spec.namespaces.ipc {
        // Nobody else is let in.
        IpcMode::Private | IpcMode::None => Some("private".to_owned()),
        mode => unless_host(*mode == IpcMode::Host),
    };
    session.network = vec![match &spec.network.mode {
        Mode::Host => "host".to_owned(),
        // Whose it is has the files that tell of it.
        Mode::Container(owner) => format!("container:{owner}"),
        _ => beside.clone(),
    }];
    session.pod.clone_from(&spec.pod);
    if spec.pod.is_none() && spec.namespaces.user != UserNamespace::Host {
        session.userns = Some(beside);
    }
}

/// What no flag of `creel run` says.
fn finish(spec: &mut ContainerSpec, target: &Container) {
    let of_target = target.spec();
    let kind = MountKind::Root { container: target.id().to_string() };
    spec.mounts.push(mount(kind, ROOT.into()));
    if containers::running(target) {
        spec.pod_role = of_target.pod.as_ref().map(|_| PodRole::Ephemeral);
        return;
    }
    // Files belong to whom they belong to in there.
    spec.namespaces.user = of_target.namespaces.user.clone();
    let volumes = of_target.mounts.iter();
    let volumes = volumes.filter(|mount| matches!(mount.kind, MountKind::Bind { .. } | MountKind::Volume { .. }));
    spec.mounts.extend(volumes.map(|volume| {
        let below = volume.destination.strip_prefix("/").unwrap_or(&volume.destination);
        MountSpec { destination: Path::new(ROOT).join(below), ..volume.clone() }
    }));
}

fn mount(kind: MountKind, destination: PathBuf) -> MountSpec {
    MountSpec { kind, destination, read_only: false, options: Vec::new(), chown: false, group: None, subpath: None }
}
