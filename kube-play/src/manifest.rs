//! Files become typed objects, with all that is wrong in them.

use std::collections::BTreeMap;

use crate::decode::{Reader, Validate};
use crate::model::Object;
use crate::names;
use crate::plan::{Kind, ObjectId};
use crate::problem::{Origin, Problem, Severity, meant};
use crate::yaml::{Node, Position, Value, step};

/// A file that was read.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// As the user named it; `-` is standard input.
    pub name: &'a str,
    pub text: &'a str,
    /// From `--configmap`: nothing but ConfigMaps.
    pub config_maps_only: bool,
}

/// What becomes of a document of a kind that creel cannot play.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    #[default]
    Refuse,
    /// Passed over, and said.
    Skip,
}

/// The objects of all files, and what is wrong with them.
#[derive(Debug)]
pub struct Manifests {
    pub(crate) documents: Vec<Document>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) validate: Validate,
    /// In the order of reading.
    files: Vec<String>,
}

/// An object and where it was written.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) id: ObjectId,
    pub(crate) file: String,
    /// Before the object's own path: `items[2].`, inside of a List.
    pub(crate) prefix: String,
    pub(crate) node: Node,
    pub(crate) object: Object,
}

/// As one reads them: file by file, from top to bottom.
fn sort(problems: &mut [Problem], files: &[String]) {
    problems.sort_by_key(|problem| {
        let file = files.iter().position(|file| *file == problem.origin.file);
        (file, problem.origin.line, problem.origin.column)
    });
}

impl Manifests {
    /// What is wrong or remarkable so far; errors keep [`crate::plan`] from going on.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub(crate) fn sort(&self, problems: &mut [Problem]) {
        sort(problems, &self.files);
    }

    /// All objects that could be read, as they are written, with the file of each.
    pub fn objects(&self) -> impl Iterator<Item = (&ObjectId, &str, serde_json::Value)> {
        self.documents.iter().map(|document| (&document.id, document.file.as_str(), document.node.json()))
    }

    /// The ids of all objects that could be read, in their order.
    pub fn ids(&self) -> impl Iterator<Item = &ObjectId> {
        self.documents.iter().map(|document| &document.id)
    }
}

/// Reads all files. `namespace` is where objects lie that name none.
pub fn read(sources: &[Source<'_>], namespace: &str, validate: Validate, unknown: Unknown) -> Manifests {
    let mut manifests = Manifests { documents: Vec::new(), problems: Vec::new(), validate, files: Vec::new() };
    manifests.files.extend(sources.iter().map(|source| source.name.to_owned()));
    for source in sources {
        let mut reading = Reading {
            reader: Reader::new(source.name, validate),
            source: *source,
            namespace,
            unknown,
            documents: &mut manifests.documents,
        };
        let (nodes, flaws) = crate::yaml::read(source.text);
        for flaw in flaws {
            let origin = Origin { file: source.name.to_owned(), line: flaw.at.line, column: flaw.at.column };
            reading.reader.problems.push(Problem {
                severity: Severity::Error,
                origin,
                object: None,
                path: flaw.path,
                text: flaw.text,
                hint: flaw.hint,
            });
        }
        for node in nodes {
            reading.document(node);
        }
        manifests.problems.append(&mut reading.reader.problems);
    }
    twice(&manifests.documents, &mut manifests.problems);
    sort(&mut manifests.problems, &manifests.files);
    manifests
}

struct Reading<'a> {
    reader: Reader,
    source: Source<'a>,
    namespace: &'a str,
    unknown: Unknown,
    documents: &'a mut Vec<Document>,
}

