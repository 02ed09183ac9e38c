use containers::{AttachEnd, AttachRequest, StartRequest, Streams};

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;
use crate::select::{Missing, Selected, conclude};

/// Start containers
// `-a` is --attach here.
#[derive(clap::Args)]
#[command(mut_arg("all", |all| all.short(None)))]
pub struct Args {
    #[command(flatten)]
    selected: Selected,
    /// Connect to the container's output
    #[arg(short, long)]
    attach: bool,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Connect to the container's input, too
    #[arg(short, long)]
    interactive: bool,
    /// Pass signals on to the container (default when attached)
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sig_proxy: Option<bool>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.selected.is_empty() {
        return Err(Failure::plain("start requires at least one argument"));
    }
    if args.selected.all && !args.selected.containers.is_empty() {
        return Err(Failure::plain("either start all containers or the container(s) provided in the arguments"));
    }
    args.selected.check_but_filter()?;
    if args.selected.all && args.attach {
        return Err(Failure::plain("you cannot start and attach all containers at once"));
    }
    if args.selected.containers.len() > 1 && args.attach {
        return Err(Failure::plain("you cannot start and attach multiple containers at once"));
    }
    if args.sig_proxy == Some(true) && !args.attach {
        return Err(Failure::plain("you cannot use sig-proxy without --attach: invalid argument"));
    }
    let engine = context.engine()?;
    let (chosen, mut failures) = args.selected.choose(&engine, Missing::Fails)?;
    let is_attached = args.attach || args.interactive;
    for one in chosen {
        if args.selected.all && containers::running(&one.container) {
            continue;
        }
        let spec = one.container.spec();
        let streams = Streams { stdin: args.interactive && spec.stdin, stdout: true, stderr: true };
        let request = StartRequest { attach: is_attached.then_some(streams), ..StartRequest::default() };
        let started = pods::follow_pod(&engine, &one.container)
            .map_err(Failure::from)
            .and_then(|()| containers::start(&engine, &one.container, request).map_err(Failure::from));
        let started = match started {
            Ok(started) => started,
            Err(failure) => {
                let id = one.container.id();
                let context = match is_attached {
                    true => format!("unable to start container {id}"),
                    false => format!("unable to start container \"{id}\""),
                };
                // Whatever the reason: 126 and 127 are for `run`.
                failures.push(failure.context(context).code(ExitCode::Failed));
                continue;
            }
        };
        let Some(attached) = started.attached else {
            output::line(one.label)?;
            continue;
        };
        let request = AttachRequest {
            detach_keys: super::attach::detach_keys(context, args.detach_keys.as_deref())
                .map_err(|failure| failure.context(format_args!("unable to start container {}", one.container.id())))?,
            sig_proxy: Some(started.init).filter(|_| args.sig_proxy.unwrap_or(true) && !spec.tty),
            tty: spec.tty,
        };
        return Ok(match attached.run(request)? {
            AttachEnd::Exited(code) => ExitCode::from_number(code),
            AttachEnd::Detached => ExitCode::Success,
        });
    }
    conclude(failures)
}
