//! What scripts that were written for Docker's builder ask before they build.

pub mod inspect {
    use crate::arguments;
    use crate::context::Context;
    use crate::error::{ExitCode, Failure};
    use crate::output;

    /// Show what builds: the one builder there is
    #[derive(clap::Args)]
    pub struct Args {
        /// Start the builder; there is nothing to start
        #[arg(long)]
        bootstrap: bool,
        #[arg(value_name = "[NAME]")]
        words: Vec<String>,
    }

    pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
        arguments::at_most(&args.words, 1)?;
        let program = context.program();
        let platform = format!("linux/{}", images::host_architecture());
        output::print(&format!(
            "Name:   default\nDriver: {program}\n\nNodes:\nName:             default\nEndpoint:         default\nStatus:           \
             running\nBuildkit version: N/A\nPlatforms:        {platform}\nLabels: \n"
        ))?;
        Ok(ExitCode::Success)
    }
}

pub mod version {
    use crate::arguments;
    use crate::commands::version::of_program;
    use crate::context::Context;
    use crate::error::{ExitCode, Failure};
    use crate::output;

    /// Show the version of the builder
    #[derive(clap::Args)]
    pub struct Args {
        words: Vec<String>,
    }

    pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
        arguments::none(&args.words, "buildx version")?;
        let program = context.program();
        output::line(format!("{program} {}", of_program(program)))?;
        Ok(ExitCode::Success)
    }
}
