//! `creel kube exec`

use super::{DEFAULT_NAMESPACE, chosen};
use crate::arguments;
use crate::commands::exec;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Run a command in a container of a played pod
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The container; the pod's first where nothing is said
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// Pass stdin on
    #[arg(short = 'i', long)]
    stdin: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,
    /// A pod, or what keeps one (deploy/web); then the command
    #[arg(value_name = "POD -- COMMAND [ARG...]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.words, 1)?;
    let mut words = args.words;
    let word = words.remove(0);
    if words.is_empty() {
        return Err(Failure::plain("you must specify at least one command for the container"));
    }
    let container = chosen::one_container(&context.reader()?, &args.namespace, &word, args.container.as_deref())?;
    words.insert(0, container.id().to_string());
    exec::run(context, exec::Args::new(words, args.stdin, args.tty))
}
