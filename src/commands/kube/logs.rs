//! `creel kube logs`

use containers::Container;
use kube_play::act::{self, Seen};
use kube_play::{Kind, Selector};

use super::{DEFAULT_NAMESPACE, chosen, not_found};
use crate::arguments::{self, number};
use crate::commands::logs;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Show the output of played pods: by name, by label, or of a workload (deploy/web)
#[derive(clap::Args)]
pub struct Args {
    /// The container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Go on until the containers end
    #[arg(short, long)]
    follow: bool,
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// Pods with these labels (app=web)
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Show what came after a time, or after a duration ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Show the last lines only
    #[arg(long, value_name = "NUMBER", value_parser = number::i64, default_value_t = -1)]
    tail: i64,
    /// Put the time before each line
    #[arg(short, long)]
    timestamps: bool,
    /// Names of pods, or KIND/NAME
    #[arg(value_name = "POD")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let engine = context.reader()?;
    let seen = act::pods(&engine)?;
    let in_namespace: Vec<&Seen> = seen.iter().filter(|pod| pod.namespace == args.namespace).collect();
    let words = args.words.as_slice();
    let pods: Vec<&Seen> = match (&args.selector, words) {
        (Some(text), []) => {
            let selector = Selector::parse(text).map_err(Failure::plain)?;
            in_namespace.into_iter().filter(|pod| selector.matches(pod.labels())).collect()
        }
        (Some(_), _) => return Err(Failure::plain("give names or --selector, not both")),
        (None, words) => {
            arguments::at_least(words, 1)?;
            let mut pods = Vec::new();
            for word in words {
                let found: Vec<&&Seen> = in_namespace.iter().filter(|pod| chosen::is_meant(pod, word)).collect();
                if found.is_empty() {
                    return Err(not_found(Kind::Pod, word));
                }
                pods.extend(found.into_iter().copied());
            }
            pods
        }
    };
    let of_pod =
        |pod: &'_ &Seen| -> Vec<Container> { chosen::containers(pod, args.container.as_deref()).cloned().collect() };
    let containers: Vec<Container> = pods.iter().flat_map(of_pod).collect();
    if containers.is_empty() {
        return Err(Failure::plain("no container of these pods is meant by that"));
    }
    let prefix = containers.len() > 1;
    let output = logs::Args {
        color: false,
        details: false,
        follow: args.follow,
        latest: false,
        names: true,
        since: args.since,
        tail: args.tail,
        timestamps: args.timestamps,
        until: None,
        containers: Vec::new(),
    };
    logs::show(&engine, &containers, &output, prefix, logs::stamp)
}
