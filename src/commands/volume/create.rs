//! `creel volume create`

use std::collections::BTreeMap;

use containers::ContainerId;
use storage::Volume;

use crate::arguments::{self, number};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Make a volume
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Driver of the volume; there is one, "local"
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
    /// Option of the driver (o=uid=1,gid=2)
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,
    /// User that the volume belongs to
    #[arg(long, value_name = "UID", value_parser = number::u32)]
    uid: Option<u32>,
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_most(&args.names, 1)?;
    if !matches!(args.driver.as_str(), "" | "local") {
        let (name, driver) = (args.names.first().map(String::as_str).unwrap_or_default(), &args.driver);
        return Err(Failure::plain(format!(
            "volume {name} uses volume plugin {driver} but it could not be retrieved: no volume plugin with name {driver} \
             available: required plugin missing"
        )));
    }
    let mut volume = Volume { driver: "local".into(), needs_copy_up: true, ..Volume::default() };
    options(&mut volume, &args.opt)?;
    volume.uid = args.uid.unwrap_or(volume.uid);
    volume.gid = args.gid.unwrap_or(volume.gid);
    volume.labels = args
        .label
        .iter()
        .map(|text| {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            (key.to_owned(), value.to_owned())
        })
        .collect();
    volume.name = match args.names.first() {
        Some(name) => name.clone(),
        None => ContainerId::random()?.to_string(),
    };
    let engine = context.engine()?;
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

/// `o=uid=1,gid=2` sets the owner; mounting something else as a volume is for later.
fn options(volume: &mut Volume, texts: &[String]) -> Result<(), Failure> {
    let mut options = BTreeMap::new();
    for text in texts {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        match key {
            "o" => {
                for option in value.split(',') {
                    match option.split_once('=') {
                        Some(("uid", id)) => volume.uid = id.parse().map_err(|_| wrong_id("UID", id))?,
                        Some(("gid", id)) => volume.gid = id.parse().map_err(|_| wrong_id("GID", id))?,
                        _ => {
                            return Err(Failure::plain(format!(
                                "the volume option o={option} is not supported by creel yet"
                            )));
                        }
                    }
                }
            }
            "type" | "device" | "size" | "inodes" | "noquota" | "copy" | "nocopy" | "timeout" | "allow_no_device" => {
                return Err(Failure::plain(format!("the volume option {key} is not supported by creel yet")));
            }
            _ => {
                return Err(Failure::plain(format!("invalid mount option {key} for driver 'local': invalid argument")));
            }
        }
        options.insert(key.to_owned(), value.to_owned());
    }
    volume.options = options;
    Ok(())
}

fn wrong_id(kind: &str, id: &str) -> Failure {
    let id = arguments::go_quote(id);
    Failure::plain(format!("cannot convert volume option {kind} {id} to an integer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_give_the_owner() {
        let mut volume = Volume::default();
        options(&mut volume, &["o=uid=5,gid=6".into()]).unwrap();
        assert_eq!((volume.uid, volume.gid), (5, 6));
        let error = options(&mut volume, &["foo=bar".into()]).unwrap_err().to_string();
        assert_eq!(error, "invalid mount option foo for driver 'local': invalid argument");
    }
}
