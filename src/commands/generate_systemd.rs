//! `creel generate systemd`

use containers::{Container, Engine, RestartPolicy};
use pods::Pod;
use units::generate::{Creation, Flag, Place, Runs, Service, Setting, service};

use crate::arguments::{self, number};
use crate::caller;
use crate::context::Context;
use crate::error::{ExitCode, Failure, on_path};
use crate::format::Value;
use crate::{cli, globals, output};

/// [DEPRECATED] Write services of systemd for a container, or for a pod and its containers
///
/// Quadlets do more: see docs/quadlet.md.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Units that are to be started before
    #[arg(long, value_name = "UNIT")]
    after: Vec<String>,
    /// What the names of containers' units begin with
    #[arg(long, value_name = "PREFIX", default_value = "container")]
    container_prefix: String,
    /// A variable of the services, NAME=VALUE, or NAME with the caller's value
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Write files into the current directory
    #[arg(short, long)]
    files: bool,
    /// Show as JSON
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Use names, not ids
    #[arg(short, long)]
    name: bool,
    /// Make container and pod anew at each start
    #[arg(long)]
    new: bool,
    /// Leave out who made it and when
    #[arg(long)]
    no_header: bool,
    /// What the names of pods' units begin with
    #[arg(long, value_name = "PREFIX", default_value = "pod")]
    pod_prefix: String,
    /// Units without which they do not start
    #[arg(long, value_name = "UNIT")]
    requires: Vec<String>,
    /// When systemd starts it again: no, on-success, on-failure, on-abnormal, on-watchdog, on-abort or always
    #[arg(long, value_name = "POLICY")]
    restart_policy: Option<String>,
    /// Seconds before that
    #[arg(long, value_name = "SECONDS", value_parser = number::u64)]
    restart_sec: Option<u64>,
    /// What stands between prefix and name
    #[arg(long, value_name = "TEXT", default_value = "-")]
    separator: String,
    /// Seconds that a start may take
    #[arg(long, value_name = "SECONDS", value_parser = number::u64)]
    start_timeout: Option<u64>,
    /// Seconds until a container that is to stop is killed
    #[arg(short = 't', long, visible_alias = "time", value_name = "SECONDS", value_parser = number::u64)]
    stop_timeout: Option<u64>,
    /// Write a template, web@.service; implies --new
    #[arg(long)]
    template: bool,
    /// Units that are started too
    #[arg(long, value_name = "UNIT")]
    wants: Vec<String>,
    /// Name or id of a container or a pod
    #[arg(value_name = "{CONTAINER|POD}")]
    names: Vec<String>,
}

const NOTICE: &str = "
DEPRECATED command:
It is recommended to use Quadlets for running containers and pods under systemd.

Please refer to podman-systemd.unit(5) for details.";

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.names, 1)?;
    output::note(NOTICE);
    if let Some(format) = args.format.as_deref().filter(|format| *format != "json") {
        return Err(Failure::plain(format!("unknown --format argument: {format}")));
    }
    let units = units(context, &args)?;
    let mut shown = Vec::new();
    for (unit, text) in units {
        let shown_text = match args.files {
            true => {
                let path = std::env::current_dir()?.join(format!("{unit}.service"));
                std::fs::write(&path, text).map_err(on_path("write", &path))?;
                format!("{}\n", path.display())
            }
            false => text,
        };
        shown.push((unit, shown_text));
    }
    match args.format {
        None => shown.iter().try_for_each(|(_, text)| output::print(text))?,
        Some(_) => {
            let text = |text: &str| if args.files { text.trim_end().to_owned() } else { text.to_owned() };
            let map = shown.iter().map(|(unit, shown)| (unit.trim_end_matches('@').to_owned(), text(shown))).collect();
            output::line(Value::map(&map).json_indented(1))?;
        }
    }
    Ok(ExitCode::Success)
}

