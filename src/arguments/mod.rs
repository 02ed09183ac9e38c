//! The command line as pflag reads it, brought into the form clap reads.
//!
//! Scripts written for Podman rest on details of its flag parser that clap does not share: `--flag=false` for every
//! boolean, `--name -x` where the value begins with a dash, comma lists with CSV quoting next to flags that take each
//! value verbatim, parsing that stops at the image of `run`, and the texts of the errors. [`normalise`] applies those
//! rules using the flags that clap knows for the command, and hands clap a command line without ambiguity: every
//! value attached with `=`, every boolean in its last given state, and `--` before the positional arguments.

mod count;
mod csv;
mod nearest;
mod strconv;
mod translate;
mod written;

use clap::builder::ArgAction;
use clap::{Arg, Command};

use crate::error::Failure;

pub use count::{at_least, at_most, between, exactly, none};
pub use csv::csv;
pub use nearest::{distance, nearest};
pub use strconv::{go_bool, go_quote, number};
pub use translate::translate;
pub use written::leading_flags;

/// Where flag parsing ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Flags and arguments mix, until `--`.
    Mixed,
    /// The first positional argument ends the flags: what follows belongs to the container's command.
    FlagsFirst,
    /// Every word belongs to another program, flags too.
    Verbatim,
}

/// A command line whose flags are sorted out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Normalised {
    /// For the command's own clap parser, without the program's name.
    pub own: Vec<String>,
    /// Global flags that were given after the command.
    pub global: Vec<String>,
    /// `--help` was among them; the rest was not looked at.
    pub help: bool,
}

/// What a command accepts beside the flags of its `Args`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tolerance {
    /// Podman's flags that creel does not have: an error that says so.
    pub not_yet: &'static [&'static str],
    /// Boolean flags without any effect, in Podman too.
    pub no_op: &'static [&'static str],
    /// Flags that Linux no longer has a meaning for; their value is dropped with a warning.
    pub obsolete: &'static [&'static str],
}

/// Whose flag it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Command,
    Global,
}

/// One flag that was found, before it is written out again.
struct Occurrence {
    id: String,
    scope: Scope,
    /// For clap; none for a boolean that was taken back.
    text: Option<String>,
}

/// What a word of flags asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    /// What its flags say, which is noted.
    Flags,
    Help,
}

/// Sorts `args` by the flags of `command` and of `globals`. `command` must have its arguments.
pub fn normalise(
    command: &Command,
    globals: &Command,
    args: &[String],
    order: Order,
    tolerance: &Tolerance,
) -> Result<Normalised, Failure> {
    if order == Order::Verbatim {
        let own = std::iter::once("--".to_owned()).chain(args.iter().cloned()).collect();
        return Ok(Normalised { own, ..Normalised::default() });
    }
    let mut reader = Reader { command, globals, tolerance, words: args.iter(), found: Vec::new() };
    let mut positional: Vec<String> = Vec::new();
    while let Some(word) = reader.words.next() {
        let asks = match word.strip_prefix("--") {
            Some("") => {
                positional.extend(reader.words.by_ref().cloned());
                Asks::Flags
            }
            Some(long) => reader.long(long)?,
            None if word.len() > 1 && word.starts_with('-') => reader.shorts(&word[1..])?,
            None => {
                positional.push(word.clone());
                if order == Order::FlagsFirst {
                    positional.extend(reader.words.by_ref().cloned());
                }
                Asks::Flags
            }
        };
        if asks == Asks::Help {
            return Ok(Normalised { help: true, ..Normalised::default() });
        }
    }
    let mut normalised = Normalised::default();
    for occurrence in reader.found {
        match occurrence.scope {
            Scope::Command => normalised.own.extend(occurrence.text),
            Scope::Global => normalised.global.extend(occurrence.text),
        }
    }
    if !positional.is_empty() {
        normalised.own.push("--".into());
        normalised.own.extend(positional);
    }
    Ok(normalised)
}

/// What [`normalise`] has read, and what it has yet to read.
struct Reader<'a> {
    command: &'a Command,
    globals: &'a Command,
    tolerance: &'a Tolerance,
    words: std::slice::Iter<'a, String>,
    found: Vec<Occurrence>,
}

