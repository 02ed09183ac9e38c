//! `.pod`: a service that makes a pod and starts it; its containers are services of their own.

use super::references::resource;
use super::translation::Translation;
use crate::error::Result;

pub(super) fn translate(of: &mut Translation<'_>) -> Result<()> {
    let name = resource(of.source).unwrap_or_default();
    for member in of.members.get(&of.source.name).cloned().unwrap_or_default() {
        of.service.add("Unit", "Wants", &member);
        of.service.add("Unit", "Before", &member);
    }
    of.default("SyslogIdentifier", "%N");
    let start = of.begin(&["pod", "start", &name])?;
    of.add_line("ExecStart", &start);
    let time = format!("--time={}", of.text("StopTimeout").unwrap_or("10"));
    let stop = of.begin(&["pod", "stop", "--ignore", &time, &name])?;
    of.add_line("ExecStop", &stop);
    let remove = of.begin(&["pod", "rm", "--ignore", "--force", &name])?;
    of.add_line("ExecStopPost", &remove);
    of.command = of.begin(&["pod", "create", "--infra-conmon-pidfile=%t/%N.pid", "--replace"])?;
    of.add_keys()?;
    let create = std::mem::take(&mut of.command);
    of.add_line("ExecStartPre", &create);
    of.service.add("Service", "Environment", "PODMAN_SYSTEMD_UNIT=%n");
    // The monitor of the infra container is what systemd watches.
    of.service.set("Service", "Type", "forking");
    of.service.set("Service", "Restart", "on-failure");
    of.service.set("Service", "PIDFile", "%t/%N.pid");
    Ok(())
}

pub(super) fn exit_policy(of: &mut Translation<'_>) -> Result<()> {
    let policy = of.text("ExitPolicy").unwrap_or("stop").to_owned();
    of.command.extend(["--exit-policy".to_owned(), policy]);
    Ok(())
}

pub(super) fn names_and_arguments(of: &mut Translation<'_>) -> Result<()> {
    let name = resource(of.source).unwrap_or_default();
    of.command.extend(["--infra-name".to_owned(), format!("{name}-infra"), "--name".to_owned(), name]);
    let arguments = of.words("PodmanArgs")?;
    of.command.extend(arguments);
    Ok(())
}
