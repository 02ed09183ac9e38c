use std::path::PathBuf;

use crate::arguments;
use crate::completion;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Write the completion script of a shell: bash, zsh, fish or powershell
///
/// For one session: source <(creel completion bash). For good: creel completion bash >
/// ~/.local/share/bash-completion/completions/creel, creel completion zsh > "${fpath[1]}/_creel", creel completion fish >
/// ~/.config/fish/completions/creel.fish
#[derive(clap::Args)]
pub struct Args {
    /// Write to a file, not to stdout
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Without descriptions
    #[arg(long)]
    no_desc: bool,
    #[arg(value_name = "SHELL")]
    shells: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.shells, 1)?;
    let text = match args.shells[0].as_str() {
        "bash" => completion::BASH,
        "zsh" => completion::ZSH,
        "fish" => completion::FISH,
        "powershell" => completion::POWERSHELL,
        other => return Err(Failure::plain(format!("invalid argument {other:?} for \"creel completion\""))),
    };
    let mut text = completion::for_program(text, context.program());
    if args.no_desc {
        text = text.replace("__complete ", "__completeNoDesc ");
    }
    match &args.file {
        Some(path) => std::fs::write(path, text).map_err(crate::error::on_path("open", path))?,
        None => output::print(&text)?,
    }
    Ok(ExitCode::Success)
}
