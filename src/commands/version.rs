use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Nil, Value};
use crate::{format, object, output};

/// Show the version
#[derive(clap::Args)]
pub struct Args {
    /// Show as JSON or through a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    words: Vec<String>,
}

pub fn run(_context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "version")?;
    let version = env!("CARGO_PKG_VERSION");
    let platform = format!("linux/{}", images::host_architecture());
    match args.format.as_deref() {
        None | Some("") => output::print(&format!(
            "Client:       creel\nVersion:      {version}\nAPI Version:  {version}\nOS/Arch:      {platform}\n"
        ))?,
        Some("json") => output::line(value().json())?,
        Some(format) => output::print(&format::object("version", format, &value())?)?,
    }
    Ok(ExitCode::Success)
}

fn value() -> Value {
    object! { "Client": client(), fn "Server": Value::Nil(Nil::Pointer) }
}

/// What `info` shows as version, too.
pub fn client() -> Value {
    let version = env!("CARGO_PKG_VERSION");
    object! {
        "APIVersion": version,
        "Version": version,
        "GoVersion": "",
        "GitCommit": "",
        "BuiltTime": "",
        "Built": 0i64,
        "BuildOrigin": "creel",
        "OsArch": format!("linux/{}", images::host_architecture()),
        "Os": "linux",
    }
}
