//! What the user sees when a command fails: one line that begins with `Error: `, what to do about it on the next, and
//! an exit code. Hints are chosen here, by looking at the error: the libraries say what is so.

use std::fmt;
use std::io::{self, Write};

use crate::style::Style;

/// How the process ends. Numbers as Podman's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    Success,
    /// `exists`: no. `rm`, `rmi`: no such object.
    No,
    /// `rm`, `rmi`: it is in use.
    InUse,
    /// creel itself failed.
    Failed,
    /// The command was found but could not be run.
    NotExecutable,
    /// The container has no such command.
    NotFound,
    /// The code of the process in the container.
    Container(u8),
}

impl ExitCode {
    pub fn number(self) -> u8 {
        match self {
            ExitCode::Success => 0,
            ExitCode::No => 1,
            ExitCode::InUse => 2,
            ExitCode::Failed => 125,
            ExitCode::NotExecutable => 126,
            ExitCode::NotFound => 127,
            ExitCode::Container(code) => code,
        }
    }

    /// From a number that a library or a container's record gave; what does not fit becomes 125.
    pub fn from_number(number: i32) -> ExitCode {
        match number {
            0 => ExitCode::Success,
            125 => ExitCode::Failed,
            126 => ExitCode::NotExecutable,
            127 => ExitCode::NotFound,
            number => u8::try_from(number).map_or(ExitCode::Failed, ExitCode::Container),
        }
    }
}

/// Which part of the machine may be to blame for a failure; [`crate::doctor`] looks there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspect {
    UserNamespace,
    Store,
    RootFileSystem,
    Network,
    Skopeo,
}

/// A failed command: what went wrong, what to do, and how the process ends.
#[derive(Debug)]
pub struct Failure {
    text: String,
    hint: Option<String>,
    /// The user's typing was at fault: point at the command's help.
    usage: bool,
    code: ExitCode,
    /// Nothing to say: the reader of our output went away, or the message was printed already.
    silent: bool,
    suspect: Option<Suspect>,
    /// Written without `Error:`, as Podman does before it knows its configuration.
    bare: bool,
    /// What was looked for and is not there: its kind and the name that was typed.
    missing: Option<(&'static str, String)>,
}

impl Failure {
    /// A message of the surface itself.
    pub fn plain(text: impl Into<String>) -> Failure {
        Failure {
            text: text.into(),
            hint: None,
            usage: false,
            code: ExitCode::Failed,
            silent: false,
            suspect: None,
            bare: false,
            missing: None,
        }
    }

    /// A message about flags: `See 'creel X --help'` follows.
    pub fn usage(text: impl Into<String>) -> Failure {
        Failure { usage: true, ..Failure::plain(text) }
    }

    /// An exit without a word.
    pub fn silent(code: ExitCode) -> Failure {
        Failure { silent: true, code, ..Failure::plain("") }
    }

    pub fn code(mut self, code: ExitCode) -> Failure {
        self.code = code;
        self
    }

    pub fn exit_code(&self) -> ExitCode {
        self.code
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint.get_or_insert(hint.into());
        self
    }

    /// Something of that kind and name was looked for, and another name may have been meant.
    pub fn missing(mut self, kind: &'static str, name: &str) -> Failure {
        self.missing = Some((kind, name.to_owned()));
        self
    }

    pub fn looked_for(&self) -> Option<(&'static str, &str)> {
        self.missing.as_ref().map(|(kind, name)| (*kind, name.as_str()))
    }

    /// The machine may be to blame.
    pub fn suspect(mut self, suspect: Suspect) -> Failure {
        self.suspect = Some(suspect);
        self
    }

    pub fn suspected(&self) -> Option<Suspect> {
        self.suspect
    }

