//! Two plans beside each other: what a play would make, change and leave alone.

use serde_json::Value;

use crate::generate::yaml;
use crate::plan::{Kind, Meta, ObjectId, Plan};

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Created,
    Configured,
    Unchanged,
}

impl Change {
    /// kubectl's word.
    pub fn word(self) -> &'static str {
        match self {
            Change::Created => "created",
            Change::Configured => "configured",
            Change::Unchanged => "unchanged",
        }
    }
}

/// One object, and its manifest before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectChange {
    pub id: ObjectId,
    pub change: Change,
    pub before: Option<Value>,
    pub after: Value,
}

/// `before` are the headers of what is stored, by the plan's ids. In the order in which things are made.
pub(crate) fn changes(before: &[Meta], plan: &Plan) -> Vec<ObjectChange> {
    plan.metas()
        .map(|meta| {
            let old = before.iter().find(|old| old.id == meta.id);
            let change = match old {
                None => Change::Created,
                Some(old) if old.hash == meta.hash => Change::Unchanged,
                Some(_) => Change::Configured,
            };
            let before = old.map(|old| old.manifest.clone());
            ObjectChange { id: meta.id.clone(), change, before, after: meta.manifest.clone() }
        })
        .collect()
}

impl ObjectChange {
    /// kubectl's line: `deployment.apps/web configured (dry run)`.
    pub fn line(&self) -> String {
        format!("{} {} (dry run)", self.id.resource(), self.change.word())
    }

    /// The two manifests as a unified diff; empty where nothing changes. A Secret's values are not shown.
    pub fn diff(&self) -> String {
        let (mut before, mut after) = (self.before.clone(), self.after.clone());
        if self.id.kind == Kind::Secret {
            mask(before.as_mut(), &mut after);
        }
        let (before, after) = (before.as_ref().map(yaml::text).unwrap_or_default(), yaml::text(&after));
        if before == after {
            return String::new();
        }
        let name = self.id.to_string();
        let old = if self.before.is_some() { name.as_str() } else { "/dev/null" };
        format!("--- {old}\n+++ {name}\n{}", unified(&before, &after))
    }
}

/// Values become stars; those that differ say so.
fn mask(mut before: Option<&mut Value>, after: &mut Value) {
    let field = |value: Option<&Value>, name: &str| value?.get(name)?.as_object().cloned();
    for name in ["data", "stringData"] {
        let (old, new) = (field(before.as_deref(), name), field(Some(&*after), name));
        hide(before.as_deref_mut(), name, old.as_ref(), new.as_ref(), "*** (before)");
        hide(Some(&mut *after), name, new.as_ref(), old.as_ref(), "*** (after)");
    }
}

type Members = serde_json::Map<String, Value>;

fn hide(value: Option<&mut Value>, name: &str, own: Option<&Members>, other: Option<&Members>, changed: &str) {
    let (Some(value), Some(own)) = (value, own) else { return };
    for (key, text) in own {
        let same = other.and_then(|other| other.get(key)).is_none_or(|other| other == text);
        value[name][key] = Value::from(if same { "***" } else { changed });
    }
}

/// Lines with three lines around each change (diff(1), `-u`).
fn unified(before: &str, after: &str) -> String {
    const AROUND: usize = 3;
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let edits = edits(&old, &new);
    let changed: Vec<usize> = (0..edits.len()).filter(|index| edits[*index].0 != ' ').collect();
    let mut text = String::new();
    let mut next = 0;
    while let Some(first) = changed.get(next) {
        let mut last = *first;
        while let Some(index) = changed.get(next).filter(|index| **index <= last + 2 * AROUND) {
            last = *index;
            next += 1;
        }
        let (start, end) = (first.saturating_sub(AROUND), (last + AROUND + 1).min(edits.len()));
        let count = |edits: &[(char, &str)], sign: char| edits.iter().filter(|(other, _)| *other != sign).count();
        let (old_start, new_start) = (count(&edits[..start], '+'), count(&edits[..start], '-'));
        let (old_lines, new_lines) = (count(&edits[start..end], '+'), count(&edits[start..end], '-'));
        let line = |start: usize, lines: usize| if lines == 0 { start } else { start + 1 };
        text.push_str(&format!(
            "@@ -{},{old_lines} +{},{new_lines} @@\n",
            line(old_start, old_lines),
            line(new_start, new_lines)
        ));
        for (sign, line) in &edits[start..end] {
            text.push_str(&format!("{sign}{line}\n"));
        }
    }
    text
}

