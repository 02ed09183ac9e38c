//! `creel compose`: another program reads the compose file, and asks creel for what is in it.
//!
//! One that speaks Docker's API gets a socket. Nobody listens at it but this process, until the program comes: then a
//! service takes it over, which ends when it is idle, as under socket activation. One that runs `podman` gets creel by that name.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use api::Listener;
use clap::Args as _;
use rustix::event::{PollFd, PollFlags, poll};
use sys::process::Pidfd;
use sys::signals::SignalFd;

use crate::caller::{self, variable};
use crate::context::Context;
use crate::error::{ExitCode, Failure, folded};
use crate::help::{self, Paper};
use crate::output;

/// Run compose workloads by another program, such as docker-compose or podman-compose
///
/// All words are passed on to the first of these programs that is there: $PODMAN_COMPOSE_PROVIDER, else those of
/// compose_providers under [engine] of containers.conf, else docker-compose, else podman-compose. Its DOCKER_HOST is a
/// socket that creel answers at, and its podman is creel.
#[derive(clap::Args)]
pub struct Args {
    #[arg(value_name = "WORDS", allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Where docker-compose is installed as a part of Docker's command line.
const PLUGIN_DIRS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let mut words = args.words;
    let tells = warns(context)?;
    if asks_for_help(&words) {
        let program = caller::program_of(context.command_line.first().map_or("", String::as_str));
        let command = Args::augment_args(clap::Command::new("compose"));
        output::painted(&help::of_command(&format!("{program} compose"), &[], &command, Paper::stdout()))?;
        words = vec!["--help".into()];
    }
    let program = provider(context)?;
    if tells {
        let text = format!(
            ">>>> Executing external compose provider {program:?}. \
             Please see podman-compose(1) for how to disable this message. <<<<"
        );
        output::note(&format!("{text}\n"));
    }
    let status = carry_out(context, &program, &words)?;
    if status.success() {
        return Ok(ExitCode::Success);
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX);
    let text = format!("executing {program} {}: {}", words.join(" "), how_it_ended(status));
    Err(Failure::plain(text).code(ExitCode::Container(code)))
}

/// Whether to say which program does the work.
fn warns(context: &Context) -> Result<bool, Failure> {
    const NAME: &str = "PODMAN_COMPOSE_WARNING_LOGS";
    let Some(text) = variable(NAME) else {
        return Ok(context.config()?.boolean("engine", "compose_warning_logs").unwrap_or(false));
    };
    crate::arguments::go_bool(&text).ok_or_else(|| {
        Failure::plain(format!("{NAME} should be a boolean: strconv.ParseBool: parsing {text:?}: invalid syntax"))
    })
}

/// No words at all, or `--help` before the first word that is a command of the program's: one that follows a flag may be
/// its value.
fn asks_for_help(words: &[String]) -> bool {
    let mut may_be_value = false;
    for word in words {
        match word.as_str() {
            "-h" | "--help" => return true,
            "--" => return false,
            word if word.starts_with('-') => may_be_value = !word.contains('='),
            _ if may_be_value => may_be_value = false,
            _ => return false,
        }
    }
    words.is_empty()
}

/// The program as it is to be started: what the user names is taken as it is.
fn provider(context: &Context) -> Result<String, Failure> {
    if let Some(program) = variable("PODMAN_COMPOSE_PROVIDER") {
        return Ok(program);
    }
    let mut candidates = context.config()?.list("engine", "compose_providers");
    if candidates.is_empty() {
        let home = caller::home().ok().map(|home| home.join(".docker/cli-plugins"));
        let dirs = home.into_iter().chain(PLUGIN_DIRS.map(PathBuf::from));
        candidates.extend(dirs.map(|dir| dir.join("docker-compose").to_string_lossy().into_owned()));
        candidates.extend(["docker-compose".to_owned(), "podman-compose".to_owned()]);
    }
    let mut misses = Vec::new();
    for candidate in &candidates {
        match look_up(candidate) {
            Ok(path) => return Ok(path.to_string_lossy().into_owned()),
            Err(miss) => misses.push(miss),
        }
    }
    let why = match misses.as_slice() {
        [only] => only.clone(),
        all => format!("{} errors occurred:\n\t* {}", all.len(), all.join("\n\t* ")),
    };
    Err(Failure::plain(format!("looking up compose provider failed\n{why}")).hint(
        "install docker-compose or podman-compose, or name another program: \
         PODMAN_COMPOSE_PROVIDER, or compose_providers under [engine] of containers.conf",
    ))
}

