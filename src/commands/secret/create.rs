//! `creel secret create`

use storage::{OnTaken, Secret};

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Make a secret
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Driver of the secret; there is one, "file"
    #[arg(short, long, value_name = "NAME", default_value = "file")]
    driver: String,
    /// Option of the driver (KEY=VALUE)
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    driver_opts: Vec<String>,
    /// The second argument is the name of a variable
    #[arg(long)]
    env: bool,
    /// A secret of that name is no error
    #[arg(long)]
    ignore: bool,
    /// Set a label (KEY=VALUE)
    #[arg(short, long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Take the place of a secret of that name
    #[arg(long)]
    replace: bool,
    #[arg(value_name = "NAME FILE|-")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.ignore && args.replace {
        return Err(Failure::plain("cannot use --ignore and --replace flags together"));
    }
    arguments::exactly(&args.words, 2)?;
    let driver = context.config()?.text("secrets", "driver").unwrap_or("file");
    for driver in [args.driver.as_str(), driver] {
        if driver != "file" {
            return Err(Failure::plain("invalid driver")
                .hint(format!("creel keeps secrets in files of its own (--driver file), it has no driver {driver}")));
        }
    }
    let data = super::content(&args.words[1], args.env)?;
    let engine = context.engine()?;
    let secret = Secret {
        name: args.words[0].clone(),
        labels: super::pairs(&args.label),
        driver_options: super::pairs(&args.driver_opts),
        ..Secret::default()
    };
    let on_taken = if args.replace { OnTaken::Replace } else { OnTaken::Fail };
    let id = match engine.store.create_secret(secret, &data, on_taken) {
        Ok(secret) => secret.id,
        Err(storage::Error::NameTaken { holder, .. }) if args.ignore => holder,
        Err(error) => return Err(super::failure(error, &args.words[0]).code(ExitCode::Failed)),
    };
    engine.store.sweep()?;
    output::line(id)?;
    Ok(ExitCode::Success)
}