/// The units' names without `.service`, and their texts; a pod's before those of its containers.
fn units(context: &Context, args: &Args) -> Result<Vec<(String, String)>, Failure> {
    const POLICIES: &[&str] = &["no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always"];
    if let Some(policy) = args.restart_policy.as_deref().filter(|policy| !POLICIES.contains(policy)) {
        let failure = Failure::plain(format!("{policy} is not a valid restart policy"));
        return Err(failure.hint(format!("systemd has {}", POLICIES.join(", "))));
    }
    let engine = context.reader()?;
    let program = sys::exe::path()?.display().to_string();
    let maker = match context.program() {
        "podman" => "Podman",
        other => other,
    };
    let made_by = format!("{maker} {}", super::version::of_program(context.program()));
    let now = jiff::Zoned::now().strftime("%a %b %e %H:%M:%S %Z %Y").to_string();
    let value_of = |text: &String| match text.contains('=') {
        true => Some(text.clone()),
        false => caller::variable(text).map(|value| format!("{text}={value}")),
    };
    let environment: Vec<String> = args.env.iter().filter_map(value_of).collect();
    let runroot = engine.store.dirs().runroot.display().to_string();
    let setting = Setting {
        program: &program,
        maker,
        header: (!args.no_header).then_some((made_by.as_str(), now.as_str())),
        runroot: &runroot,
        restart_sec: args.restart_sec.filter(|seconds| *seconds > 0),
        start_timeout: args.start_timeout.filter(|seconds| *seconds > 0),
        wants: &args.wants,
        after: &args.after,
        requires: &args.requires,
        environment: &environment,
    };
    let name = &args.names[0];
    match containers::find(&engine, name) {
        Ok(container) => return Ok(vec![of_container(&engine, args, &setting, &container, None)?]),
        Err(containers::Error::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let pod = pods::find(&engine, name).map_err(|error| match error {
        pods::Error::NotFound { .. } => Failure::plain(format!(
            "{name} does not refer to a container or pod: no pod with name or ID {name} found: no such pod: no container with name \
             or ID {} found: no such container",
            arguments::go_quote(name)
        )),
        other => other.into(),
    })?;
    if args.template {
        return Err(Failure::plain("--template is not supported for pods"));
    }
    of_pod(&engine, args, &setting, &pod)
}

/// `container-web`
fn unit_of(args: &Args, container: &Container) -> String {
    let name = if args.name { container.name().to_owned() } else { container.id().to_string() };
    format!("{}{}{name}", args.container_prefix, args.separator)
}

fn of_container(
    engine: &Engine,
    args: &Args,
    setting: &Setting<'_>,
    container: &Container,
    pod: Option<&str>,
) -> Result<(String, String), Failure> {
    let spec = container.spec();
    let unit = unit_of(args, container);
    let anew = args.new || args.template;
    let of_container = match (anew, &spec.restart) {
        (true, RestartPolicy::Always | RestartPolicy::UnlessStopped) => "always",
        (false, RestartPolicy::Always | RestartPolicy::UnlessStopped | RestartPolicy::OnFailure { .. }) => {
            output::warn(&format!(
                "container {} has a restart policy of its own, which can lead to issues on shutdown: consider making it without, and \
                 leaving restarts to systemd",
                container.id()
            ));
            "on-failure"
        }
        _ => "on-failure",
    };
    let creation = if anew { creation(&spec.create_command, container.name())? } else { Creation::default() };
    let pid_file = match &spec.monitor_pidfile {
        Some(path) => path.display().to_string(),
        None => engine.monitor_pid_file(container.id()).display().to_string(),
    };
    let name = if args.name { container.name().to_owned() } else { container.id().to_string() };
    let service_of = Service {
        unit: &unit,
        restart: args.restart_policy.as_deref().unwrap_or(of_container),
        stop_timeout: args.stop_timeout.unwrap_or_else(|| spec.stop_timeout.unwrap_or(10).into()),
        runs: match anew {
            true => Runs::New { create: &creation, template: args.template },
            false => Runs::Existing { name: &name, pid_file: &pid_file },
        },
        place: pod.map_or(Place::Alone, |pod| Place::In { pod }),
    };
    let text = service(setting, &service_of);
    Ok((if args.template { format!("{unit}@") } else { unit }, text))
}

fn of_pod(engine: &Engine, args: &Args, setting: &Setting<'_>, pod: &Pod) -> Result<Vec<(String, String)>, Failure> {
    let Some(infra) = pod.infra() else {
        return Err(Failure::plain(format!(
            "generating systemd unit files: Pod {} has no infra container",
            pod.record.name
        )));
    };
    let mut members: Vec<&Container> = pod.members().collect();
    members.sort_by_key(|container| unit_of(args, container));
    let names: Vec<String> = members.iter().map(|container| unit_of(args, container)).collect();
    let name = if args.name { pod.record.name.clone() } else { pod.record.id.to_string() };
    let unit = format!("{}{}{}", args.pod_prefix, args.separator, name);
    let creation =
        if args.new { creation(&pod.record.spec.create_command, &pod.record.name)? } else { Creation::default() };
    let infra_name = if args.name { infra.name().to_owned() } else { infra.id().to_string() };
    let pid_file = match &infra.spec().monitor_pidfile {
        Some(path) => path.display().to_string(),
        None => engine.monitor_pid_file(infra.id()).display().to_string(),
    };
    let service_of = Service {
        unit: &unit,
        restart: args.restart_policy.as_deref().unwrap_or("on-failure"),
        stop_timeout: args.stop_timeout.unwrap_or(10),
        runs: match args.new {
            true => Runs::NewPod { create: &creation },
            false => Runs::Existing { name: &infra_name, pid_file: &pid_file },
        },
        place: Place::Of { members: &names },
    };
    let mut units = vec![(unit.clone(), service(setting, &service_of))];
    for container in members {
        units.push(of_container(engine, args, setting, container, Some(&unit))?);
    }
    Ok(units)
}

/// The command line that made it, taken apart.
fn creation(words: &[String], name: &str) -> Result<Creation, Failure> {
    let unknown = || {
        Failure::plain(format!("cannot use --new on {name}: it was not made by a command line of its own"))
            .hint("without --new the unit starts what is there")
    };
    let words = words.get(1..).ok_or_else(unknown)?;
    let (globals, words) = words.split_at(globals::end(words));
    let command = match words {
        [group, verb, ..]
            if matches!((group.as_str(), verb.as_str()), ("container", "run" | "create") | ("pod", "create")) =>
        {
            2
        }
        [verb, ..] if matches!(verb.as_str(), "run" | "create") => 1,
        _ => return Err(unknown()),
    };
    let (command, words) = words.split_at(command);
    let verb = cli::verb(&command.join(" ")).ok_or_else(unknown)?;
    let (flags, rest) = arguments::leading_flags(&verb.command(), words);
    let flags = flags.into_iter().map(|flag| Flag { names: flag.names, words: flag.words }).collect();
    Ok(Creation { globals: globals.to_vec(), flags, rest: rest.to_vec() })
}
