use containers::{AttachEnd, AttachRequest, Streams};

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;
use crate::select;

/// Connect to a running container
#[derive(clap::Args)]
pub struct Args {
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Attach to the newest container
    #[arg(short, long)]
    latest: bool,
    /// Do not pass stdin on
    #[arg(long)]
    no_stdin: bool,
    /// Attach to an initialized container, too, and say with a NUL byte on stdout that from now on nothing is missed
    #[arg(long, hide = true)]
    preface: bool,
    /// Pass signals on to the container
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    sig_proxy: bool,
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.containers.is_empty() && !args.latest {
        return Err(Failure::plain("\"creel attach\" requires a name, id, or the \"--latest\" flag"));
    }
    if args.containers.len() > 1 || args.latest && !args.containers.is_empty() {
        return Err(Failure::plain("`creel attach` accepts at most one argument"));
    }
    let engine = context.engine()?;
    let container = select::one(&engine, args.containers.first().map(String::as_str), args.latest)?;
    let spec = container.spec();
    let streams = Streams { stdin: spec.stdin && !args.no_stdin, stdout: true, stderr: true };
    let not_running = || {
        Failure::plain(format!("attaching to container {}: you can only attach to running containers", container.id()))
    };
    if container.state().word() == "initialized" && !args.preface {
        return Err(not_running());
    }
    let attached = containers::attach(&engine, &container, streams).map_err(|error| match error {
        containers::Error::StateImproper { .. } => not_running(),
        other => other.into(),
    })?;
    if args.preface {
        output::print("\0")?;
    }
    let request = AttachRequest {
        detach_keys: detach_keys(context, args.detach_keys.as_deref())
            .map_err(|failure| failure.context(format_args!("attaching to container {}", container.id())))?,
        sig_proxy: container.state().init().filter(|_| args.sig_proxy && !spec.tty).cloned(),
        tty: spec.tty,
    };
    Ok(match attached.run(request)? {
        AttachEnd::Exited(code) => ExitCode::from_number(code),
        AttachEnd::Detached => ExitCode::Success,
    })
}

/// From the flag, else from containers.conf, else ctrl-p,ctrl-q.
pub fn detach_keys(context: &Context, flag: Option<&str>) -> Result<Vec<u8>, Failure> {
    let text = match flag {
        Some(text) => text,
        None => context.config()?.text("engine", "detach_keys").unwrap_or("ctrl-p,ctrl-q"),
    };
    Ok(containers::parse_detach_keys(text)?)
}
