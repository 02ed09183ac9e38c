//! `creel pod clone`

use super::flags::PodFlags;
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Make a pod like another one, with the same containers
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove the original
    #[arg(long)]
    destroy: bool,
    #[command(flatten)]
    flags: PodFlags,
    /// Name of the new pod
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,
    /// Start the new pod
    #[arg(long)]
    start: bool,
    #[arg(value_name = "POD [NAME]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::between(&args.words, 1, 2)?;
    if args.name.is_some() && args.words.len() > 1 {
        return Err(Failure::plain("cannot specify --name and NAME at the same time"));
    }
    let engine = context.engine()?;
    let pod = pods::find(&engine, &args.words[0])?;
    let name = args.name.as_deref().or(args.words.get(1).map(String::as_str));
    let image = |id: &str| match images::find(&engine.store, id) {
        Ok(image) => Ok(image),
        Err(error) => Err(pods::Error::from(containers::Error::from(error))),
    };
    let mut spec = pod.spec().clone();
    args.flags.change(&mut spec, &super::create::surroundings(context)?)?;
    spec.create_command.clone_from(&context.command_line);
    let made = pods::clone(&engine, &pod, spec, name, &image)?;
    if args.destroy {
        let outcome = pods::remove(&engine, &pod, true, None)?;
        if !outcome.failed.is_empty() {
            return crate::select::conclude(super::rm::not_removed(&pod, outcome));
        }
    }
    if args.start {
        let outcome = pods::start(&engine, &made)?;
        output::line(made.id())?;
        return crate::select::conclude(super::failures_of(outcome, |id, failure| {
            failure.context(format!("starting container {id}")).code(ExitCode::Failed)
        }));
    }
    output::line(made.id())?;
    Ok(ExitCode::Success)
}