/// Each line with its sign: ` `, `-` or `+`. By the longest common subsequence between what begins and ends alike; where
/// that would cost too much, all of the middle is new.
fn edits<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    let head = old.iter().zip(new).take_while(|(left, right)| left == right).count();
    let rest = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(left, right)| left == right).count();
    let (left, right) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let mut edits: Vec<(char, &str)> = old[..head].iter().map(|line| (' ', *line)).collect();
    if left.len().saturating_mul(right.len()) > 4_000_000 {
        edits.extend(left.iter().map(|line| ('-', *line)));
        edits.extend(right.iter().map(|line| ('+', *line)));
    } else {
        // lengths[i][j]: of the longest common subsequence of left[i..] and right[j..].
        let width = right.len() + 1;
        let mut lengths = vec![0u32; (left.len() + 1) * width];
        for row in (0..left.len()).rev() {
            for column in (0..right.len()).rev() {
                lengths[row * width + column] = match left[row] == right[column] {
                    true => lengths[(row + 1) * width + column + 1] + 1,
                    false => lengths[(row + 1) * width + column].max(lengths[row * width + column + 1]),
                };
            }
        }
        let (mut row, mut column) = (0, 0);
        while row < left.len() || column < right.len() {
            if row < left.len() && column < right.len() && left[row] == right[column] {
                edits.push((' ', left[row]));
                (row, column) = (row + 1, column + 1);
            } else if column == right.len()
                || row < left.len() && lengths[(row + 1) * width + column] >= lengths[row * width + column + 1]
            {
                edits.push(('-', left[row]));
                row += 1;
            } else {
                edits.push(('+', right[column]));
                column += 1;
            }
        }
    }
    edits.extend(old[old.len() - tail..].iter().map(|line| (' ', *line)));
    edits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::planned;

    const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata: { k: '1', l: '2' }\n";

    #[test]
    fn the_same_file_changes_nothing() {
        let plan = planned(MAP);
        let before: Vec<Meta> = plan.metas().cloned().collect();
        let after = planned(&MAP.replace("metadata: { name: a }", "# moved\nmetadata:\n  name: a"));
        let lines: Vec<String> = changes(&before, &after).iter().map(|change| change.line()).collect();
        assert_eq!(lines, ["configmap/a unchanged (dry run)"]);
    }

    #[test]
    fn changes_are_named_and_shown() {
        let before: Vec<Meta> = planned(MAP).metas().cloned().collect();
        let after = planned(&format!("{}---\n{}", MAP.replace("'2'", "'3'"), MAP.replace("name: a", "name: c")));
        let changes = changes(&before, &after);
        let lines: Vec<String> = changes.iter().map(|change| change.line()).collect();
        assert_eq!(lines, ["configmap/a configured (dry run)", "configmap/c created (dry run)"]);
        let expected = "--- ConfigMap/a\n+++ ConfigMap/a\n@@ -1,7 +1,7 @@\n apiVersion: v1\n data:\n   k: \"1\"\n-  l: \"2\"\n+  l: \
                        \"3\"\n kind: ConfigMap\n metadata:\n   name: a\n";
        assert_eq!(changes[0].diff(), expected);
        assert!(changes[1].diff().starts_with("--- /dev/null\n+++ ConfigMap/c\n@@ -0,0 +1,7 @@\n+apiVersion"));
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = MAP.replace("ConfigMap", "Secret").replace("\ndata", "\nstringData");
        let before: Vec<Meta> = planned(&secret.replace("'1'", "topmost")).metas().cloned().collect();
        let diff = changes(&before, &planned(&secret))[0].diff();
        assert!(!diff.contains("topmost") && diff.contains("-  k: '*** (before)'\n+  k: '*** (after)'"), "{diff}");
    }

    #[test]
    fn edits_lead_from_one_text_to_the_other() {
        let mut seed = 7u32;
        let mut random = move |most: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % most
        };
        for _ in 0..200 {
            let mut lines = || (0..random(12)).map(|_| ["a", "b", "c"][random(3) as usize]).collect::<Vec<_>>();
            let (old, new) = (lines(), lines());
            let edits = edits(&old, &new);
            let side = |sign| edits.iter().filter(|(own, _)| *own != sign).map(|(_, line)| *line).collect::<Vec<_>>();
            assert_eq!((side('+'), side('-')), (old, new));
        }
    }
}
