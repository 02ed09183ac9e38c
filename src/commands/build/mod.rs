//! `creel build`

mod args;
mod git;
mod output_to;
mod secrets;
mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use ::build::{Event, Named, Options, RemoteCache, Squash, Times};
use containers::{ContainerSpec, Engine, Streams};
use images::Platform;
use images::lists::CreateOptions;
use storage::Staging;

use crate::arguments::{self, go_quote, number};
use crate::caller::variable;
use crate::context::Context;
use crate::create_args::{self, CreateArgs, LimitFlags, Surroundings};
use crate::error::{ExitCode, Failure, on_path};
use crate::format::human;
use crate::output;
pub use args::Args;
use output_to::Output;
use source::Source;

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_most(&args.words, 1)?;
    if let Some(path) = args.logfile.as_ref().filter(|_| !args.logsplit) {
        write_to(path)?;
    }
    let outputs: Vec<Output> = args.output.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let platforms = match args.all_platforms {
        true => every_platform(context, &args)?,
        false => platforms(&args)?,
    };
    for platform in &platforms {
        if let Some(path) = args.logfile.as_ref().filter(|_| args.logsplit) {
            let of = platform.clone().unwrap_or_default();
            write_to(&PathBuf::from(format!("{}_{}", path.display(), of.to_string().replace('/', "_"))))?;
        }
        let image = make_for(context, &args, platform.as_ref(), platforms.len() > 1)?;
        let engine = context.engine()?;
        for output in &outputs {
            output.write(&engine, &image)?;
        }
        if let Some(path) = &args.iidfile {
            fs::write(path, format!("sha256:{}", image.id)).map_err(on_path("open", path))?;
        }
        output::line(&image.id)?;
        if let Some(list) = &args.manifest {
            let id = format!("sha256:{}", image.id);
            images::lists::create_or_amend(&engine.store, list, &[&id], &CreateOptions::default())?;
        }
    }
    Ok(ExitCode::Success)
}

/// Builds what the arguments say, and shows how it goes. `kube play` builds, too.
pub fn make(context: &Context, args: &Args) -> Result<images::Image, Failure> {
    make_for(context, args, platforms(args)?.into_iter().flatten().next().as_ref(), false)
}

/// For each of these platforms there is an image; `None` is this machine without being said.
fn platforms(args: &Args) -> Result<Vec<Option<Platform>>, Failure> {
    let parts = [&args.os, &args.arch, &args.variant];
    if !args.platform.is_empty() && parts.iter().any(|part| part.is_some()) {
        return Err(Failure::plain("invalid --platform may not be used with --os, --arch, or --variant"));
    }
    let parse = |text: Option<&str>| {
        let [os, arch, variant] = parts.map(Option::as_deref);
        super::create::platform(text, os, arch, variant)
    };
    match args.platform.is_empty() {
        true => Ok(vec![parse(None)?]),
        false => args.platform.iter().map(|text| known(text, parse(Some(text)))).collect(),
    }
}

/// Those that all base images are there for; this machine's where there is none but scratch.
fn every_platform(context: &Context, args: &Args) -> Result<Vec<Option<Platform>>, Failure> {
    if !args.platform.is_empty() || platforms(args)? != [None] {
        return Err(Failure::plain("--all-platforms goes with none of --platform, --os, --arch and --variant"));
    }
    let engine = context.engine()?;
    let (options, _staging) = options(context, &engine, args, None)?;
    let mut common: Option<Vec<Platform>> = None;
    for base in ::build::bases(&options)? {
        let its = images::lists::platforms(&engine.store, &base, &options.pull)?;
        common = Some(match common {
            Some(common) => common.into_iter().filter(|platform| its.contains(platform)).collect(),
            None => its,
        });
    }
    match common {
        Some(none) if none.is_empty() => Err(Failure::plain("the base images have no platform in common")),
        Some(common) => Ok(common.into_iter().map(Some).collect()),
        None => Ok(vec![None]),
    }
}

