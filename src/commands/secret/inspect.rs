//! `creel secret inspect`

use storage::Secret;

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::Value;
use crate::{output, select};

/// Show everything about secrets
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show through a Go template, or as "json"
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show for people
    #[arg(long)]
    pretty: bool,
    /// Show the content, too
    #[arg(long)]
    showsecret: bool,
    #[arg(value_name = "SECRET [SECRET...]")]
    secrets: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.secrets, 1)?;
    let engine = context.reader()?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in &args.secrets {
        match super::find(&engine, name) {
            Ok(secret) => found.push(secret),
            Err(failure) => {
                let what = if failures.is_empty() { "inspecting secret" } else { "error inspecting secret" };
                failures.push(failure.context(what).code(ExitCode::Failed));
            }
        }
    }
    if args.pretty {
        found.iter().try_for_each(|secret| output::print(&pretty(secret)))?;
        return select::conclude_inspect(failures);
    }
    let mut values = Vec::new();
    for secret in &found {
        let data = match args.showsecret {
            true => match containers::secret_data(&engine, secret) {
                Ok(data) => data.map(|data| String::from_utf8_lossy(&data).into_owned()),
                Err(error) => {
                    failures.push(Failure::from(error).context("inspecting secret"));
                    continue;
                }
            },
            false => None,
        };
        values.push(super::value(context, secret, data)?);
    }
    match args.format.as_deref() {
        None | Some("json") => output::print(&(Value::List(values).json_indented(4) + "\n"))?,
        Some(format) => crate::commands::inspect::print("secret inspect", values, format)?,
    }
    select::conclude_inspect(failures)
}

fn pretty(secret: &Secret) -> String {
    let mut text = format!("ID:              {}\nName:              {}\n", secret.id, secret.name);
    if !secret.labels.is_empty() {
        text.push_str("Labels:\n");
        for (key, value) in &secret.labels {
            let equals = if value.is_empty() { "" } else { "=" };
            text.push_str(&format!(" - {key}{equals}{value}\n"));
        }
    }
    let time = |time| crate::format::go_time(super::time(time));
    text.push_str(&format!(
        "Driver:            {}\nCreated at:        {}\nUpdated at:        {}\n",
        containers::secret_driver_name(secret.driver),
        time(secret.created),
        time(secret.updated)
    ));
    text
}
