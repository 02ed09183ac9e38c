//! What a step or a stage has come to is made an image, with its line in the history.

use std::collections::BTreeMap;

use containers::{Endpoint, Working};
use images::{CommitRequest, Content, HistoryEntry, Image};
use jiff::Timestamp;

use super::copy::split_urls;
use super::keys::CopyContent;
use super::{Stage, Work};
use crate::act::{Squash, Times};
use crate::containerfile::Step;
use crate::error::Result;
use crate::instruction::{Command, Instruction};

const CREATED: &str = "org.opencontainers.image.created";

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
        } else if options.squash == Squash::Steps {
            settings.labels.extend(options.layer_labels.iter().cloned());
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
        let created = options.times.created().and_then(|seconds| Timestamp::from_second(seconds).ok());
        let created = created.unwrap_or_else(Timestamp::now);
        request.created = Some(created);
        request.file_times = options.times.of_files();
        // Further steps have it from the image below them.
        request.platform = self.platform.clone().filter(|_| self.image.is_none());
        if is_image {
            request.os_version.clone_from(&options.os_version);
            request.os_features.clone_from(&options.os_features);
        }
        request.omits_history = is_image && options.omits_history;
        request.format = options.format;
        request.squash = squash;
        request.annotations = self.annotations(is_image, created);
        Ok(images::commit(store, request)?)
    }

    /// What the base had, what the image is from and since when, as the OCI has words for it, and the user's own.
    fn annotations(&self, is_image: bool, created: Timestamp) -> Vec<(String, String)> {
        let options = self.build.options;
        let mut all = BTreeMap::new();
        let base = self.base.as_ref().filter(|_| options.inherits_annotations);
        all.extend(base.map(Image::annotations).unwrap_or_default());
        if let (Some(base), Some(name)) = (base, &self.known_as) {
            all.insert("org.opencontainers.image.base.digest".to_owned(), base.digest.to_string());
            all.insert("org.opencontainers.image.base.name".to_owned(), name.clone());
        }
        // The base's time is not this image's.
        all.remove(CREATED);
        if options.annotates_creation {
            all.insert(CREATED.to_owned(), created.to_string());
        }
        if is_image {
            all.extend(options.annotations.iter().cloned());
            all.retain(|key, _| !options.unset_annotations.contains(key));
        }
        all.into_iter().collect()
    }

    pub(super) fn history(&self, created_by: String) -> HistoryEntry {
        let author = self.author.clone().unwrap_or_default();
        HistoryEntry { created_by, comment: String::new(), author }
    }

    /// What was done to the times of files, as the history has it.
    fn forced_times(&self) -> String {
        match self.build.options.times {
            Times::All(time) => format!("|force-mtime={time}"),
            Times::Epoch { seconds, rewrites_files: true } => format!("|clamp-mtime={seconds}"),
            Times::Now | Times::Epoch { .. } => String::new(),
        }
    }

    /// As Podman: files are in the history with their digest, not with their names.
    pub(super) fn history_line(&mut self, created_by: String, work: &Work<'_>) -> Result<String> {
        let Work::Copy(copy) = work else { return Ok(created_by) };
        let copy = self.expanded(copy)?;
        // To know its digest here would be to fetch it again.
        if !split_urls(&copy).0.is_empty() {
            return Ok(created_by);
        }
        let content = match self.content.take() {
            Some(content) => content,
            None => self.content_of(&copy)?,
        };
        let instruction = if copy.adds { "ADD" } else { "COPY" };
        let CopyContent { word, digest } = content;
        // The spaces are where other flags of the step would be.
        let rest = format!("{}     {} ", copy.destination, self.forced_times());
        Ok(format!("/bin/sh -c #(nop) {instruction} {word}:{digest} in {rest}"))
    }

    /// The step as it stands in the file: with the arguments that it sees.
    pub(super) fn created_by(&self, step: &Step, work: &Work<'_>) -> Result<String> {
        let times = self.forced_times();
        Ok(match work {
            Work::Run(run) => {
                let set: Vec<String> = self.set_arguments().map(|(name, value)| format!("{name}={value}")).collect();
                let given = if set.is_empty() { String::new() } else { format!("|{} {} ", set.len(), set.join(" ")) };
                let documents: String = run.heredocs.iter().map(|doc| doc.content.as_str()).collect();
                let documents = match documents.trim_end_matches('\n') {
                    "" => String::new(),
                    text => format!("\n{text}"),
                };
                let line = match &run.command {
                    Command::Shell(line) => line,
                    // As it stands there, in brackets.
                    Command::Exec(_) => step.text.split_once('[').map_or("", |(before, _)| &step.text[before.len()..]),
                };
                format!("{given}{} {line}{documents}{times}", self.shell().join(" "))
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
