//! `creel kube explain`

use kube_play::Kind;

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{arguments, output};

/// Show the fields of a kind, and what becomes of them here
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show all that is in it, as a tree
    #[arg(long)]
    recursive: bool,
    /// A kind, or a field of it: deployment.spec.replicas
    #[arg(value_name = "KIND[.FIELD...]")]
    words: Vec<String>,
}

pub fn run(_: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.words, 1)?;
    let mut path = args.words[0].split('.');
    let word = path.next().unwrap_or_default();
    let kind = Kind::typed(word).ok_or_else(|| {
        Failure::plain(format!("there is no kind of object called {word:?}"))
            .hint("docs/kubernetes.md lists the kinds that are played")
    })?;
    let path: Vec<&str> = path.collect();
    output::print(&kube_play::explain(kind, &path, args.recursive).map_err(Failure::plain)?)?;
    Ok(ExitCode::Success)
}