fn look_up(name: &str) -> Result<PathBuf, String> {
    if name.contains('/') {
        return match nix::unistd::access(name, nix::unistd::AccessFlags::X_OK) {
            Ok(()) if Path::new(name).is_dir() => Err(format!("exec: {name:?}: is a directory")),
            Ok(()) => Ok(name.into()),
            Err(nix::Error::ENOENT) => Err(format!("exec: {name:?}: stat {name}: no such file or directory")),
            Err(error) => Err(format!("exec: {name:?}: {}", error.desc().to_lowercase())),
        };
    }
    executable(name)
}

/// A path is taken as it is, a name looked for in PATH: execvp(3) would call one that is nowhere forbidden, where it may
/// not look into a directory.
pub(super) fn executable(name: &str) -> Result<PathBuf, String> {
    if name.contains('/') {
        return Ok(name.into());
    }
    let dirs = std::env::var_os("PATH").unwrap_or_default();
    let is_program =
        |path: &PathBuf| path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok();
    std::env::split_paths(&dirs)
        .map(|dir| dir.join(name))
        .find(is_program)
        .ok_or_else(|| format!("exec: {name:?}: executable file not found in $PATH"))
}

/// Runs the program to its end, and answers it meanwhile.
fn carry_out(context: &Context, program: &str, words: &[String]) -> Result<ExitStatus, Failure> {
    let failed = |why: &str| Failure::plain(format!("executing {program} {}: {why}", words.join(" ")));
    let path = executable(program).map_err(|why| failed(&why))?;
    let place = Place::new(context)?;
    let mut command = Command::new(path);
    command.arg0(program).args(words).env("PATH", place.path()?).env("DOCKER_BUILDKIT", "0");
    command.env("DOCKER_CONFIG", std::env::var_os("DOCKER_CONFIG").unwrap_or_default());
    let listener = match socket_in_use() {
        Some(host) => {
            command.env("DOCKER_HOST", host);
            None
        }
        None => {
            let socket = place.dir.join("docker.sock");
            command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
            Some(Listener::unix(socket)?)
        }
    };
    // A terminal's signals reach the program by themselves: it decides what they mean.
    let signals = SignalFd::new(&[1, 2, 3, 15])?;
    let mut child = command.spawn().map_err(|error| failed(&format!("fork/exec {program}: {}", folded(&error))))?;
    let mut service = None;
    let ended = attend(context, &mut child, &signals, listener.as_ref(), &mut service);
    if let Some(service) = service {
        service.end()?;
    }
    ended?;
    Ok(child.wait()?)
}

