use std::io::{self, Write};

use containers::{Container, Engine, LogLine, LogQuery, LogStream};
use jiff::Timestamp;

use crate::arguments::{self, number};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{select, when};

/// Show the output of containers
#[derive(clap::Args)]
pub struct Args {
    /// A colour for each container
    #[arg(long)]
    pub color: bool,
    /// Accepted for scripts; there are no details
    #[arg(long, hide = true)]
    pub details: bool,
    /// Go on until the container ends
    #[arg(short, long)]
    pub follow: bool,
    /// Show the newest container's
    #[arg(short, long)]
    pub latest: bool,
    /// Put the container's name before each line
    #[arg(short, long)]
    pub names: bool,
    /// Show what came after a time, or after a duration ago
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Show the last lines only
    #[arg(long, value_name = "NUMBER", value_parser = number::i64, default_value_t = -1)]
    pub tail: i64,
    /// Put the time before each line
    #[arg(short, long)]
    pub timestamps: bool,
    /// Show what came before a time, or before a duration ago
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    #[arg(value_name = "CONTAINER [CONTAINER...]")]
    pub containers: Vec<String>,
}

/// One for each container, in Podman's order.
const COLORS: [u8; 7] = [37, 31, 33, 34, 35, 36, 32];

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.latest && !args.containers.is_empty() {
        return Err(Failure::plain("--latest and containers cannot be used together"));
    }
    if !args.latest && args.containers.is_empty() {
        return Err(Failure::plain("specify at least one container name or ID to log"));
    }
    let engine = context.reader()?;
    let containers = match args.latest {
        true => vec![select::latest(&engine)?],
        false => args.containers.iter().map(|name| containers::find(&engine, name)).collect::<Result<Vec<_>, _>>()?,
    };
    let prefix = containers.len() > 1;
    show(&engine, &containers, &args, prefix, stamp)
}

/// Follows or shows the output of these, with a word before each line where `prefix` says so.
pub fn show(
    engine: &Engine,
    containers: &[Container],
    args: &Args,
    prefix: bool,
    stamp: fn(Timestamp) -> String,
) -> Result<ExitCode, Failure> {
    let now = Timestamp::now();
    let time = |flag: &str, text: &Option<String>, parse: fn(&str, Timestamp) -> Option<Timestamp>| match text {
        None => Ok(None),
        Some(text) => match parse(text, now) {
            Some(time) => Ok(Some(time)),
            None => {
                let quoted = arguments::go_quote(text);
                Err(Failure::plain(format!("parsing --{flag} {quoted}: unable to interpret time value")))
            }
        },
    };
    let query = LogQuery {
        follow: args.follow,
        since: time("since", &args.since, when::parse)?,
        until: time("until", &args.until, when::parse_until)?,
        tail: u64::try_from(args.tail).ok(),
    };
    let prefixes: Vec<String> = containers
        .iter()
        .enumerate()
        .map(|(index, container)| {
            let name = if args.names { container.name() } else { container.id().short() };
            match (args.color, prefix) {
                (true, true) => format!("\x1b[{}m{name} ", COLORS[index % COLORS.len()]),
                (true, false) => format!("\x1b[{}m", COLORS[index % COLORS.len()]),
                (false, true) => format!("{name} "),
                (false, false) => String::new(),
            }
        })
        .collect();
    let after = if args.color { "\x1b[0m" } else { "" };
    // Whether the stream's last entry left a line open: then what follows belongs to it.
    let mut open = vec![[false; 2]; containers.len()];
    let result = containers::follow_logs(engine, containers, &query, &mut |index, line: LogLine| {
        let mut text = Vec::with_capacity(line.bytes.len() + 64);
        let stream = usize::from(line.stream == LogStream::Stderr);
        if !open[index][stream] {
            text.extend_from_slice(prefixes[index].as_bytes());
            if args.timestamps {
                text.extend_from_slice(format!("{} ", stamp(line.time)).as_bytes());
            }
        }
        open[index][stream] = line.partial;
        text.extend_from_slice(&line.bytes);
        text.extend_from_slice(after.as_bytes());
        if !line.partial {
            text.push(b'\n');
        }
        match line.stream {
            LogStream::Stdout => {
                io::stdout().write_all(&text).and_then(|()| if query.follow { io::stdout().flush() } else { Ok(()) })
            }
            LogStream::Stderr => io::stdout().flush().and_then(|()| io::stderr().write_all(&text)),
        }
    });
    match result {
        Err(containers::Error::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {}
        other => other?,
    }
    io::stdout().flush()?;
    Ok(ExitCode::Success)
}

/// As the log has it: nine digits and the zone as numbers, `Z` for none.
pub fn stamp(time: Timestamp) -> String {
    let zoned = time.to_zoned(jiff::tz::TimeZone::system());
    let zone = if zoned.offset().seconds() == 0 { "Z" } else { "%:z" };
    zoned.strftime(&format!("%Y-%m-%dT%H:%M:%S.%9f{zone}")).to_string()
}
