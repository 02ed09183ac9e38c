//! `creel artifact add`

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use images::artifacts::{self, AddOptions, Input, Onto};

use crate::arguments::{self, go_quote};
use crate::context::Context;
use crate::error::{ExitCode, Failure, on_path};
use crate::output;

/// Make an artifact of files, or add files to one
#[derive(clap::Args)]
pub struct Args {
    /// Set an annotation of the files
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
    /// Add to an artifact that is there
    #[arg(short, long)]
    append: bool,
    /// Media type of the files, instead of one by their content
    #[arg(long, value_name = "TYPE")]
    file_type: Option<String>,
    /// Take the place of an artifact of that name
    #[arg(long)]
    replace: bool,
    /// Type of the artifact
    #[arg(long, value_name = "TYPE")]
    r#type: Option<String>,
    #[arg(value_name = "ARTIFACT PATH [...PATH]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.words, 2)?;
    let onto = match (args.append, args.replace) {
        (true, true) => return Err(Failure::plain("--append and --replace options cannot be used together")),
        (true, false) if args.r#type.is_some() => {
            return Err(Failure::plain("append option is not compatible with type option"));
        }
        (true, false) => Onto::Append,
        (false, true) => Onto::Replace,
        (false, false) => Onto::Nothing,
    };
    let annotation = |text: &String| match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(Failure::plain(format!("no value given for annotation {}", go_quote(text)))),
    };
    let options = AddOptions {
        onto,
        artifact_type: args.r#type.unwrap_or_default(),
        file_type: args.file_type,
        annotations: args.annotation.iter().map(annotation).collect::<Result<BTreeMap<_, _>, _>>()?,
    };
    let (name, paths) = (&args.words[0], &args.words[1..]);
    let inputs = paths.iter().map(|path| open(path)).collect::<Result<Vec<_>, _>>()?;
    let engine = context.engine()?;
    let artifact = artifacts::add(&engine.store, name, inputs, &options)?;
    output::line(artifact.digest.hex())?;
    Ok(ExitCode::Success)
}

fn open(path: &str) -> Result<Input, Failure> {
    let file = File::open(path).map_err(on_path("open", path))?;
    if file.metadata().map_err(on_path("stat", path))?.is_dir() {
        return Err(Failure::plain(format!("read {path}: is a directory")).hint("name the files in it"));
    }
    let title = Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Input { title, file })
}