    /// What the monitor said is text only.
    fn start_suspect(&self) -> Option<Suspect> {
        let is_machines = self.code != ExitCode::NotFound && !self.text.ends_with("OCI permission denied");
        let says = |words: &[&str]| is_machines && words.iter().any(|word| self.text.contains(word));
        if says(&["slirp4netns", "pasta", "/dev/net/tun"]) {
            Some(Suspect::Network)
        } else if says(&["overlay", "/dev/fuse"]) {
            Some(Suspect::RootFileSystem)
        } else {
            None
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Without the word `Error:` before it.
    pub fn bare(mut self) -> Failure {
        self.bare = true;
        self
    }

    /// Puts what was being done before the message: `CONTEXT: TEXT`.
    pub fn context(mut self, context: impl fmt::Display) -> Failure {
        self.text = format!("{context}: {}", self.text);
        self
    }

    /// Writes it to standard error. `command` is the path of the command for the pointer at its help; its first word is
    /// the name by which the program was called.
    pub fn print(&self, command: Option<&str>) {
        if self.silent || crate::output::reader_is_gone() {
            return;
        }
        let program = command.and_then(|command| command.split(' ').next()).unwrap_or("creel");
        let palette = crate::style::stderr();
        // Commands that are quoted in a message are called as the user calls them.
        let mut message = self.text.clone();
        for quote in ['`', '\'', '"'] {
            message = message.replace(&format!("{quote}creel "), &format!("{quote}{program} "));
        }
        // `container wait` and `wait` are one command with two names.
        if let Some(command) = command
            && let Some((_, verb)) = command.rsplit_once(' ')
        {
            for quote in ['`', '"'] {
                message =
                    message.replace(&format!("{quote}{program} {verb}{quote}"), &format!("{quote}{command}{quote}"));
            }
        }
        if let Some(command) = command
            && self.text.starts_with("`creel ")
            && self.text.ends_with("` takes no arguments")
        {
            message = format!("`{command}` takes no arguments");
        }
        let message = crate::output::for_stderr(&message);
        let mut text = match self.bare {
            true => format!("{message}\n"),
            false => format!("{} {message}\n", palette.paint(Style::Red, "Error:")),
        };
        if self.usage
            && let Some(command) = command
        {
            text.push_str(&format!("See '{command} --help'\n"));
        }
        if let Some(hint) = &self.hint {
            let hint = hint.replace("creel ", &format!("{program} "));
            let hint = crate::output::for_stderr(&hint);
            text.push_str(&format!("{} {hint}\n", palette.paint(Style::Cyan, "hint:")));
        }
        // Nobody is left to tell when standard error is closed.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The messages of an error and of what caused it, outermost first, joined by `: `. A cause whose words are already in
/// the message above it is left out.
pub fn folded(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    go_words(text)
}

/// The kernel's errors in the words that Go programs use for them, without Rust's `(os error N)`.
pub fn go_words(text: String) -> String {
    let mut result = text;
    while let Some(start) = result.find(" (os error ") {
        let Some(length) = result[start..].find(')') else { break };
        // "No such file or directory" -> "no such file or directory", as strerror's words are printed by Go.
        let head = &result[..start];
        let sentence = head.rfind(": ").map_or(0, |at| at + 2);
        let mut words = head[sentence..].to_owned();
        let lower = words.chars().next().filter(|first| first.is_ascii_uppercase());
        if let Some(first) = lower
            && !words[1..].starts_with(|c: char| c.is_ascii_uppercase())
        {
            words.replace_range(..1, &first.to_ascii_lowercase().to_string());
        }
        result = format!("{}{words}{}", &head[..sentence], &result[start + length + 1..]);
    }
    result
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::silent(ExitCode::Success);
        }
        Failure::plain(folded(&error))
    }
}

impl From<sys::userns::Error> for Failure {
    fn from(error: sys::userns::Error) -> Failure {
        let hint = match &error {
            sys::userns::Error::Refused { .. } => {
                "the administrator may have to allow user namespaces: sysctl user.max_user_namespaces, \
                 kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns"
            }
            sys::userns::Error::IdMap { .. } => {
                "look at /etc/subuid and /etc/subgid, and that newuidmap is setuid root"
            }
            sys::userns::Error::State { .. } => "look at XDG_RUNTIME_DIR: it must be a directory of yours",
            sys::userns::Error::Join { .. } => "stop the running containers and try again",
        };
        Failure::plain(folded(&error)).hint(hint).suspect(Suspect::UserNamespace)
    }
}

impl From<storage::Error> for Failure {
    fn from(error: storage::Error) -> Failure {
        if let storage::Error::NotFound { kind: "secret", name } = &error {
            let quoted = crate::arguments::go_quote(name);
            return Failure::plain(format!("no secret with name or id {quoted}: no such secret"))
                .missing("secret", name);
        }
        let failure = Failure::plain(folded(&error));
        let failure = match &error {
            storage::Error::NotFound { kind, name } => failure.missing(kind, name),
            storage::Error::NoSpace { .. } | storage::Error::Io { .. } => failure.suspect(Suspect::Store),
            storage::Error::Unsupported { .. } => failure.suspect(Suspect::RootFileSystem),
            _ => failure,
        };
        match error {
            storage::Error::TooNew { .. } => failure.hint("use the creel that wrote the store, or another one with --root"),
            storage::Error::UnmappedId { .. } => failure.hint(
                "give the user more sub-ids in /etc/subuid and /etc/subgid, or use --storage-opt ignore_chown_errors=true",
            ),
            storage::Error::NoSpace { .. } => failure.hint("free some space: creel system prune"),
            storage::Error::Damaged { .. } => failure.hint("creel system check --repair sets damaged records aside"),
            storage::Error::Limit { setting, .. } => failure.hint(format!("the environment variable {setting} raises the limit")),
            storage::Error::NotFound { .. }
            | storage::Error::NameTaken { .. }
            | storage::Error::Invalid { .. }
            | storage::Error::BadArchive { .. }
            | storage::Error::Mismatch { .. }
            | storage::Error::Unsupported { .. }
            | storage::Error::Io { .. } => failure,
        }
    }
}

impl From<images::Error> for Failure {
    fn from(error: images::Error) -> Failure {
        use images::Error;
        if let Error::Storage(error) = error {
            return error.into();
        }
        let failure = Failure::plain(folded(&error));
        match &error {
            Error::NotFound { name } => failure.missing("image", name),
            Error::PullForbidden { .. } => failure.hint("pull it first, or leave --pull=never out"),
            Error::ShortName { name, candidates } => match candidates.first() {
                Some(first) => failure.hint(format!("write the full name, e.g. {first}")),
                None => Failure::plain(format!(
                    "short-name {name:?} did not resolve to an alias and no unqualified-search registries are defined in \
                     registries.conf"
                ))
                .hint(
                    "write the full name with its registry, or list registries in unqualified-search-registries of \
                     ~/.config/containers/registries.conf",
                ),
            },
            Error::Denied { .. } => failure.hint("log in with creel login, and look at the spelling of the name"),
            Error::Unreachable { .. } => failure.hint("look at the network connection and the registry's name"),
            Error::Tls { .. } => {
                failure.hint("for a registry without TLS use --tls-verify=false or insecure=true in registries.conf")
            }
            Error::ArtifactNotFound { name } => failure.missing("artifact", name),
            Error::ArtifactExists { .. } => failure.hint("use --append to add to it, or --replace"),
            Error::SkopeoLacks { .. } => failure.hint("install a newer skopeo, or leave the flag out"),
            Error::Signing { .. } => failure.hint("gpg --list-secret-keys shows the keys that --sign-by can name"),
            Error::Policy { .. } => failure.hint("see containers-policy.json(5)"),
            Error::SkopeoMissing | Error::SkopeoTooOld { .. } => {
                failure.hint("install the package skopeo of your distribution").suspect(Suspect::Skopeo)
            }
            Error::NoSpace { .. } => failure.hint("free some space: creel system prune").suspect(Suspect::Store),
            Error::InUse { .. } => failure.code(ExitCode::InUse).hint("rm the containers first, or use rmi --force"),
            Error::HasChildren { .. } => {
                failure.code(ExitCode::InUse).hint("creel image tree --whatrequires shows what was built on it")
            }
            Error::NoPlatform { .. } => failure.hint("ask for another one with --platform"),
            _ => failure,
        }
    }
}

impl From<network::Error> for Failure {
    fn from(error: network::Error) -> Failure {
        use network::Error;
        let failure = Failure::plain(folded(&error));
        match error {
            Error::PortInUse { .. } => failure.hint("publish another host port, or end the process that has this one"),
            Error::PortPrivileged { .. } => {
                failure.hint("publish a higher port, or: sysctl net.ipv4.ip_unprivileged_port_start")
            }
            Error::Storage(error) => error.into(),
            Error::NoSuchNetwork(_) => failure.hint("creel network ls shows the networks that are there"),
            Error::Silent { pid, .. } => {
                let hint = format!("kill -KILL {pid}: another one takes its place, and members keep their addresses");
                failure.hint(hint)
            }
            Error::NoUplink(_) => failure.hint("--network creel needs no package").suspect(Suspect::Network),
            Error::Invalid { .. }
            | Error::NotSupported(_)
            | Error::Listen { .. }
            | Error::NoFreePort { .. }
            | Error::Uplink { .. }
            | Error::Forwarder(_)
            | Error::NetworkExists(_)
            | Error::Refused(_)
            | Error::Holder { .. }
            | Error::Kernel { .. } => failure,
        }
    }
}

impl From<containers::Error> for Failure {
    fn from(error: containers::Error) -> Failure {
        use containers::Error;
        match error {
            Error::Storage(error) => error.into(),
            Error::Image(error) => error.into(),
            Error::Network(error) => error.into(),
            Error::Runtime(error) => {
                let code = ExitCode::from_number(error.exit_code().into());
                Failure::plain(folded(&error)).code(code)
            }
            Error::StartFailed { message, exit_code } => {
                let failure = Failure::plain(go_words(message)).code(ExitCode::from_number(exit_code));
                match failure.start_suspect() {
                    Some(suspect) => failure.suspect(suspect),
                    None => failure,
                }
            }
            Error::NameTaken { .. } => {
                // Podman's sentence goes on; scripts match on both halves.
                Failure::plain(format!("{error}, or use --replace to instruct creel to do so."))
            }
            Error::NotFound { name } => {
                let failure = Failure::plain(folded(&Error::NotFound { name: name.clone() }));
                failure.missing("container", &name)
            }
            other => Failure::plain(folded(&other)),
        }
    }
}

impl From<build::Error> for Failure {
    fn from(error: build::Error) -> Failure {
        use build::Error;
        match error {
            Error::Containers(error) => error.into(),
            Error::Images(error) => error.into(),
            Error::Base(error) => Failure::from(error).context("creating build container"),
            Error::Storage(error) => error.into(),
            Error::Containerfile { ref problem, .. } => {
                let failure = Failure::plain(error.to_string());
                match &problem.meant {
                    Some(meant) => failure.hint(format!("did you mean {meant}?")),
                    None => failure,
                }
            }
            Error::Exit { code, .. } | Error::Start { code, .. } => {
                Failure::plain(go_words(error.to_string())).code(ExitCode::from_number(code))
            }
            Error::Step { .. } | Error::Invalid(_) | Error::Io { .. } => Failure::plain(go_words(folded(&error))),
        }
    }
}

/// For `map_err`: an I/O error with the deed and the path that Go would name: `open /x: no such file or directory`.
pub fn on_path(deed: &'static str, path: impl AsRef<std::path::Path>) -> impl FnOnce(io::Error) -> Failure {
    let path = path.as_ref().display().to_string();
    move |error| Failure::plain(format!("{deed} {path}: {}", folded(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("opening the store")]
    struct Outer(#[source] io::Error);

    #[test]
    fn causes_are_folded_in_gos_words() {
        let error = Outer(io::Error::from_raw_os_error(2));
        assert_eq!(folded(&error), "opening the store: no such file or directory");
    }

    #[test]
    fn exit_codes_are_podmans() {
        assert_eq!(ExitCode::from_number(125).number(), 125);
        assert_eq!(ExitCode::from_number(137), ExitCode::Container(137));
        assert_eq!(ExitCode::from_number(-1), ExitCode::Failed);
    }

    #[test]
    fn context_comes_first() {
        assert_eq!(Failure::plain("b").context("a").to_string(), "a: b");
    }
}
