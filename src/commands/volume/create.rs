//! `creel volume create`

use containers::ContainerId;
use storage::Volume;

use crate::arguments::{self, number};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Make a volume
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Driver of the volume: local, or image for the files of an image (-o image=NAME)
    #[arg(short, long, value_name = "NAME", default_value = "local")]
    driver: String,
    /// Group that the volume belongs to
    #[arg(long, value_name = "GID", value_parser = number::u32)]
    gid: Option<u32>,
    /// A volume of that name is no error
    #[arg(long)]
    ignore: bool,
    /// Set a label (KEY=VALUE)
    #[arg(short, long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Option of the driver (type=, device=, o=)
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,
    /// User that the volume belongs to
    #[arg(long, value_name = "UID", value_parser = number::u32)]
    uid: Option<u32>,
    #[arg(value_name = "[NAME]")]
    names: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_most(&args.names, 1)?;
    if !matches!(args.driver.as_str(), "" | "local" | "image") {
        let (name, driver) = (args.names.first().map(String::as_str).unwrap_or_default(), &args.driver);
        return Err(Failure::plain(format!(
            "volume {name} uses volume plugin {driver} but it could not be retrieved: no volume plugin with name {driver} \
             available: required plugin missing"
        )));
    }
    let driver = if args.driver.is_empty() { "local" } else { args.driver.as_str() };
    let mut volume = Volume {
        name: args.names.first().cloned().unwrap_or_default(),
        driver: driver.into(),
        needs_copy_up: true,
        ..Volume::default()
    };
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    };
    containers::set_volume_options(&mut volume, &args.opt.iter().map(pair).collect::<Vec<_>>())?;
    volume.uid = args.uid.unwrap_or(volume.uid);
    volume.gid = args.gid.unwrap_or(volume.gid);
    volume.labels = args.label.iter().map(pair).collect();
    volume.name = match args.names.first().filter(|name| !name.is_empty()) {
        Some(name) => name.clone(),
        None => ContainerId::random()?.to_string(),
    };
    let engine = context.engine()?;
    let image = volume.options.get("image").filter(|_| driver == "image");
    if let Some(image) = image
        && images::find(&engine.store, image)?.is_none()
    {
        return Err(Failure::plain(format!(
            "looking up image {image} to create volume failed: {image}: image not known"
        )));
    }
    let name = volume.name.clone();
    match engine.store.create_volume(volume) {
        Ok(_) => {}
        Err(storage::Error::NameTaken { .. }) if args.ignore => {}
        Err(storage::Error::NameTaken { .. }) => {
            return Err(Failure::plain(format!("volume with name {name} already exists: volume already exists")));
        }
        Err(storage::Error::Invalid { .. }) => {
            return Err(Failure::plain(
                "running volume create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument",
            ));
        }
        Err(error) => return Err(error.into()),
    }
    output::line(name)?;
    Ok(ExitCode::Success)
}
