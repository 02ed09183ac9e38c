//! What the libraries tell by `tracing` becomes lines on standard error.

use tracing_subscriber::filter::LevelFilter;

use crate::arguments;
use crate::error::{ExitCode, Failure};

/// Warnings are shown; more and less by `--log-level`, `--debug` or `$CREEL_LOG`.
pub fn start(wish: Option<&str>, debug: bool) -> Result<(), Failure> {
    let wish = match wish {
        Some(level) => Some(level.to_owned()),
        None if debug => Some("debug".to_owned()),
        None => crate::caller::variable("CREEL_LOG"),
    };
    let wish = wish.unwrap_or_else(|| "warn".into());
    let level = match wish.to_ascii_lowercase().as_str() {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "info" => LevelFilter::INFO,
        "warn" | "warning" => LevelFilter::WARN,
        "error" => LevelFilter::ERROR,
        "fatal" | "panic" => LevelFilter::OFF,
        _ => {
            let text = format!(
                "Log Level {} is not supported, choose from: trace, debug, info, warn, warning, error, fatal, panic",
                arguments::go_quote(&wish)
            );
            return Err(Failure::plain(text).code(ExitCode::No).bare());
        }
    };
    show(level);
    Ok(())
}

/// For a process of ours that works for a command and has its standard error: what it has to wait for is said.
pub fn start_for_worker() {
    show(LevelFilter::WARN);
}

fn show(level: LevelFilter) {
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).without_time().init();
}
