//! The command line as pflag reads it, brought into the form clap reads.
//!
//! Scripts written for Podman rest on details of its flag parser that clap does not share: `--flag=false` for every
//! boolean, `--name -x` where the value begins with a dash, comma lists with CSV quoting next to flags that take each
//! value verbatim, parsing that stops at the image of `run`, and the texts of the errors. [`normalise`] applies those
//! rules using the flags that clap knows for the command, and hands clap a command line without ambiguity: every
//! value attached with `=`, every boolean in its last given state, and `--` before the positional arguments.

use clap::builder::ArgAction;
use clap::{Arg, Command};

use crate::error::Failure;

/// Where flag parsing ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Flags and arguments mix, until `--`.
    Mixed,
    /// The first positional argument ends the flags: what follows belongs to the container's command.
    FlagsFirst,
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

/// One flag that was found, before it is written out again.
struct Occurrence {
    id: String,
    text: String,
    global: bool,
    boolean: bool,
}

/// Sorts `args` by the flags of `command` and of `globals`. `command` must have its arguments.
pub fn normalise(
    command: &Command,
    globals: &Command,
    args: &[String],
    order: Order,
    tolerance: &Tolerance,
) -> Result<Normalised, Failure> {
    let mut found: Vec<Occurrence> = Vec::new();
    let mut positional: Vec<String> = Vec::new();
    let mut args = args.iter();
    let short_help = by_short(command, 'h').is_none();
    while let Some(arg) = args.next() {
        if arg == "--" {
            positional.extend(args.cloned());
            break;
        }
        if let Some(long) = arg.strip_prefix("--") {
            let (name, mut value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            if name.is_empty() || name.starts_with('-') {
                return Err(Failure::usage(format!("bad flag syntax: {arg}")));
            }
            if name == "help" {
                return Ok(Normalised { help: true, ..Normalised::default() });
            }
            let Some((flag, global)) = by_long(command, name)
                .map(|flag| (flag, false))
                .or_else(|| by_long(globals, name).map(|flag| (flag, true)))
            else {
                if tolerance.no_op.contains(&name) {
                    check_dropped(name, value.as_deref().unwrap_or("true"), true)?;
                    continue;
                }
                if tolerance.obsolete.contains(&name) {
                    let boolean = name == "oom-kill-disable";
                    let value = match value {
                        Some(value) => value,
                        None if boolean => "true".to_owned(),
                        None => args
                            .next()
                            .cloned()
                            .ok_or_else(|| Failure::usage(format!("flag needs an argument: --{name}")))?,
                    };
                    check_dropped(name, &value, boolean)?;
                    crate::output::warn(&format!("--{name} has no effect on cgroup v2 and is ignored"));
                    continue;
                }
                if tolerance.not_yet.contains(&name) {
                    return Err(Failure::plain(format!("--{name} is not supported by creel yet")));
                }
                let similar = nearest(name, long_names(command));
                let failure = Failure::usage(format!("unknown flag: --{name}"));
                return Err(match similar {
                    Some(similar) => failure.hint(format!("there is --{similar}")),
                    None => failure,
                });
            };
            if value.is_none() && !needs_no_value(flag) {
                value = Some(match args.next() {
                    Some(next) => next.clone(),
                    None => return Err(Failure::usage(format!("flag needs an argument: --{name}"))),
                });
            }
            push(&mut found, flag, global, value)?;
            continue;
        }
        if arg.len() > 1 && arg.starts_with('-') {
            let group = &arg[1..];
            for (at, short) in group.char_indices() {
                let Some((flag, global)) = by_short(command, short)
                    .map(|flag| (flag, false))
                    .or_else(|| by_short(globals, short).map(|flag| (flag, true)))
                else {
                    if short == 'h' && short_help {
                        return Ok(Normalised { help: true, ..Normalised::default() });
                    }
                    return Err(Failure::usage(format!("unknown shorthand flag: '{short}' in -{}", &group[at..])));
                };
                let rest = &group[at + short.len_utf8()..];
                if let Some(value) = rest.strip_prefix('=') {
                    push(&mut found, flag, global, Some(value.to_owned()))?;
                    break;
                }
                if needs_no_value(flag) {
                    push(&mut found, flag, global, None)?;
                    continue;
                }
                let value = if !rest.is_empty() {
                    rest.to_owned()
                } else {
                    match args.next() {
                        Some(next) => next.clone(),
                        None => {
                            let group = &group[at..];
                            return Err(Failure::usage(format!("flag needs an argument: '{short}' in -{group}")));
                        }
                    }
                };
                push(&mut found, flag, global, Some(value))?;
                break;
            }
            continue;
        }
        positional.push(arg.clone());
        if order == Order::FlagsFirst {
            positional.extend(args.cloned());
            break;
        }
    }

    let mut normalised = Normalised::default();
    for occurrence in found {
        let line = if occurrence.global { &mut normalised.global } else { &mut normalised.own };
        if !(occurrence.boolean && occurrence.text.is_empty()) {
            line.push(occurrence.text);
        }
    }
    if !positional.is_empty() {
        normalised.own.push("--".into());
        normalised.own.extend(positional);
    }
    Ok(normalised)
}

/// Adds one flag; a boolean replaces what was said of it before, a comma list becomes one entry for each element.
/// One flag as it was written, or several short ones in one word: their long names, and the words.
pub struct WrittenFlag {
    pub names: Vec<String>,
    pub words: Vec<String>,
}

/// The flags that these words begin with, and what comes after them. For a command line that was taken once: what is no flag of the command's ends them.
pub fn leading_flags<'a>(command: &Command, words: &'a [String]) -> (Vec<WrittenFlag>, &'a [String]) {
    let mut flags = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at).filter(|word| word.len() > 1 && word.starts_with('-') && *word != "--") {
        let (found, has_value) = match word.strip_prefix("--") {
            Some(long) => {
                let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
                (by_long(command, name).into_iter().collect(), value.is_some())
            }
            None => {
                let mut shorts: Vec<&Arg> = Vec::new();
                let mut has_value = false;
                for (index, short) in word[1..].char_indices() {
                    let Some(flag) = by_short(command, short) else { break };
                    shorts.push(flag);
                    if !needs_no_value(flag) {
                        has_value = index + short.len_utf8() < word.len() - 1;
                        break;
                    }
                }
                (shorts, has_value)
            }
        };
        let Some(last) = found.last() else { break };
        let count = if has_value || needs_no_value(last) { 1 } else { 2 };
        let names = found.iter().filter_map(|flag| flag.get_long()).map(str::to_owned).collect();
        let end = (at + count).min(words.len());
        flags.push(WrittenFlag { names, words: words[at..end].to_vec() });
        at = end;
    }
    let rest = if words.get(at).is_some_and(|word| word == "--") { at + 1 } else { at };
    (flags, &words[rest..])
}

