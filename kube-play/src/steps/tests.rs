//! The steps as tables: what is observed, what is done.

use std::collections::BTreeSet;

use super::*;
use crate::lower::planned;
use crate::plan::{JobPlan, ObjectId, WorkloadPlan};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
}

fn workload_of(kind: &str, spec: &str) -> WorkloadPlan {
    let text = format!(
        "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{ name: web }}\nspec:\n  selector: {{ matchLabels: {{ app: web }} }}\n  \
         template:\n    metadata: {{ labels: {{ app: web }} }}\n    spec: {{ containers: [{{ name: a, image: box }}] }}\n{spec}"
    );
    let mut plan = planned(&text).workloads.remove(0);
    plan.template.hash = "new".to_owned();
    plan
}

/// `name hash state`: state is `+` ready, `-` running and not ready, `x` stopping, `!` failed, `.` succeeded.
fn pods(text: &str) -> Vec<ObservedPod> {
    text.split(',')
        .filter(|part| !part.trim().is_empty())
        .map(|part| {
            let words: Vec<&str> = part.split_whitespace().collect();
            let (name, hash, state) = (words[0], words[1], words[2]);
            let phase = match state {
                "!" => PodPhase::Failed,
                "." => PodPhase::Succeeded,
                _ => PodPhase::Running,
            };
            let ready = state == "+";
            ObservedPod {
                name: name.to_owned(),
                hash: hash.to_owned(),
                phase,
                ready,
                ready_since: ready.then(|| at(-100)),
                created: at(-200),
                finished: matches!(state, "!" | ".").then(|| at(-50)),
                stopping: state == "x",
                index: name.rsplit_once('-').and_then(|(_, index)| index.parse().ok()),
                restarts: 0,
                exit_codes: if state == "!" { vec![("a".to_owned(), 3)] } else { Vec::new() },
            }
        })
        .collect()
}

fn acts(plan: &WorkloadPlan, observed: &str) -> String {
    let memory = Memory { hash: "new".into(), previous: Some("old".into()), ..Memory::default() };
    let step = workload(plan, &memory, &pods(observed), &BTreeSet::new(), at(0));
    shown(&step.actions)
}