impl Reading<'_> {
    fn document(&mut self, node: Node) {
        self.reader.object = None;
        if self.reader.map(&node, "an object with apiVersion and kind").is_none() {
            return;
        }
        let Some(word) = self.text(&node, "kind") else { return };
        let Some(version) = self.text(&node, "apiVersion") else { return };
        if word == "List" {
            return self.list(node);
        }
        let at = node.get("kind").map_or(node.at, |node| node.at);
        let name = node.get("metadata").and_then(|metadata| metadata.get("name")).and_then(plain);
        self.reader.object = Some(format!("{word}/{}", name.unwrap_or_default()));
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.word() == word) else {
            return self.strange(&word, at);
        };
        if self.source.config_maps_only && kind != Kind::ConfigMap {
            let text = format!("invalid YAML kind: \"{kind}\". [ConfigMap] is the only supported by --configmap");
            self.reader.report(Severity::Error, at, text, None);
            return;
        }
        if !kind.api_versions().contains(&version.as_str()) {
            let at = node.get("apiVersion").map_or(node.at, |node| node.at);
            let severity = if self.reader.validate == Validate::Strict { Severity::Error } else { Severity::Warning };
            let text = format!("{kind} of {version:?} is not known");
            let hint = Some(format!("write \"{}\"", kind.api_versions()[0]));
            self.reader.inside(step("apiVersion"), |reader| reader.report(severity, at, text, hint));
        }
        let object = Object::decode(kind, &node, &mut self.reader);
        let name = self.name(kind, &node);
        let (Some(object), Some(name)) = (object, name) else { return };
        let namespace = object.metadata().namespace.as_deref().unwrap_or(self.namespace);
        let id = ObjectId::new(kind, namespace, &name);
        let prefix = self.reader.path();
        self.documents.push(Document { id, file: self.source.name.to_owned(), prefix, node, object });
    }

    fn list(&mut self, node: Node) {
        let Value::Map(entries) = node.value else { return };
        for (key, node) in entries {
            match &*key.name {
                "items" => match node.value {
                    Value::List(items) => {
                        for (index, item) in items.into_iter().enumerate() {
                            self.reader.enter(format!(".items[{index}]"));
                            self.document(item);
                            self.reader.leave();
                        }
                    }
                    _ if node.is_null() => {}
                    Value::Scalar(_) | Value::Map(_) => {
                        self.reader.inside(step("items"), |reader| reader.wrong::<()>(&node, "must be a list"));
                    }
                },
                "apiVersion" | "kind" | "metadata" => {}
                _ => self.reader.stray(&key, &["items", "metadata"]),
            }
        }
    }

    /// A text that every document must have.
    fn text(&mut self, node: &Node, name: &str) -> Option<String> {
        let Value::Map(entries) = &node.value else { return None };
        let text: Option<String> = self.reader.field(node, entries, name);
        text.filter(|text| !text.is_empty() || self.reader.wrong::<()>(node, format!("{name} is empty")).is_some())
    }

    /// The name, by the rule of its kind.
    fn name(&mut self, kind: Kind, node: &Node) -> Option<String> {
        let metadata = node.get("metadata")?;
        self.reader.inside(".metadata".to_owned(), |reader| {
            let Value::Map(entries) = &metadata.value else { return None };
            if let (None, Some(drawn)) = (metadata.get("name"), metadata.get("generateName")) {
                let text = "an object without a fixed name cannot be played twice: write `name`";
                return reader.inside(step("generateName"), |reader| reader.wrong(drawn, text));
            }
            let name: String = reader.field(metadata, entries, "name")?;
            let rule = match kind {
                Kind::Namespace | Kind::Job => names::label(&name),
                Kind::Service => names::service(&name),
                _ => names::subdomain(&name),
            };
            let rule = rule.and(match kind {
                // Eleven characters are added for a Job's name.
                Kind::CronJob if name.len() > 52 => Err("at most 52 characters"),
                _ => Ok(()),
            });
            let node = metadata.get("name").unwrap_or(metadata);
            match rule {
                Ok(()) => Some(name),
                Err(rule) => reader
                    .inside(".name".to_owned(), |reader| reader.wrong(node, format!("{name:?} is not valid: {rule}"))),
            }
        })
    }

    /// A kind that cannot be played: by name, with why.
    fn strange(&mut self, word: &str, at: Position) {
        if let Some((_, why)) = IDLE.iter().find(|(words, _)| words.contains(&word)) {
            self.reader.report(Severity::Warning, at, format!("has no effect here: {why}"), None);
            return;
        }
        let why = STRANGE.iter().find(|(words, _)| words.contains(&word)).map(|(_, why)| *why);
        let near = || meant(word, Kind::ALL.iter().map(|kind| kind.word()));
        let skip = self.unknown == Unknown::Skip || self.reader.validate != Validate::Strict;
        let (severity, done) = if skip { (Severity::Warning, "passed over: ") } else { (Severity::Error, "") };
        let text = match why {
            Some(why) => format!("{done}the kind {word} cannot be played: {why}"),
            None => format!("{done}the kind {word:?} is unknown"),
        };
        let hint = match (why, near()) {
            (None, Some(near)) => Some(format!("did you mean \"{near}\"?")),
            _ if skip => None,
            _ => Some("--ignore-unknown passes it over".to_owned()),
        };
        self.reader.inside(step("kind"), |reader| reader.report(severity, at, text, hint));
    }
}

/// Kinds of a cluster that bound or allow what never happens here: pods run as well without them.
const IDLE: &[(&[&str], &str)] = &[
    (
        &["ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"],
        "there is no API server to log in to",
    ),
    (&["PodDisruptionBudget"], "nothing evicts pods"),
    (&["PriorityClass"], "there is no scheduler"),
    (&["RuntimeClass"], "there is one runtime"),
    (&["ResourceQuota", "LimitRange"], "limits are written in the pods"),
    (
        &[
            "CustomResourceDefinition",
            "APIService",
            "ValidatingWebhookConfiguration",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
        ],
        "there is no API server to extend",
    ),
    (&["CSIDriver"], "volumes are directories of this machine"),
];

/// Other kinds of a cluster, and why they cannot be played.
const STRANGE: &[(&[&str], &str)] = &[
    (&["CertificateSigningRequest"], "there is no API server to log in to"),
    (&["NetworkPolicy"], "connections between pods are not filtered"),
    (&["Node"], "there is one node"),
    (&["Kustomization"], "write out what it makes, as with \"kubectl kustomize DIR | creel kube play -\""),
    (&["Endpoints", "EndpointSlice"], "a Service finds its pods by its selector"),
    (&["VolumeSnapshot", "VolumeAttachment"], "volumes are directories of this machine"),
    (&["Gateway", "HTTPRoute", "GRPCRoute", "GatewayClass"], "write an Ingress"),
];

fn plain(node: &Node) -> Option<String> {
    match &node.value {
        Value::Scalar(scalar) => Some(scalar.text.clone()),
        Value::List(_) | Value::Map(_) => None,
    }
}

/// One object can be written once only.
fn twice(documents: &[Document], problems: &mut Vec<Problem>) {
    let mut first: BTreeMap<&ObjectId, &Document> = BTreeMap::new();
    for document in documents {
        match first.get(&document.id) {
            None => drop(first.insert(&document.id, document)),
            Some(earlier) => problems.push(Problem {
                severity: Severity::Error,
                origin: document.origin(),
                object: Some(document.id.to_string()),
                path: String::new(),
                text: format!("is there twice, first at {}", earlier.origin()),
                hint: None,
            }),
        }
    }
}

impl Document {
    pub(crate) fn origin(&self) -> Origin {
        Origin { file: self.file.clone(), line: self.node.at.line, column: self.node.at.column }
    }
}
