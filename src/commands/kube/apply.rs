//! `creel kube apply`: objects are made in a cluster, over its HTTP API.
//!
//! The program curl speaks TLS. All that it is told, credentials too, goes in by files that only we can read.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kube_play::kubeconfig::{Cluster, Pem, Token};
use kube_play::{GeneratedKind, ObjectId, Severity, Unknown, Validate};
use storage::Staging;

use super::{DEFAULT_NAMESPACE, File, parse, read, refuse};
use crate::caller::variable;
use crate::commands::kube_generate;
use crate::context::Context;
use crate::error::{ExitCode, Failure, on_path};
use crate::output;

/// Make containers, pods, volumes, or the objects of a file in a Kubernetes cluster
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Certificate of who signs the cluster's, instead of what the kubeconfig says
    #[arg(long, value_name = "FILE")]
    ca_cert_file: Option<PathBuf>,
    /// A file with objects, "-", or a URL
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,
    /// How the cluster is reached; the variable KUBECONFIG where nothing is said
    #[arg(short, long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Namespace of the objects
    #[arg(long, value_name = "NAMESPACE")]
    ns: Option<String>,
    /// Make a Service for published ports, too
    #[arg(short, long)]
    service: bool,
    /// Names or ids of containers, pods and volumes
    #[arg(value_name = "[CONTAINER...|POD...|VOLUME...]")]
    names: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let Some(kubeconfig) = args.kubeconfig.clone().or_else(|| variable("KUBECONFIG").map(PathBuf::from)) else {
        return Err(Failure::plain("kubeconfig not given, unable to connect to cluster").hint(
            "--kubeconfig says how one is reached; to make a file's objects on this machine: creel kube play FILE",
        ));
    };
    if args.service && args.file.is_some() {
        return Err(Failure::plain("cannot set --service and --file at the same time"));
    }
    let file = match &args.file {
        Some(_) if !args.names.is_empty() => {
            return Err(Failure::plain("cannot set --file and names at the same time"));
        }
        Some(name) => read(name)?,
        None if args.names.is_empty() => {
            return Err(Failure::plain("nothing to deploy: name containers, pods or volumes, or a file with --file"));
        }
        None => generated(context, &args)?,
    };
    output::line("Deploying to cluster...")?;
    let text = std::fs::read_to_string(&kubeconfig).map_err(on_path("open", &kubeconfig))?;
    let cluster = Cluster::of(&text).map_err(|error| Failure::plain(format!("{}: {error}", kubeconfig.display())))?;
    let objects = objects(file, &cluster, args.ns.as_deref())?;
    let home = std::path::absolute(&kubeconfig)?.parent().map(Path::to_path_buf).unwrap_or_default();
    let client = Client::new(context, &cluster, &home, args.ca_cert_file.as_deref())?;
    let mut made: Vec<String> = Vec::new();
    for (id, object) in &objects {
        client.create(id, object).map_err(|failure| match made.as_slice() {
            [] => failure,
            made => failure.hint(format!("made before: {}", made.join(", "))),
        })?;
        made.push(id.resource());
    }
    output::line("Successfully deployed workloads to cluster!")?;
    Ok(ExitCode::Success)
}

fn generated(context: &Context, args: &Args) -> Result<File, Failure> {
    let wanted =
        kube_generate::Args { names: args.names.clone(), service: args.service, ..kube_generate::Args::default() };
    let manifest = kube_generate::manifest(context, &wanted, GeneratedKind::Pod)?;
    manifest.notes.iter().for_each(|note| output::warn(note));
    Ok(File { name: args.names.join(" "), text: manifest.text })
}

/// What is to be sent, each with where it belongs. Nothing is sent unless all of it can be read.
fn objects(
    file: File,
    cluster: &Cluster,
    namespace: Option<&str>,
) -> Result<Vec<(ObjectId, serde_json::Value)>, Failure> {
    if file.text.trim().is_empty() {
        return Err(Failure::plain("yaml file provided is empty, cannot apply to a cluster"));
    }
    // A cluster knows fields that mean nothing here.
    let manifests = parse(&[file], &[], Validate::Ignore, Unknown::Refuse);
    if manifests.problems().iter().any(|problem| problem.severity == Severity::Error) {
        return Err(refuse(manifests.problems()));
    }
    let otherwise = namespace.or(cluster.namespace.as_deref()).unwrap_or(DEFAULT_NAMESPACE);
    let mut objects = Vec::new();
    for (id, _, object) in manifests.objects() {
        let written = object["metadata"]["namespace"].as_str();
        if let (Some(written), Some(namespace)) = (written, namespace)
            && written != namespace
            && !id.kind.global()
        {
            return Err(Failure::plain(format!(
                "{}/{} is to be in the namespace {written:?}, not in {namespace:?}",
                id.kind, id.name
            ))
            .hint(format!("--ns {written}, or take the namespace out of the file")));
        }
        objects.push((ObjectId::new(id.kind, written.unwrap_or(otherwise), &id.name), object));
    }
    match objects.is_empty() {
        true => Err(Failure::plain("there is nothing to deploy in this file")),
        false => Ok(objects),
    }
}

/// Where the API of an object's kind is, see "API Overview" in the Kubernetes documentation.
fn api_path(id: &ObjectId, version: &str) -> String {
    let root = if version.contains('/') { "apis" } else { "api" };
    let namespace = if id.kind.global() { String::new() } else { format!("/namespaces/{}", id.namespace) };
    format!("/{root}/{version}{namespace}/{}", id.kind.plural())
}