/// One word alone is an operating system or a processor.
fn known(text: &str, platform: Result<Option<Platform>, Failure>) -> Result<Option<Platform>, Failure> {
    const SYSTEMS: [&str; 5] = ["linux", "windows", "darwin", "freebsd", "wasip1"];
    let why = match &platform {
        Err(_) => "cannot parse platform specifier",
        Ok(Some(Platform { os: Some(os), architecture: None, .. })) if !SYSTEMS.contains(&os.as_str()) => {
            "unknown operating system or architecture"
        }
        Ok(_) => return platform,
    };
    let quoted = go_quote(text);
    Err(Failure::plain(format!("invalid platform syntax for --platform={quoted}: {quoted}: {why}: invalid argument")))
}

fn make_for(
    context: &Context,
    args: &Args,
    platform: Option<&Platform>,
    is_one_of_several: bool,
) -> Result<images::Image, Failure> {
    let engine = context.engine()?;
    let (options, _staging) = options(context, &engine, args, platform)?;
    let prefix = match platform {
        Some(platform) if is_one_of_several => format!("[{platform}] "),
        _ => String::new(),
    };
    let mut lost = None;
    let image = ::build::build(&engine, &options, &mut |event| {
        if let Err(failure) = show(&event, &prefix, args.quiet) {
            lost.get_or_insert(failure);
        }
    })?;
    lost.map_or(Ok(image), Err)
}

/// What was typed, as the library takes it, and what the context lies in while it is needed.
fn options(
    context: &Context,
    engine: &Engine,
    args: &Args,
    platform: Option<&Platform>,
) -> Result<(Options, Option<Staging>), Failure> {
    let format = format(context, args)?;
    check_words(args)?;
    let spec = template(context, args)?;
    let mut pull = super::create::pull_options(context, &flags(args))?;
    pull.platform = platform.cloned();
    let arguments = build_arguments(args)?;
    let of_executor = |failure: Failure| failure.context("creating build executor");
    let secrets = secrets::secrets(args).map_err(of_executor)?;
    let agents = secrets::agents(args).map_err(of_executor)?;
    let cache_ttl = cache_ttl(args)?;
    let Source { files, context: tree, staging } = source::find(engine, args)?;
    let options = Options {
        files,
        context: tree,
        contexts: named_contexts(args)?,
        names: args.tag.clone(),
        target: args.target.clone(),
        arguments,
        from: args.from.clone(),
        every_stage: !args.skip_unused_stages,
        uses_cache: !args.no_cache && cache_ttl != Some(Duration::ZERO),
        squash: match (args.squash_all, args.squash || args.layers == Some(false)) {
            (true, _) => Squash::All,
            (false, true) => Squash::Stages,
            (false, false) => Squash::Steps,
        },
        remote_cache: remote_cache(args, &pull)?,
        pull,
        format,
        labels: pairs(&args.label, "")?,
        unset_labels: args.unsetlabel.clone(),
        annotations: pairs(&args.annotation, "")?,
        env: args.env.iter().map(|text| env(text)).collect(),
        unset_env: args.unsetenv.clone(),
        unset_annotations: args.unsetannotation.clone(),
        layer_labels: pairs(&args.layer_label, "")?,
        inherits_labels: args.inherit_labels.unwrap_or(true),
        inherits_annotations: args.inherit_annotations.unwrap_or(true),
        annotates_creation: args.created_annotation.unwrap_or(true),
        omits_history: args.omit_history,
        times: times(args)?,
        os_version: args.os_version.clone(),
        os_features: args.os_feature.clone(),
        discards_volumes: args.compat_volumes,
        cache_ttl,
        secrets,
        agents,
        spec,
        streams: Streams { stdin: args.stdin, stdout: !args.quiet, stderr: true },
    };
    Ok((options, staging))
}

