use std::path::Path;

use containers::{
    Container, ContainerSpec, CreateRequest, Engine, IdMap, IpcMode, LogDriver, NamespaceMode, Source, UserNamespace,
};
use images::{Platform, Progress, PullOptions};
use network::Mode;

use crate::arguments;
use crate::caller;
use crate::context::Context;
use crate::create_args::{self, CreateArgs, OwnIds, Surroundings};
use crate::error::{ExitCode, Failure};
use crate::format::human;
use crate::{output, transfer};

/// Create a container, but do not start it
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    create: CreateArgs,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let (_, container) = make(context, &args.create, |_| {})?;
    output::line(container.id())?;
    Ok(ExitCode::Success)
}

/// The way of `create` and of the first half of `run`: from arguments to a container on disk. `finish` has the last word
/// on the specification.
pub fn make(
    context: &Context,
    args: &CreateArgs,
    finish: impl FnOnce(&mut ContainerSpec),
) -> Result<(Engine, Container), Failure> {
    arguments::at_least(&args.words, 1)?;
    let around = Surroundings {
        config: context.config()?,
        env: std::env::vars().collect(),
        read: &|path| std::fs::read_to_string(path),
        exists: &|path| std::fs::metadata(path).map(drop),
        cwd: std::env::current_dir()?,
        list: &crate::glob::names,
        own_ids: &own_ids,
    };
    // Only who looks at the ids of the user namespace must be in it this early.
    let early = create_args::looks_at_own_ids(args).then(|| context.engine()).transpose()?;
    let mut spec = create_args::spec(args, &around)?;
    if spec.log.driver == LogDriver::Passthrough && output::has_a_terminal() {
        return Err(Failure::plain(
            "the '--log-driver passthrough' option cannot be used on a TTY.  If you really want it, use '--log-driver passthrough-tty'",
        ));
    }
    let wanted_pod = super::pod::join::wanted(args)?;
    if let Some(role) = super::pod::join::role(args, wanted_pod.is_some())? {
        spec.pod_role = Some(role);
    }
    let pull = pull_options(context, args)?;
    check_time_zone(spec.timezone.as_deref())?;
    lift_oom_score(&mut spec);
    spec.create_command = context.command_line.clone();
    spec.labels.extend(caller::systemd_unit());

    let engine = early.map_or_else(|| context.engine(), Ok)?;
    resolve_names(&engine, &mut spec)?;
    let image = match args.rootfs {
        true => {
            spec.source = root_directory(&args.words[0])?;
            None
        }
        false => {
            let name = &args.words[0];
            let image = find_image(&engine, name, &pull)?;
            spec.raw_image.clone_from(name);
            let known_as = image.names.iter().find(|known| *known == name || known.ends_with(&format!("/{name}")));
            let shown = known_as.or_else(|| image.names.first().filter(|known| known.starts_with(name))).cloned();
            spec.source =
                Source::Image { id: image.id.clone(), name: shown.unwrap_or_else(|| displayed(&image, name)) };
            // The image's labels are the container's, too: filters find it by them.
            for (key, value) in &image.settings.labels {
                spec.labels.entry(key.clone()).or_insert_with(|| value.clone());
            }
            Some(image)
        }
    };
    if spec.health.as_ref().is_some_and(|check| check.test.is_empty()) {
        let of_image = image.as_ref().and_then(containers::image_health);
        spec.health = create_args::health::of_image(&args.health, of_image)?;
    }
    if !args.env_merge.is_empty() {
        let image_env = image.as_ref().map(|image| image.settings.env.as_slice()).unwrap_or_default();
        create_args::merge_variables(&mut spec.env, &args.env_merge, image_env)?;
    }
    finish(&mut spec);
    let pod = wanted_pod.map(|wanted| super::pod::join::found(&engine, &wanted, &mut spec)).transpose()?;
    let request = CreateRequest {
        spec,
        name: args.name.as_deref().filter(|name| !name.is_empty()),
        image: image.as_ref(),
        replace: args.replace,
    };
    let container = match &pod {
        None => containers::create(&engine, request).map_err(not_created)?,
        Some(found) => super::pod::join::create(&engine, found, request, args)?,
    };
    let cost = containers::copy_cost(&engine, &container)?;
    if cost > 0 {
        output::warn(&format!(
            "the image is copied for this container's ids: {} of files, kept for the next container with these ids",
            human::size3(cost)
        ));
    }
    if let Some(path) = &args.cidfile {
        write_id(path, &container).inspect_err(|_| {
            // The caller would not know what to remove.
            let request = containers::RemoveRequest { force: true, volumes: true, ..Default::default() };
            let _ = containers::remove(&engine, &container, &request);
        })?;
    }
    Ok((engine, container))
}