impl<'a> Reader<'a> {
    /// `--NAME`, `--NAME=VALUE`, `--NAME VALUE`, without the dashes.
    fn long(&mut self, word: &str) -> Result<Asks, Failure> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(Failure::usage(format!("bad flag syntax: --{word}")));
        }
        if name == "help" {
            return Ok(Asks::Help);
        }
        let Some((flag, scope)) = self.flag(|command| by_long(command, name)) else {
            return self.foreign(name, value).map(|()| Asks::Flags);
        };
        let value = match value {
            Some(value) => Some(value.to_owned()),
            None if needs_no_value(flag) => None,
            None => Some(self.next_value(|| format!("--{name}"))?),
        };
        self.note(flag, scope, value)?;
        Ok(Asks::Flags)
    }

    /// `-itv VALUE`, `-vVALUE`, `-v=VALUE`, without the dash.
    fn shorts(&mut self, word: &str) -> Result<Asks, Failure> {
        for (at, short) in word.char_indices() {
            let Some((flag, scope)) = self.flag(|command| by_short(command, short)) else {
                if short == 'h' {
                    return Ok(Asks::Help);
                }
                return Err(Failure::usage(format!("unknown shorthand flag: '{short}' in -{}", &word[at..])));
            };
            let rest = &word[at + short.len_utf8()..];
            let value = match rest.strip_prefix('=') {
                Some(value) => value.to_owned(),
                None if needs_no_value(flag) => {
                    self.note(flag, scope, None)?;
                    continue;
                }
                None if rest.is_empty() => self.next_value(|| format!("'{short}' in -{}", &word[at..]))?,
                None => rest.to_owned(),
            };
            self.note(flag, scope, Some(value))?;
            break;
        }
        Ok(Asks::Flags)
    }

    /// A flag of the command, else a global one.
    fn flag(&self, find: impl Fn(&'a Command) -> Option<&'a Arg>) -> Option<(&'a Arg, Scope)> {
        let own = find(self.command).map(|flag| (flag, Scope::Command));
        own.or_else(|| find(self.globals).map(|flag| (flag, Scope::Global)))
    }

    /// The word that comes next, whatever it looks like. `flag` as an error shows it.
    fn next_value(&mut self, flag: impl Fn() -> String) -> Result<String, Failure> {
        let next = self.words.next().cloned();
        next.ok_or_else(|| Failure::usage(format!("flag needs an argument: {}", flag())))
    }

    /// A flag that is not creel's: it has no effect, or is an error.
    fn foreign(&mut self, name: &str, value: Option<&str>) -> Result<(), Failure> {
        if self.tolerance.no_op.contains(&name) {
            return check_boolean(name, value.unwrap_or("true"));
        }
        if self.tolerance.obsolete.contains(&name) {
            let value = match value {
                Some(value) => value.to_owned(),
                None if name == "oom-kill-disable" => "true".to_owned(),
                None => self.next_value(|| format!("--{name}"))?,
            };
            check_obsolete(name, &value)?;
            crate::output::warn(&format!("--{name} has no effect on cgroup v2 and is ignored"));
            return Ok(());
        }
        if self.tolerance.not_yet.contains(&name) {
            return Err(Failure::plain(format!("--{name} is not supported by creel yet")));
        }
        let failure = Failure::usage(format!("unknown flag: --{name}"));
        Err(match nearest(name, self.command.get_arguments().filter_map(Arg::get_long)) {
            Some(similar) => failure.hint(format!("there is --{similar}")),
            None => failure,
        })
    }

    /// Adds one flag; a boolean replaces what was said of it before, a comma list becomes one entry for each element.
    fn note(&mut self, flag: &Arg, scope: Scope, value: Option<String>) -> Result<(), Failure> {
        let id = flag.get_id().as_str();
        let name = flag.get_long().unwrap_or(id);
        if is_boolean(flag) {
            let value = match value {
                Some(value) => go_bool(&value).ok_or_else(|| invalid(flag, &value, &not_a_boolean(&value)))?,
                None => true,
            };
            let text = match (flag.get_action(), value) {
                (ArgAction::SetTrue, true) => Some(format!("--{name}")),
                (ArgAction::SetTrue, false) => None,
                (_, value) => Some(format!("--{name}={value}")),
            };
            self.replace(id, scope, text);
            return Ok(());
        }
        // `--pull` alone: clap knows what that stands for.
        let Some(value) = value else {
            self.replace(id, scope, Some(format!("--{name}")));
            return Ok(());
        };
        match flag.get_action() {
            ArgAction::Append if flag.get_value_delimiter().is_some() => {
                for element in csv(&value).map_err(|problem| invalid(flag, &value, &problem))? {
                    self.add(id, scope, Some(format!("--{name}={element}")));
                }
            }
            ArgAction::Append => self.add(id, scope, Some(format!("--{name}={value}"))),
            // The last one wins; no path at all is as good as no flag.
            _ => {
                let is_path = flag.get_value_parser().type_id() == std::any::TypeId::of::<std::path::PathBuf>();
                let text = (!is_path || !value.is_empty()).then(|| format!("--{name}={value}"));
                self.replace(id, scope, text);
            }
        }
        Ok(())
    }

    fn add(&mut self, id: &str, scope: Scope, text: Option<String>) {
        self.found.push(Occurrence { id: id.to_owned(), scope, text });
    }

    fn replace(&mut self, id: &str, scope: Scope, text: Option<String>) {
        self.found.retain(|other| other.id != id || other.scope != scope);
        self.add(id, scope, text);
    }
}

