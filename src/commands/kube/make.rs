//! Objects that a command writes by itself are played as if they stood in a file, and belong to none.

use std::collections::BTreeMap;

use images::PullOptions;
use kube_play::act::{self, PlayOptions, Start};
use kube_play::{ObjectId, Options, Unknown, Validate, show};

use super::play::PATIENCE;
use super::{File, chosen, parse, refuse, warn};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Flags of all commands that make objects.
#[derive(clap::Args, Debug)]
pub struct Making {
    /// Show what would be made, and make nothing (none, client, server)
    #[arg(long, value_name = "WORD", num_args = 0..=1, require_equals = true, default_missing_value = "client", default_value = "none")]
    dry_run: String,
    /// json, yaml or name
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<String>,
}

/// Makes them, all or none, and says what was done to each, in kubectl's words.
pub(super) fn make(
    context: &Context,
    objects: &[serde_json::Value],
    deed: &str,
    making: &Making,
) -> Result<ExitCode, Failure> {
    let is_dry = match making.dry_run.as_str() {
        "none" | "false" => false,
        "client" | "server" | "true" => true,
        other => {
            let text = format!("Invalid dry-run value ({other}). Must be \"none\", \"server\", or \"client\".");
            return Err(Failure::plain(text));
        }
    };
    if let Some(other) = making.output.as_deref().filter(|format| !["json", "name", "yaml"].contains(format)) {
        return Err(Failure::plain(format!(
            "unable to match a printer suitable for the output format {other:?}, allowed formats are: json,name,yaml"
        )));
    }
    // JSON is YAML.
    let texts: Vec<String> = objects.iter().map(ToString::to_string).collect();
    let file = File { name: "creel kube".to_owned(), text: texts.join("\n---\n") };
    let manifests = parse(&[file], &[], Validate::Strict, Unknown::Refuse);
    let engine = if is_dry { context.reader()? } else { context.engine()? };
    let shelf = super::shelf(&engine)?;
    let stored = super::play::stored(&engine)?;
    let plan = kube_play::plan(&manifests, &stored, &Options::default()).map_err(|problems| refuse(&problems))?;
    warn(plan.warnings.iter());
    let ids: Vec<ObjectId> = plan.metas().map(|meta| meta.id.clone()).collect();
    if !is_dry {
        for id in &ids {
            if chosen::find(&engine, &shelf, id)?.is_some() {
                return Err(Failure::plain(format!("{} {:?} already exists", id.kind.plural(), id.name)));
            }
        }
        let find_image = |engine: &containers::Engine, wanted: &act::WantedImage<'_>| {
            super::image(engine, wanted, &PullOptions::default())
        };
        let sources = BTreeMap::new();
        let how = PlayOptions { sources: &sources, replace: false, start: Start::Now, patience: PATIENCE };
        super::carry_out(&engine, &find_image, &plan, how, false)?;
    }
    match making.output.as_deref() {
        None => {
            let dry = if is_dry { " (dry run)" } else { "" };
            ids.iter().try_for_each(|id| output::line(format_args!("{} {deed}{dry}", id.resource())))?;
        }
        Some("json") => output::print(&show::object_json(objects))?,
        Some("yaml") => output::print(&show::object_yaml(objects))?,
        Some(_) => ids.iter().try_for_each(|id| output::line(id.resource()))?,
    }
    Ok(ExitCode::Success)
}
