//! The objects that words of the command line mean: `pods`, `deploy web`, `pod/a svc/b`, `pods,services`, `all`.

use std::collections::BTreeMap;

use containers::{Container, Engine, PodRole};
use kube_play::act::{self, Body, Object, Seen, Shelf};
use kube_play::{Kind, ObjectId, Selector};

use super::not_found;
use crate::error::Failure;

/// What `all` stands for.
const ALL: [Kind; 10] = [
    Kind::Pod,
    Kind::ReplicationController,
    Kind::Service,
    Kind::DaemonSet,
    Kind::Deployment,
    Kind::ReplicaSet,
    Kind::StatefulSet,
    Kind::HorizontalPodAutoscaler,
    Kind::CronJob,
    Kind::Job,
];

/// One object that is there.
pub enum Chosen {
    Stored(ObjectId, Box<Object>),
    Pod(Box<Seen>),
}

impl Chosen {
    pub fn id(&self) -> ObjectId {
        match self {
            Chosen::Stored(id, _) => id.clone(),
            Chosen::Pod(pod) => ObjectId::new(Kind::Pod, &pod.namespace, &pod.name),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Chosen::Stored(id, _) => &id.name,
            Chosen::Pod(pod) => &pod.name,
        }
    }

    pub fn labels(&self) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        match self {
            Chosen::Stored(_, object) => object.body.meta().map_or(&NONE, |meta| &meta.labels),
            Chosen::Pod(pod) => pod.labels(),
        }
    }
}

/// The kinds of the command line, each with the names that are asked for; none: all of that kind.
pub fn meant(words: &[String]) -> Result<Vec<(Kind, Vec<String>)>, Failure> {
    let kind = |word: &str| {
        Kind::typed(word).ok_or_else(|| {
            Failure::plain(format!("there is no kind of object called {word:?}")).hint("creel kube get --help")
        })
    };
    if words[0].contains('/') {
        let mut meant: Vec<(Kind, Vec<String>)> = Vec::new();
        for word in words {
            let (of, name) = word.split_once('/').ok_or_else(|| {
                Failure::plain(format!("there is no need to specify a kind beside KIND/NAME: {word:?} has none"))
            })?;
            let of = kind(of)?;
            match meant.iter_mut().find(|(known, _)| *known == of) {
                Some((_, names)) => names.push(name.to_owned()),
                None => meant.push((of, vec![name.to_owned()])),
            }
        }
        return Ok(meant);
    }
    let mut kinds = Vec::new();
    for word in words[0].split(',') {
        match word {
            "all" => kinds.extend(ALL),
            word => kinds.push(kind(word)?),
        }
    }
    Ok(kinds.into_iter().map(|kind| (kind, words[1..].to_vec())).collect())
}

/// All objects of a kind in a namespace. `seen` are all played pods.
pub fn of_kind(
    engine: &Engine,
    shelf: &Shelf,
    kind: Kind,
    namespace: &str,
    seen: &[Seen],
) -> Result<Vec<Chosen>, Failure> {
    if kind == Kind::Pod {
        let of_namespace = seen.iter().filter(|pod| pod.namespace == namespace);
        return Ok(of_namespace.cloned().map(Box::new).map(Chosen::Pod).collect());
    }
    if kind == Kind::Secret {
        let secrets = shelf.objects(engine)?.secrets.into_iter();
        let of_namespace = secrets.filter(|((of, _), _)| of == namespace);
        let shown = of_namespace
            .map(|(_, secret)| Chosen::Stored(secret.meta.id.clone(), Box::new(Object::new(Body::ConfigMap(secret)))));
        return Ok(shown.collect());
    }
    let place = if kind.global() { "" } else { namespace };
    let listed = shelf.list(place, kind)?.into_iter();
    Ok(listed.filter_map(|object| Some(Chosen::Stored(object.body.meta()?.id.clone(), Box::new(object)))).collect())
}

