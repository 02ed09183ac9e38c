//! `--log-driver` and `--log-opt`.

use std::path::{Path, PathBuf};

use containers::{LogConfig, LogDriver};

use super::CreateArgs;
use crate::arguments::go_quote;
use crate::caller::variable;
use crate::config::Config;
use crate::error::Failure;
use crate::format::human;

/// Whether a unit of systemd runs us (a Quadlet's, or one of `generate systemd`) where there is a journal: its other lines
/// are there.
pub fn unit_has_a_journal() -> bool {
    variable("PODMAN_SYSTEMD_UNIT").is_some() && Path::new("/run/systemd/journal/socket").exists()
}

/// Nobody said where, and no option is for a file.
fn wants_the_journal(args: &CreateArgs) -> bool {
    let for_a_file = |option: &String| ["path=", "max-size=", "max-file="].iter().any(|key| option.starts_with(key));
    unit_has_a_journal() && !args.log_opt.iter().any(for_a_file)
}

pub fn log(args: &CreateArgs, config: &Config) -> Result<LogConfig, Failure> {
    let from_config = config.text("containers", "log_driver");
    let driver = match args.log_driver.as_deref().or(from_config).unwrap_or_default() {
        "" if wants_the_journal(args) => LogDriver::Journald,
        "" | "k8s-file" => LogDriver::K8sFile,
        "json-file" => LogDriver::JsonFile,
        "journald" => LogDriver::Journald,
        "none" => LogDriver::None,
        "passthrough" => LogDriver::Passthrough,
        "passthrough-tty" => LogDriver::PassthroughTty,
        _ => {
            let failure = Failure::plain("running container create option: invalid log driver: invalid argument");
            return Err(
                failure.hint("the drivers are k8s-file, json-file, journald, none, passthrough and passthrough-tty")
            );
        }
    };
    let mut log = LogConfig {
        driver,
        path: None,
        directory: config.text("containers", "log_path").filter(|path| !path.is_empty()).map(PathBuf::from),
        max_size: config
            .integer("containers", "log_size_max")
            .and_then(|size| u64::try_from(size).ok())
            .filter(|size| *size > 0),
        max_files: None,
        tag: config
            .text("containers", "log_tag")
            .filter(|tag| !tag.is_empty() && driver == LogDriver::Journald)
            .map(str::to_owned),
        labels: Vec::new(),
    };
    for option in &args.log_opt {
        let Some((key, value)) = option.split_once('=') else {
            return Err(Failure::plain(format!("invalid log option {}", go_quote(option))));
        };
        match key.to_ascii_lowercase().as_str() {
            "path" => log.path = Some(value.into()).filter(|_| !value.is_empty()),
            "tag" => log.tag = Some(value.to_owned()),
            "label" => log.labels.push(label(value)?),
            "max-size" => {
                let size = human::parse_decimal_size(value).map_err(Failure::plain)?;
                log.max_size = Some(size.unsigned_abs()).filter(|size| *size > 0);
            }
            "max-file" => {
                let count =
                    value.parse().map_err(|_| Failure::plain(format!("invalid log option {}", go_quote(option))))?;
                log.max_files = Some(count);
            }
            _ => {
                let failure = Failure::plain(format!("unknown log option {}", go_quote(key)));
                return Err(failure.hint("the options are path, max-size, max-file, tag and label"));
            }
        }
    }
    Ok(log)
}

/// `NAME=VALUE`, a field of the journal: its names are upper case, and those that begin with a line are the journal's own.
fn label(text: &str) -> Result<(String, String), Failure> {
    let invalid = || Failure::plain(format!("invalid log label {}", go_quote(text)));
    let (name, value) = text.split_once('=').ok_or_else(invalid)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || name.starts_with(|first: char| !first.is_ascii_alphabetic()) || !name.bytes().all(fits) {
        return Err(invalid().hint("a label is NAME=VALUE, its name letters, digits and underscores"));
    }
    Ok((name.to_ascii_uppercase(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{translate, translate_with};
    use super::*;

    #[test]
    fn log_options_are_read() {
        let spec = translate(&[
            "--log-driver",
            "json-file",
            "--log-opt",
            "max-size=10m",
            "--log-opt",
            "max-file=3",
            "--log-opt",
            "tag=t",
            "i",
        ])
        .unwrap();
        assert_eq!(
            spec.log,
            LogConfig {
                driver: LogDriver::JsonFile,
                path: None,
                directory: None,
                labels: Vec::new(),
                max_size: Some(10_000_000),
                max_files: Some(3),
                tag: Some("t".into())
            }
        );
        assert_eq!(
            translate_with(&["i"], "[containers]\nlog_driver = \"none\"\n").unwrap().log.driver,
            LogDriver::None
        );
    }
}