/// `--timestamp`, `--source-date-epoch` or the variable of that name.
fn times(args: &Args) -> Result<Times, Failure> {
    let epoch = args.source_date_epoch.clone().or_else(|| variable("SOURCE_DATE_EPOCH"));
    match (args.timestamp, epoch) {
        (Some(_), Some(_)) if args.source_date_epoch.is_some() => {
            Err(Failure::plain("timestamp and source-date-epoch would be ambiguous if allowed together"))
        }
        (Some(seconds), _) => Ok(Times::All(seconds)),
        (None, Some(text)) => {
            let seconds = number::i64(&text)
                .map_err(|why| Failure::plain(format!("parsing source-date-epoch value {}: {why}", go_quote(&text))))?;
            Ok(Times::Epoch { seconds, rewrites_files: args.rewrite_timestamp })
        }
        (None, None) if args.rewrite_timestamp => {
            Err(Failure::plain("--rewrite-timestamp needs a time to compare with")
                .hint("give it with --source-date-epoch SECONDS"))
        }
        (None, None) => Ok(Times::Now),
    }
}

fn cache_ttl(args: &Args) -> Result<Option<Duration>, Failure> {
    let Some(text) = args.cache_ttl.as_deref() else { return Ok(None) };
    let wrong = |why: String| {
        Failure::plain(format!("unable to parse value provided {} as --cache-ttl: {why}", go_quote(text)))
    };
    human::parse_duration(text).map(Some).map_err(wrong)
}

fn remote_cache(args: &Args, pull: &images::PullOptions) -> Result<RemoteCache, Failure> {
    let repositories = |flag: &str, given: &[String]| -> Result<Vec<String>, Failure> {
        let full = |name: &String| {
            let wrong = |why: String| {
                Failure::plain(format!("unable to parse value provided `[{}]` to --{flag}: {why}", given.join(" ")))
            };
            let reference: images::Reference = name.parse().map_err(|error: images::Error| {
                wrong(format!("invalid repo {}: must contain registry and repository: {error}", go_quote(name)))
            })?;
            match reference.tag().is_some() || reference.digest().is_some() {
                true => Err(wrong(format!("repository must contain neither a tag nor digest: {name}"))),
                false => Ok(reference.repository()),
            }
        };
        given.iter().map(full).collect()
    };
    Ok(RemoteCache {
        from: repositories("cache-from", &args.cache_from)?,
        to: repositories("cache-to", &args.cache_to)?,
        push: images::PushOptions {
            authfile: pull.authfile.clone(),
            creds: pull.creds.clone(),
            cert_dir: pull.cert_dir.clone(),
            tls_verify: pull.tls_verify,
            retry: pull.retry,
            retry_delay: pull.retry_delay,
            ..images::PushOptions::default()
        },
    })
}

/// The lines that scripts look for are Podman's.
fn show(event: &Event<'_>, prefix: &str, quiet: bool) -> Result<(), Failure> {
    let before = |stage: &Option<(usize, usize)>| match stage {
        Some((number, of)) => format!("{prefix}[{number}/{of}] "),
        None => prefix.to_owned(),
    };
    match event {
        Event::Warning { text } => {
            output::warn(text);
            Ok(())
        }
        _ if quiet => Ok(()),
        Event::Step { stage, number, of, text } => {
            output::line(format_args!("{}STEP {number}/{of}: {text}", before(stage)))
        }
        Event::Cached { id } => output::line(format_args!("--> Using cache {id}")),
        Event::Fetched { name } => output::line(format_args!("--> Cache pulled from remote {name}")),
        Event::Sent { name } => output::line(format_args!("--> Pushing cache {name}")),
        Event::Made { id } => output::line(format_args!("--> {}", &id[..12])),
        Event::Commit { stage, name: Some(name) } => output::line(format_args!("{}COMMIT {name}", before(stage))),
        Event::Commit { stage, name: None } => output::line(format_args!("{}COMMIT", before(stage))),
        Event::Tagged { name } => output::line(format_args!("Successfully tagged {name}")),
        Event::Unused { arguments } => {
            output::line(format_args!("[Warning] one or more build args were not consumed: [{}]", arguments.join(" ")))
        }
    }
}

