use std::path::PathBuf;

use clap_complete::{Shell, generate};

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{cli, output};

/// Write the completion script of a shell: bash, zsh, fish or powershell
#[derive(clap::Args)]
pub struct Args {
    /// Write to a file, not to stdout
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Accepted for scripts
    #[arg(long)]
    no_desc: bool,
    #[arg(value_name = "SHELL")]
    shells: Vec<String>,
}

pub fn run(_context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.shells, 1)?;
    let shell = match args.shells[0].as_str() {
        "bash" => Shell::Bash,
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        "powershell" => Shell::PowerShell,
        other => return Err(Failure::plain(format!("invalid argument {other:?} for \"creel completion\""))),
    };
    let mut text = Vec::new();
    generate(shell, &mut cli::tree(), "creel", &mut text);
    match &args.file {
        Some(path) => std::fs::write(path, text).map_err(crate::error::on_path("open", path))?,
        None => output::print(&String::from_utf8_lossy(&text))?,
    }
    Ok(ExitCode::Success)
}
