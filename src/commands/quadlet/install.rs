//! `creel quadlet install`

use std::fs;
use std::path::{Path, PathBuf};

use units::quadlet::Kind;

use super::search;
use crate::arguments::go_quote;
use crate::commands::kube;
use crate::context::Context;
use crate::error::{ExitCode, Failure, on_path};
use crate::{output, systemctl};

/// Put Quadlets where systemd's generator finds them
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Have systemd read its units again
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    reload_systemd: bool,
    /// Put them in the place of those that are there
    #[arg(short, long)]
    replace: bool,
    /// A Quadlet, a directory or a file of many (.quadlets), by path or URL; then other files that belong to it
    #[arg(value_name = "QUADLET-PATH-OR-URL [FILES-PATH-OR-URL...]")]
    files: Vec<String>,
}

/// One file that is to be installed.
struct File {
    name: String,
    content: Vec<u8>,
}

pub fn run(_: &Context, args: Args) -> Result<ExitCode, Failure> {
    let Some((first, others)) = args.files.split_first() else {
        return Err(Failure::plain("must provide at least one argument"));
    };
    let directory = search::install_directory()?;
    fs::create_dir_all(&directory).map_err(on_path("mkdir", &directory))?;
    let (application, wanted) = read_first(first)?;
    let mut failed = false;
    let mut report = |path: &str, failure: Failure| {
        output::note(&format!("Error: quadlet {} failed to install: {failure}", go_quote(path)));
        failed = true;
    };
    let mut installed = Vec::new();
    let all = wanted.into_iter().chain(others.iter().map(|path| (path.clone(), read(path))));
    for (path, files) in all {
        let put = files.and_then(|files| {
            files.into_iter().try_for_each(|file| {
                let target = put(&directory, &file, args.replace)?;
                installed.push(file.name);
                output::line(target.display())
            })
        });
        if let Err(failure) = put {
            report(&path, failure);
        }
    }
    if let Some(application) = application.filter(|_| !installed.is_empty()) {
        let path = directory.join(format!(".{application}.app"));
        let list = installed.iter().map(|name| format!("{name}\n")).collect::<String>();
        fs::write(&path, list).map_err(on_path("write", &path))?;
    }
    if args.reload_systemd && !installed.is_empty() {
        reload()?;
    }
    match failed {
        true => Err(Failure::plain("errors occurred installing some Quadlets")),
        false => Ok(ExitCode::Success),
    }
}

/// systemd learns of what was done, or the caller of why it did not.
pub(super) fn reload() -> Result<(), Failure> {
    systemctl::reload().map_err(|why| {
        Failure::plain(format!("reloading systemd: {why}"))
            .hint("the files are in place; `systemctl --user daemon-reload` makes units of them, or --reload-systemd=false keeps systemd out of it")
    })
}

type Read = (String, Result<Vec<File>, Failure>);

/// What the first word means: the name of the application that its files belong to, and the files.
fn read_first(first: &str) -> Result<(Option<String>, Vec<Read>), Failure> {
    let path = Path::new(first);
    if is_url(first) {
        return Ok((Some(file_name(first)), vec![(first.to_owned(), read_quadlets(first))]));
    }
    let data = fs::metadata(path).map_err(|error| {
        let failure = on_path("stat", path)(error);
        failure.context(format!("unable to stat Quadlet path {first}"))
    })?;
    if !data.is_dir() {
        let name = file_name(first);
        let application = name.strip_suffix(".quadlets").unwrap_or(&name).to_owned();
        return Ok((Some(application), vec![(first.to_owned(), read_quadlets(first))]));
    }
    let mut entries: Vec<PathBuf> =
        fs::read_dir(path).map_err(on_path("open", path))?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    let name = fs::canonicalize(path)?.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let files = entries.into_iter().map(|entry| {
        let shown = entry.display().to_string();
        let files = match entry.is_file() {
            true => read(&shown),
            false => Err(Failure::plain(format!("quadlet to install {} is not a file", go_quote(&shown)))),
        };
        (shown, files)
    });
    Ok((Some(name), files.collect()))
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

fn file_name(path: &str) -> String {
    let path = if is_url(path) { path.split(['?', '#']).next().unwrap_or(path) } else { path };
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path).to_owned()
}

