use containers::{
    AttachEnd, AttachRequest, Container, Engine, LogDriver, PasswdMode, Remove, RemoveRequest, StartRequest, Started,
    Streams,
};

use crate::arguments::number;
use crate::context::Context;
use crate::create_args::CreateArgs;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Run a command in a new container
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    create: CreateArgs,
    /// Do not wait for the container; print its id
    #[arg(short, long)]
    detach: bool,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Add the user to /etc/passwd and /etc/group where the image does not have it
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    passwd: bool,
    /// Pass these descriptors on
    #[arg(long, value_name = "NUMBER", value_parser = number::u32, value_delimiter = ',')]
    preserve_fd: Vec<u32>,
    /// Pass so many descriptors on, from 3 upward
    #[arg(long, value_name = "NUMBER", value_parser = number::u32, default_value_t = 0)]
    preserve_fds: u32,
    /// Remove the image, too, when the container ends (implies --rm)
    #[arg(long)]
    rmi: bool,
    /// Pass signals on to the container
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    sig_proxy: bool,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let create = &args.create;
    let preserve_fds = super::exec::preserved(args.preserve_fds, &args.preserve_fd)?;
    // Its own mistakes have their own exit code.
    context.config()?;
    let detach_keys = super::attach::detach_keys(context, args.detach_keys.as_deref())
        .map_err(|failure| failure.code(ExitCode::NotExecutable))?;
    if create.tty && create.interactive && !args.detach && !output::stdin_is_terminal() {
        output::warn("The input device is not a TTY. The --tty and --interactive flags might not work properly");
    }
    let attach = match args.detach {
        true => None,
        false => Some(streams(create)?),
    };
    let (engine, container) = super::create::make(context, create, |spec| {
        if args.rmi {
            spec.remove = Remove::ContainerAndImage;
        }
        if !args.passwd {
            spec.passwd = PasswdMode::LeaveAlone;
        }
    })?;
    let spec = container.spec();
    let started = start(&engine, &container, StartRequest { attach, preserve_fds })?;
    let Some(attached) = started.attached else {
        // With the caller's own streams, what is printed is the container's alone.
        if !matches!(spec.log.driver, LogDriver::Passthrough | LogDriver::PassthroughTty) {
            output::line(container.id())?;
        }
        return Ok(ExitCode::Success);
    };
    if attach.is_some_and(|streams| !streams.stdout && !streams.stderr) {
        // Nothing of the container's is printed: then what it is called.
        output::line(container.id())?;
    }
    let request = AttachRequest {
        detach_keys,
        sig_proxy: Some(started.init).filter(|_| args.sig_proxy && !spec.tty),
        tty: spec.tty,
    };
    Ok(match attached.run(request)? {
        AttachEnd::Exited(code) => ExitCode::from_number(code),
        AttachEnd::Detached => ExitCode::Success,
    })
}

/// Starts what was made for this. Where that fails nothing of a container with `--rm` is left.
pub fn start(engine: &Engine, container: &Container, request: StartRequest) -> Result<Started, Failure> {
    containers::start(engine, container, request).map_err(|error| {
        if container.spec().remove != Remove::Nothing {
            // What failed to start has no monitor that would remove it. The error that matters is the first.
            let request = RemoveRequest { force: true, volumes: true, ..RemoveRequest::default() };
            let _ = containers::remove(engine, container, &request);
        }
        error.into()
    })
}

/// Which streams to connect: those of `-a`, else output always and input with `-i`.
fn streams(args: &CreateArgs) -> Result<Streams, Failure> {
    if args.attach.is_empty() {
        return Ok(Streams { stdin: args.interactive, stdout: true, stderr: true });
    }
    let mut streams = Streams::default();
    for name in &args.attach {
        match name.to_ascii_lowercase().as_str() {
            "stdin" => streams.stdin = true,
            "stdout" => streams.stdout = true,
            "stderr" => streams.stderr = true,
            _ => {
                return Err(Failure::plain(format!(
                    "invalid stream {name:?} for --attach - must be one of stdin, stdout, or stderr: invalid argument"
                )));
            }
        }
    }
    streams.stdin |= args.interactive;
    Ok(streams)
}
