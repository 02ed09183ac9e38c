//! The story of `kube resume`: after a reboot, what is to run does.

use std::process::Command;

use containers::Engine;

use super::child;
use super::error::{Error, Result};
use super::objects::Shelf;
use super::observe::{self, template_of};
use crate::plan::{Kind, ObjectId};

/// Starts the pods that manifests wrote as such and that are to run: after a reboot. Pods of workloads are the
/// supervisor's. What could not be started is in the answer; pods with init containers are not waited for.
pub fn resume(engine: &Engine, program: fn() -> Command) -> Result<Vec<(ObjectId, Error)>> {
    let shelf = Shelf::new(engine);
    let mut failed = Vec::new();
    for pod in observe::pods(engine)?.iter().filter(|pod| pod.owner.is_none()) {
        let Some(template) = template_of(&shelf, pod)? else { continue };
        if pod.should_run(&template)
            && let Err(error) = child::start_pod(engine, program, &pod.pod)
        {
            failed.push((ObjectId::new(Kind::Pod, &pod.namespace, &pod.name), error));
        }
    }
    Ok(failed)
}