/// curl, and what it is told for every request.
struct Client {
    server: String,
    /// Its configuration, see `--config` in curl(1).
    settings: String,
    dir: Staging,
}

impl Client {
    fn new(context: &Context, cluster: &Cluster, home: &Path, authority: Option<&Path>) -> Result<Client, Failure> {
        let dir = context.engine()?.store.staging()?;
        let mut client = Client { server: cluster.server.clone(), settings: String::new(), dir };
        for (option, value) in [("proto", "=http,https"), ("connect-timeout", "30"), ("max-time", "300")] {
            client.set(option, value)?;
        }
        for header in ["Content-Type: application/json", "Accept: application/json"] {
            client.set("header", header)?;
        }
        if cluster.insecure {
            client.settings.push_str("insecure\n");
        }
        match (authority, &cluster.authority) {
            (Some(path), _) => client.file("cacert", &std::path::absolute(path)?)?,
            (None, Some(pem)) => client.pem("cacert", pem, home)?,
            (None, None) => {}
        }
        if let Some((certificate, key)) = &cluster.certificate {
            client.pem("cert", certificate, home)?;
            client.pem("key", key, home)?;
        }
        let token = match &cluster.token {
            Some(Token::Text(text)) => Some(text.clone()),
            Some(Token::File(path)) => {
                let path = home.join(path);
                Some(std::fs::read_to_string(&path).map_err(on_path("open", &path))?.trim().to_owned())
            }
            None => None,
        };
        if let Some(token) = token {
            client.set("header", &format!("Authorization: Bearer {token}"))?;
        }
        if let Some((user, password)) = &cluster.password {
            client.set("user", &format!("{user}:{password}"))?;
        }
        Ok(client)
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), Failure> {
        self.settings.push_str(&setting(option, value)?);
        Ok(())
    }

    /// A file that curl reads. It says too little about one that it cannot read.
    fn file(&mut self, option: &str, path: &Path) -> Result<(), Failure> {
        std::fs::File::open(path).map_err(on_path("open", path))?;
        self.set(option, &path.display().to_string())
    }

    fn pem(&mut self, option: &str, pem: &Pem, home: &Path) -> Result<(), Failure> {
        let path = match pem {
            Pem::File(path) => home.join(path),
            Pem::Content(content) => {
                let path = self.dir.path().join(option);
                let file = std::fs::File::options().create_new(true).write(true).mode(0o600).open(&path);
                file.and_then(|mut file| file.write_all(content)).map_err(on_path("write", &path))?;
                path
            }
        };
        self.file(option, &path)
    }

    fn create(&self, id: &ObjectId, object: &serde_json::Value) -> Result<(), Failure> {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        let url = format!("{}{}", self.server, api_path(id, version));
        let (body, answer) = (self.dir.path().join("body"), self.dir.path().join("answer"));
        std::fs::write(&body, object.to_string()).map_err(on_path("write", &body))?;
        let mut settings = self.settings.clone();
        settings += &setting("url", &url)?;
        settings += &setting("data-binary", &format!("@{}", body.display()))?;
        settings += &setting("output", &answer.display().to_string())?;
        settings += &setting("write-out", "%{http_code}")?;
        let status = curl(&settings).map_err(|failure| failure.context(format!("Post {url:?}")))?;
        if status.starts_with('2') {
            return Ok(());
        }
        let answer = std::fs::read_to_string(&answer).unwrap_or_default();
        let said = serde_json::from_str::<serde_json::Value>(&answer).ok();
        let message = said.as_ref().and_then(|status| status["message"].as_str()).unwrap_or(answer.trim());
        Err(Failure::plain(format!("{id}: the cluster says {status}: {message}")))
    }
}

/// A line of curl's configuration.
fn setting(option: &str, value: &str) -> Result<String, Failure> {
    if value.contains(char::is_control) {
        return Err(Failure::plain(format!(
            "there is a control character in what is to be the {option} of the request"
        )));
    }
    Ok(format!("{option} = \"{}\"\n", value.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// The status of the answer.
fn curl(settings: &str) -> Result<String, Failure> {
    let mut command = Command::new("curl");
    // Without the user's own settings: this is not their request.
    command.args(["--disable", "--silent", "--show-error", "--config", "-"]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match child {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Failure::plain("there is no curl").hint("install curl: it speaks TLS for creel"));
        }
        child => child?,
    };
    if let Some(mut input) = child.stdin.take() {
        input.write_all(settings.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        // What follows is advice about curl's own flags.
        false => Err(Failure::plain(String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube_play::Kind;

    #[test]
    fn every_kind_has_its_place_in_the_api() {
        for (kind, version, expected) in [
            (Kind::Pod, "v1", "/api/v1/namespaces/team/pods"),
            (Kind::Deployment, "apps/v1", "/apis/apps/v1/namespaces/team/deployments"),
            (Kind::Namespace, "v1", "/api/v1/namespaces"),
        ] {
            assert_eq!(api_path(&ObjectId::new(kind, "team", "x"), version), expected);
        }
    }

    #[test]
    fn a_setting_is_one_line() {
        assert_eq!(setting("header", "A: \"b\\").unwrap(), "header = \"A: \\\"b\\\\\"\n");
        assert!(setting("header", "A: b\nurl = x").is_err());
    }
}
