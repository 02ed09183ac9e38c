//! `creel kube describe`

use jiff::Timestamp;
use kube_play::act::{self, Body, Object, Shelf};
use kube_play::{Kind, ObjectId, show, steps};

use super::{DEFAULT_NAMESPACE, not_found};
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Show all that is known of objects
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// A kind and names, or KIND/NAME
    #[arg(value_name = "KIND [NAME...]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.words, 1)?;
    let wanted = super::chosen::meant(&args.words)?;
    let engine = context.reader()?;
    let shelf = super::shelf(&engine)?;
    let (seen, now) = (act::pods(&engine)?, Timestamp::now());
    let mut texts = Vec::new();
    let mut failures = Vec::new();
    for (kind, names) in wanted {
        let is_meant = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
        let mut found = Vec::new();
        if kind == Kind::Pod {
            let events = super::events::of_pods(&engine, &seen)?;
            let happened = |id: &ObjectId| show::gather(events.iter().filter(|event| event.object == *id).cloned());
            for pod in seen.iter().filter(|pod| pod.namespace == args.namespace && is_meant(&pod.name)) {
                found.push(pod.name.clone());
                let id = ObjectId::new(Kind::Pod, &pod.namespace, &pod.name);
                let Some(template) = act::template_of(&shelf, pod)? else { continue };
                let containers = pod.containers(&template);
                let status = steps::pod_status(&template, &containers, false);
                texts.push(show::describe_pod(
                    &pod.meta(),
                    &template,
                    &status,
                    &containers,
                    &pod.ephemeral(),
                    pod.pod.record.created,
                    &act::node_name(),
                    pod.addresses.first().copied(),
                    pod.owner_id().as_ref(),
                    &happened(&id),
                    now,
                ));
            }
        } else {
            for object in shelf.list(if kind.global() { "" } else { &args.namespace }, kind)? {
                let Some(id) = object.body.meta().map(|meta| meta.id.clone()).filter(|id| is_meant(&id.name)) else {
                    continue;
                };
                found.push(id.name.clone());
                texts.push(describe(&shelf, &id, &object, &seen, now)?);
            }
        }
        failures.extend(names.iter().filter(|name| !found.contains(name)).map(|name| not_found(kind, name)));
    }
    output::print(&texts.join("\n\n"))?;
    crate::select::conclude(failures)
}

fn describe(
    shelf: &Shelf,
    id: &ObjectId,
    object: &Object,
    seen: &[act::Seen],
    now: Timestamp,
) -> Result<String, Failure> {
    let happened: Vec<show::Event> = act::trouble(shelf, id)?.into_iter().collect();
    Ok(match &object.body {
        Body::Workload { plan, .. } => {
            let status = super::get::workload_status(plan, shelf.kept(id)?);
            show::describe_workload(plan, &status, object.created, &happened, now)
        }
        Body::Service { plan, address } => {
            let endpoints = act::endpoints(shelf, plan, seen)?;
            show::describe_service(plan, *address, &endpoints, &super::get::outside(plan), &happened, now)
        }
        body => match body.meta() {
            Some(meta) => show::describe_object(meta, object.created, &happened, now),
            None => String::new(),
        },
    })
}
