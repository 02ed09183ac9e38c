//! RUN: a program in the stage's working container.

use std::path::{Path, PathBuf};

use containers::{ContainerSpec, ImageVolumes, LogConfig, LogDriver, Working};

use super::origin::Source;
use super::{PROXIES, Stage};
use crate::act::mounts::{Kind, Mount, Mounted, Origin};
use crate::error::{Error, Result};
use crate::instruction::{Command, Copy, Run};

impl Stage<'_, '_> {
    /// Carries out RUN.
    pub(super) fn run(&self, run: &Run, working: &mut Working<'_>) -> Result<()> {
        let options = self.build.options;
        let mut mounted = Mounted::default();
        for text in &run.mounts {
            let mount: Mount = self.expand(text)?.parse().map_err(Error::Invalid)?;
            self.mount(&mount, &mut mounted)?;
        }
        if options.discards_volumes {
            self.settings.volumes.keys().for_each(|path| mounted.discarded(path));
        }
        let command = self.command(run, &mut mounted)?;
        let mut env: Vec<(String, String)> = self
            .set_arguments()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .chain(PROXIES.iter().filter_map(|name| Some(((*name).to_owned(), options.arguments.get(*name)?.clone()))))
            .collect();
        env.extend(self.settings.env.iter().filter_map(|entry| {
            let (name, value) = entry.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        }));
        env.append(&mut mounted.env);
        let mut spec = ContainerSpec {
            command,
            entrypoint: Some(Vec::new()),
            env,
            user: Some(self.settings.user.clone()).filter(|user| !user.is_empty()),
            workdir: Some(self.settings.working_dir.clone()).filter(|path| !path.is_empty()),
            image_volumes: ImageVolumes::Ignore,
            log: LogConfig { driver: LogDriver::None, ..LogConfig::default() },
            no_healthcheck: true,
            stdin: options.streams.stdin,
            ..options.spec.clone()
        };
        spec.mounts.append(&mut mounted.mounts);
        if let Some(network) = &run.network {
            spec.network.mode = match network.as_str() {
                "default" => spec.network.mode,
                "none" => network::Mode::None,
                "host" => network::Mode::Host,
                other => {
                    return Err(Error::Invalid(format!("--network={other}: use default, none or host")));
                }
            };
        }
        let files = working.files()?;
        for path in self.settings.volumes.keys() {
            files.make_directory(Path::new(path), (0, 0))?;
        }
        drop(files);
        let code = working.run(spec, self.image.as_ref(), options.streams)?;
        drop(mounted);
        match code {
            0 => Ok(()),
            code => Err(Error::Exit { step: String::new(), code }),
        }
    }

    /// The words that are executed. A here-document alone is a script.
    fn command(&self, run: &Run, mounted: &mut Mounted) -> Result<Vec<String>> {
        let line = match &run.command {
            Command::Exec(words) => return Ok(words.clone()),
            Command::Shell(line) => line,
        };
        let mut shell = self.shell();
        if let [document] = run.heredocs.as_slice()
            && line.starts_with("<<")
            && !line.contains(char::is_whitespace)
        {
            if document.content.starts_with("#!") {
                let place = PathBuf::from("/dev/pipes").join(&document.name);
                mounted.script(&self.build.engine.store, &document.content, place.clone()).map_err(Error::Invalid)?;
                return Ok(vec![place.display().to_string()]);
            }
            shell.push(document.content.clone());
            return Ok(shell);
        }
        let documents: String = run.heredocs.iter().map(|doc| format!("\n{}{}", doc.content, doc.name)).collect();
        shell.push(format!("{line}{documents}{}", if documents.is_empty() { "" } else { "\n" }));
        Ok(shell)
    }

    fn mount(&self, mount: &Mount, mounted: &mut Mounted) -> Result<()> {
        let options = self.build.options;
        let store = &self.build.engine.store;
        let workdir = &self.settings.working_dir;
        let invalid = Error::Invalid;
        match mount.kind {
            Kind::Tmpfs => mounted.tmpfs(mount, workdir),
            Kind::Secret => mounted.secret(store, mount, options, workdir).map_err(invalid)?,
            Kind::Ssh => mounted.ssh(mount, options, workdir).map_err(invalid)?,
            Kind::Bind => {
                let origin = match &mount.from {
                    Some(from) => self.origin(from)?,
                    None => Source::Directory(&options.context),
                };
                match &origin {
                    Source::Directory(context) => {
                        mounted.bind(mount, &Origin::Directory(&context.path), workdir).map_err(invalid)?;
                    }
                    Source::Image(Some(image)) => {
                        mounted.bind(mount, &Origin::Image(&image.id), workdir).map_err(invalid)?;
                    }
                    Source::Image(None) => return Err(invalid("there is nothing in scratch to mount".to_owned())),
                }
            }
            Kind::Cache => match &mount.from {
                None => mounted.cache(store, mount, None, workdir)?,
                Some(from) => {
                    let copy = Copy { from: Some(from.clone()), ..Copy::default() };
                    self.with_origin(&copy, |tree| mounted.cache(store, mount, Some(tree.files), workdir))?;
                }
            },
        }
        Ok(())
    }
}
