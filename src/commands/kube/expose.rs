//! `creel kube expose`

use kube_play::ObjectId;
use kube_play::act;
use kube_play::write::{self, Exposed};
use serde_json::json;

use super::chosen::{self, Chosen};
use super::make::{Making, make};
use super::{DEFAULT_NAMESPACE, not_found, one_object};
use crate::arguments::number;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Make a Service in front of a pod, a Deployment, a ReplicaSet, a ReplicationController or a Service
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The Service's own address
    #[arg(long, value_name = "IP")]
    cluster_ip: Option<String>,
    /// A further address of this machine to be served on
    #[arg(long, value_name = "IP")]
    external_ip: Option<String>,
    /// Labels of the Service (app=web,tier=front); the object's where nothing is said
    #[arg(short = 'l', long, value_name = "LABELS")]
    labels: Option<String>,
    #[command(flatten)]
    making: Making,
    /// Name of the Service; the object's where nothing is said
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// Ports of the Service; those of the object where nothing is said
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = number::u16)]
    port: Vec<u16>,
    /// TCP, UDP or SCTP
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Option<String>,
    /// Labels of the pods behind it; the object's where nothing is said
    #[arg(long, value_name = "LABELS")]
    selector: Option<String>,
    /// None, or ClientIP: a client stays with its pod
    #[arg(long, value_name = "WORD")]
    session_affinity: Option<String>,
    /// Port of the containers, by number or name; the Service's own where nothing is said
    #[arg(long, value_name = "PORT")]
    target_port: Option<String>,
    /// ClusterIP, NodePort, LoadBalancer or ExternalName
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// KIND NAME, or KIND/NAME
    #[arg(value_name = "KIND/NAME")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let id: ObjectId = one_object(&args.words, &args.namespace)?;
    let pairs = |text: Option<&str>| text.map(write::pairs).transpose().map_err(Failure::plain);
    let told = Exposed {
        name: args.name,
        ports: args.port,
        target_port: args.target_port,
        protocol: args.protocol,
        kind: args.kind,
        selector: pairs(args.selector.as_deref())?,
        labels: pairs(args.labels.as_deref())?,
        cluster_ip: args.cluster_ip,
        external_ip: args.external_ip,
        session_affinity: args.session_affinity,
    };
    let manifest = manifest(context, &id)?;
    let service = write::service(&id, &manifest, &told).map_err(Failure::plain)?;
    make(context, &[service], "exposed", &args.making)
}

/// The object as it was played; a pod with the labels that it has.
fn manifest(context: &Context, id: &ObjectId) -> Result<serde_json::Value, Failure> {
    let engine = context.reader()?;
    let shelf = super::shelf(&engine)?;
    Ok(match chosen::find(&engine, &shelf, id)? {
        None => return Err(not_found(id.kind, &id.name)),
        Some(Chosen::Pod(pod)) => {
            let spec = act::pod_manifest(&shelf, &pod)?.unwrap_or_default();
            json!({ "metadata": { "labels": pod.labels() }, "spec": spec })
        }
        Some(Chosen::Stored(_, object)) => object.body.meta().map(|meta| meta.manifest.clone()).unwrap_or_default(),
    })
}