/// The first file must be a Quadlet or a file of several.
fn read_quadlets(path: &str) -> Result<Vec<File>, Failure> {
    let name = file_name(path);
    if Kind::of(&name).is_none() && !name.ends_with(".quadlets") {
        let extension = name.rsplit_once('.').map(|(_, extension)| format!(".{extension}")).unwrap_or_default();
        return Err(Failure::plain(format!("{} is not a supported Quadlet file type", go_quote(&extension))));
    }
    read(path)
}

fn read(path: &str) -> Result<Vec<File>, Failure> {
    let content = match is_url(path) {
        true => kube::fetch(path).map_err(|failure| failure.context(format!("unable to download URL {path}")))?,
        false => fs::read(path).map_err(on_path("open", path))?,
    };
    let name = file_name(path);
    match name.ends_with(".quadlets") {
        true => parts(&String::from_utf8_lossy(&content)),
        false => Ok(vec![File { name, content }]),
    }
}

/// Of a file `.quadlets`: between lines `---`, each with `# FileName=`.
fn parts(text: &str) -> Result<Vec<File>, Failure> {
    let mut files = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (index, part) in lines.split(|line| line.trim() == "---").enumerate() {
        if part.iter().all(|line| line.trim().is_empty()) {
            continue;
        }
        let name = part.iter().find_map(|line| line.trim().strip_prefix('#')?.trim_start().strip_prefix("FileName="));
        let Some(name) = name.map(str::trim).filter(|name| !name.is_empty()) else {
            return Err(Failure::plain(format!(
                "missing required '# FileName=<name>' comment in section {}",
                index + 1
            )));
        };
        if name.contains('/') || name.starts_with('.') {
            return Err(Failure::plain(format!("FileName '{name}' in section {} is no name of a file", index + 1)));
        }
        let sections = part.iter().filter_map(|line| line.trim().strip_prefix('[')?.strip_suffix(']'));
        let kind =
            sections.into_iter().find_map(|section| Kind::ALL.into_iter().find(|kind| kind.section() == section));
        let Some(kind) = kind else {
            return Err(Failure::plain(format!(
                "section {} of the file has no section of a Quadlet, as [Container]",
                index + 1
            )));
        };
        let content = part.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes();
        files.push(File { name: format!("{name}.{}", kind.extension()), content });
    }
    match files.is_empty() {
        true => Err(Failure::plain("no valid quadlet sections found in file")),
        false => Ok(files),
    }
}

/// Written beside and renamed; without `replace` nothing is overwritten.
fn put(directory: &Path, file: &File, replace: bool) -> Result<PathBuf, Failure> {
    let target = directory.join(&file.name);
    let beside = directory.join(format!(".{}.{}", file.name, std::process::id()));
    fs::write(&beside, &file.content).map_err(on_path("write", &beside))?;
    let placed = if replace { fs::rename(&beside, &target) } else { fs::hard_link(&beside, &target) };
    let _ = fs::remove_file(&beside);
    placed.map(|()| target).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::plain(format!("a Quadlet with name {} already exists, refusing to overwrite", file.name))
                .hint("--replace overwrites it")
        }
        _ => on_path("write", directory.join(&file.name))(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_many_has_names_for_all() {
        let files = parts("# FileName=a\n[Container]\nImage=x\n---\n#FileName=b\n[Volume]\n---\n").expect("two files");
        let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["a.container", "b.volume"]);
        assert_eq!(files[0].content, b"# FileName=a\n[Container]\nImage=x\n");
        for wrong in ["[Container]\n", "# FileName=../x\n[Container]\n", "# FileName=a\n[Service]\n", "\n---\n"] {
            assert!(parts(wrong).is_err(), "{wrong:?}");
        }
    }
}