fn not_a_boolean(value: &str) -> String {
    format!("strconv.ParseBool: parsing {}: invalid syntax", go_quote(value))
}

/// A flag without an effect is still read: a wrong value is a slip of whoever typed it.
fn check_boolean(name: &str, value: &str) -> Result<(), Failure> {
    go_bool(value).map(drop).ok_or_else(|| invalid_dropped(name, value, &not_a_boolean(value)))
}

fn check_obsolete(name: &str, value: &str) -> Result<(), Failure> {
    let read = match name {
        "oom-kill-disable" => return check_boolean(name, value),
        "cpu-rt-period" => number::u64(value).map(drop),
        "cpu-rt-runtime" | "memory-swappiness" => number::i64(value).map(drop),
        _ => Ok(()),
    };
    read.map_err(|why| invalid_dropped(name, value, &why))
}

fn invalid_dropped(name: &str, value: &str, why: &str) -> Failure {
    Failure::usage(format!("invalid argument {} for \"--{name}\" flag: {why}", go_quote(value)))
}

/// `invalid argument "x" for "-m, --memory" flag: WHY`.
pub fn invalid(flag: &Arg, value: &str, why: &str) -> Failure {
    let long = flag.get_long().unwrap_or(flag.get_id().as_str());
    let spelled = match flag.get_short() {
        Some(short) => format!("-{short}, --{long}"),
        None => format!("--{long}"),
    };
    Failure::usage(format!("invalid argument {} for \"{spelled}\" flag: {why}", go_quote(value)))
}

/// Whether the flag may stand alone: booleans, and those like `--pull` that stand for something without a value.
fn needs_no_value(flag: &Arg) -> bool {
    matches!(flag.get_action(), ArgAction::SetTrue) || flag.get_num_args().is_some_and(|range| range.min_values() == 0)
}

/// Whether the flag is true or false: clap's own booleans, and those that are true unless said otherwise.
fn is_boolean(flag: &Arg) -> bool {
    let is_truth = flag.get_value_parser().type_id() == std::any::TypeId::of::<bool>();
    matches!(flag.get_action(), ArgAction::SetTrue) || (needs_no_value(flag) && is_truth)
}

fn by_long<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|names| names.contains(&name)))
}

fn by_short(command: &Command, short: char) -> Option<&Arg> {
    command.get_arguments().find(|arg| arg.get_short() == Some(short))
}

#[cfg(test)]
mod tests {
    use clap::{ArgAction, Args, Command};

    use super::*;

