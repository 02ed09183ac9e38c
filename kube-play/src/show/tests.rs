//! Tables and pages as they are printed.

use super::*;
use crate::lower::planned;
use crate::plan::Kind;
use crate::steps::{JobMemory, JobStatus, PodPhase, PodStatus, Progress, WorkloadStatus};
use jiff::Timestamp;

const SITE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, labels: { app: web } }
spec:
  replicas: 3
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
      - { name: server, image: nginx:1.27, ports: [{ name: http, containerPort: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { type: NodePort, selector: { app: web }, ports: [{ port: 80, targetPort: http, nodePort: 30080 }] }
";

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a time")
}

fn ago(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 - seconds).expect("a time")
}

fn status(updated: u32, ready: u32, progress: Progress) -> WorkloadStatus {
    WorkloadStatus { desired: 3, current: 3, updated, ready, available: ready, progress }
}

#[test]
fn pods_are_listed_as_kubectl_lists_them() {
    let row = |name: &str, shown: &str, ready: u32, restarts: u32| PodRow {
        head: RowHead { namespace: "default".into(), name: name.into(), labels: Default::default(), created: ago(200) },
        status: PodStatus {
            phase: PodPhase::Running,
            shown: shown.into(),
            ready_containers: ready,
            containers: 1,
            restarts,
            initialized: true,
            ready: ready == 1,
        },
        last_restart: Some(ago(30)),
        address: "10.89.0.5".parse().ok(),
        node: "box".into(),
    };
    let rows = [row("web-1", "Running", 1, 0), row("database-0", "CrashLoopBackOff", 0, 4)];
    assert_eq!(
        pods(&rows, Look::default(), now()).text(true),
        "NAME         READY   STATUS             RESTARTS      AGE\n\
         web-1        1/1     Running            0             3m20s\n\
         database-0   0/1     CrashLoopBackOff   4 (30s ago)   3m20s\n"
    );
    let look = Look { wide: true, namespaces: true, ..Look::default() };
    assert_eq!(
        pods(&rows[..1], look, now()).text(false),
        "default   web-1   1/1   Running   0     3m20s   10.89.0.5   box   <none>   <none>\n"
    );
}

#[test]
fn workloads_and_services_are_listed_as_kubectl_lists_them() {
    let plan = planned(SITE);
    let row = WorkloadRow { plan: &plan.workloads[0], created: ago(7200), status: status(3, 2, Progress::Progressing) };
    assert_eq!(
        workloads(Kind::Deployment, std::slice::from_ref(&row), Look::default(), now()).text(true),
        "NAME   READY   UP-TO-DATE   AVAILABLE   AGE\nweb    2/3     3            2           120m\n"
    );
    assert_eq!(
        workloads(Kind::Deployment, &[row], Look { wide: true, ..Look::default() }, now()).text(true).lines().last(),
        Some("web    2/3     3            2           120m   server       nginx:1.27   app=web")
    );
    let row =
        ServiceRow { plan: &plan.services[0], created: ago(5), address: "10.89.0.9".parse().ok(), outside: vec![] };
    assert_eq!(
        services(&[row], Look::default(), now()).text(true),
        "NAME   TYPE       CLUSTER-IP   EXTERNAL-IP   PORT(S)        AGE\n\
         web    NodePort   10.89.0.9    <none>        80:30080/TCP   5s\n"
    );
}

#[test]
fn a_job_is_listed_with_its_duration() {
    let text = "apiVersion: batch/v1\nkind: Job\nmetadata: { name: pi }\nspec: { completions: 2, template: { spec: { restartPolicy: \
                Never, containers: [{ name: a, image: box }] } } }";
    let plan = planned(text);
    let JobMemory { condition, .. } = JobMemory::default();
    let status = JobStatus {
        active: 1,
        ready: 1,
        succeeded: 1,
        completions: Some(2),
        started: Some(ago(70)),
        condition,
        ..JobStatus::default()
    };
    let job = &plan.jobs[0];
    let row = JobRow { head: RowHead::new(&job.meta, ago(75)), template: &job.run.template, status, parallelism: 1 };
    assert_eq!(
        jobs(&[row], Look::default(), now()).text(true),
        "NAME   STATUS    COMPLETIONS   DURATION   AGE\npi     Running   1/2           70s        75s\n"
    );
}

#[test]
fn a_rollout_is_told_in_kubectls_sentences() {
    let plan = planned(SITE).workloads.remove(0);
    let waiting =
        |text: &str| RolloutState::Waiting(format!("Waiting for deployment \"web\" rollout to finish: {text}..."));
    for (state, expected) in [
        (status(1, 3, Progress::Progressing), waiting("1 out of 3 new replicas have been updated")),
        (
            WorkloadStatus { current: 4, ..status(3, 3, Progress::Progressing) },
            waiting("1 old replicas are pending termination"),
        ),
        (status(3, 2, Progress::Progressing), waiting("2 of 3 updated replicas are available")),
        (
            status(1, 3, Progress::DeadlineExceeded),
            RolloutState::Failed("deployment \"web\" exceeded its progress deadline".to_owned()),
        ),
        (status(3, 3, Progress::Complete), RolloutState::Done("deployment \"web\" successfully rolled out".to_owned())),
    ] {
        assert_eq!(rollout_status(&plan, &state), expected);
    }
    let mut history = crate::History::default();
    history.record(&plan, &[], now());
    assert_eq!(rollout_history(&plan, &history), "deployment.apps/web \nREVISION  CHANGE-CAUSE\n1         <none>\n");
}

#[test]
fn an_object_is_described() {
    let plan = planned(SITE);
    let text = describe_workload(&plan.workloads[0], &status(3, 3, Progress::Complete), ago(10), &[], now());
    for line in [
        "Name:                   web",
        "Selector:               app=web",
        "Replicas:               3 desired | 3 updated | 3 total | 3 available | 0 unavailable",
        "RollingUpdateStrategy:  25% max unavailable, 25% max surge",
        "    Image:        nginx:1.27",
        "  Available    True    MinimumReplicasAvailable",
        "Events:                 <none>",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
    }
    let endpoints = [(80, vec!["10.89.0.2:80".to_owned()])];
    let text = describe_service(&plan.services[0], "10.89.0.9".parse().ok(), &endpoints, &[], &[], now());
    assert!(
        text.contains("Endpoints:         10.89.0.2:80\n") && text.contains("TargetPort:        http/TCP\n"),
        "{text}"
    );
    let secret = planned("apiVersion: v1\nkind: Secret\nmetadata: { name: a }\nstringData: { word: sesame }\n");
    let text = describe_object(&secret.secrets[0].meta, ago(10), &[], now());
    assert!(text.contains("word: 6 bytes") && !text.contains("sesame"), "{text}");
}

#[test]
fn objects_are_given_with_their_status() {
    let plan = planned(SITE);
    let deployment = &plan.workloads[0];
    let status = workload_status_value(Kind::Deployment, &status(3, 3, Progress::Complete));
    let value = object(&deployment.meta, "u-1", now(), Some(status));
    assert_eq!(value["status"]["readyReplicas"], 3);
    assert_eq!(value["metadata"]["creationTimestamp"], "2027-01-15T08:00:00Z");
    assert_eq!(value["spec"], deployment.meta.manifest["spec"]);
    let service = service_object(&plan.services[0], "u-2", now(), "10.89.0.9".parse().ok(), &[]);
    assert_eq!(
        (&service["spec"]["clusterIP"], &service["spec"]["ports"][0]["nodePort"]),
        (&"10.89.0.9".into(), &30080.into())
    );
    let text = object_json(&[value.clone(), service]);
    assert!(text.starts_with("{\n    \"apiVersion\": \"v1\",\n    \"items\": ["), "{text}");
    assert!(object_yaml(&[value]).starts_with("apiVersion: apps/v1\nkind: Deployment\n"));
    let secret = planned("apiVersion: v1\nkind: Secret\nmetadata: { name: a }\nstringData: { k: foo }\n");
    let value = object(&secret.secrets[0].meta, "u-3", now(), None);
    assert_eq!(
        (&value["data"]["k"], &value["type"], value.get("stringData")),
        (&"Zm9v".into(), &"Opaque".into(), None)
    );
}