/// Podman's words for a name that a container cannot have.
pub fn not_created(error: containers::Error) -> Failure {
    match error {
        containers::Error::InvalidName { .. } => Failure::plain(
            "running container create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument",
        ),
        error @ containers::Error::NameTaken { .. } => Failure::from(error).context("creating container storage"),
        error => error.into(),
    }
}

/// The ids of the user namespace that the command is in by now.
pub fn own_ids() -> std::io::Result<OwnIds> {
    let maps = |lines: Vec<sys::userns::MapLine>| {
        let map = |line: sys::userns::MapLine| IdMap { container: line.inside, host: line.outside, size: line.count };
        lines.into_iter().map(map).collect()
    };
    Ok(OwnIds { uids: maps(sys::userns::uid_map()?), gids: maps(sys::userns::gid_map()?) })
}

/// The zone is a file of the host; without the host's database nobody can say that a name is wrong.
fn check_time_zone(zone: Option<&str>) -> Result<(), Failure> {
    let database = Path::new("/usr/share/zoneinfo");
    match zone.filter(|zone| *zone != "local") {
        Some(zone) if database.exists() && (zone.contains("..") || !database.join(zone).is_file()) => {
            Err(Failure::plain(format!("running container create option: finding timezone: unknown time zone {zone}")))
        }
        _ => Ok(()),
    }
}

/// A process may not make itself safer from the kernel's choice than whoever starts it, unless it is root.
fn lift_oom_score(spec: &mut ContainerSpec) {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").ok().and_then(|text| text.trim().parse::<i32>().ok());
    if let (Some(wanted), Some(own)) = (spec.oom_score_adj, own)
        && wanted < own
    {
        output::warn(&format!("Requested oom_score_adj={wanted} is lower than the current one, changing to {own}"));
        spec.oom_score_adj = Some(own);
    }
}

fn write_id(path: &Path, container: &Container) -> Result<(), Failure> {
    std::fs::write(path, container.id().as_str())
        .map_err(|error| crate::error::on_path("open", path)(error).context("creating idfile"))
}

/// What an image is called: the full one of its names that was meant, whatever was typed of it.
fn displayed(image: &images::Image, typed: &str) -> String {
    let whole = typed
        .parse::<images::Reference>()
        .map_or_else(|_| typed.to_owned(), |reference| reference.complete().to_string());
    let meant = image.names.iter().find(|name| {
        [whole.as_str(), typed]
            .iter()
            .any(|word| *name == word || name.strip_suffix(word).is_some_and(|before| before.ends_with('/')))
    });
    meant.or(image.names.first()).cloned().unwrap_or_else(|| image.id.clone())
}

/// The image, pulled if the policy says so; our own one is made on the spot.
pub fn find_image(engine: &Engine, name: &str, options: &PullOptions) -> Result<images::Image, Failure> {
    if images::embedded::is_named(name) {
        return Ok(images::embedded::ensure(&engine.store)?);
    }
    images::ensure(&engine.store, name, options).map_err(Failure::from)
}

/// `DIR` or `DIR:O`.
fn root_directory(text: &str) -> Result<Source, Failure> {
    let missing = |error| crate::error::on_path("faccessat", text)(error).context("running container create option");
    let (path, overlay) = match text.rsplit_once(':') {
        Some((path, "O")) => (path, true),
        Some((path, options)) if options == "idmap" || options.starts_with("idmap=") => {
            std::fs::metadata(path).map_err(missing)?;
            return Err(Failure::plain(format!(
                "{text}: idmapped mounts of the host's file systems are for root only"
            ))
            .hint("use :O for a throw-away overlay, or creel import for an image of it"));
        }
        _ => (text, false),
    };
    let path = std::path::absolute(path).map_err(missing)?;
    std::fs::metadata(&path).map_err(missing)?;
    Ok(Source::Directory { path, overlay })
}

