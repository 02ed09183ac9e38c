use containers::{Container, Engine};

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{output, select, state};

/// List the published ports of a container
#[derive(clap::Args)]
pub struct Args {
    /// Show the ports of all running containers
    #[arg(short, long)]
    all: bool,
    /// Show the ports of the newest container
    #[arg(short, long)]
    latest: bool,
    #[arg(value_name = "CONTAINER [PORT]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.all && !args.words.is_empty() {
        return Err(Failure::plain("no arguments are needed with --all"));
    }
    let most = if args.latest || args.all { 1 } else { 2 };
    if args.words.len() > most {
        return Err(Failure::plain(format!("`port` accepts at most {most} arguments")));
    }
    if args.words.is_empty() && !args.latest && !args.all {
        return Err(Failure::plain("you must supply a running container name or id"));
    }
    let engine = context.reader()?;
    let port = if args.latest { args.words.first() } else { args.words.get(1) };
    let containers: Vec<Container> = match args.all {
        true => containers::list(&engine)?,
        false => {
            let name = args.words.first().filter(|_| !args.latest).map(String::as_str);
            vec![select::one(&engine, name, args.latest)?]
        }
    };
    let wanted = match port {
        Some(port) => Some(wanted(port)?),
        None => None,
    };
    let published = containers
        .iter()
        .filter(|container| containers::running(container))
        .map(|container| (container, lines(&engine, container)))
        .filter(|(_, lines)| !lines.is_empty());
    let mut published = published.peekable();
    // As Podman: only where something is published can a port be missing.
    let mut found = published.peek().is_none();
    for (container, lines) in published {
        for (inside, outside) in lines {
            if wanted.as_ref().is_some_and(|wanted| *wanted != inside) {
                continue;
            }
            found = true;
            let lead = if args.all { format!("{}\t", container.id().short()) } else { String::new() };
            match wanted.is_some() {
                true => output::line(format!("{lead}{outside}"))?,
                false => output::line(format!("{lead}{inside} -> {outside}"))?,
            }
        }
    }
    match port.filter(|_| !found) {
        Some(port) => Err(Failure::plain(format!("failed to find published port {}", arguments::go_quote(port)))),
        None => Ok(ExitCode::Success),
    }
}

/// `80` and `80/tcp` mean the same.
fn wanted(text: &str) -> Result<String, Failure> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    number.parse::<u16>().map_err(|_| {
        let number = arguments::go_quote(number);
        Failure::plain(format!("strconv.ParseUint: parsing {number}: invalid syntax"))
    })?;
    Ok(format!("{number}/{protocol}"))
}

/// Each port on its own: `80/tcp` and `0.0.0.0:8080`.
fn lines(engine: &Engine, container: &Container) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let mut mappings = state::published(engine, container);
    mappings.sort_by_key(|mapping| mapping.protocol);
    for mapping in mappings {
        let address = mapping.host_ip.map_or_else(|| "0.0.0.0".into(), |address| address.to_string());
        for offset in 0..mapping.range.max(1) {
            let inside = format!("{}/{}", u32::from(mapping.container_port) + u32::from(offset), mapping.protocol);
            lines.push((inside, format!("{address}:{}", u32::from(mapping.host_port) + u32::from(offset))));
        }
    }
    lines
}
