//! A container that is added to a pod which runs, to look into it: `kube debug`. It is no part of what the pod was made
//! from, and goes with the pod.

use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::decode::Validate;
use crate::lower::{Options, Stored, plan};
use crate::manifest::{Source, Unknown, read};
use crate::plan::ContainerPlan;
use crate::steps::ObservedContainer;

/// Seconds that it has to end by itself: it serves nobody.
const GRACE: u32 = 1;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EphemeralContainer {
    pub name: String,
    pub image: String,
    /// `imagePullPolicy`, as written.
    pub pull: Option<String>,
    /// The container of the pod whose processes it sees.
    pub target: Option<String>,
    /// Instead of the image's entrypoint; empty: that.
    pub command: Vec<String>,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub stdin: bool,
    pub tty: bool,
    pub profile: DebugProfile,
}

/// What it may do, by kubectl's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DebugProfile {
    /// It may look into the target's processes.
    #[default]
    General,
    /// What the pod says, and no more.
    Baseline,
    /// No root and no capabilities.
    Restricted,
    /// It may change the pod's network and see its packets.
    NetAdmin,
    SysAdmin,
}

impl DebugProfile {
    pub const WORDS: [(&'static str, DebugProfile); 5] = [
        ("baseline", DebugProfile::Baseline),
        ("general", DebugProfile::General),
        ("netadmin", DebugProfile::NetAdmin),
        ("restricted", DebugProfile::Restricted),
        ("sysadmin", DebugProfile::SysAdmin),
    ];

    fn security_context(self) -> Option<Value> {
        match self {
            DebugProfile::General => Some(json!({ "capabilities": { "add": ["SYS_PTRACE"] } })),
            DebugProfile::Baseline => None,
            DebugProfile::Restricted => Some(json!({
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
                "runAsNonRoot": true,
                "seccompProfile": { "type": "RuntimeDefault" },
            })),
            DebugProfile::NetAdmin => Some(json!({ "capabilities": { "add": ["NET_ADMIN", "NET_RAW"] } })),
            DebugProfile::SysAdmin => Some(json!({ "privileged": true })),
        }
    }
}

impl FromStr for DebugProfile {
    type Err = String;

    fn from_str(text: &str) -> Result<DebugProfile, String> {
        let known = DebugProfile::WORDS.iter().find(|(word, _)| *word == text);
        known.map(|(_, profile)| *profile).ok_or_else(|| {
            let words = DebugProfile::WORDS.map(|(word, _)| word).join(", ");
            format!("unknown profile {text:?}: there are {words}")
        })
    }
}

impl EphemeralContainer {
    /// Its entry in the pod's `ephemeralContainers`.
    pub fn manifest(&self) -> Value {
        let mut entry = Map::new();
        entry.insert("name".into(), self.name.clone().into());
        entry.insert("image".into(), self.image.clone().into());
        let texts = [("imagePullPolicy", &self.pull), ("targetContainerName", &self.target)];
        entry.extend(texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text.clone()?.into()))));
        let lists = [("command", &self.command), ("args", &self.args)];
        entry.extend(
            lists.into_iter().filter(|(_, words)| !words.is_empty()).map(|(key, words)| (key.into(), json!(words))),
        );
        if !self.env.is_empty() {
            // `$(NAME)` would be filled in.
            let variable =
                |(name, value): &(String, String)| json!({ "name": name, "value": value.replace("$(", "$$(") });
            entry.insert("env".into(), self.env.iter().map(variable).collect());
        }
        let switches = [("stdin", self.stdin), ("tty", self.tty)];
        entry.extend(switches.into_iter().filter(|(_, on)| *on).map(|(key, on)| (key.to_owned(), on.into())));
        if let Some(security) = self.profile.security_context() {
            entry.insert("securityContext".into(), security);
        }
        entry.into()
    }
}

/// One that is in a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Ephemeral {
    pub manifest: Value,
    pub plan: ContainerPlan,
    pub observed: ObservedContainer,
}

/// The container as planned. `pod`: the `spec` of its pod, of which it has what is said for all containers; it is planned
/// as if it were alone in it.
///
/// # Errors
/// What is wrong with it, one line each.
pub(crate) fn plan_ephemeral(manifest: &Value, pod: &Value) -> Result<ContainerPlan, String> {
    let mut container = manifest.clone();
    if let Some(entry) = container.as_object_mut() {
        // Not a container's own, but what it is to another.
        entry.remove("targetContainerName");
    }
    let document = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "debug" },
        "spec": {
            "containers": [container],
            "restartPolicy": "Never",
            "securityContext": pod.get("securityContext").cloned().unwrap_or_else(|| json!({})),
            "terminationGracePeriodSeconds": GRACE,
        },
    });
    let text = document.to_string();
    let source = Source { name: "kube debug", text: &text, config_maps_only: false };
    let manifests = read(&[source], "default", Validate::Strict, Unknown::Refuse);
    let planned = plan(&manifests, &Stored::default(), &Options::default()).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|problem| problem.text.clone()).collect();
        lines.join("; ")
    })?;
    let containers = planned.pods.into_iter().flat_map(|pod| pod.template.containers);
    containers.into_iter().next().ok_or_else(|| "there is no container".to_owned())
}

#[cfg(test)]
mod tests {
    use containers::{RestartPolicy, SeccompProfile};

    use super::*;

    fn wanted(profile: DebugProfile) -> EphemeralContainer {
        EphemeralContainer { name: "look".into(), image: "box:1".into(), profile, ..EphemeralContainer::default() }
    }

    #[test]
    fn profiles_say_what_it_may_do() {
        let planned = |profile| plan_ephemeral(&wanted(profile).manifest(), &Value::Null).unwrap();
        assert_eq!(planned(DebugProfile::General).spec.security.cap_add, ["SYS_PTRACE"]);
        assert_eq!(planned(DebugProfile::Baseline).spec.security, containers::Security::default());
        assert_eq!(planned(DebugProfile::NetAdmin).spec.security.cap_add, ["NET_ADMIN", "NET_RAW"]);
        assert!(planned(DebugProfile::SysAdmin).spec.security.privileged);
        let restricted = planned(DebugProfile::Restricted);
        assert!(restricted.run_as_non_root && restricted.spec.security.no_new_privileges);
        assert_eq!(restricted.spec.security.seccomp, SeccompProfile::Default);
        assert!("general".parse() == Ok(DebugProfile::General) && "legacy".parse::<DebugProfile>().is_err());
    }

    #[test]
    fn it_has_what_its_pod_says_for_all_and_is_not_started_again() {
        let pod = json!({ "securityContext": { "runAsUser": 7 }, "restartPolicy": "Always" });
        let one = EphemeralContainer {
            command: vec!["sh".into()],
            env: vec![("A".into(), "$(B)".into())],
            target: Some("web".into()),
            tty: true,
            stdin: true,
            ..wanted(DebugProfile::General)
        };
        let plan = plan_ephemeral(&one.manifest(), &pod).unwrap();
        assert_eq!(plan.spec.user.as_deref(), Some("7"));
        assert_eq!((plan.spec.restart, plan.spec.stop_timeout), (RestartPolicy::No, Some(GRACE)));
        assert!(plan.spec.tty && plan.spec.stdin && plan.command == ["sh"]);
        assert_eq!(one.manifest()["env"][0]["value"], "$$(B)");
        assert_eq!(one.manifest()["targetContainerName"], "web");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let one = EphemeralContainer { name: "No Name".into(), ..wanted(DebugProfile::General) };
        assert!(plan_ephemeral(&one.manifest(), &Value::Null).is_err());
    }
}
