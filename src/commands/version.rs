use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Field, Kind, Value};
use crate::{format, object, output};

/// Show the version
#[derive(clap::Args)]
pub struct Args {
    /// Show as JSON or through a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    words: Vec<String>,
}

/// Creel's own version; for whoever calls it by another name the version of Podman whose command line it speaks, which
/// scripts compare.
pub fn of_program(program: &str) -> &'static str {
    if program == "creel" { env!("CARGO_PKG_VERSION") } else { "5.8.0" }
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "version")?;
    let program = context.program();
    let version = of_program(program);
    let platform = format!("linux/{}", images::host_architecture());
    match args.format.as_deref() {
        None | Some("") => output::print(&format!(
            "Client:       {program}\nVersion:      {version}\nAPI Version:  {version}\nOS/Arch:      {platform}\n"
        ))?,
        Some("json") => output::line(value(program).json())?,
        Some(format) => output::print(&format::object("version", format, &value(program))?)?,
    }
    Ok(ExitCode::Success)
}

fn value(program: &str) -> Value {
    // Without a service the client is the server, too, and its fields are found without naming it.
    let mut value = object! { "Client": client(program), fn "Server": client(program) };
    if let (Value::Struct(fields), Value::Struct(of_client)) = (&mut value, client(program)) {
        fields.extend(of_client.into_iter().map(|field| Field { kind: Kind::Method, ..field }));
    }
    value
}

/// What `info` shows as version, too.
pub fn client(program: &str) -> Value {
    let version = of_program(program);
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