/// The object of that id, if it is there.
pub fn find(engine: &Engine, shelf: &Shelf, id: &ObjectId) -> Result<Option<Chosen>, Failure> {
    let seen = if id.kind == Kind::Pod { act::pods(engine)? } else { Vec::new() };
    let all = of_kind(engine, shelf, id.kind, &id.namespace, &seen)?;
    Ok(all.into_iter().find(|one| one.name() == id.name))
}

/// Which of their kinds are meant.
pub enum Which<'a> {
    /// Those that are named.
    Named,
    /// Those with these labels.
    Labelled(&'a str),
    /// `--all`.
    All,
}

/// The objects that are meant, for a command that does something to them; and what is not there.
pub fn choose(
    engine: &Engine,
    shelf: &Shelf,
    words: &[String],
    namespace: &str,
    which: &Which<'_>,
) -> Result<(Vec<Chosen>, Vec<Failure>), Failure> {
    let selector = match which {
        Which::Labelled(text) => Some(Selector::parse(text).map_err(Failure::plain)?),
        Which::Named | Which::All => None,
    };
    let (mut chosen, mut failures) = (Vec::new(), Vec::new());
    let seen = act::pods(engine)?;
    for (kind, names) in meant(words)? {
        match (which, names.is_empty()) {
            (Which::Named, true) => {
                return Err(Failure::plain("resource(s) were provided, but no name was specified")
                    .hint("name objects, or choose them by --selector or --all"));
            }
            (Which::Labelled(_) | Which::All, false) => {
                return Err(Failure::plain("name cannot be provided when a selector or --all is specified"));
            }
            (Which::Named, false) | (Which::Labelled(_) | Which::All, true) => {}
        }
        let mut of_kind = of_kind(engine, shelf, kind, namespace, &seen)?;
        let missing = |name: &&String| !of_kind.iter().any(|one| one.name() == name.as_str());
        failures.extend(names.iter().filter(missing).map(|name| not_found(kind, name)));
        of_kind.retain(|one| selector.as_ref().is_none_or(|selector| selector.matches(one.labels())));
        of_kind.retain(|one| names.is_empty() || names.iter().any(|name| name == one.name()));
        chosen.extend(of_kind);
    }
    Ok((chosen, failures))
}

/// Whether a pod is meant by its name, or by what keeps it (`deploy/web`).
pub fn is_meant(pod: &Seen, word: &str) -> bool {
    match word.split_once('/') {
        None => pod.name == word,
        Some((kind, name)) => match Kind::typed(kind) {
            Some(Kind::Pod) => pod.name == name,
            Some(kind) => pod.owner.as_deref() == Some(&format!("{kind}/{name}")),
            None => false,
        },
    }
}

/// The container of that name, in the pod's own words, or all that are no init containers.
pub fn containers<'a>(pod: &'a Seen, name: Option<&'a str>) -> impl Iterator<Item = &'a Container> {
    let is_chosen = move |member: &&Container| match name {
        Some(name) => pod.name_of(member) == name || member.name() == name,
        None => matches!(member.spec().pod_role, Some(PodRole::Member) | None),
    };
    pod.pod.members().filter(is_chosen)
}

/// The container that a command is meant for: of the pod, or of one that what is named keeps (`deploy/web`); the pod's
/// first where no name is given.
pub fn one_container(engine: &Engine, namespace: &str, word: &str, name: Option<&str>) -> Result<Container, Failure> {
    let pod = one_pod(act::pods(engine)?, namespace, word)?;
    let found = containers(&pod, name).next().cloned();
    found.ok_or_else(|| {
        Failure::plain(format!("container {} is not valid for pod {}", name.unwrap_or_default(), pod.name))
    })
}

/// The pod that a word means; of several that a workload keeps, one that serves.
pub fn one_pod(seen: Vec<Seen>, namespace: &str, word: &str) -> Result<Seen, Failure> {
    let is_one = |pod: &Seen| pod.namespace == namespace && is_meant(pod, word);
    // The first of those that serve, else the first.
    let found = seen.into_iter().filter(is_one).min_by_key(|pod| !pod.ready);
    found.ok_or_else(|| not_found(Kind::Pod, word))
}