fn push(found: &mut Vec<Occurrence>, flag: &Arg, global: bool, value: Option<String>) -> Result<(), Failure> {
    let id = flag.get_id().to_string();
    let name = flag.get_long().map(str::to_owned).unwrap_or_else(|| id.clone());
    if is_boolean(flag) {
        let value = match value {
            Some(value) => go_bool(&value).ok_or_else(|| {
                invalid(flag, &value, &format!("strconv.ParseBool: parsing {}: invalid syntax", go_quote(&value)))
            })?,
            None => true,
        };
        found.retain(|other| other.id != id || other.global != global);
        let text = match (flag.get_action(), value) {
            (ArgAction::SetTrue, true) => format!("--{name}"),
            (ArgAction::SetTrue, false) => String::new(),
            (_, value) => format!("--{name}={value}"),
        };
        found.push(Occurrence { id, text, global, boolean: true });
        return Ok(());
    }
    // `--pull` alone: clap knows what that stands for.
    let Some(value) = value else {
        found.retain(|other| other.id != id || other.global != global);
        found.push(Occurrence { id, text: format!("--{name}"), global, boolean: false });
        return Ok(());
    };
    match flag.get_action() {
        ArgAction::Append if flag.get_value_delimiter().is_some() => {
            for element in csv(&value).map_err(|problem| invalid(flag, &value, &problem))? {
                found.push(Occurrence { id: id.clone(), text: format!("--{name}={element}"), global, boolean: false });
            }
        }
        ArgAction::Append => found.push(Occurrence { id, text: format!("--{name}={value}"), global, boolean: false }),
        // The last one wins; no path at all is as good as no flag.
        _ => {
            found.retain(|other| other.id != id || other.global != global);
            if value.is_empty() && flag.get_value_parser().type_id() == std::any::TypeId::of::<std::path::PathBuf>() {
                return Ok(());
            }
            found.push(Occurrence { id, text: format!("--{name}={value}"), global, boolean: false });
        }
    }
    Ok(())
}

/// A flag without an effect is still read: a wrong value is a slip of whoever typed it.
fn check_dropped(name: &str, value: &str, boolean: bool) -> Result<(), Failure> {
    let why = match (boolean, name) {
        (true, _) if go_bool(value).is_none() => {
            format!("strconv.ParseBool: parsing {}: invalid syntax", go_quote(value))
        }
        (false, "cpu-rt-period") => number::u64(value).err().unwrap_or_default(),
        (false, "cpu-rt-runtime" | "memory-swappiness") => number::i64(value).err().unwrap_or_default(),
        _ => String::new(),
    };
    if why.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!("invalid argument {} for \"--{name}\" flag: {why}", go_quote(value))))
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