/// From here on, all that is written goes there.
fn write_to(path: &PathBuf) -> Result<(), Failure> {
    let file = fs::File::create(path).map_err(on_path("open", path))?;
    let moved = rustix::stdio::dup2_stdout(&file).and_then(|()| rustix::stdio::dup2_stderr(&file));
    moved.map_err(|error| on_path("write", path)(error.into()))
}

fn format(context: &Context, args: &Args) -> Result<images::Format, Failure> {
    let usual = variable("BUILDAH_FORMAT");
    let usual = usual.as_deref().or(context.config()?.text("engine", "image_build_format")).unwrap_or("oci");
    match args.format.as_deref().unwrap_or(usual) {
        "oci" => Ok(images::Format::Oci),
        "docker" => Ok(images::Format::Docker),
        other => Err(Failure::plain(format!("unrecognized image type {}", go_quote(other)))),
    }
}

/// Words that have few values.
fn check_words(args: &Args) -> Result<(), Failure> {
    if let Some(kind) = args.isolation.as_deref()
        && !matches!(kind, "" | "default" | "oci" | "rootless" | "chroot")
    {
        return Err(Failure::plain(format!("unrecognized isolation type {}", go_quote(kind))));
    }
    for name in &args.tag {
        name.parse::<images::Reference>().map_err(|error| match error {
            images::Error::InvalidReference { reason, .. } => {
                Failure::plain(format!("tag {name}: invalid reference format: {reason}"))
            }
            error => error.into(),
        })?;
    }
    args.volume.iter().try_for_each(|volume| check_volume(volume))?;
    if args.squash_all && args.squash {
        return Err(Failure::plain("cannot specify --squash-all with --squash"));
    }
    if let Some(mode) = args.userns.as_deref().filter(|mode| !matches!(*mode, "" | "host" | "private" | "container")) {
        return Err(Failure::plain(format!(
            "--userns={mode}: the programs of a build run in the user's own namespace"
        ))
        .hint("leave --userns out, or say host"));
    }
    Ok(())
}

/// The programs of a build get directories of the machine, no volumes.
fn check_volume(text: &str) -> Result<(), Failure> {
    let why = match text.split_once(':') {
        None => format!("incorrect volume format {}, should be host-dir:ctr-dir[:option]", go_quote(text)),
        Some((host, _)) if !host.starts_with('/') => {
            format!("invalid host path, must be an absolute path {}", go_quote(host))
        }
        Some(_) => return Ok(()),
    };
    Err(Failure::plain(format!("validating volumes: {why}")))
}

/// The flags that mean what they mean for `run`.
fn flags(args: &Args) -> CreateArgs {
    CreateArgs {
        add_host: args.add_host.clone(),
        authfile: args.authfile.clone(),
        cap_add: args.cap_add.clone(),
        cap_drop: args.cap_drop.clone(),
        cert_dir: args.cert_dir.clone(),
        cgroup_parent: args.cgroup_parent.clone(),
        cgroupns: args.cgroupns.clone(),
        creds: args.creds.clone(),
        decryption_key: args.decryption_key.clone(),
        device: args.device.clone(),
        dns: args.dns.clone(),
        dns_option: args.dns_option.clone(),
        dns_search: args.dns_search.clone(),
        group_add: args.group_add.clone(),
        http_proxy: args.http_proxy,
        ipc: args.ipc.clone(),
        limits: LimitFlags {
            cpu_period: args.cpu_period,
            cpu_quota: args.cpu_quota,
            cpu_shares: args.cpu_shares,
            cpuset_cpus: args.cpuset_cpus.clone(),
            cpuset_mems: args.cpuset_mems.clone(),
            memory: args.memory.clone(),
            memory_swap: args.memory_swap.clone(),
            ..LimitFlags::default()
        },
        ulimit: args.ulimit.clone(),
        network: args.network.clone().into_iter().collect(),
        no_hostname: args.no_hostname,
        no_hosts: args.no_hosts,
        pid: args.pid.clone(),
        pull: match (args.pull_always, args.pull_never) {
            (true, _) => Some("always".to_owned()),
            (false, true) => Some("never".to_owned()),
            (false, false) => args.pull.clone(),
        },
        quiet: args.quiet,
        retry: args.retry,
        retry_delay: args.retry_delay.clone(),
        security_opt: args.security_opt.clone(),
        shm_size: args.shm_size.clone(),
        signature_policy: args.signature_policy.clone(),
        tls_verify: args.tls_verify,
        uts: args.uts.clone(),
        volume: args.volume.clone(),
        ..CreateArgs::default()
    }
}

