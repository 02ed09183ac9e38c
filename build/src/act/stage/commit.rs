//! What a step or a stage has come to is made an image, with its line in the history.

use std::collections::BTreeMap;

use containers::{Endpoint, Working};
use images::{CommitRequest, Content, HistoryEntry, Image};
use jiff::Timestamp;

use super::super::Squash;
use super::{Stage, Work};
use crate::containerfile::Step;
use crate::error::Result;
use crate::instruction::{Command, Instruction};

impl Stage<'_, '_> {
    /// Makes an image of the settings and of what the working container has changed.
    pub(super) fn commit(
        &mut self,
        entry: HistoryEntry,
        working: Option<&Working<'_>>,
        is_image: bool,
    ) -> Result<Image> {
        let options = self.build.options;
        let store = &self.build.engine.store;
        let mut settings = self.settings.clone();
        if is_image {
            settings.env.retain(|entry| {
                let name = entry.split('=').next().unwrap_or_default();
                !options.unset_env.iter().any(|unset| unset == name)
            });
            settings.labels.retain(|label, _| !options.unset_labels.contains(label));
        }
        let squash = match is_image && options.squash == Squash::All {
            true => images::Squash::All,
            false => images::Squash::No,
        };
        let dir = working.map(Working::dir);
        let files = match (working, squash) {
            (Some(working), images::Squash::All) => Some(working.files()?),
            _ => None,
        };
        let root = files.as_ref().map(Endpoint::path);
        let has_changed = dir.as_ref().is_some_and(|dir| dir.join("upper").exists() || dir.join("rootfs").exists());
        let content = match (&root, &dir) {
            (Some(root), _) => Content::Tree(root),
            (None, Some(dir)) if has_changed => Content::Container(dir),
            (None, _) => Content::Nothing,
        };
        let base = self.image.as_ref();
        let mut request = CommitRequest::new(base, content);
        request.settings = Some(settings);
        request.created_by = entry.created_by;
        request.author = self.author.clone();
        request.history_before = std::mem::take(&mut self.pending);
        // Only what comes straight on the base is from it.
        let is_first = self.image.as_ref().map(|image| &image.id) == self.base.as_ref().map(|base| &base.id);
        request.from = self.known_as.clone().filter(|_| is_first);
        request.created = options.timestamp.and_then(|seconds| Timestamp::from_second(seconds).ok());
        request.file_times = options.timestamp;
        request.format = options.format;
        request.squash = squash;
        request.annotations = self.annotations(is_image);
        Ok(images::commit(store, request)?)
    }

    /// What the image is from, as the OCI has words for it, and the user's own.
    fn annotations(&self, is_image: bool) -> Vec<(String, String)> {
        let mut all = BTreeMap::new();
        if let (Some(base), Some(name)) = (&self.base, &self.known_as) {
            all.insert("org.opencontainers.image.base.digest".to_owned(), base.digest.to_string());
            all.insert("org.opencontainers.image.base.name".to_owned(), name.clone());
        }
        if is_image {
            all.extend(self.build.options.annotations.iter().cloned());
        }
        all.into_iter().collect()
    }

    pub(super) fn history(&self, created_by: String) -> HistoryEntry {
        let author = self.author.clone().unwrap_or_default();
        HistoryEntry { created_by, comment: String::new(), author }
    }

    /// The line of the history.
    pub(super) fn created_by(&self, step: &Step, work: &Work<'_>) -> Result<String> {
        let times = self.build.options.timestamp.map(|time| format!("|force-mtime={time}")).unwrap_or_default();
        Ok(match work {
            Work::Run(run) => {
                let set: Vec<String> = self.set_arguments().map(|(name, value)| format!("{name}={value}")).collect();
                let given = if set.is_empty() { String::new() } else { format!("|{} {} ", set.len(), set.join(" ")) };
                let documents: String =
                    run.heredocs.iter().map(|doc| format!("\n{}{}", doc.content, doc.name)).collect();
                let line = match &run.command {
                    Command::Shell(line) => format!("{} {line}", self.shell().join(" ")),
                    Command::Exec(words) => words.join(" "),
                };
                format!("{given}{line}{documents}{times}")
            }
            Work::Copy(_) | Work::Nothing => format!("/bin/sh -c #(nop) {}{times}", self.shown(step)),
        })
    }

    /// As the history has it: what an argument is by default is nobody's business.
    fn shown(&self, step: &Step) -> String {
        match &step.instruction {
            Instruction::Arg(arguments) => {
                let names: Vec<&str> = arguments.iter().map(|argument| argument.name.as_str()).collect();
                format!("ARG {}", names.join(" "))
            }
            _ => step.text.clone(),
        }
    }
}
