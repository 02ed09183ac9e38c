//! `.kube`: a service that plays Kubernetes' manifests.

use super::paths;
use super::translation::Translation;
use crate::error::{Error, Result};

pub(super) fn translate(of: &mut Translation<'_>) -> Result<()> {
    if of.all("Yaml").is_empty() {
        return Err(Error::Missing("no Yaml key specified"));
    }
    of.kill_mode()?;
    of.service.add("Service", "Environment", "PODMAN_SYSTEMD_UNIT=%n");
    if !of.is_oneshot()? {
        of.service.set("Service", "Type", "notify");
        of.service.set("Service", "NotifyAccess", "all");
    }
    of.default("SyslogIdentifier", "%N");
    // The service container is what systemd watches: it runs as long as what was played.
    of.command = of.begin(&["kube", "play", "--replace", "--service-container=true"])?;
    of.add_keys()?;
    let play = std::mem::take(&mut of.command);
    of.add_line("ExecStart", &play);
    of.command = of.begin(&["kube", "down"])?;
    if let Some(force) = of.switch("KubeDownForce")? {
        of.command.push(if force { "--force" } else { "--force=false" }.to_owned());
    }
    files(of)?;
    let down = std::mem::take(&mut of.command);
    of.add_line("ExecStopPost", &down);
    working_directory(of)
}

pub(super) fn files(of: &mut Translation<'_>) -> Result<()> {
    for file in of.words("Yaml")? {
        let file = if paths::is_url(&file) { file } else { paths::absolute(of.source.unit.path(), &file) };
        of.command.push(file);
    }
    Ok(())
}

pub(super) fn auto_update(of: &mut Translation<'_>) -> Result<()> {
    for word in of.words("AutoUpdate")? {
        let annotation = match word.split_once('/') {
            Some((container, policy)) => format!("io.containers.autoupdate/{container}={policy}"),
            None => format!("io.containers.autoupdate={word}"),
        };
        of.command.push(format!("--annotation={annotation}"));
    }
    Ok(())
}

fn working_directory(of: &mut Translation<'_>) -> Result<()> {
    let Some(entry) = of.last("SetWorkingDirectory").filter(|entry| !entry.value.is_empty()).cloned() else {
        return Ok(());
    };
    if of.source.unit.text("Service", "WorkingDirectory").is_some() {
        return Ok(());
    }
    let unit = of.source.unit.path();
    let directory = match entry.value.to_ascii_lowercase().as_str() {
        "unit" => paths::directory(unit).to_owned(),
        "yaml" => match of.words("Yaml")?.as_slice() {
            [file] if !paths::is_url(file) => paths::directory(&paths::absolute(unit, file)).to_owned(),
            [_] => return Err(Error::Conflict("SetWorkingDirectory=yaml is not possible where Yaml is a URL")),
            _ => {
                return Err(Error::Conflict(
                    "SetWorkingDirectory=yaml is only supported when a single Yaml key is provided",
                ));
            }
        },
        _ => {
            let why = format!("unsupported value for WorkingDirectory: {} ", entry.value);
            return Err(Error::Value { why, at: entry.at.clone() });
        }
    };
    of.service.set("Service", "WorkingDirectory", &directory);
    Ok(())
}
