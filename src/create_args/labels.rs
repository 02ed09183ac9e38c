//! Labels and annotations.

use std::collections::BTreeMap;

use super::{CreateArgs, Surroundings};
use crate::arguments::go_quote;
use crate::config::Config;
use crate::error::Failure;

pub fn labels(args: &CreateArgs, around: &Surroundings<'_>) -> Result<BTreeMap<String, String>, Failure> {
    let mut labels = BTreeMap::new();
    let mut add = |text: &str| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if key.is_empty() {
            return Err(Failure::plain(format!("unable to process labels: invalid label format: {}", go_quote(text))));
        }
        labels.insert(key.to_owned(), value.to_owned());
        Ok(())
    };
    for path in &args.label_file {
        let text = (around.read)(path)
            .map_err(|error| crate::error::on_path("open", path)(error).context("unable to process labels"))?;
        for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.split_once('=') {
                Some((name, _)) if name.contains(char::is_whitespace) => {
                    let name = go_quote(name);
                    return Err(Failure::plain(format!(
                        "unable to process labels: name {name} has white spaces, poorly formatted name"
                    )));
                }
                Some(_) => add(line)?,
                // As a variable without a value is taken from the environment, which has no labels.
                None => {}
            }
        }
    }
    for text in &args.label {
        add(text)?;
    }
    Ok(labels)
}

/// Those of containers.conf, and over them the typed ones.
pub fn annotations(texts: &[String], config: &Config) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(Failure::plain("annotations must be formatted KEY=VALUE")),
    };
    config.list("containers", "annotations").iter().chain(texts).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::translate;
    use super::*;

    #[test]
    fn labels_come_from_files_and_flags() {
        let spec = translate(&["--label-file", "/labels", "-l", "x=1", "-l", "q", "i"]).unwrap();
        let expected = [("q", ""), ("x", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(spec.labels, BTreeMap::from(expected));
    }
}
