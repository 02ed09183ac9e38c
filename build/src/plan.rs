//! What has to be done for the stage that is wanted, as a pure value: no disk, no clock, no kernel.

use std::collections::{BTreeMap, BTreeSet};

use crate::containerfile::{Containerfile, Stage};
use crate::error::Problem;
use crate::instruction::{Argument, Instruction};
use crate::words;

/// The stages that are carried out, in order, and what each is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Numbers of stages; the last one is the image that is wanted.
    pub(crate) order: Vec<usize>,
    /// By number of stage.
    pub(crate) bases: Vec<Base>,
    /// What every stage sees with `ARG NAME`: arguments before the first FROM with their values.
    pub(crate) globals: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// `scratch`: nothing.
    Scratch,
    Stage(usize),
    Image(String),
}

/// What the caller has to say to a plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// Name or number of the stage to stop at; the last one where `None`.
    pub(crate) target: Option<&'a str>,
    /// `--build-arg`.
    pub(crate) arguments: BTreeMap<String, String>,
    /// Arguments that are there without being given: the platforms.
    pub(crate) predefined: BTreeMap<String, String>,
    /// Another image for the first FROM.
    pub(crate) from: Option<&'a str>,
    /// Stages that nothing needs are carried out too.
    pub(crate) every_stage: bool,
}

/// What is wrong is said with the line of the FROM.
pub(crate) fn plan(file: &Containerfile, wanted: &Wanted<'_>) -> Result<Plan, Problem> {
    let globals = globals(file, wanted)?;
    let lookup = |name: &str| globals.get(name).cloned().or_else(|| wanted.predefined.get(name).cloned());
    let mut bases = Vec::with_capacity(file.stages.len());
    for (number, stage) in file.stages.iter().enumerate() {
        let typed = match wanted.from {
            Some(from) if number == 0 => from.to_owned(),
            _ => words::expand(&stage.base, file.escape, &lookup).map_err(|what| Problem::at(stage.line, what))?,
        };
        if typed.is_empty() {
            let what = format!("FROM {}: the name is empty once its variables are replaced", stage.base);
            return Err(Problem::at(stage.line, what));
        }
        bases.push(match stage_named(&file.stages[..number], &typed, Numbers::AreNames) {
            Some(earlier) => Base::Stage(earlier),
            None if typed == "scratch" => Base::Scratch,
            None => Base::Image(typed),
        });
    }
    let target = match wanted.target {
        None => file.stages.len() - 1,
        Some(name) => stage_named(&file.stages, name, Numbers::Count).ok_or_else(|| {
            let names: Vec<&str> = file.stages.iter().filter_map(|stage| stage.name.as_deref()).collect();
            let problem = Problem::at(0, format!("the target \"{name}\" was not found in the provided Dockerfile"));
            problem.meant(crate::instruction::meant(name, &names))
        })?,
    };
    let order = match wanted.every_stage {
        true => (0..=target).collect(),
        false => needed(file, &bases, target).into_iter().collect(),
    };
    Ok(Plan { order, bases, globals })
}

/// Whether a number means the stage of that number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    Count,
    AreNames,
}

/// Which of these stages is meant; names do not know capitals.
pub(crate) fn stage_named(stages: &[Stage], name: &str, numbers: Numbers) -> Option<usize> {
    let small = name.to_lowercase();
    let named = stages.iter().rposition(|stage| stage.name.as_deref() == Some(&small));
    let number = || name.parse().ok().filter(|number| numbers == Numbers::Count && *number < stages.len());
    named.or_else(number)
}

/// The stage and everything below it and copied from, by number.
fn needed(file: &Containerfile, bases: &[Base], target: usize) -> BTreeSet<usize> {
    let mut needed = BTreeSet::new();
    let mut open = vec![target];
    while let Some(number) = open.pop() {
        if !needed.insert(number) {
            continue;
        }
        if let Base::Stage(earlier) = bases[number] {
            open.push(earlier);
        }
        let stages = &file.stages[..number];
        for step in &file.stages[number].steps {
            let sources = sources(&step.instruction);
            open.extend(sources.filter_map(|name| stage_named(stages, &name, Numbers::Count)));
        }
    }
    needed
}

