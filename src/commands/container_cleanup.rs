//! `creel container cleanup`

use containers::RemoveRequest;

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;
use crate::select::{Missing, Selected, conclude};

/// Take away what the last runs of containers have left behind
///
/// A monitor does so itself; there is something left only where it was killed. A container that runs is left alone.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    selected: Selected,
    /// Clean up after an exec session (creel's leave nothing behind)
    #[arg(long, value_name = "ID")]
    exec: Option<String>,
    /// Remove the containers, too
    #[arg(long)]
    rm: bool,
    /// Remove their images, too
    #[arg(long)]
    rmi: bool,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    args.selected.check()?;
    if args.exec.is_some() && (args.selected.all || args.rm || args.rmi) {
        return Err(Failure::plain("exec and remove options conflict"));
    }
    let engine = context.engine()?;
    let (chosen, mut failures) = args.selected.choose(&engine, Missing::Ignored)?;
    for one in chosen {
        let done = containers::cleanup(&engine, &one.container).and_then(|()| match args.rm || args.rmi {
            true => containers::remove(&engine, &one.container, &RemoveRequest::default()).map(drop),
            false => Ok(()),
        });
        if let Err(error) = done {
            failures.push(error.into());
            continue;
        }
        output::line(one.label)?;
        if let Some(image) = one.container.record.image.as_ref().filter(|_| args.rmi) {
            containers::remove_image_if_unused(&engine, &image.id);
        }
    }
    conclude(failures)
}