    #[derive(Args, Debug)]
    struct Sample {
        #[arg(short, long)]
        detach: bool,
        #[arg(short, long)]
        tty: bool,
        #[arg(long, action = ArgAction::Set, num_args = 0..=1, default_value_t = true, default_missing_value = "true")]
        sig_proxy: bool,
        #[arg(long)]
        name: Option<String>,
        #[arg(short, long)]
        env: Vec<String>,
        #[arg(long, value_delimiter = ',', alias = "caps")]
        cap_add: Vec<String>,
        #[arg(short = 'h', long)]
        hostname: Option<String>,
        args: Vec<String>,
    }

    fn read(line: &[&str], order: Order) -> Result<Vec<String>, String> {
        let command = Sample::augment_args(Command::new("sample"));
        let globals = Command::new("creel").arg(Arg::new("log-level").long("log-level").action(ArgAction::Set));
        let args: Vec<String> = line.iter().map(|arg| (*arg).to_owned()).collect();
        let tolerance = Tolerance { not_yet: &["rdt-class"], no_op: &["disable-content-trust"], obsolete: &[] };
        normalise(&command, &globals, &args, order, &tolerance)
            .map(|all| {
                let mut own = all.own;
                own.extend(all.global.into_iter().map(|flag| format!("G{flag}")));
                if all.help {
                    own.push("HELP".into());
                }
                own
            })
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn flags_are_read_as_pflag_reads_them() {
        let table: &[(&[&str], &[&str])] = &[
            (&["-dt", "img"], &["--detach", "--tty", "--", "img"]),
            (&["-d", "--detach=false", "img"], &["--", "img"]),
            (&["--detach=f", "-d=T"], &["--detach"]),
            (&["--sig-proxy=false"], &["--sig-proxy=false"]),
            (&["--sig-proxy"], &["--sig-proxy=true"]),
            (&["--name", "-x"], &["--name=-x"]),
            (&["--name=a", "--name", "b"], &["--name=b"]),
            (&["-eA=1,2", "-e", "B", "-e=C"], &["--env=A=1,2", "--env=B", "--env=C"]),
            (
                &["--cap-add", "A,B", "--caps=\"C,D\",E"],
                &["--cap-add=A", "--cap-add=B", "--cap-add=C,D", "--cap-add=E"],
            ),
            (&["-h", "box"], &["--hostname=box"]),
            (&["-dthbox"], &["--detach", "--tty", "--hostname=box"]),
            (&["a", "-d", "--", "-t"], &["--detach", "--", "a", "-t"]),
            (&["--log-level", "debug", "-"], &["--", "-", "G--log-level=debug"]),
            (&["--disable-content-trust=true", "x"], &["--", "x"]),
            (&["--help"], &["HELP"]),
        ];
        for (line, expected) in table {
            assert_eq!(read(line, Order::Mixed).unwrap(), *expected, "{line:?}");
        }
    }

    #[test]
    fn flags_end_at_the_first_argument_where_asked() {
        let line = ["-d", "img", "-t", "--help", "--", "x"];
        assert_eq!(read(&line, Order::FlagsFirst).unwrap(), ["--detach", "--", "img", "-t", "--help", "--", "x"]);
        assert_eq!(read(&["--", "-d"], Order::FlagsFirst).unwrap(), ["--", "-d"]);
        assert_eq!(read(&["-x", "--help", "--"], Order::Verbatim).unwrap(), ["--", "-x", "--help", "--"]);
    }

    #[test]
    fn wrong_flags_are_named_as_pflag_names_them() {
        let table: &[(&[&str], &str)] = &[
            (&["--foo"], "unknown flag: --foo"),
            (&["-dx"], "unknown shorthand flag: 'x' in -x"),
            (&["--name"], "flag needs an argument: --name"),
            (&["-de"], "flag needs an argument: 'e' in -e"),
            (
                &["-d=zz"],
                "invalid argument \"zz\" for \"-d, --detach\" flag: strconv.ParseBool: parsing \"zz\": invalid syntax",
            ),
            (
                &["--disable-content-trust=maybe"],
                "invalid argument \"maybe\" for \"--disable-content-trust\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
            ),
            (&["--=x"], "bad flag syntax: --=x"),
            (&["--rdt-class", "x"], "--rdt-class is not supported by creel yet"),
        ];
        for (line, expected) in table {
            let error = read(line, Order::Mixed).unwrap_err();
            assert!(error.starts_with(expected), "{line:?}: {error}");
        }
    }
}