/// What every RUN has in common.
fn template(context: &Context, args: &Args) -> Result<ContainerSpec, Failure> {
    let around = Surroundings {
        config: context.config()?,
        env: std::env::vars().collect(),
        read: &|path| fs::read_to_string(path),
        exists: &|path| fs::metadata(path).map(drop),
        cwd: std::env::current_dir()?,
        list: &crate::glob::names,
        own_ids: &super::create::own_ids,
    };
    create_args::spec(&flags(args), &around)
}

/// `NAME=VALUE`; what stands where the sign is missing is `otherwise`.
fn pairs(texts: &[String], otherwise: &str) -> Result<Vec<(String, String)>, Failure> {
    texts
        .iter()
        .map(|text| {
            let (key, value) = text.split_once('=').unwrap_or((text, otherwise));
            match key.is_empty() {
                true => Err(Failure::plain(format!("{} has no name before =", go_quote(text)))),
                false => Ok((key.to_owned(), value.to_owned())),
            }
        })
        .collect()
}

/// `NAME` alone takes the caller's value.
fn env(text: &str) -> (String, String) {
    match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (text.to_owned(), variable(text).unwrap_or_default()),
    }
}

/// Files first: a flag wins. A name without a value takes the caller's, if it has one.
fn build_arguments(args: &Args) -> Result<BTreeMap<String, String>, Failure> {
    let mut arguments = BTreeMap::new();
    let mut add = |text: &str| {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, variable(text)),
        };
        match value {
            Some(value) => drop(arguments.insert(name.to_owned(), value)),
            None => drop(arguments.remove(name)),
        }
    };
    for path in &args.build_arg_file {
        let of_file = |failure: Failure| failure.context(format_args!("parsing file {path:?}"));
        let text = fs::read_to_string(path).map_err(on_path("open", path)).map_err(of_file)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.for_each(&mut add);
    }
    args.build_arg.iter().for_each(|text| add(text));
    Ok(arguments)
}

/// `--build-context NAME=VALUE`
fn named_contexts(args: &Args) -> Result<BTreeMap<String, Named>, Failure> {
    let mut contexts = BTreeMap::new();
    if let Some(text) = args.build_context.iter().find(|text| !text.contains('=')) {
        let why = format!("while parsing additional build context: {text}, accepts value in the form of key=value");
        return Err(Failure::plain(why));
    }
    for (name, value) in pairs(&args.build_context, "")? {
        let image =
            ["docker-image://", "container-image://", "docker://"].iter().find_map(|word| value.strip_prefix(word));
        let named = match image {
            Some(image) => Named::Image(image.to_owned()),
            None if value.contains("://") => {
                let what =
                    format!("--build-context {name}={value}: only directories and images are supported by creel yet");
                return Err(Failure::plain(what));
            }
            None => Named::Directory(source::directory(&value)?),
        };
        contexts.insert(name, named);
    }
    Ok(contexts)
}
