use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use images::Places;
use images::trust::{self, Requirement, Rule};

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Format, Headings, Value};
use crate::{help, object, output};

/// Show or set which registries are trusted: `show`, or `set REGISTRY`
#[derive(clap::Args)]
pub struct Args {
    /// show: as JSON
    #[arg(short, long)]
    json: bool,
    /// show: without headings
    #[arg(short, long)]
    noheading: bool,
    /// show: policy.json as it is
    #[arg(long)]
    raw: bool,
    /// set: a file with public keys
    #[arg(short = 'f', long, value_name = "FILE")]
    pubkeysfile: Vec<PathBuf>,
    /// set: signedBy, sigstoreSigned, accept or reject
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "signedBy")]
    kind: String,
    #[arg(value_name = "show | set REGISTRY")]
    words: Vec<String>,
}

const HEADINGS: Headings = &[("RepoName", "NAME"), ("GPGId", "ID"), ("SignatureStore", "STORE")];

const COMMANDS: [(&str, &str); 2] =
    [("set", "Set the policy of a registry, or that of all"), ("show", "Show which registries are trusted")];

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let places = Places::from_environment();
    match args.words.first().map(String::as_str) {
        Some("show") => {
            arguments::at_most(&args.words, 2)?;
            show(&args, &places)
        }
        Some("set") => set(&args, &places),
        Some(other) => {
            Err(Failure::plain(format!("unrecognized command `creel image trust {other}`"))
                .hint("there are show and set"))
        }
        None => {
            let members = COMMANDS.map(|(name, about)| (name.to_owned(), about.to_owned()));
            let path = format!("{} image trust", context.program());
            output::print(&help::of_group(
                &path,
                "Show or set which registries are trusted",
                &members,
                help::Paper::stdout(),
            ))?;
            Err(Failure::plain("missing command 'creel image trust COMMAND'"))
        }
    }
}

fn show(args: &Args, places: &Places) -> Result<ExitCode, Failure> {
    if args.raw {
        let text = trust::policy_text(places)?;
        return output::line(text.unwrap_or_else(|| "{}".to_owned())).map(|()| ExitCode::Success);
    }
    let mut rules = trust::rules(places)?;
    if rules.is_empty() {
        // As it is without any policy.json.
        let kind = "insecureAcceptAnything".to_owned();
        rules.push(Rule { transport: None, scope: String::new(), kind, keys: Vec::new() });
    }
    let rows: Vec<Value> = rules.iter().map(row).collect();
    if args.json {
        output::line(Value::List(rows).json_indented(2))?;
        return Ok(ExitCode::Success);
    }
    let layout = "table {{.Transport}}\t{{.RepoName}}\t{{.Type}}\t{{.GPGId}}\t{{.SignatureStore}}";
    output::print(&Format::parse("trust", layout)?.list(rows, HEADINGS, !args.noheading, 2)?)?;
    Ok(ExitCode::Success)
}

fn row(rule: &Rule) -> Value {
    let transport = match rule.transport.as_deref() {
        None => "all",
        Some("docker") => "repository",
        Some(other) => other,
    };
    let (name, shown) = match rule.transport {
        None => ("* (default)", "default"),
        Some(_) => (rule.scope.as_str(), rule.scope.as_str()),
    };
    let kind = match rule.kind.as_str() {
        "insecureAcceptAnything" => "accept",
        "signedBy" => "signed",
        other => other,
    };
    object! {
        "transport" as "Transport": transport,
        "name" as "Name"?: name,
        "repo_name" as "RepoName"?: shown,
        "type" as "Type": kind,
        "gpg_id" as "GPGId"?: rule.keys.iter().filter_map(|key| owners(key)).collect::<Vec<_>>().join(", "),
        fn "SignatureStore": "",
    }
}

/// Who the keys of a file belong to, as far as gpg says.
fn owners(keys: &Path) -> Option<String> {
    let output = Command::new("gpg")
        .args(["--batch", "--no-autostart", "--with-colons", "--show-keys", "--"])
        .arg(keys)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // uid:...:USER ID: the tenth field, see doc/DETAILS of GnuPG.
    let ids = text.lines().filter(|line| line.starts_with("uid:")).filter_map(|line| line.split(':').nth(9));
    let address = |id: &str| id.split_once('<').map_or(id, |(_, rest)| rest.trim_end_matches('>')).to_owned();
    let ids: Vec<String> = ids.map(address).collect();
    (!ids.is_empty()).then(|| ids.join(", "))
}

fn set(args: &Args, places: &Places) -> Result<ExitCode, Failure> {
    let [_, scope] = args.words.as_slice() else {
        return Err(Failure::plain(format!("accepts 1 arg(s), received {}", args.words.len().saturating_sub(1))));
    };
    let keys = || {
        if args.pubkeysfile.is_empty() {
            let kind = &args.kind;
            return Err(Failure::plain(format!("at least one public key must be defined for type '{kind}'")));
        }
        let whole = |path: &PathBuf| {
            std::fs::metadata(path).map_err(crate::error::on_path("stat", path))?;
            std::path::absolute(path).map_err(crate::error::on_path("resolve", path))
        };
        args.pubkeysfile.iter().map(whole).collect::<Result<Vec<_>, Failure>>()
    };
    let requirement = match args.kind.as_str() {
        "accept" => Requirement::Accept,
        "reject" => Requirement::Reject,
        "signedBy" => Requirement::SignedBy(keys()?),
        "sigstoreSigned" => Requirement::SigstoreSigned(keys()?),
        other => {
            return Err(Failure::plain(format!(
                "invalid choice: {other} (choose from 'accept', 'reject', 'signedBy', 'sigstoreSigned')"
            )));
        }
    };
    trust::set_rule(places, scope, &requirement)?;
    Ok(ExitCode::Success)
}
