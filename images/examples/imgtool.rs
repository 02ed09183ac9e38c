//! Drives the images crate from a shell, for its tests: `imgtool ROOT COMMAND ARGS...`, inside a user namespace.

use std::path::Path;
use std::process::ExitCode;

use images::{
    ImportOptions, LoadOptions, LoginOptions, Places, Progress, PruneOptions, PullOptions, PullPolicy, PushOptions,
    RemoveOptions, SaveOptions, SaveTarget,
};
use storage::{Dirs, Store, StoreOptions};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().map(String::as_str) == Some(images::WORKER) {
        return images::pull_worker();
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a command")]
fn print_error(error: &dyn std::error::Error) {
    eprintln!("Error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  caused by: {cause}");
        source = cause.source();
    }
}

#[expect(clippy::print_stdout, reason = "a command")]
fn run(arguments: &[String]) -> images::Result<()> {
    let (root, command, rest) = match arguments {
        [root, command, rest @ ..] => (Path::new(root), command.as_str(), rest),
        _ => (Path::new("."), "", [].as_slice()),
    };
    let dirs = Dirs { root: root.join("root"), runroot: root.join("run"), tmp: "/var/tmp".into() };
    let store = Store::open(dirs, StoreOptions::default())?;
    let (flags, words): (Vec<&str>, Vec<&str>) =
        rest.iter().map(String::as_str).partition(|word| word.starts_with("--"));
    let flag =
        |name: &str| flags.iter().find_map(|flag| flag.strip_prefix("--")?.strip_prefix(name)?.strip_prefix('='));
    let has = |name: &str| flags.iter().any(|flag| flag.strip_prefix("--") == Some(name));
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    let mut pull = PullOptions { policy: PullPolicy::Always, ..PullOptions::default() };
    pull.tls_verify = flag("tls-verify").map(|value| value == "true");
    pull.creds = flag("creds")
        .and_then(|creds| creds.split_once(':'))
        .map(|(user, password)| images::Credentials { user: user.to_owned(), password: password.to_owned() });
    pull.authfile = flag("authfile").map(Into::into);
    pull.cert_dir = flag("cert-dir").map(Into::into);
    pull.platform = flag("platform").map(str::parse).transpose()?;
    pull.policy = flag("policy").map_or(Ok(PullPolicy::Always), str::parse)?;
    pull.all_tags = has("all-tags");
    if has("quiet") {
        pull.progress = Progress::Quiet;
    }
    let nobody = || Ok::<_, images::Error>(Vec::new());
    match command {
        "pull" => {
            for pulled in images::pull(&store, word(0), &pull)? {
                println!("{} {}", pulled.image.id, pulled.changed);
            }
        }
        "list" => {
            for image in images::list(&store)? {
                println!("{} {} {} {}", image.short_id(), image.names.join(","), image.layers.len(), image.size);
            }
        }
        "find" => println!("{}", images::get(&store, word(0))?.id),
        "inspect" => println!("{:#}", about(&images::get(&store, word(0))?)),
        "history" => {
            for row in images::history(&store, &images::get(&store, word(0))?)? {
                println!("{row:?}");
            }
        }
        "tree" => {
            for row in images::tree(&store, &images::get(&store, word(0))?)? {
                println!("{row:?}");
            }
        }
        "load" => {
            for name in images::load(
                &store,
                Path::new(word(0)),
                &LoadOptions { progress: pull.progress, ..LoadOptions::default() },
            )? {
                println!("Loaded image: {name}");
            }
        }
        "search" => {
            let options = images::SearchOptions { tls_verify: pull.tls_verify, ..images::SearchOptions::default() };
            for found in images::search(word(0), &options)? {
                println!("{} {} {} {}", found.index, found.name, found.stars, found.description);
            }
        }
        "embedded" => println!("{}", images::embedded::ensure(&store)?.id),
        "tag" => images::tag(&store, word(0), &words[1..])?,
        "untag" => images::untag(&store, word(0), &words[1..])?,
        "rmi" => {
            let options = RemoveOptions {
                force: has("force"),
                ignore: has("ignore"),
                all: has("all"),
                no_prune: has("no-prune"),
            };
            let removed = images::remove(&store, &words, &options, nobody)?;
            removed.untagged.iter().for_each(|name| println!("Untagged: {name}"));
            removed.deleted.iter().for_each(|id| println!("Deleted: {id}"));
            if let Some(error) = removed.errors.into_iter().next() {
                return Err(error);
            }
        }
        "prune" => {
            let options = PruneOptions { all: has("all"), ..PruneOptions::default() };
            let pruned = images::prune(&store, &options, nobody)?;
            println!("{:?} {}", pruned.deleted, pruned.reclaimed);
        }
        "collect" => println!("{}", images::collect_garbage(&store)?),
        "push" => {
            let options = PushOptions {
                tls_verify: pull.tls_verify,
                creds: pull.creds,
                authfile: pull.authfile,
                cert_dir: pull.cert_dir,
                format: flag("format").map(str::to_owned),
                compression_format: flag("compression-format").map(str::to_owned),
                digestfile: flag("digestfile").map(Into::into),
                ..PushOptions::default()
            };
            println!("{}", images::push(&store, word(0), words.get(1).copied(), &options)?);
        }
        "save" => {
            let options = SaveOptions {
                format: flag("format").unwrap_or_default().parse()?,
                multi_image: has("multi"),
                uncompressed: has("uncompressed"),
                compress: has("compress"),
                progress: Progress::Quiet,
            };
            match flag("output") {
                Some(path) => images::save(&store, &words, SaveTarget::Path(Path::new(path)), &options)?,
                None => images::save(&store, &words, SaveTarget::Stream(&mut std::io::stdout().lock()), &options)?,
            }
        }
        "import" => {
            let changes = flags.iter().filter_map(|flag| flag.strip_prefix("--change=")).map(str::to_owned).collect();
            let options = ImportOptions { changes, ..ImportOptions::default() };
            println!("{}", images::import(&store, word(0), words.get(1).copied(), &options)?.id);
        }
        "commit" => {
            let base = images::get(&store, word(0))?;
            let content = match has("tree") {
                true => images::Content::Tree(Path::new(word(1))),
                false => images::Content::Upper(Path::new(word(1))),
            };
            let mut request = images::CommitRequest::new(Some(&base), content);
            request.changes =
                flags.iter().filter_map(|flag| flag.strip_prefix("--change=")).map(str::to_owned).collect();
            request.created_by = "test".to_owned();
            request.names = words.get(2).map(|name| (*name).to_owned()).into_iter().collect();
            request.squash = if has("squash") { images::Squash::All } else { images::Squash::No };
            request.format = if has("docker") { images::Format::Docker } else { images::Format::Oci };
            println!("{}", images::commit(&store, request)?.id);
        }
        "login" | "logout" | "get-login" => {
            let options = LoginOptions {
                authfile: pull.authfile,
                tls_verify: pull.tls_verify,
                cert_dir: pull.cert_dir,
                username: flag("username").map(str::to_owned),
                password: flag("password").map(str::to_owned),
                places: Places::from_environment(),
                ..LoginOptions::default()
            };
            match command {
                "login" => images::login(words.first().copied(), &options)?,
                "logout" => images::logout(words.first().copied(), &options)?,
                _ => println!("{}", images::get_login(words.first().copied(), &options)?),
            }
        }
        other => println!("unknown command {other:?}"),
    }
    Ok(())
}

fn about(image: &images::Image) -> serde_json::Value {
    serde_json::json!({
        "Id": image.id,
        "Digest": image.digest.to_string(),
        "RepoTags": image.names,
        "RepoDigests": image.repo_digests,
        "Configuration": image.raw_config,
        "Manifest": image.raw_manifest,
    })
}
