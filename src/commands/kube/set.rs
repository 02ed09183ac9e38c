//! `creel kube set image`

use images::PullOptions;
use kube_play::act;

use super::{DEFAULT_NAMESPACE, one_object};
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Give containers of a workload other images: its pods are replaced as by an update
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// "image", then KIND NAME or KIND/NAME, then images by the names of their containers ("*": all)
    #[arg(value_name = "image KIND/NAME CONTAINER=IMAGE...")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.words, 1)?;
    if args.words[0] != "image" {
        let text = format!("creel cannot set {:?} of what was played: it sets image", args.words[0]);
        return Err(Failure::plain(text).hint("write it into the file, and play that again"));
    }
    let (pairs, object): (Vec<String>, Vec<String>) = args.words[1..].iter().cloned().partition(|it| it.contains('='));
    if pairs.is_empty() {
        return Err(Failure::plain("at least one image update is required").hint("write CONTAINER=IMAGE"));
    }
    let id = one_object(&object, &args.namespace)?;
    let images: Vec<(String, String)> = pairs
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, image)| (name.to_owned(), image.to_owned()))
        .collect();
    if let Some((name, _)) = images.iter().find(|(name, image)| name.is_empty() || image.is_empty()) {
        return Err(Failure::plain(format!("{name:?} needs a container and an image: write CONTAINER=IMAGE")));
    }
    let engine = context.engine()?;
    let find = |engine: &containers::Engine, wanted: &act::WantedImage<'_>| {
        super::image(engine, wanted, &PullOptions::default())
    };
    if act::set_images(&engine, &find, &id, &images, &super::waits)? {
        act::start_supervisor(&engine, super::supervisor_program())?;
        output::line(format_args!("{} image updated", id.resource()))?;
    }
    Ok(ExitCode::Success)
}