/// Until the program ends: passes signals on, and starts the service when somebody comes to the socket.
fn attend(
    context: &Context,
    child: &mut Child,
    signals: &SignalFd,
    listener: Option<&Listener>,
    service: &mut Option<Service>,
) -> Result<(), Failure> {
    let program = Pidfd::open(child.id().cast_signed())?;
    loop {
        let mut fds = vec![PollFd::new(&program, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        match (&*service, listener) {
            (Some(service), _) => fds.push(PollFd::new(&service.handle, PollFlags::IN)),
            (None, Some(listener)) => fds.push(PollFd::new(listener, PollFlags::IN)),
            (None, None) => {}
        }
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other.map_err(io::Error::from)?,
        };
        let happened: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if happened[0] {
            return Ok(());
        }
        while let Some(arrived) = signals.read()? {
            if arrived.sender != 0 {
                program.signal(arrived.signal)?;
            }
        }
        if happened.get(2) == Some(&true) {
            match (service.take(), listener) {
                // Idle: the next client starts another one.
                (Some(ended), _) => ended.end()?,
                (None, Some(listener)) => *service = Some(Service::start(context, listener)?),
                (None, None) => {}
            }
        }
    }
}

/// The address of a service that the user has chosen, or that listens where Podman's would.
fn socket_in_use() -> Option<String> {
    if let Some(host) = variable("DOCKER_HOST") {
        return Some(host);
    }
    let socket = super::system_service::usual_socket();
    UnixStream::connect(&socket).ok().map(|_| format!("unix://{}", socket.display()))
}

/// `creel system service` at our socket.
struct Service {
    child: Child,
    handle: Pidfd,
}

impl Service {
    fn start(context: &Context, listener: &Listener) -> Result<Service, Failure> {
        let mut command = Command::new("/proc/self/exe");
        command.args(context.globals.as_flags()).args(["system", "service"]).env("LISTEN_FDS", "1");
        command.env_remove("LISTEN_PID").stdin(Stdio::null()).stdout(Stdio::null());
        // What Ctrl-C ends is the program, which may have more to ask.
        command.process_group(0);
        sys::task::pass_descriptors(&mut command, &[listener.as_fd()])?;
        let child = command.spawn()?;
        let handle = Pidfd::open(child.id().cast_signed())?;
        Ok(Service { child, handle })
    }

    fn end(mut self) -> Result<(), Failure> {
        // One that has ended by itself is only reaped.
        let _ = self.handle.signal(15);
        self.child.wait()?;
        Ok(())
    }
}

/// What the program finds while it runs: a directory of this user's, removed at the end.
struct Place {
    dir: PathBuf,
}

impl Place {
    fn new(context: &Context) -> Result<Place, Failure> {
        let dir = caller::runtime_dir().join("podman").join(format!("compose-{}", std::process::id()));
        let failed = |error| crate::error::on_path("mkdir", &dir)(error);
        // What another process of this number may have left.
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).map_err(failed)?;
        let place = Place { dir: dir.clone() };
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let bin = dir.join("bin");
        fs::create_dir(&bin).map_err(failed)?;
        let ourselves = sys::exe::path()?;
        let globals = context.globals.as_flags();
        if globals.is_empty() {
            std::os::unix::fs::symlink(ourselves, bin.join("podman"))?;
            return Ok(place);
        }
        // The flags that choose the store are passed on; under the name that programs know.
        let named = dir.join("podman");
        std::os::unix::fs::symlink(ourselves, &named)?;
        let line: Vec<String> = std::iter::once(named.as_os_str())
            .chain(globals.iter().map(AsRef::as_ref))
            .map(|word| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''")))
            .collect();
        let mut script = File::options().write(true).create_new(true).mode(0o700).open(bin.join("podman"))?;
        writeln!(script, "#!/bin/sh\nexec {} \"$@\"", line.join(" "))?;
        Ok(place)
    }

    /// The caller's PATH, with creel as `podman` before everything else.
    fn path(&self) -> Result<std::ffi::OsString, Failure> {
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let dirs = std::iter::once(self.dir.join("bin")).chain(std::env::split_paths(&usual));
        std::env::join_paths(dirs).map_err(|error| Failure::plain(error.to_string()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// As Go's os.ProcessState says it.
pub(super) fn how_it_ended(status: ExitStatus) -> String {
    let Some(signal) = status.signal() else {
        return format!("exit status {}", status.code().unwrap_or(0));
    };
    let name = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        6 => "aborted",
        9 => "killed",
        11 => "segmentation fault",
        13 => "broken pipe",
        15 => "terminated",
        other => return format!("signal: signal {other}"),
    };
    format!("signal: {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_for_both_until_the_programs_own_command() {
        let table = [
            ("", true),
            ("-h", true),
            ("-f a --foo bar -h", true),
            ("--verbose up --help", true),
            ("up --help", false),
            ("-f a up --help", false),
            ("-f=a up -h", false),
            ("-- -h", false),
            ("-f a", false),
        ];
        for (line, expected) in table {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(asks_for_help(&words), expected, "{line}");
        }
    }
}
