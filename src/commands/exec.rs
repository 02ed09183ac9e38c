use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use containers::{Container, Engine, ExecEnd, ExecRequest};
use sys::task::Numbered;

use crate::arguments::number;
use crate::context::Context;
use crate::create_args;
use crate::error::{ExitCode, Failure};
use crate::{output, select};

/// Run a command in a running container
#[derive(clap::Args, Default)]
pub struct Args {
    /// Read the container's id from a file
    #[arg(long, value_name = "FILE")]
    cidfile: Option<PathBuf>,
    /// Do not wait for the command; print the id of the session
    #[arg(short, long)]
    detach: bool,
    /// Keys that leave the command running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Set a variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Read variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Pass stdin on
    #[arg(short, long)]
    interactive: bool,
    /// Use the newest container
    #[arg(short, long)]
    latest: bool,
    /// Pass these descriptors on
    #[arg(long, value_name = "NUMBER", value_parser = number::u32, value_delimiter = ',')]
    preserve_fd: Vec<u32>,
    /// Pass so many descriptors on, from 3 upward
    #[arg(long, value_name = "NUMBER", value_parser = number::u32, default_value_t = 0)]
    preserve_fds: u32,
    /// All capabilities
    #[arg(long)]
    privileged: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,
    /// User (name or id, optionally :group)
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// Seconds to wait for the container to run
    #[arg(long, value_name = "SECONDS", value_parser = number::i32)]
    wait: Option<i32>,
    /// Directory in which the command starts
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    #[arg(value_name = "CONTAINER COMMAND [ARG...]")]
    words: Vec<String>,
}

impl Args {
    /// A container and a command, for `kube exec`.
    pub fn new(words: Vec<String>, interactive: bool, tty: bool) -> Args {
        Args { words, interactive, tty, ..Args::default() }
    }
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let mut words = args.words.clone();
    let name = match (&args.cidfile, args.latest) {
        (Some(_), true) => return Err(Failure::plain("--latest and --cidfile cannot be used together")),
        (Some(path), false) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| crate::error::on_path("open", path)(error).context("reading CIDFile"))?;
            Some(text.trim().to_owned())
        }
        (None, true) => None,
        (None, false) if words.is_empty() => {
            return Err(Failure::plain(
                "exec requires the name or ID of a container or the --latest or --cidfile flag",
            ));
        }
        (None, false) => Some(words.remove(0)),
    };
    if words.is_empty() {
        return Err(Failure::plain("must provide a non-empty command to start an exec session: invalid argument"));
    }
    let caller: Vec<(String, String)> = std::env::vars().collect();
    let mut env = Vec::new();
    for path in &args.env_file {
        let text = std::fs::read_to_string(path).map_err(|error| {
            crate::error::on_path("open", path)(error).context(format_args!("parsing file {path:?}"))
        })?;
        create_args::variables_from_file(&mut env, &text, &caller)?;
    }
    for text in &args.env {
        create_args::add_variable(&mut env, text, &caller)?;
    }
    let engine = context.engine()?;
    // On a kernel too old for it the runtime's own check is what is left.
    let _ = sys::exe::seal(&crate::caller::identity(&engine.settings));
    let container = match (args.wait, &name) {
        (Some(seconds), Some(name)) => awaited(&engine, name, seconds)?,
        _ => select::one(&engine, name.as_deref(), args.latest)?,
    };
    if !containers::running(&container) {
        let text = "can only create exec sessions on running containers: container state improper";
        let failure = Failure::plain(text).code(NO_SESSION);
        return Err(failure.hint(format!("start it first: creel start {}", container.name())));
    }
    let request = ExecRequest {
        command: words,
        env,
        user: args.user,
        workdir: args.workdir,
        tty: args.tty,
        stdin: args.interactive,
        detach: args.detach,
        privileged: args.privileged,
        preserve_fds: preserved(args.preserve_fds, &args.preserve_fd)?,
        detach_keys: match args.detach {
            true => Vec::new(),
            false => super::attach::detach_keys(context, args.detach_keys.as_deref())
                .map_err(|failure| failure.code(NO_SESSION))?,
        },
    };
    let end = containers::exec(&engine, &container, request).map_err(|error| {
        let failure = Failure::from(error);
        match (args.detach, failure.exit_code()) {
            // Nobody waits for a code of the program's own.
            (true, _) => failure.code(ExitCode::Failed),
            (false, ExitCode::Failed) => failure.code(NO_SESSION),
            (false, _) => failure,
        }
    })?;
    Ok(match end {
        ExecEnd::Exited(code) => ExitCode::from_number(code),
        ExecEnd::Detached(_) => ExitCode::Success,
        ExecEnd::Started(id) => output::line(id).map(|()| ExitCode::Success)?,
    })
}

/// The container of that name once it runs.
fn awaited(engine: &Engine, name: &str, seconds: i32) -> Result<Container, Failure> {
    let until = Instant::now() + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    loop {
        match containers::find(engine, name) {
            Ok(container) if containers::running(&container) => return Ok(container),
            Ok(_) | Err(containers::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if Instant::now() >= until {
            return Err(Failure::plain(format!("timed out waiting for container: {name}")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Podman's code where no session could be begun.
const NO_SESSION: ExitCode = ExitCode::Container(255);

/// The descriptors that the caller left open for the container: 3, 4, ... up to `count`, and these.
pub fn preserved(count: u32, numbers: &[u32]) -> Result<Vec<Numbered>, Failure> {
    if count > 0 && !numbers.is_empty() {
        return Err(Failure::plain("cannot specify both --preserve-fds and --preserve-fd"));
    }
    if let Some(stream) = numbers.iter().find(|number| **number < 3) {
        let why = "consider using the passthrough log-driver to pass STDIO streams into the container";
        return Err(Failure::plain(format!("cannot preserve FD {stream}, {why}: invalid argument")));
    }
    let wanted: BTreeSet<u32> = (3..3 + count).chain(numbers.iter().copied()).collect();
    wanted
        .into_iter()
        .map(|number| {
            let flag = if numbers.contains(&number) { "preserve-fd" } else { "preserve-fds" };
            let absent = format!(
                "file descriptor {number} is not available - the {flag} option requires that file descriptors must be passed"
            );
            let fd = i32::try_from(number).ok().and_then(sys::task::inherited_descriptor);
            fd.map(|fd| Numbered { number, fd }).ok_or_else(|| Failure::plain(absent))
        })
        .collect()
}
