//! `creel secret create`

use std::collections::BTreeMap;

use storage::{OnTaken, Secret, SecretDriver};

use crate::arguments::{self, go_quote};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Make a secret
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Who keeps the content: "file", "shell" (commands of yours), "pass" (gpg)
    #[arg(short, long, value_name = "NAME")]
    driver: Option<String>,
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
    let (driver, driver_options) = driver(context, &args)?;
    containers::check_secret_driver(driver, &driver_options)?;
    let data = super::content(&args.words[1], args.env)?;
    let engine = context.engine()?;
    let secret = Secret {
        name: args.words[0].clone(),
        labels: super::pairs(&args.label),
        driver,
        driver_options,
        ..Secret::default()
    };
    let on_taken = if args.replace { OnTaken::Replace } else { OnTaken::Fail };
    let id = match containers::create_secret(&engine, secret, &data, on_taken) {
        Ok(secret) => secret.id,
        Err(containers::Error::Storage(storage::Error::NameTaken { holder, .. })) if args.ignore => holder,
        Err(containers::Error::Storage(error)) => {
            return Err(super::failure(error, &args.words[0]).code(ExitCode::Failed));
        }
        Err(error) => return Err(error.into()),
    };
    engine.store.sweep()?;
    output::line(id)?;
    Ok(ExitCode::Success)
}

/// The driver and its options: those of the command line, else those of containers.conf.
fn driver(context: &Context, args: &Args) -> Result<(SecretDriver, BTreeMap<String, String>), Failure> {
    let config = context.config()?;
    let name = args.driver.as_deref().or_else(|| config.text("secrets", "driver")).unwrap_or("file");
    let driver = match name {
        "file" => SecretDriver::File,
        "shell" => SecretDriver::Shell,
        "pass" => SecretDriver::Pass,
        _ => return Err(Failure::plain("invalid driver").hint("the drivers are file, shell and pass")),
    };
    let mut options = BTreeMap::new();
    for text in &args.driver_opts {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Failure::usage(format!(
                "invalid argument {} for \"--driver-opts\" flag: {text} must be formatted as key=value",
                go_quote(text)
            )));
        };
        options.insert(key.to_owned(), value.to_owned());
    }
    if args.driver_opts.is_empty()
        && (args.driver.is_none() || args.driver.as_deref() == config.text("secrets", "driver"))
    {
        options = config.texts_of("secrets", "opts");
    }
    if driver == SecretDriver::Pass && !options.contains_key("root") {
        // Where the program `pass` has its store.
        let variable = crate::caller::variable;
        let root = variable("PASSWORD_STORE_DIR").or_else(|| variable("HOME").map(|home| home + "/.password-store"));
        options.insert("root".into(), root.unwrap_or_default());
    }
    for key in ["path", "root", "gpghomedir"] {
        if let Some(path) = options.get_mut(key).filter(|path| driver != SecretDriver::Shell && !path.is_empty()) {
            let absolute = std::path::absolute(&path).map_err(crate::error::on_path("find", &path))?;
            *path = absolute.display().to_string();
        }
    }
    Ok((driver, options))
}
