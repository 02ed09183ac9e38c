//! What `kubectl get -o yaml` writes of a cluster's objects can be played: bookkeeping is passed over without a word, and of
//! what the user has written the warnings say what has no effect here.

use super::*;
use crate::plan::ProjectedSource;

const POD: &str = include_str!("dumps/pod.yaml");
const DEPLOYMENT: &str = include_str!("dumps/deployment.yaml");
/// One of each of the others.
const LIST: &str = include_str!("dumps/list.yaml");

/// The paths that are warned of.
fn warned(plan: &Plan) -> Vec<&str> {
    plan.warnings.iter().map(|warning| warning.path.as_str()).collect()
}

#[test]
fn a_pod_is_played_without_its_token() {
    let plan = planned(POD);
    assert_eq!(
        warned(&plan),
        [
            "metadata.ownerReferences",
            "spec.affinity",
            "spec.nodeName",
            "spec.tolerations",
            "spec.topologySpreadConstraints",
            "spec.volumes[0].projected.sources[0].serviceAccountToken",
        ]
    );
    let template = &plan.pods[0].template;
    let VolumeSource::Files(files) = &template.volumes[0].source else { panic!("{:?}", template.volumes) };
    assert!(
        matches!(
            files.sources.as_slice(),
            [ProjectedSource::ConfigMap { name, optional: true, .. }, ProjectedSource::Downward { .. }]
                if name == "kube-root-ca.crt"
        ),
        "{files:?}"
    );
}

#[test]
fn all_kinds_of_a_cluster_are_played() {
    let plan = planned(&format!("{DEPLOYMENT}---\n{LIST}"));
    assert_eq!(
        warned(&plan),
        [
            "items[3].metadata.annotations[\"nginx.ingress.kubernetes.io/rewrite-target\"]",
            "items[5].metadata.finalizers"
        ]
    );
    let kinds: Vec<&str> = plan.metas().map(|meta| meta.id.kind.word()).collect();
    assert_eq!(
        kinds,
        [
            "Namespace",
            "ConfigMap",
            "Secret",
            "PersistentVolumeClaim",
            "Service",
            "Service",
            "Deployment",
            "StatefulSet",
            "Job",
            "Ingress",
            "HorizontalPodAutoscaler"
        ]
    );
}
