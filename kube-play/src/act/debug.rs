//! A container is added to a pod that runs, to look into it.

use containers::{Container, Engine, NamespaceMode, PodRole};
use pods::Own;

use super::error::{Error, Result};
use super::launch::{self, Around, FindImage, PodRequest, Start, WantedImage};
use super::mark;
use super::objects::Shelf;
use super::observe::{self, Seen};
use super::volumes::PodVolumes;
use crate::ephemeral::{EphemeralContainer, plan_ephemeral};
use crate::plan::{PodTemplate, identity};

/// Makes the container in the pod. It is the caller's to start.
pub fn debug(
    engine: &Engine,
    find_image: &FindImage<'_>,
    pod: &Seen,
    wanted: &EphemeralContainer,
) -> Result<Container> {
    let shelf = Shelf::new(engine);
    let template = observe::template_of(&shelf, pod)?
        .ok_or_else(|| Error::NotFound(format!("what pod {:?} was made from", pod.name)))?;
    if pod.pod.infra().is_none_or(|infra| !containers::running(infra)) {
        return Err(Error::Invalid(format!("pod {:?} does not run: its phase is {}", pod.name, pod.phase.word())));
    }
    let name = template.container_name(pod.pod.name(), &wanted.name);
    if pod.pod.members().any(|member| member.name() == name) {
        return Err(Error::Invalid(format!("pod {:?} has a container {:?} already", pod.name, wanted.name)));
    }
    let target = wanted.target.as_deref().map(|target| running(pod, &template, target)).transpose()?;
    let manifest = wanted.manifest();
    let of_pod = observe::pod_manifest(&shelf, pod)?.unwrap_or_default();
    let plan = plan_ephemeral(&manifest, &of_pod).map_err(Error::Invalid)?;

    let objects = shelf.objects(engine)?;
    let logins = launch::logins(&template, |name| objects.secret(&pod.namespace, name));
    let image = find_image(engine, &WantedImage { name: &plan.image, pull: plan.pull, logins: &logins });
    let image = image.map_err(|error| Error::Image(error).of(format!("image {}", plan.image)))?;
    let identity = identity(pod.owner_id().as_ref(), &template, &pod.namespace, &pod.name, pod.index);
    let mut facts = launch::facts(pod.pod.id().as_str(), &pod.name, &pod.namespace, &template, &identity);
    facts.addresses.clone_from(&pod.addresses);
    let request = PodRequest {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        owner: pod.owner_id(),
        index: pod.index,
        template,
        claims: Vec::new(),
        start: Start::Later,
    };
    let around = Around {
        volumes: &PodVolumes::default(),
        services: &launch::services_of(&objects, &request),
        objects: &objects,
        facts: &facts,
        identity: &identity,
    };
    let mut spec = launch::specification(engine, &plan, &image, PodRole::Ephemeral, &request, &around)?;
    spec.annotations.insert(mark::EPHEMERAL.to_owned(), manifest.to_string());
    // Where the pod has one for all, the target is in that.
    let own_processes = target.filter(|target| target.spec().namespaces.pid == NamespaceMode::Private);
    if let Some(target) = own_processes {
        spec.namespaces.pid = NamespaceMode::Container(target.id().to_string());
    }
    let made = containers::CreateRequest { spec, name: Some(&name), image: Some(&image), replace: false };
    let own = Own { restart: true, pid: own_processes.is_some(), ..Own::default() };
    Ok(pods::create_member(engine, &pod.pod, made, own)?)
}

fn running<'a>(pod: &'a Seen, template: &PodTemplate, target: &str) -> Result<&'a Container> {
    let name = template.container_name(pod.pod.name(), target);
    let found = pod.pod.members().find(|member| member.name() == name);
    let found = found.ok_or_else(|| Error::Invalid(format!("pod {:?} has no container {target:?}", pod.name)))?;
    match containers::running(found) {
        true => Ok(found),
        false => Err(Error::Invalid(format!("container {target:?} of pod {:?} does not run", pod.name))),
    }
}