fn shown(actions: &[Action]) -> String {
    let words = actions.iter().map(|action| match action {
        Action::Create { name, hash, .. } => format!("+{name}:{hash}"),
        Action::Delete { name, .. } => format!("-{name}"),
        Action::DeleteClaims { pod } => format!("-claims:{pod}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_deployment_rolls_within_its_bounds() {
    let plan = workload_of("Deployment", "  replicas: 3\n");
    for (observed, expected) in [
        ("", "+web-1:new +web-2:new +web-3:new"),
        ("web-1 new +, web-2 new +, web-3 new +", ""),
        ("web-1 new +, web-3 new +", "+web-2:new"),
        // 25 % of 3: one more, none less.
        ("web-1 old +, web-2 old +, web-3 old +", "+web-4:new"),
        ("web-1 old +, web-2 old +, web-3 old +, web-4 new -", ""),
        ("web-1 old +, web-2 old +, web-3 old +, web-4 new +", "-web-3"),
        ("web-1 old +, web-2 old +, web-3 old x, web-4 new +", "+web-5:new"),
        ("web-1 old +, web-2 old +, web-4 new +", "+web-3:new"),
        ("web-1 old +, web-2 new +, web-3 new +, web-4 new +", "-web-1"),
        // Old pods that are not ready go at once; they serve nobody.
        ("web-1 old -, web-2 old +, web-3 old +, web-4 new +", "-web-1"),
        // More than asked for: the one that is not ready first.
        ("web-1 new +, web-2 new -, web-3 new +, web-4 new +", "-web-2"),
        ("web-1 new !, web-2 new +, web-3 new +", "-web-1 +web-4:new"),
    ] {
        assert_eq!(acts(&plan, observed), expected, "{observed}");
    }
}

#[test]
fn a_rollout_never_goes_below_its_bounds_and_ends() {
    for (replicas, surge, unavailable) in [
        (1, "25%", "25%"),
        (3, "1", "0"),
        (3, "0", "1"),
        (10, "25%", "25%"),
        (5, "100%", "0"),
        (4, "0", "50%"),
        (2, "3", "2"),
    ] {
        let plan = workload_of(
            "Deployment",
            &format!(
                "  replicas: {replicas}\n  strategy: {{ rollingUpdate: {{ maxSurge: {surge}, maxUnavailable: {unavailable} }} }}\n"
            ),
        );
        let mut observed: Vec<ObservedPod> =
            pods(&(1..=replicas).map(|number| format!("web-{number} old +")).collect::<Vec<_>>().join(","));
        let (most, least) = match &plan.update {
            crate::plan::UpdateStrategy::RollingUpdate { max_surge, max_unavailable } => {
                (replicas + max_surge.of_up(replicas), replicas - max_unavailable.of_down(replicas).min(replicas))
            }
            _ => unreachable!("a Deployment rolls"),
        };
        let mut memory = Memory { hash: "new".into(), ..Memory::default() };
        let mut rounds = 0;
        loop {
            let now = at(rounds * 10);
            let step = workload(&plan, &memory, &observed, &BTreeSet::new(), now);
            memory = step.memory;
            if step.status.progress == Progress::Complete {
                assert!(step.actions.is_empty());
                break;
            }
            // What became ready since the last look; only then what is done now.
            for pod in &mut observed {
                if !pod.ready {
                    (pod.ready, pod.ready_since) = (true, Some(now));
                }
            }
            for action in step.actions {
                match action {
                    Action::Create { name, hash, .. } => {
                        assert!(observed.iter().all(|pod| pod.name != name));
                        let mut pod = pods(&format!("{name} {hash} -")).remove(0);
                        pod.created = now;
                        observed.push(pod);
                    }
                    Action::Delete { name, .. } => observed.retain(|pod| pod.name != name),
                    Action::DeleteClaims { .. } => unreachable!("a Deployment has no claims"),
                }
            }
            let ready = observed.iter().filter(|pod| pod.ready).count() as u32;
            assert!(observed.len() as u32 <= most, "{} pods of {most}", observed.len());
            assert!(ready >= least, "{ready} ready of {least}");
            rounds += 1;
            assert!(rounds < 100, "the rollout of {replicas} with {surge} and {unavailable} does not end");
        }
        assert_eq!(observed.len() as u32, replicas);
    }
}

#[test]
fn recreate_waits_until_the_old_ones_are_gone() {
    let plan = workload_of("Deployment", "  replicas: 2\n  strategy: { type: Recreate }\n");
    for (observed, expected) in
        [("web-1 old +, web-2 old +", "-web-1 -web-2"), ("web-1 old x, web-2 old x", ""), ("", "+web-1:new +web-2:new")]
    {
        assert_eq!(acts(&plan, observed), expected, "{observed}");
    }
}

#[test]
fn one_of_one_is_called_as_podman_calls_it() {
    let plan = workload_of("Deployment", "  replicas: 1\n");
    assert_eq!(acts(&plan, ""), "+web-pod:new");
    assert_eq!(acts(&plan, "web-pod old +"), "+web-1:new");
    assert_eq!(acts(&plan, "web-pod old +, web-1 new +"), "-web-pod");
    let daemon = workload_of("DaemonSet", "");
    assert_eq!(acts(&daemon, ""), "+web-pod:new");
    assert_eq!(acts(&daemon, "web-pod old +"), "-web-pod");
    let set = workload_of("ReplicaSet", "  replicas: 2\n");
    assert_eq!(acts(&set, "web-1 old +"), "+web-2:new");
    let nothing = workload_of("Deployment", "  replicas: 0\n");
    assert_eq!(acts(&nothing, "web-1 new +, web-2 old +"), "-web-1 -web-2");
}

#[test]
fn a_rollout_that_does_not_come_on_is_late() {
    let plan = workload_of("Deployment", "  replicas: 2\n  progressDeadlineSeconds: 60\n");
    let observed = pods("web-1 old +, web-2 old +, web-3 new -");
    let first = workload(&plan, &Memory::default(), &observed, &BTreeSet::new(), at(0));
    assert_eq!((first.status.progress, first.wake), (Progress::Progressing, Some(at(60))));
    let step = workload(&plan, &first.memory, &observed, &BTreeSet::new(), at(59));
    assert_eq!(step.status.progress, Progress::Progressing);
    let step = workload(&plan, &step.memory, &observed, &BTreeSet::new(), at(60));
    assert_eq!((step.status.progress, step.wake), (Progress::DeadlineExceeded, None));
    let observed = pods("web-1 old +, web-2 old +, web-3 new +");
    let step = workload(&plan, &step.memory, &observed, &BTreeSet::new(), at(70));
    assert_eq!(step.status.progress, Progress::Progressing);
}

#[test]
fn a_pod_counts_after_min_ready_seconds() {
    let plan = workload_of("Deployment", "  replicas: 2\n  minReadySeconds: 120\n");
    let observed = pods("web-1 old +, web-2 old +, web-3 new +");
    let memory = Memory { hash: "new".into(), ..Memory::default() };
    let step = workload(&plan, &memory, &observed, &BTreeSet::new(), at(0));
    assert_eq!((shown(&step.actions).as_str(), step.wake), ("", Some(at(20))));
    let step = workload(&plan, &memory, &observed, &BTreeSet::new(), at(20));
    assert_eq!(shown(&step.actions), "-web-2");
}

#[test]
fn a_paused_deployment_keeps_its_number_and_its_template() {
    let plan = workload_of("Deployment", "  replicas: 3\n  paused: true\n");
    assert_eq!(acts(&plan, "web-1 old +, web-2 old +"), "+web-3:old");
    assert_eq!(acts(&plan, "web-1 old +, web-2 old +, web-3 old +, web-4 old -"), "-web-4");
}

#[test]
fn a_paused_deployment_takes_up_no_new_template() {
    let mut plan = workload_of("Deployment", "  replicas: 2\n  paused: true\n");
    let step = |plan: &WorkloadPlan, memory: &Memory, observed: &str| {
        let step = workload(plan, memory, &pods(observed), &BTreeSet::new(), at(0));
        (shown(&step.actions), step.status.updated, step.status.progress, step.memory)
    };
    // A new one has no pods.
    let (actions, updated, progress, memory) = step(&plan, &Memory::default(), "");
    assert_eq!((actions.as_str(), updated, progress), ("", 0, Progress::Paused));
    plan.paused = false;
    let (actions, _, _, memory) = step(&plan, &memory, "");
    assert_eq!(actions, "+web-1:new +web-2:new");
    // One that has some goes on with them, however often its template changes.
    plan.paused = true;
    for hash in ["second", "third"] {
        plan.template.hash = hash.to_owned();
        let (actions, updated, progress, _) = step(&plan, &memory, "web-1 new +");
        assert_eq!((actions.as_str(), updated, progress), ("+web-2:new", 0, Progress::Paused));
    }
    plan.paused = false;
    let (actions, ..) = step(&plan, &memory, "web-1 new +, web-2 new +");
    assert_eq!(actions, "+web-3:third");
}

#[test]
fn a_stateful_set_goes_in_order() {
    let plan = workload_of("StatefulSet", "  replicas: 3\n");
    for (observed, expected) in [
        ("", "+web-0:new"),
        ("web-0 new -", ""),
        ("web-0 new +", "+web-1:new"),
        ("web-0 new +, web-2 new +", "+web-1:new"),
        ("web-0 new +, web-1 new +, web-2 new +", ""),
        ("web-0 new +, web-1 new !, web-2 new +", "-web-1"),
        ("web-0 new +, web-1 new x, web-2 new +", ""),
        // Down from the last one, one at a time.
        ("web-0 new +, web-1 new +, web-2 new +, web-3 new +, web-4 new +", "-web-4"),
        ("web-0 new +, web-1 new +, web-2 new +, web-3 new +, web-4 new x", ""),
        // The update too.
        ("web-0 old +, web-1 old +, web-2 old +", "-web-2"),
        ("web-0 old +, web-1 old +, web-2 old x", ""),
        ("web-0 old +, web-1 old +", "+web-2:new"),
        ("web-0 old +, web-1 old +, web-2 new -", ""),
        ("web-0 old +, web-1 old +, web-2 new +", "-web-1"),
        // Who will never be ready does not keep itself from its update.
        ("web-0 old -", "-web-0"),
    ] {
        assert_eq!(acts(&plan, observed), expected, "{observed}");
    }
    let parallel = workload_of("StatefulSet", "  replicas: 2\n  podManagementPolicy: Parallel\n");
    assert_eq!(acts(&parallel, ""), "+web-0:new +web-1:new");
    assert_eq!(acts(&parallel, "web-0 new -, web-1 new -, web-2 new +, web-3 new +"), "-web-3 -web-2");
    let split = workload_of("StatefulSet", "  replicas: 3\n  updateStrategy: { rollingUpdate: { partition: 2 } }\n");
    assert_eq!(acts(&split, "web-0 old +, web-1 old +, web-2 old +"), "-web-2");
    assert_eq!(acts(&split, "web-0 old +, web-2 new +"), "+web-1:old");
    assert_eq!(acts(&split, "web-0 old +, web-1 old +, web-2 new +"), "");
    let own = workload_of(
        "StatefulSet",
        "  replicas: 1\n  ordinals: { start: 5 }\n  persistentVolumeClaimRetentionPolicy: { whenScaled: Delete }\n",
    );
    assert_eq!(acts(&own, ""), "+web-5:new");
    assert_eq!(acts(&own, "web-5 new +, web-6 new +"), "-web-6");
    // The claims of a pod that went: once it is gone, and not where it is wanted again.
    let leaving = |gone: &str| Memory { hash: "new".into(), leaving: [gone.to_owned()].into(), ..Memory::default() };
    let claims = |gone: &str, observed: &str| {
        let step = workload(&own, &leaving(gone), &pods(observed), &BTreeSet::new(), at(0));
        let deleted = step.actions.contains(&Action::DeleteClaims { pod: gone.to_owned() });
        (deleted, step.memory.leaving.len())
    };
    assert_eq!(claims("web-6", "web-5 new +, web-6 new +"), (false, 1));
    assert_eq!(claims("web-6", "web-5 new +"), (true, 0));
    assert_eq!(claims("web-5", "web-5 new +"), (false, 0));
}

fn job_of(spec: &str) -> JobPlan {
    let text = format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{ name: pi }}\nspec:\n  template:\n    spec: {{ restartPolicy: Never, \
         containers: [{{ name: a, image: box }}] }}\n{spec}"
    );
    planned(&text).jobs.remove(0)
}

fn job_acts(plan: &JobPlan, observed: &str, now: i64) -> (String, Option<JobCondition>) {
    let memory = JobMemory { started: Some(at(-200)), ..JobMemory::default() };
    let step = job(&plan.meta.id, &plan.run, &memory, &pods(observed), &BTreeSet::new(), at(now));
    let words = step.actions.iter().map(|action| match action {
        JobAction::Create { name, .. } => format!("+{name}"),
        JobAction::Delete { name, .. } => format!("-{name}"),
        JobAction::Remove => "remove".to_owned(),
    });
    (words.collect::<Vec<_>>().join(" "), step.status.condition)
}

#[test]
fn a_job_runs_until_it_has_enough_successes() {
    let once = job_of("");
    let many = job_of("  completions: 4\n  parallelism: 2\n");
    let queue = job_of("  parallelism: 3\n");
    let indexed = job_of("  completions: 3\n  parallelism: 2\n  completionMode: Indexed\n");
    for (plan, observed, expected, complete) in [
        (&once, "", "+pi-pod", false),
        (&once, "pi-pod x -", "", false),
        (&once, "pi-pod x .", "", true),
        (&once, "pi-pod x !", "+pi-1", false),
        (&many, "", "+pi-1 +pi-2", false),
        (&many, "pi-1 x ., pi-2 x -", "+pi-3", false),
        (&many, "pi-1 x ., pi-2 x ., pi-3 x ., pi-4 x -", "", false),
        (&many, "pi-1 x ., pi-2 x ., pi-3 x ., pi-4 x .", "", true),
        (&queue, "", "+pi-1 +pi-2 +pi-3", false),
        (&queue, "pi-1 x ., pi-2 x -, pi-3 x -", "", false),
        (&queue, "pi-1 x ., pi-2 x !, pi-3 x .", "", true),
        (&indexed, "", "+pi-0 +pi-1", false),
        (&indexed, "pi-0 x ., pi-1 x -", "+pi-2", false),
        (&indexed, "pi-0 x ., pi-1 x !", "+pi-1-1 +pi-2", false),
        (&indexed, "pi-0 x ., pi-1 x ., pi-2 x .", "", true),
    ] {
        let (acts, condition) = job_acts(plan, observed, 0);
        assert_eq!(acts, expected, "{observed}");
        assert_eq!(condition == Some(JobCondition::Complete), complete, "{observed}");
    }
}

#[test]
fn a_job_fails_by_its_limits() {
    let reason = |spec: &str, observed: &str, now| match job_acts(&job_of(spec), observed, now) {
        (acts, Some(JobCondition::Failed { reason, .. })) => format!("{reason} {acts}"),
        (acts, condition) => format!("{condition:?} {acts}"),
    };
    assert_eq!(reason("  backoffLimit: 1\n", "pi-1 x !, pi-2 x !", 0), "BackoffLimitExceeded ");
    assert_eq!(reason("  backoffLimit: 2\n", "pi-1 x !, pi-2 x !", 0), "None +pi-pod");
    // Ended 50 s ago; the second failure waits 20 s, the fifth 160.
    assert_eq!(reason("", "a x !, b x !, c x !, d x !, e x !", 0), "None ");
    assert_eq!(reason("", "a x !, b x !, c x !, d x !, e x !", 111), "None +pi-pod");
    assert_eq!(reason("  activeDeadlineSeconds: 200\n", "pi-pod x -", 0), "DeadlineExceeded -pi-pod");
    assert_eq!(reason("  activeDeadlineSeconds: 201\n", "pi-pod x -", 0), "None ");
    assert_eq!(reason("  suspend: true\n", "pi-pod x -", 0), "Some(Suspended) -pi-pod");
    let rules = |action: &str| {
        format!(
            "  podFailurePolicy: {{ rules: [{{ action: {action}, onExitCodes: {{ operator: In, values: [3] }} }}] }}\n  backoffLimit: 0\n"
        )
    };
    assert_eq!(reason(&rules("FailJob"), "pi-pod x !", 0), "PodFailurePolicy ");
    assert_eq!(reason(&rules("Ignore"), "pi-pod x !", 0), "None +pi-1");
    assert_eq!(reason(&rules("Count"), "pi-pod x !", 0), "BackoffLimitExceeded ");
}

#[test]
fn indexes_fail_by_themselves() {
    let plan = |more: &str| job_of(&format!("  completions: 3\n  parallelism: 3\n  completionMode: Indexed\n{more}"));
    let own = plan("  backoffLimitPerIndex: 1\n");
    let bound = plan("  backoffLimitPerIndex: 0\n  maxFailedIndexes: 1\n");
    let given_up = plan(
        "  backoffLimitPerIndex: 5\n  podFailurePolicy: { rules: [{ action: FailIndex, onExitCodes: { operator: In, values: [3] } }] }\n",
    );
    let reason = |plan: &JobPlan, observed: &str, now| match job_acts(plan, observed, now) {
        (acts, Some(JobCondition::Failed { reason, .. })) => format!("{reason} {acts}"),
        (acts, condition) => format!("{condition:?} {acts}"),
    };
    for (plan, observed, now, expected) in [
        // One retry, and the others go on.
        (&own, "pi-0 x !, pi-1 x -, pi-2 x -", 0, "None +pi-0-1"),
        (&own, "pi-0 x !, a-0 x !, pi-1 x -, pi-2 x -", 0, "None "),
        // The pause of an index is its own.
        (&own, "pi-0 x !, pi-1 x -", -45, "None +pi-2"),
        (&own, "pi-0 x !, a-0 x !, pi-1 x ., pi-2 x .", 0, "FailedIndexes "),
        (&own, "pi-0 x !, pi-0 x ., pi-1 x ., pi-2 x .", 0, "Some(Complete) "),
        (&bound, "pi-0 x !, pi-1 x -, pi-2 x -", 0, "None "),
        (&bound, "pi-0 x !, pi-1 x !, pi-2 x -", 0, "MaxFailedIndexesExceeded -pi-2"),
        (&given_up, "pi-0 x !, pi-1 x -, pi-2 x -", 0, "None "),
    ] {
        assert_eq!(reason(plan, observed, now), expected, "{observed}");
    }
    let pods = pods("pi-0 x !, a-0 x !, pi-1 x ., pi-2 x .");
    let status = job(&own.meta.id, &own.run, &JobMemory::default(), &pods, &BTreeSet::new(), at(0)).status;
    let indexes = [status.completed_indexes, status.failed_indexes].map(|indexes| indexes.map(|it| it.to_string()));
    assert_eq!(indexes, [Some("1,2".to_owned()), Some("0".to_owned())]);
}

#[test]
fn some_successes_may_be_enough() {
    let plan = job_of(
        "  completions: 4\n  parallelism: 4\n  completionMode: Indexed\n  successPolicy: { rules: [{ succeededIndexes: '0,2-3', \
         succeededCount: 2 }, { succeededIndexes: '1' }] }\n",
    );
    for (observed, complete) in [
        ("pi-0 x ., pi-1 x -, pi-2 x -, pi-3 x -", false),
        ("pi-0 x ., pi-1 x -, pi-2 x -, pi-3 x .", true),
        ("pi-0 x -, pi-1 x ., pi-2 x -, pi-3 x -", true),
    ] {
        let (acts, condition) = job_acts(&plan, observed, 0);
        assert_eq!((condition == Some(JobCondition::Complete), acts.contains('-')), (complete, complete), "{observed}");
    }
}

#[test]
fn an_ended_job_goes_after_its_time() {
    let plan = job_of("  ttlSecondsAfterFinished: 30\n");
    let first = job(&plan.meta.id, &plan.run, &JobMemory::default(), &pods("pi-pod x ."), &BTreeSet::new(), at(0));
    assert_eq!((first.actions, first.wake), (vec![], Some(at(30))));
    let step = job(&plan.meta.id, &plan.run, &first.memory, &pods("pi-pod x ."), &BTreeSet::new(), at(30));
    assert_eq!(step.actions, [JobAction::Remove]);
}

#[test]
fn a_cron_job_starts_by_the_clock() {
    let plan = |spec: &str| {
        let text = format!(
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{ name: tick }}\nspec:\n  schedule: '*/10 * * * *'\n  jobTemplate: \
             {{ spec: {{ template: {{ spec: {{ restartPolicy: Never, containers: [{{ name: a, image: box }}] }} }} }} }}\n{spec}"
        );
        planned(&text).cron_jobs.remove(0)
    };
    // 1_800_000_000 is 2027-01-15T08:00:00Z.
    let job_at = |minutes: i64, ended: Option<bool>| ObservedJob {
        name: format!("tick-{}", at(minutes * 60).as_second() / 60),
        started: at(minutes * 60),
        ended: ended.map(|well| (at(minutes * 60 + 30), well)),
    };
    let acts = |spec: &str, last: Option<i64>, jobs: &[ObservedJob], now: i64| {
        let last = last.map(|minutes| at(minutes * 60));
        let step = cron(&plan(spec), at(-6000), last, jobs, &jiff::tz::TimeZone::UTC, at(now));
        let words = step.actions.iter().map(|action| match action {
            CronAction::Start { scheduled, .. } => format!("+{}", (scheduled.as_second() - 1_800_000_000) / 60),
            CronAction::Delete { name } => {
                format!("-{}", (name[5..].parse::<i64>().expect("minutes") * 60 - 1_800_000_000) / 60)
            }
        });
        words.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(acts("", Some(-10), &[], 5), "+0");
    assert_eq!(acts("", Some(0), &[], 5), "");
    // Many were missed: only the last one is made up for.
    assert_eq!(acts("", None, &[], 5), "+0");
    assert_eq!(acts("  startingDeadlineSeconds: 60\n", Some(-10), &[], 61), "");
    assert_eq!(acts("  startingDeadlineSeconds: 60\n", Some(-10), &[], 60), "+0");
    assert_eq!(acts("  suspend: true\n", Some(-10), &[], 5), "");
    assert_eq!(acts("", Some(-10), &[job_at(-10, None)], 5), "+0");
    assert_eq!(acts("  concurrencyPolicy: Forbid\n", Some(-10), &[job_at(-10, None)], 5), "");
    assert_eq!(acts("  concurrencyPolicy: Forbid\n", Some(-10), &[job_at(-10, Some(true))], 5), "+0");
    assert_eq!(acts("  concurrencyPolicy: Replace\n", Some(-10), &[job_at(-10, None)], 5), "--10 +0");
    let ended: Vec<_> = (1..=5).map(|number| job_at(-10 * number, Some(true))).collect();
    assert_eq!(acts("", Some(0), &ended, 5), "--40 --50");
    let failed = [job_at(-10, Some(false)), job_at(-20, Some(false)), job_at(-30, Some(true))];
    assert_eq!(acts("", Some(0), &failed, 5), "--20");
}

#[test]
fn an_autoscaler_follows_the_load() {
    let plan = |spec: &str| {
        let text = format!(
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{ name: web }}\nspec:\n  scaleTargetRef: {{ kind: \
             Deployment, name: web }}\n  minReplicas: 1\n  maxReplicas: 10\n{spec}"
        );
        let id = ObjectId::new(crate::plan::Kind::Deployment, "default", "web");
        let stored = crate::Stored { workloads: [id].into(), ..Default::default() };
        crate::lower::planned_with(&text, &stored, &Default::default()).expect("a plan").autoscalers.remove(0)
    };
    let half = plan(
        "  metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 50 } } }]\n",
    );
    let usage = |cpus: &[i64]| -> Vec<PodUsage> {
        cpus.iter()
            .map(|cpu| PodUsage {
                ready: *cpu >= -1,
                cpu_millis: u64::try_from(*cpu).ok(),
                cpu_requested_millis: 1000,
                ..PodUsage::default()
            })
            .collect()
    };
    let decide = |plan: &crate::plan::AutoscalerPlan, memory: &AutoscaleMemory, cpus: &[i64], now: i64| {
        autoscale(plan, memory, cpus.len() as u32, &usage(cpus), at(now))
    };
    let none = AutoscaleMemory::default();
    for (cpus, expected) in [
        (&[500, 500][..], 2),
        // Within a tenth nothing happens.
        (&[540, 550], 2),
        (&[900, 900], 4),
        (&[1000], 2),
        // Doubling or four more at a time, whichever is more.
        (&[5000], 5),
        (&[100, 100, 100, 100], 1),
        (&[0], 1),
        // Not measured: idle on the way up, busy on the way down.
        (&[900, -1], 2),
        (&[1500, -1], 3),
        (&[100, -1], 2),
        (&[-1], 1),
        // Not ready: set aside.
        (&[900, 900, -2], 4),
    ] {
        assert_eq!(decide(&half, &none, cpus, 0).replicas, expected, "{cpus:?}");
    }
    assert_eq!(decide(&half, &none, &[900, 900], 0).current, [Some(90)]);
    // Down only when nobody has wished for more for five minutes.
    let busy = decide(&half, &none, &[600, 600, 600, 600], 0);
    assert_eq!(busy.replicas, 5);
    let idle = decide(&half, &busy.memory, &[100, 100, 100, 100, 100], 60);
    assert_eq!(idle.replicas, 5);
    assert_eq!(decide(&half, &idle.memory, &[100, 100, 100, 100, 100], 400).replicas, 1);
    // Two steps up within a policy's period share its room.
    let first = decide(&half, &none, &[5000], 0);
    assert_eq!(decide(&half, &first.memory, &[5000, 5000, 5000, 5000, 5000], 5).replicas, 5);
    assert_eq!(decide(&half, &first.memory, &[5000, 5000, 5000, 5000, 5000], 20).replicas, 10);
    let value = plan(
        "  metrics: [{ type: Resource, resource: { name: memory, target: { type: AverageValue, averageValue: 100Mi } } }]\n",
    );
    let heavy = PodUsage { ready: true, memory_bytes: Some(250 << 20), ..PodUsage::default() };
    assert_eq!(autoscale(&value, &none, 1, &[heavy], at(0)).replicas, 3);
}