/// A text as Go's `%q` shows it.
pub fn go_quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The words Go's `strconv.ParseBool` knows.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// One line of CSV as Go's `encoding/csv` reads it: fields in double quotes may hold commas, doubled quotes a quote.
pub fn csv(line: &str) -> Result<Vec<String>, String> {
    if line.is_empty() {
        return Ok(Vec::new());
    }
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut tail = quoted;
            let after = loop {
                let Some(quote) = tail.find('"') else {
                    return Err(format!(
                        "parse error on line 1, column {}: extraneous or missing \" in quoted-field",
                        line.len() + 1
                    ));
                };
                field.push_str(&tail[..quote]);
                tail = &tail[quote + 1..];
                match tail.strip_prefix('"') {
                    Some(more) => {
                        field.push('"');
                        tail = more;
                    }
                    None => break tail,
                }
            };
            fields.push(field);
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None if after.is_empty() => return Ok(fields),
                None => {
                    let column = line.len() - after.len();
                    return Err(format!(
                        "parse error on line 1, column {column}: extraneous or missing \" in quoted-field"
                    ));
                }
            }
        } else {
            let (field, next) = match rest.split_once(',') {
                Some((field, next)) => (field, Some(next)),
                None => (rest, None),
            };
            if let Some(quote) = field.find('"') {
                let column = line.len() - rest.len() + quote + 1;
                return Err(format!("parse error on line 1, column {column}: bare \" in non-quoted-field"));
            }
            fields.push(field.to_owned());
            match next {
                Some(next) => rest = next,
                None => return Ok(fields),
            }
        }
    }
}

/// Value parsers for clap with the messages of Go's `strconv`.
pub mod number {
    use super::go_quote;

    fn wrong(function: &str, text: &str, out_of_range: bool) -> String {
        let why = if out_of_range { "value out of range" } else { "invalid syntax" };
        format!("strconv.{function}: parsing {}: {why}", go_quote(text))
    }

    fn integer<T: std::str::FromStr<Err = std::num::ParseIntError>>(function: &str, text: &str) -> Result<T, String> {
        text.parse::<T>().map_err(|error| {
            use std::num::IntErrorKind::{NegOverflow, PosOverflow};
            wrong(function, text, matches!(error.kind(), PosOverflow | NegOverflow))
        })
    }

    pub fn u64(text: &str) -> Result<u64, String> {
        integer("ParseUint", text)
    }

    pub fn u16(text: &str) -> Result<u16, String> {
        integer("ParseUint", text)
    }

    pub fn u32(text: &str) -> Result<u32, String> {
        integer("ParseUint", text)
    }

    pub fn i64(text: &str) -> Result<i64, String> {
        integer("ParseInt", text)
    }

    pub fn i32(text: &str) -> Result<i32, String> {
        integer("ParseInt", text)
    }

    pub fn f64(text: &str) -> Result<f64, String> {
        text.parse().map_err(|_| wrong("ParseFloat", text, false))
    }
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

fn long_names(command: &Command) -> impl Iterator<Item = &str> {
    command.get_arguments().filter_map(Arg::get_long)
}

/// The name that differs in at most two places, or that begins with what was typed.
pub fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (distance(typed, name), name))
        .filter(|&(distance, name)| distance <= 2 && distance * 2 <= name.len() || name.starts_with(typed))
        .min_by_key(|&(distance, name)| (!name.starts_with(typed), distance))
        .map(|(_, name)| name)
}

/// Levenshtein distance.
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// `requires at least N arg(s), only received M`, as cobra says it.
pub fn at_least(args: &[String], count: usize) -> Result<(), Failure> {
    if args.len() < count {
        return Err(Failure::plain(format!("requires at least {count} arg(s), only received {}", args.len())));
    }
    Ok(())
}

/// `accepts at most N arg(s), received M`.
pub fn at_most(args: &[String], count: usize) -> Result<(), Failure> {
    if args.len() > count {
        return Err(Failure::plain(format!("accepts at most {count} arg(s), received {}", args.len())));
    }
    Ok(())
}

/// `accepts N arg(s), received M`.
pub fn exactly(args: &[String], count: usize) -> Result<(), Failure> {
    if args.len() != count {
        return Err(Failure::plain(format!("accepts {count} arg(s), received {}", args.len())));
    }
    Ok(())
}

/// `accepts between N and M arg(s), received L`.
pub fn between(args: &[String], least: usize, most: usize) -> Result<(), Failure> {
    if args.len() < least || args.len() > most {
        return Err(Failure::plain(format!("accepts between {least} and {most} arg(s), received {}", args.len())));
    }
    Ok(())
}

/// For commands without arguments: `"creel X" takes no arguments`.
pub fn none(args: &[String], command: &str) -> Result<(), Failure> {
    if args.is_empty() { Ok(()) } else { Err(Failure::plain(format!("`creel {command}` takes no arguments"))) }
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

    #[test]
    fn comma_lists_follow_csv() {
        assert_eq!(csv("a,b").unwrap(), ["a", "b"]);
        assert_eq!(csv("").unwrap(), Vec::<String>::new());
        assert_eq!(csv("a,,b").unwrap(), ["a", "", "b"]);
        assert_eq!(csv("\"a,\"\"b\",c").unwrap(), ["a,\"b", "c"]);
        assert!(csv("a\"b").is_err());
        assert!(csv("\"a").is_err());
    }

    #[test]
    fn the_nearest_name_is_offered() {
        assert_eq!(nearest("runn", ["run", "rm", "ps"].into_iter()), Some("run"));
        assert_eq!(nearest("nam", ["name", "rm"].into_iter()), Some("name"));
        assert_eq!(nearest("zzzzz", ["run", "rm"].into_iter()), None);
    }
}
