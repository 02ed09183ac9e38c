//! `.container`: a service that runs one container.

use super::kind::{Kind, template};
use super::references::resource;
use super::translation::Translation;
use super::volume;
use crate::error::{Error, Result};

pub(super) fn translate(of: &mut Translation<'_>) -> Result<()> {
    let name = name(of);
    of.service.add("Service", "Environment", "PODMAN_SYSTEMD_UNIT=%n");
    of.kill_mode()?;
    let remove = of.begin(&["rm", "-v", "-f", "-i", &name])?;
    of.add_line("ExecStop", &remove);
    // However the service ended, nothing of it stays; where nothing is left to remove that is no failure.
    of.add_line("ExecStopPost", &remove);
    reload(of, &name)?;
    // The container's cgroup lies in the service's.
    of.service.add("Service", "Delegate", "yes");
    if !of.is_oneshot()? {
        of.service.set("Service", "Type", "notify");
        of.service.set("Service", "NotifyAccess", "all");
    }
    of.default("SyslogIdentifier", "%N");
    of.command = of.begin(&["run", "--name", &name, "--replace", "--rm"])?;
    of.add_keys()?;
    let line = std::mem::take(&mut of.command);
    of.add_line("ExecStart", &line);
    Ok(())
}

/// Its name in its own service, where `%N` is the service.
fn name(of: &Translation<'_>) -> String {
    match (of.text("ContainerName"), template(super::kind::stem(&of.source.name))) {
        (Some(name), _) => name.to_owned(),
        (None, Some(_)) => "systemd-%p_%i".to_owned(),
        (None, None) => "systemd-%N".to_owned(),
    }
}

fn reload(of: &mut Translation<'_>, name: &str) -> Result<()> {
    let command = of.last("ReloadCmd").map(crate::file::Entry::words).transpose()?.unwrap_or_default();
    let signal = of.text("ReloadSignal").map(str::to_owned);
    let line = match (command.is_empty(), signal) {
        (false, Some(_)) => {
            return Err(Error::Conflict("ReloadCmd and ReloadSignal are mutually exclusive but both are set"));
        }
        (true, None) => return Ok(()),
        (true, Some(signal)) => of.begin(&["kill", "--signal", &signal, name])?,
        (false, None) => [of.begin(&["exec", name])?, command].concat(),
    };
    of.add_line("ExecReload", &line);
    Ok(())
}

pub(super) fn cgroups(of: &mut Translation<'_>) -> Result<()> {
    match of.text("CgroupsMode").map(str::to_owned) {
        Some(mode) => of.command.extend(["--cgroups".to_owned(), mode]),
        None => of.command.push("--cgroups=split".to_owned()),
    }
    Ok(())
}

pub(super) fn entrypoint(of: &mut Translation<'_>) -> Result<()> {
    let flag = of.last("Entrypoint").map(|entry| format!("--entrypoint={}", entry.value));
    of.command.extend(flag);
    Ok(())
}

/// Who says that the service is ready, and who keeps it running: with `oneshot` the command itself.
pub(super) fn notify(of: &mut Translation<'_>) -> Result<()> {
    let healthy = of.text("Notify").is_some_and(|value| value.eq_ignore_ascii_case("healthy"));
    let who = match healthy {
        true => "healthy",
        false if of.switch("Notify")? == Some(true) => "container",
        false => "conmon",
    };
    if !of.is_oneshot()? {
        of.command.extend([format!("--sdnotify={who}"), "-d".to_owned()]);
    }
    Ok(())
}

pub(super) fn devices(of: &mut Translation<'_>) -> Result<()> {
    for device in of.words("AddDevice")? {
        let wanted = match device.strip_prefix('-') {
            Some(device) => {
                let path = device.split(':').next().unwrap_or(device);
                (of.setting.host.exists)(path).then(|| device.to_owned())
            }
            None => Some(device),
        };
        of.command.extend(wanted.into_iter().flat_map(|device| ["--device".to_owned(), device]));
    }
    Ok(())
}

pub(super) fn volatile_tmp(of: &mut Translation<'_>) -> Result<()> {
    // A container that is read-only has a /tmp of its own anyway.
    if of.switch("VolatileTmp")? == Some(true) && of.switch("ReadOnly")? != Some(true) {
        of.command.extend(["--tmpfs".to_owned(), "/tmp:rw,size=512M,mode=1777".to_owned()]);
    }
    Ok(())
}

pub(super) fn user(of: &mut Translation<'_>) -> Result<()> {
    let value = match (of.text("User"), of.text("Group")) {
        (None, None) => return Ok(()),
        (None, Some(_)) => return Err(Error::Conflict("invalid Group set without User")),
        (Some(user), None) => user.to_owned(),
        (Some(user), Some(group)) => format!("{user}:{group}"),
    };
    of.command.extend(["--user".to_owned(), value]);
    Ok(())
}

pub(super) fn auto_update(of: &mut Translation<'_>) -> Result<()> {
    if let Some(policy) = of.text("AutoUpdate") {
        let label = format!("io.containers.autoupdate={policy}");
        of.command.extend(["--label".to_owned(), label]);
    }
    Ok(())
}

