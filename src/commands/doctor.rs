use std::collections::BTreeMap;

use crate::arguments;
use crate::context::Context;
use crate::doctor::{self, Rung, Verdict};
use crate::error::{ExitCode, Failure};
use crate::format::{Format, Value, table};
use crate::style::{self, Style};
use crate::{object, output};

/// Try what creel needs of this machine, and say how to get what is missing
///
/// Each rung is tried by doing it: a user namespace is made, a file is given to the highest id, an overlay is mounted, an
/// uplink is started. The first rung that does not hold is named at the end, with the command that mends it.
#[derive(clap::Args)]
pub struct Args {
    /// Show as JSON or through a Go template: .Name .Verdict .Found .Cure
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show only what does not hold
    #[arg(short, long)]
    quiet: bool,
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "doctor")?;
    let format = args.format.as_deref().map(|text| Format::parse("doctor", text)).transpose()?;
    let rungs = doctor::examine(context);
    let shown: Vec<&Rung> =
        rungs.iter().filter(|rung| !args.quiet || matches!(rung.verdict, Verdict::Weak | Verdict::Broken)).collect();
    match format {
        Some(format) => {
            let items = shown.iter().map(|rung| value(rung)).collect();
            output::print(&format.list(items, &[], true, 2)?)?;
        }
        None => output::print(&table_of(&shown))?,
    }
    let Some(fault) = doctor::first_fault(&rungs) else { return Ok(ExitCode::Success) };
    if fault.verdict == Verdict::Broken {
        return Err(fault.failure().code(ExitCode::No));
    }
    fault.warn();
    Ok(ExitCode::Success)
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Weak => "weak",
        Verdict::Broken => "broken",
        Verdict::Unknown => "unknown",
    }
}

fn value(rung: &Rung) -> Value {
    object! {
        "name" as "Name": &rung.name,
        "verdict" as "Verdict": word(rung.verdict),
        "found" as "Found": &rung.found,
        "cure" as "Cure"?: rung.cure.clone().unwrap_or_default(),
    }
}

fn table_of(rungs: &[&Rung]) -> String {
    if rungs.is_empty() {
        return String::new();
    }
    let mut text = String::from("RUNG\tVERDICT\tFOUND\n");
    for rung in rungs {
        text.push_str(&format!("{}\t{}\t{}\n", rung.name, word(rung.verdict), rung.found));
    }
    let paint = style::stdout();
    let colours = BTreeMap::from([("good", Style::Green), ("weak", Style::Yellow), ("broken", Style::Red)]);
    let mut out = String::new();
    for (index, line) in table::align(&text).lines().enumerate() {
        // The heading has no verdict; the word of a line is its second cell.
        let verdict = index.checked_sub(1).map(|index| word(rungs[index].verdict));
        match verdict.and_then(|word| Some((word, *colours.get(word)?, line.find(&format!("  {word}  "))? + 2))) {
            Some((word, colour, at)) => {
                out.push_str(&line[..at]);
                out.push_str(&paint.paint(colour, word));
                out.push_str(&line[at + word.len()..]);
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}
