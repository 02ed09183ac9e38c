//! What steps say of the image's settings, and the variables they are read with.

use std::path::Path;

use images::Empty;

use super::{PROXIES, Stage, Work};
use crate::containerfile::Step;
use crate::error::{Error, Result};
use crate::instruction::{Argument, Instruction};
use crate::words;

impl Stage<'_, '_> {
    /// Takes over what the step says of the image's settings; what is left is work on files.
    pub(super) fn apply<'s>(&mut self, step: &'s Step) -> Result<Work<'s>> {
        let value = |stage: &Self, text: &str| stage.expand(text);
        match &step.instruction {
            Instruction::Run(run) => return Ok(Work::Run(run)),
            Instruction::Copy(copy) => return Ok(Work::Copy(copy)),
            Instruction::Arg(arguments) => {
                for argument in arguments {
                    self.declare(argument)?;
                }
            }
            Instruction::Env(pairs) => {
                // Every value of one instruction sees what was before it.
                let pairs: Vec<(String, String)> = pairs
                    .iter()
                    .map(|(name, text)| Ok((value(self, name)?, value(self, text)?)))
                    .collect::<Result<_>>()?;
                for (name, value) in pairs {
                    self.settings.set_variable(&name, &value);
                }
            }
            Instruction::Label(pairs) => {
                for (name, text) in pairs {
                    let (name, text) = (value(self, name)?, value(self, text)?);
                    self.settings.labels.insert(name, text);
                }
            }
            Instruction::Expose(ports) => {
                for port in ports {
                    for port in self.expand_words(port)? {
                        images::apply_change(&mut self.settings, &format!("EXPOSE {port}"))?;
                    }
                }
            }
            Instruction::Volume(paths) => {
                for path in paths {
                    let path = value(self, path)?;
                    self.settings.volumes.insert(path, Empty {});
                }
            }
            Instruction::User(text) => self.settings.user = value(self, text)?,
            Instruction::Workdir(text) => {
                let typed = value(self, text)?;
                let path = Path::new("/").join(&self.settings.working_dir).join(typed);
                let names = crate::pattern::names(&path);
                self.settings.working_dir = format!("/{}", names.join("/"));
            }
            Instruction::Stopsignal(text) => {
                let signal = value(self, text)?;
                if sys::signals::parse(&signal).is_none() {
                    return Err(Error::Invalid(format!("Invalid signal: {signal}")));
                }
                self.settings.stop_signal = signal;
            }
            Instruction::Maintainer(text) => self.author = Some(text.clone()),
            Instruction::Setting(text) => {
                let had = self.settings.cmd.clone();
                images::apply_change(&mut self.settings, text)?;
                // A new entry point forgets the command of the base, not one of this file.
                let of_base = self.base.as_ref().and_then(|base| base.settings.cmd.clone());
                if self.settings.cmd.is_none() && had != of_base && text.starts_with("ENTRYPOINT") {
                    self.settings.cmd = had;
                }
            }
        }
        Ok(Work::Nothing)
    }

    fn declare(&mut self, Argument { name, default }: &Argument) -> Result<()> {
        let build = &self.build;
        let value = match (build.options.arguments.get(name), default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => Some(self.expand(default)?),
            (None, None) => build.plan.globals.get(name).or_else(|| build.predefined.get(name)).cloned(),
        };
        self.unused.retain(|unused| unused != name);
        self.arguments.retain(|(known, _)| known != name);
        self.arguments.push((name.clone(), value));
        Ok(())
    }

    /// ENV first, then ARG.
    pub(super) fn lookup(&self, name: &str) -> Option<String> {
        let argument = || self.arguments.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.clone());
        self.settings.variable(name).map(str::to_owned).or_else(argument)
    }

    pub(super) fn expand(&self, text: &str) -> Result<String> {
        words::expand(text, self.build.file.escape, &|name| self.lookup(name)).map_err(Error::Invalid)
    }

    fn expand_words(&self, text: &str) -> Result<Vec<String>> {
        words::expand_words(text, self.build.file.escape, &|name| self.lookup(name)).map_err(Error::Invalid)
    }

    /// Declared arguments that have a value and that no ENV hides.
    pub(super) fn set_arguments(&self) -> impl Iterator<Item = (&str, &str)> {
        let hidden = |name: &str| self.settings.variable(name).is_some();
        let set = self.arguments.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)));
        set.filter(move |(name, _)| !hidden(name) && !PROXIES.contains(name))
    }

    pub(super) fn shell(&self) -> Vec<String> {
        match self.settings.shell.is_empty() {
            true => vec!["/bin/sh".to_owned(), "-c".to_owned()],
            false => self.settings.shell.clone(),
        }
    }
}