/// `80`, `80-90`, `80/tcp`; what has a specifier in it is not known before the service runs.
pub(super) fn exposed(of: &mut Translation<'_>) -> Result<()> {
    let mut flags = Vec::new();
    for entry in of.all("ExposeHostPort") {
        let (ports, protocol) = entry.value.split_once('/').unwrap_or((&entry.value, "tcp"));
        let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let ports_are_right = match ports.split_once('-') {
            Some((first, last)) => is_port(first) && is_port(last),
            None => is_port(ports),
        };
        let is_right = ports_are_right && matches!(protocol, "tcp" | "udp" | "sctp");
        if !is_right && !entry.value.contains('%') {
            return Err(Error::Value { why: format!("invalid port format '{}'", entry.value), at: entry.at.clone() });
        }
        flags.extend(["--expose".to_owned(), entry.value.clone()]);
    }
    of.command.extend(flags);
    Ok(())
}

pub(super) fn mounts(of: &mut Translation<'_>) -> Result<()> {
    let entries: Vec<_> = of.all("Mount").into_iter().cloned().collect();
    for entry in entries {
        for mount in entry.words()? {
            let mut fields = comma_fields(&mount);
            let kind = match fields.iter().position(|field| field.starts_with("type=")) {
                Some(at) => fields.remove(at)["type=".len()..].to_owned(),
                None => "volume".to_owned(),
            };
            let source = fields.iter().position(|field| field.starts_with("source=") || field.starts_with("src="));
            let known = matches!(kind.as_str(), "volume" | "bind" | "glob" | "image" | "artifact");
            match source {
                Some(at) if known => {
                    let field = fields[at].clone();
                    let (_, value) = field.split_once('=').unwrap_or_default();
                    let value = match (kind.as_str(), Kind::of(value)) {
                        ("image", Some(Kind::Image | Kind::Build)) => of.refer(value, "image", &entry)?,
                        ("artifact", Some(Kind::Artifact)) => of.refer(value, "artifact", &entry)?,
                        ("image" | "artifact", _) => value.to_owned(),
                        _ => volume::source(of, value, &entry)?,
                    };
                    fields[at] = format!("source={value}");
                }
                None if matches!(kind.as_str(), "volume" | "bind" | "glob") => {
                    return Err(Error::Value { why: "source cannot be empty".to_owned(), at: entry.at.clone() });
                }
                _ => {}
            }
            fields.insert(0, format!("type={kind}"));
            of.command.extend(["--mount".to_owned(), with_commas(&fields)]);
        }
    }
    Ok(())
}

/// Fields between commas; a field in quotation marks may have commas in it.
fn comma_fields(text: &str) -> Vec<String> {
    let (mut fields, mut inside) = (vec![String::new()], false);
    for letter in text.chars() {
        match letter {
            '"' => inside = !inside,
            ',' if !inside => fields.push(String::new()),
            letter => fields.last_mut().into_iter().for_each(|field| field.push(letter)),
        }
    }
    fields
}

fn with_commas(fields: &[String]) -> String {
    let field = |field: &String| if field.contains(',') { format!("\"{field}\"") } else { field.clone() };
    fields.iter().map(field).collect::<Vec<_>>().join(",")
}

pub(super) fn pod(of: &mut Translation<'_>) -> Result<()> {
    let Some(entry) = of.last("Pod").filter(|entry| !entry.value.is_empty()).cloned() else { return Ok(()) };
    let pod = of.refer_to_pod(&entry.value, &entry)?;
    of.command.extend(["--pod".to_owned(), pod]);
    if of.switch("StartWithPod")? != Some(false) {
        of.members.entry(entry.value).or_default().push(format!("{}.service", of.source.service));
    }
    Ok(())
}

pub(super) fn image(of: &mut Translation<'_>) -> Result<()> {
    let (image, rootfs) = (of.last("Image").filter(|entry| !entry.value.is_empty()).cloned(), of.text("Rootfs"));
    match (image, rootfs.map(str::to_owned)) {
        (None, None) => Err(Error::Missing("no Image or Rootfs key specified")),
        (Some(_), Some(_)) => Err(Error::Conflict("the Image And Rootfs keys conflict can not be specified together")),
        (None, Some(rootfs)) => {
            of.command.extend(["--rootfs".to_owned(), rootfs]);
            Ok(())
        }
        (Some(entry), None) => {
            let image = match Kind::of(&entry.value) {
                Some(Kind::Image | Kind::Build) => of.refer(&entry.value, "image", &entry)?,
                _ => {
                    of.warn_of_short_name(&entry.value);
                    entry.value
                }
            };
            of.command.push(image);
            Ok(())
        }
    }
}

/// The last one counts.
pub(super) fn command(of: &mut Translation<'_>) -> Result<()> {
    if let Some(entry) = of.last("Exec") {
        let words = entry.words()?;
        of.command.extend(words);
    }
    Ok(())
}

/// What another Quadlet calls the container of this one.
pub(super) fn of_another(of: &mut Translation<'_>, name: &str, entry: &crate::file::Entry) -> Result<String> {
    let found = of.all.get(name).and_then(resource);
    let name = of.refer(name, "unit", entry)?;
    Ok(format!("container:{}", found.unwrap_or(name)))
}
