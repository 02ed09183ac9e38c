//! systemd, by its program systemctl.

use std::collections::BTreeMap;
use std::io;
use std::process::{Command, Output, Stdio};

use crate::caller;

/// systemctl of the manager that belongs to the caller.
fn run(words: &[&str]) -> Result<Output, String> {
    let mut systemctl = Command::new("systemctl");
    if caller::has_entered() || caller::uid() != 0 {
        systemctl.arg("--user");
    }
    systemctl.args(words).stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "the program systemctl is not there".to_owned(),
        _ => format!("systemctl: {error}"),
    })
}

/// The first line of what it said of its failure.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned()
}

fn done(output: &Output) -> Result<(), String> {
    if output.status.success() { Ok(()) } else { Err(said(output)) }
}

/// Waits until the service manager is done with it; else why not, in the words of its D-Bus interface.
pub fn restart(unit: &str) -> Result<(), String> {
    done(&run(&["restart", "--", unit])?).map_err(|said| {
        match said.strip_prefix(&format!("Failed to restart {unit}: ")) {
            Some(why) => why.to_owned(),
            None if said.starts_with("Job for ") => {
                format!("error restarting systemd unit \"{unit}\" expected \"done\" but received \"failed\"")
            }
            None => said,
        }
    })
}

pub fn stop(unit: &str) -> Result<(), String> {
    done(&run(&["stop", "--", unit])?)
}

/// Generators run again, and units are read again.
pub fn reload() -> Result<(), String> {
    done(&run(&["daemon-reload"])?)
}

/// What systemd knows of these units: `active/running`, by the unit's name. Those that it does not know are left out.
pub fn states(units: &[String]) -> Result<BTreeMap<String, String>, String> {
    if units.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut words = vec!["show", "--property=Id,LoadState,ActiveState,SubState", "--"];
    words.extend(units.iter().map(String::as_str));
    let output = run(&words)?;
    done(&output)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut states = BTreeMap::new();
    for block in text.split("\n\n") {
        let of: BTreeMap<&str, &str> = block.lines().filter_map(|line| line.split_once('=')).collect();
        let value = |key| of.get(key).copied().unwrap_or_default();
        if value("LoadState") != "not-found" && !value("Id").is_empty() {
            states.insert(value("Id").to_owned(), format!("{}/{}", value("ActiveState"), value("SubState")));
        }
    }
    Ok(states)
}
