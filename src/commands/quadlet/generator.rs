//! The generator that systemd calls when it starts and at `daemon-reload` (systemd.generator(7)), and what a person calls
//! to see what it would do.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use units::quadlet::{Kind, Outcome, links, service_stem};
use units::{UnitFile, quoted};

use super::search::{self, Found, Manager, Unreadable};
use super::services;
use crate::output;

/// The flags, and the output directories: for services, for those that go before the user's own, and for those that go
/// after everything else.
#[derive(Debug, Default)]
struct Call {
    dry_run: bool,
    user: bool,
    verbose: bool,
    version: bool,
    directories: Vec<PathBuf>,
}

const USAGE: &str = "  -dryrun
    	Run in dryrun mode printing debug information
  -no-kmsg-log
    	Don't log to kmsg
  -user
    	Run as systemd user
  -v	Print debug information
  -version
    	Print version information and exit
";

/// By which names the program is the generator.
fn is_generator(name: &OsStr) -> bool {
    let name = Path::new(name).file_name().map(OsStr::as_bytes).unwrap_or_default();
    name == b"quadlet" || name.ends_with(b"-user-generator") || name.ends_with(b"-system-generator")
}

/// The words after the program's name, if the call is one of the generator: by the program's name, or `creel quadlet -FLAG`.
pub fn call() -> Option<(OsString, Vec<OsString>)> {
    let mut words = std::env::args_os();
    let program = words.next()?;
    let words: Vec<OsString> = words.collect();
    if is_generator(&program) {
        return Some((program, words));
    }
    let (first, flags) = words.split_first()?;
    let flag = flags.first()?.to_str()?;
    let known = ["dryrun", "no-kmsg-log", "user", "v", "version"].contains(&flag.trim_start_matches('-'));
    (first == "quadlet" && flag.starts_with('-') && known).then(|| (program, flags.to_vec()))
}

pub fn main(program: &OsStr, words: Vec<OsString>) -> ExitCode {
    let shown = program.to_string_lossy();
    let mut call =
        Call { user: Path::new(program).as_os_str().as_bytes().ends_with(b"-user-generator"), ..Call::default() };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let flag = word.to_str().filter(|word| word.len() > 1).and_then(|word| word.strip_prefix('-'));
        match flag.map(|flag| flag.strip_prefix('-').unwrap_or(flag)) {
            Some("dryrun") => call.dry_run = true,
            Some("user") => call.user = true,
            Some("v") => call.verbose = true,
            Some("version") => call.version = true,
            // Messages go to standard error, which systemd writes to its journal.
            Some("no-kmsg-log") => {}
            Some("h" | "help") => {
                output::note(&format!("Usage of {shown}:\n{}", USAGE.trim_end()));
                return ExitCode::SUCCESS;
            }
            Some("") => call.directories.extend(words.by_ref().map(PathBuf::from)),
            Some(_) => {
                let flag = word.to_string_lossy();
                output::note(&format!(
                    "flag provided but not defined: {flag}\nUsage of {shown}:\n{}",
                    USAGE.trim_end()
                ));
                return ExitCode::from(2);
            }
            None => call.directories.push(PathBuf::from(word)),
        }
    }
    if call.version {
        return match output::line(crate::commands::version::of_program("podman")) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let mut log = Log { failed: false };
    if let Err(failure) = generate(&call, &shown, &mut log) {
        log.error(&failure.to_string());
    }
    match log.failed {
        true => {
            log.note("processing encountered some errors");
            ExitCode::FAILURE
        }
        false => ExitCode::SUCCESS,
    }
}

/// What was said, and whether any of it was an error.
struct Log {
    failed: bool,
}

impl Log {
    fn note(&self, text: &str) {
        output::note(&format!("quadlet-generator[{}]: {text}", std::process::id()));
    }

    fn error(&mut self, text: &str) {
        self.note(text);
        self.failed = true;
    }
}