/// Stages or images that a step reads from.
fn sources(instruction: &Instruction) -> impl Iterator<Item = String> {
    let found: Vec<String> = match instruction {
        Instruction::Copy(copy) => copy.from.clone().into_iter().collect(),
        Instruction::Run(run) => run.mounts.iter().filter_map(|options| mounted_from(options)).collect(),
        _ => Vec::new(),
    };
    found.into_iter()
}

/// `from=` of a `--mount`.
pub(crate) fn mounted_from(options: &str) -> Option<String> {
    options.split(',').find_map(|option| option.strip_prefix("from=")).map(str::to_owned)
}

/// ARG before the first FROM, each with what the caller gave or its default, which may use those before it.
fn globals(file: &Containerfile, wanted: &Wanted<'_>) -> Result<BTreeMap<String, String>, Problem> {
    let mut globals = BTreeMap::new();
    for Argument { name, default } in &file.arguments {
        let lookup = |name: &str| globals.get(name).cloned().or_else(|| wanted.predefined.get(name).cloned());
        let value = match (wanted.arguments.get(name), default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => {
                let line = file.stages.first().map_or(1, |stage| stage.line);
                Some(words::expand(default, file.escape, &lookup).map_err(|what| Problem::at(line, what))?)
            }
            (None, None) => wanted.predefined.get(name).cloned(),
        };
        if let Some(value) = value {
            globals.insert(name.clone(), value);
        }
    }
    Ok(globals)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(text: &str, wanted: &Wanted<'_>) -> Result<Plan, Problem> {
        plan(&Containerfile::parse(text).unwrap(), wanted)
    }

    const STAGES: &str = "FROM a AS one\nFROM b AS two\nFROM one AS three\nRUN --mount=type=bind,from=0,target=/x true\n\
                          FROM scratch\nCOPY --from=THREE x y\nCOPY --from=elsewhere x y\n";

    #[test]
    fn only_what_is_needed_is_planned() {
        let plan = planned(STAGES, &Wanted::default()).unwrap();
        assert_eq!(plan.order, [0, 2, 3]);
        assert_eq!(plan.bases, [Base::Image("a".into()), Base::Image("b".into()), Base::Stage(0), Base::Scratch]);
        let order =
            |target| planned(STAGES, &Wanted { target: Some(target), ..Wanted::default() }).map(|plan| plan.order);
        assert_eq!(order("two"), Ok(vec![1]));
        assert_eq!(order("2"), Ok(vec![0, 2]));
        assert_eq!(planned(STAGES, &Wanted { every_stage: true, ..Wanted::default() }).unwrap().order, [0, 1, 2, 3]);
        let problem = order("thre").unwrap_err();
        assert!(problem.what.contains("\"thre\" was not found"), "{}", problem.what);
        assert_eq!(problem.meant.as_deref(), Some("three"));
    }

    #[test]
    fn arguments_before_the_first_from_choose_images() {
        let text = "ARG T=1\nARG N=box:${T}\nFROM ${N}\nFROM other:$T\n";
        let base = |wanted: &Wanted<'_>| planned(text, wanted).map(|plan| plan.bases);
        let image = |name: &str| Base::Image(name.to_owned());
        assert_eq!(base(&Wanted::default()), Ok(vec![image("box:1"), image("other:1")]));
        let arguments = BTreeMap::from([("T".to_owned(), "2".to_owned())]);
        assert_eq!(base(&Wanted { arguments, ..Wanted::default() }), Ok(vec![image("box:2"), image("other:2")]));
        assert_eq!(base(&Wanted { from: Some("new"), ..Wanted::default() }), Ok(vec![image("new"), image("other:1")]));
        assert_eq!(planned("FROM $NOPE\n", &Wanted::default()).unwrap_err().line, 1);
    }
}