/// The id of a container whose namespace is to be joined.
pub fn joined_id(engine: &Engine, kind: &str, name: &str) -> Result<String, Failure> {
    containers::find(engine, name)
        .map(|container| container.id().to_string())
        .map_err(|error| Failure::from(error).context(format!("looking up container to share {kind} namespace with")))
}

/// Names of other containers become ids: a container keeps its partners when they are renamed.
fn resolve_names(engine: &Engine, spec: &mut ContainerSpec) -> Result<(), Failure> {
    let id = |kind: &str, name: &str| joined_id(engine, kind, name);
    let resolve = |kind: &str, mode: &mut NamespaceMode| match create_args::join_reference(mode) {
        Some(name) => id(kind, name).map(|id| *mode = NamespaceMode::Container(id)),
        None => Ok(()),
    };
    resolve("pid", &mut spec.namespaces.pid)?;
    resolve("uts", &mut spec.namespaces.uts)?;
    resolve("cgroup", &mut spec.namespaces.cgroup)?;
    if let IpcMode::Container(name) = &spec.namespaces.ipc {
        spec.namespaces.ipc = IpcMode::Container(id("ipc", name)?);
    }
    if let UserNamespace::Container(name) = &spec.namespaces.user {
        spec.namespaces.user = UserNamespace::Container(id("user", name)?);
    }
    match &spec.network.mode {
        Mode::Container(name) => spec.network.mode = Mode::Container(id("net", name)?),
        // Looked up when the container is made.
        Mode::Networks(_)
        | Mode::Default
        | Mode::None
        | Mode::Host
        | Mode::Private
        | Mode::Path(_)
        | Mode::Creel(_)
        | Mode::Slirp4netns(_)
        | Mode::Pasta(_)
        | Mode::Pod => {}
    }
    for name in &mut spec.requires {
        *name = containers::find(engine, name).map(|container| container.id().to_string()).map_err(|error| {
            Failure::from(error).context(format!("{name:?} is not a valid container, cannot be used as a dependency"))
        })?;
    }
    Ok(())
}

pub fn pull_options(context: &Context, args: &CreateArgs) -> Result<PullOptions, Failure> {
    let config = context.config()?;
    super::login::check_files(args.authfile.as_deref(), None, None)?;
    let policy = args.pull.as_deref().or(config.text("engine", "pull_policy")).unwrap_or("missing");
    let mut options = PullOptions {
        policy: pull_policy(policy)?,
        platform: platform(
            args.platform.as_deref(),
            args.os.as_deref(),
            args.arch.as_deref(),
            args.variant.as_deref(),
        )?,
        authfile: args.authfile.clone(),
        creds: args
            .creds
            .as_deref()
            .filter(|creds| !creds.is_empty())
            .map(crate::credentials::credentials)
            .transpose()?,
        cert_dir: args.cert_dir.clone(),
        tls_verify: args.tls_verify,
        decryption_keys: args.decryption_key.clone(),
        places: transfer::places(args.signature_policy.clone())?,
        ..PullOptions::default()
    };
    options.retry = transfer::retries(config, args.retry);
    options.retry_delay = transfer::retry_delay(config, args.retry_delay.as_deref().filter(|delay| !delay.is_empty()))?;
    if args.quiet {
        options.progress = Progress::Quiet;
    }
    Ok(options)
}

/// The words true and false are for `build` alone.
pub fn pull_policy(text: &str) -> Result<images::PullPolicy, Failure> {
    let is_bool = text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false");
    text.parse().ok().filter(|_| !is_bool).ok_or_else(|| {
        let text = arguments::go_quote(text);
        Failure::plain(format!("unsupported pull policy {text}"))
            .hint("the policies are always, missing, never and newer")
    })
}

/// `--platform`, or what `--os`, `--arch` and `--variant` come to.
pub fn platform(
    platform: Option<&str>,
    os: Option<&str>,
    arch: Option<&str>,
    variant: Option<&str>,
) -> Result<Option<Platform>, Failure> {
    if let Some(text) = platform.filter(|text| !text.is_empty()) {
        return Ok(Some(text.parse().map_err(Failure::from)?));
    }
    let owned = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let wanted = Platform { os: owned(os), architecture: owned(arch), variant: owned(variant) };
    Ok((wanted != Platform::default()).then_some(wanted))
}
