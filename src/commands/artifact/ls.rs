//! `creel artifact ls`

use images::artifacts::{self, Artifact};
use jiff::Timestamp;

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Format, Headings, Value, human};
use crate::{object, output};

/// List artifacts
#[derive(clap::Args)]
pub struct Args {
    /// Show as JSON or through a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show whole digests
    #[arg(long)]
    no_trunc: bool,
    /// Leave the headings out
    #[arg(short, long)]
    noheading: bool,
    words: Vec<String>,
}

const HEADINGS: Headings = &[];

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "artifact ls")?;
    let usual = "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.Created}}\t{{.Size}}";
    let layout = args.format.as_deref().filter(|format| *format != "table").unwrap_or(usual);
    let now = Timestamp::now();
    let all = artifacts::list(&context.store()?)?;
    let values = all.iter().map(|artifact| value(artifact, args.no_trunc, now)).collect();
    output::print(&Format::parse("artifact ls", layout)?.list(values, HEADINGS, !args.noheading, 4)?)?;
    Ok(ExitCode::Success)
}

fn value(artifact: &Artifact, whole: bool, now: Timestamp) -> Value {
    let (repository, tag) = repository_and_tag(&artifact.name);
    let size = artifact.manifest.size();
    let hex = artifact.digest.hex();
    object! {
        fn "Created": artifact.manifest.created().map_or(String::new(), |created| human::ago(created, now)),
        "Digest": if whole { hex } else { &hex[..12] },
        "Repository": repository,
        "Size": human::size4(size),
        "Tag": tag,
        "VirtualSize": size.to_string(),
    }
}

/// A name taken apart; without a tag there is none.
fn repository_and_tag(name: &str) -> (&str, &str) {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_registry_is_no_tag() {
        let cases = [
            ("a", ("a", "")),
            ("a:1", ("a", "1")),
            ("h:5000/a", ("h:5000/a", "")),
            ("h:5000/a:1", ("h:5000/a", "1")),
            ("h/a:1@sha256:00", ("h/a", "1")),
        ];
        for (name, parts) in cases {
            assert_eq!(repository_and_tag(name), parts);
        }
    }
}
