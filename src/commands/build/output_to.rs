//! `--output`: the files of the image, written beside it.

use std::fs::{self, File};
use std::io::{BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use containers::{CopyOptions, Endpoint, Engine};

use crate::arguments::go_quote;
use crate::error::{Failure, on_path};

/// Where they go.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    Directory(PathBuf),
    Tar(PathBuf),
    /// A tar on standard output.
    Stdout,
}

impl FromStr for Output {
    type Err = Failure;

    /// A path alone is a directory, `-` is a tar on standard output; else `type=KIND,dest=PATH`.
    fn from_str(text: &str) -> Result<Output, Failure> {
        let wrong = |why: String| Failure::plain(format!("failed to parse build output {}: {why}", go_quote(text)));
        if !text.contains(['=', ',']) {
            return match text {
                "" => Err(wrong("it names no place".to_owned()).hint("give a directory, or type=tar,dest=FILE")),
                "-" => Ok(Output::Stdout),
                path => Ok(Output::Directory(path.into())),
            };
        }
        let quoted = go_quote(text);
        let (mut kind, mut dest) = ("local", None);
        for option in text.split(',') {
            match option.split_once('=') {
                Some(("type", value @ ("local" | "tar"))) => kind = value,
                Some(("type", other)) => {
                    let other = go_quote(other);
                    return Err(wrong(format!("invalid type {other} selected for build output options {quoted}")));
                }
                Some(("dest", value)) => dest = Some(value).filter(|value| !value.is_empty()),
                Some((key, _)) => {
                    let key = go_quote(key);
                    return Err(wrong(format!("unrecognized key {key} in build output option: {quoted}")));
                }
                None => return Err(wrong(format!("invalid build output option {quoted}"))),
            }
        }
        match (kind, dest) {
            ("local", Some("-")) => Err(wrong(format!(
                "invalid build output option {quoted}, \"type=local\" can not be used with \"dest=-\""
            ))),
            (_, None) => Err(wrong(format!("missing required key \"dest\" in build output option: {quoted}"))),
            ("tar", Some("-")) => Ok(Output::Stdout),
            ("tar", Some(path)) => Ok(Output::Tar(path.into())),
            (_, Some(path)) => Ok(Output::Directory(path.into())),
        }
    }
}

impl Output {
    pub fn write(&self, engine: &Engine, image: &images::Image) -> Result<(), Failure> {
        match self {
            Output::Stdout => Ok(::build::export(engine, image, &mut crate::output::Stream::new())?),
            Output::Tar(path) => {
                let mut out = BufWriter::new(File::create(path).map_err(on_path("open", path))?);
                ::build::export(engine, image, &mut out)?;
                out.flush().map_err(on_path("write", path))
            }
            Output::Directory(path) => into_directory(engine, image, path),
        }
    }
}

/// As the user's own files.
fn into_directory(engine: &Engine, image: &images::Image, path: &Path) -> Result<(), Failure> {
    let staging = engine.store.staging()?;
    let archive = staging.path().join("root.tar");
    let open = || File::options().read(true).write(true).create_new(true).open(&archive);
    let mut file = open().map_err(on_path("open", &archive))?;
    ::build::export(engine, image, &mut file)?;
    file.rewind()?;
    fs::create_dir_all(path).map_err(on_path("mkdir", path))?;
    let options = CopyOptions { owner: Some((0, 0)), overwrite: true };
    Ok(Endpoint::of_directory(path)?.unpack(Path::new("/"), &mut file, &options)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_read() {
        for (text, expected) in [
            ("dir", Output::Directory("dir".into())),
            ("-", Output::Stdout),
            ("type=local,dest=d", Output::Directory("d".into())),
            ("dest=d", Output::Directory("d".into())),
            ("type=tar,dest=x.tar", Output::Tar("x.tar".into())),
            ("type=tar,dest=-", Output::Stdout),
        ] {
            assert_eq!(text.parse::<Output>().unwrap(), expected, "{text}");
        }
        for text in ["", "type=tar", "type=oci,dest=x", "type=local,dest=-", "dest=x,mode=1", "dest=x,y"] {
            assert!(text.parse::<Output>().is_err(), "{text}");
        }
    }
}