/// `name state`: `w` waiting, `c` created, `r` running and ready, `s` running and not started, `0` ended well, `1` ended
/// badly.
fn containers(text: &str) -> Vec<ObservedContainer> {
    text.split(',')
        .filter(|part| !part.trim().is_empty())
        .map(|part| {
            let (name, state) = part.trim().split_once(' ').expect("a name and a state");
            let ended = |code| Ended { code, oom_killed: false, started: Some(at(-20)), at: at(-5) };
            let (state, restarts) = match state {
                "w" => (ContainerState::Waiting(WaitReason::CrashLoopBackOff), 3),
                "r" => (ContainerState::Running { since: at(-20), started: true, ready: true }, 0),
                "s" => (ContainerState::Running { since: at(-20), started: false, ready: false }, 0),
                "0" => (ContainerState::Ended(ended(0)), 0),
                "1" => (ContainerState::Ended(ended(1)), 0),
                "2" => (ContainerState::Ended(ended(1)), 2),
                other => panic!("{other}"),
            };
            ObservedContainer { name: name.to_owned(), state, restarts, last: None }
        })
        .collect()
}

#[test]
fn containers_make_the_status_of_their_pod() {
    let template = |policy: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{ name: x }}\nspec:\n  restartPolicy: {policy}\n  initContainers:\n  - {{ name: i, \
             image: box }}\n  - {{ name: s, image: box, restartPolicy: Always }}\n  - {{ name: t, image: box, restartPolicy: Always }}\n  \
             - {{ name: j, image: box }}\n  containers:\n  - {{ name: a, image: box }}\n  - {{ name: b, image: box }}\n"
        );
        planned(&text).pods.remove(0).template
    };
    let (always, never, failure) = (template("Always"), template("Never"), template("OnFailure"));
    for (template, observed, stopping, shown) in [
        (&always, "", false, "Init:0/4"),
        (&always, "i r", false, "Init:0/4"),
        (&always, "i 0", false, "Init:1/4"),
        (&always, "i 0, s s", false, "Init:1/4"),
        (&always, "i 0, s r", false, "Init:2/4"),
        (&always, "i 0, s r, t r", false, "Init:3/4"),
        (&always, "i 0, s r, t r, j 0", false, "PodInitializing"),
        (&always, "i 0, s r, t r, j 0, a r, b r", false, "Running"),
        (&always, "i 1", false, "Init:Error"),
        (&always, "i 2", false, "Init:Error"),
        (&always, "i w", false, "Init:CrashLoopBackOff"),
        (&never, "i 1", false, "Init:Error"),
        (&always, "i 0, s r, t r, j 0, a 1, b r", false, "Error"),
        (&always, "i 0, s r, t r, j 0, a w, b r", false, "CrashLoopBackOff"),
        (&always, "i 0, s 1, t r, j 0, a r, b r", false, "Running"),
        (&never, "i 0, s r, t r, j 0, a 0, b r", false, "NotReady"),
        (&never, "i 0, s r, t r, j 0, a 0, b 0", false, "Completed"),
        (&never, "i 0, s r, t 0, j 0, a 0, b 0", false, "Completed"),
        (&never, "i 0, s 0, t 0, j 0, a 1, b 0", false, "Error"),
        (&failure, "i 0, s r, t r, j 0, a 1, b 0", false, "Error"),
        (&always, "i 0, s r, t r, j 0, a r, b r", true, "Terminating"),
        (&always, "i 0, s r, t r, j 0, a 0, b 0", true, "Terminating"),
        (&always, "i r", true, "Terminating"),
    ] {
        assert_eq!(pod_status(template, &containers(observed), stopping).shown, shown, "{observed}");
    }
    let status = |template, observed| pod_status(template, &containers(observed), false);
    let all = status(&always, "i 0, s r, t r, j 0, a r, b r");
    assert_eq!((all.phase, all.ready, all.ready_containers, all.containers), (PodPhase::Running, true, 4, 4));
    assert_eq!(status(&never, "i 0, s 0, t 0, j 0, a 1, b 0").phase, PodPhase::Failed);
    assert_eq!(status(&never, "i 0, s 0, t 0, j 0, a 0, b 0").phase, PodPhase::Succeeded);
    assert_eq!(status(&never, "i 1").phase, PodPhase::Failed);
    assert_eq!(status(&always, "i 0, s r, t r, j 0, a 1, b r").phase, PodPhase::Running);
}