fn generate(call: &Call, called: &str, log: &mut Log) -> Result<(), crate::error::Failure> {
    let output_directory = match (call.directories.first(), call.dry_run) {
        (None, false) => return Err(crate::error::Failure::plain("missing output directory argument")),
        (directory, _) => directory.cloned().unwrap_or_default(),
    };
    let say_more = call.verbose || call.dry_run;
    if call.verbose && !call.dry_run {
        log.note(&format!("Starting quadlet-generator, output to: {}", output_directory.display()));
    }
    let manager = if call.user { Manager::User } else { Manager::System };
    let directories = search::directories(manager)?;
    let found = search::load(&directories, |path| {
        if say_more {
            log.note(&format!("Loading source unit file {}", path.display()));
        }
    });
    found.notes.iter().for_each(|note| log.note(note));
    for Unreadable { path, why } in &found.unreadable {
        log.error(&format!("error loading \"{}\", {why}", path.display()));
    }
    if found.quadlets.is_empty() && found.unreadable.is_empty() {
        if say_more {
            let shown: Vec<_> = directories.iter().map(|directory| directory.display().to_string()).collect();
            log.note(&format!("No files parsed from [{}]", shown.join(" ")));
        }
        return Ok(());
    }
    let program = sys::exe::path()?.display().to_string();
    let whose = crate::caller::program_of(called.trim_end_matches("-user-generator"));
    let network = match manager {
        Manager::User => format!("{whose}-user-wait-network-online.service"),
        Manager::System => "network-online.target".to_owned(),
    };
    let rejected = rejected(&found);
    let outcomes = services(found.quadlets, &program, &network);
    let writer = Writer { program: &program, directory: &output_directory };
    let mut waits = false;
    for Outcome { name, service, unit, warnings } in &outcomes {
        warnings.iter().for_each(|warning| log.note(&format!("Warning: {warning}")));
        match unit {
            Err(error) => log.error(&format!("converting \"{name}\": {error}")),
            Ok(unit) if call.dry_run => output::print(&format!("---{service}---\n{unit}\n"))?,
            Ok(unit) => {
                if call.verbose {
                    log.note(&format!("writing \"{}\"", output_directory.join(service).display()));
                }
                waits |= unit.words("Unit", "Wants").is_ok_and(|wants| wants.contains(&network));
                if let Err(error) = writer.service(service, unit) {
                    log.error(&format!("writing \"{}\": {error}", output_directory.join(service).display()));
                }
            }
        }
    }
    // systemd gives three directories. What goes to the last of them never takes the place of a unit of that name.
    if let (Some(late), false) = (call.directories.get(2), call.dry_run) {
        let of_outcomes = outcomes.iter().filter(|outcome| outcome.unit.is_err());
        let of_outcomes = of_outcomes.map(|outcome| (outcome.service.clone(), outcome.name.clone()));
        for (service, name) in of_outcomes.chain(rejected) {
            if !outcomes.iter().any(|other| other.unit.is_ok() && other.service == service) {
                write_new(&late.join(&service), &refusal(&program, &name))?;
            }
        }
        if waits {
            write_new(&late.join(&network), &network_wait(&program))?;
        }
    }
    Ok(())
}

/// The services that files would have become which are no unit files, and the names of those files.
fn rejected(found: &Found) -> Vec<(String, String)> {
    let named = found.unreadable.iter().filter_map(|unreadable| {
        // Of a drop-in the Quadlet, as far as its directory tells.
        let file = unreadable.path.file_name()?.to_str()?;
        let directory = unreadable.path.parent()?.file_name()?.to_str()?;
        let name = if file.ends_with(".conf") { directory.strip_suffix(".d")? } else { file };
        let kind = Kind::of(name)?;
        let empty = UnitFile::parse(name, "").ok()?;
        Some((format!("{}.service", service_stem(name, kind, &empty)), name.to_owned()))
    });
    named.collect()
}

/// A service in place of one that could not be made: to start it says why.
fn refusal(program: &str, name: &str) -> String {
    format!(
        "# Automatically generated by {program}: {name} has a mistake in it.
[Unit]
Description={name} has a mistake in it, see `{program} quadlet check`

[Service]
Type=oneshot
ExecStart={} quadlet check {}
",
        quoted(program),
        quoted(name)
    )
}

/// A user's manager cannot wait for a unit of the system's. Where nothing is about to bring the target up there is nothing
/// to wait for.
fn network_wait(program: &str) -> String {
    format!(
        "# Automatically generated by {program}
[Unit]
Description=Wait for system level network-online.target as user.
Documentation=man:systemd.special(7)

[Service]
Type=oneshot
TimeoutStartSec=90s
ExecStart=/bin/sh -c 'until systemctl is-active --quiet network-online.target; do [ -n \"$$(systemctl list-jobs --no-legend network-online.target)\" ] || exit 0; sleep 0.5; done'
RemainAfterExit=yes
"
    )
}

struct Writer<'a> {
    program: &'a str,
    directory: &'a Path,
}

impl Writer<'_> {
    fn service(&self, name: &str, unit: &UnitFile) -> io::Result<()> {
        write_new(&self.directory.join(name), &format!("# Automatically generated by {}\n#\n{unit}", self.program))?;
        for link in links(name, unit).map_err(io::Error::other)? {
            let path = self.directory.join(&link.path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            match std::os::unix::fs::symlink(&link.target, &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    fs::remove_file(&path)?;
                    std::os::unix::fs::symlink(&link.target, &path)?;
                }
                done => done?,
            }
        }
        Ok(())
    }
}

/// Written beside and renamed: whoever reads sees all of it, also where two generators run at once.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = directory.join(format!(".{name}.{}", std::process::id()));
    fs::write(&beside, text)?;
    fs::rename(&beside, path).inspect_err(|_| drop(fs::remove_file(&beside)))
}
