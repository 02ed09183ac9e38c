//! Who a container runs as, and what it may do.

use std::path::Path;

use containers::{ContainerSpec, SeccompProfile};

use super::{At, Lowering};
use crate::model::{self, PodSpec};

/// Where Kubernetes looks for profiles of type Localhost.
const SECCOMP_ROOT: &str = "/var/lib/kubelet/seccomp";

impl Lowering<'_> {
    pub(super) fn security(
        &mut self,
        container: &model::Container,
        pod: &PodSpec,
        spec: &mut ContainerSpec,
        at: &At<'_>,
    ) -> (bool, Option<u32>) {
        let of_pod = pod.security_context.as_ref();
        let own = container.security_context.as_ref();
        let user = own.and_then(|own| own.run_as_user).or(of_pod.and_then(|pod| pod.run_as_user)).map(|id| id.0);
        let group = own.and_then(|own| own.run_as_group).or(of_pod.and_then(|pod| pod.run_as_group)).map(|id| id.0);
        let non_root = own.and_then(|own| own.run_as_non_root).or(of_pod.and_then(|pod| pod.run_as_non_root));
        spec.user = match (user, group) {
            (Some(user), Some(group)) => Some(format!("{user}:{group}")),
            (Some(user), None) => Some(user.to_string()),
            (None, _) => None,
        };
        if non_root == Some(true) && user == Some(0) {
            let at = at.keys("securityContext.runAsNonRoot");
            self.wrong(&at, "runAsNonRoot and runAsUser: 0 contradict each other");
        }
        if let Some(pod) = of_pod {
            let groups = pod.supplemental_groups.iter().chain(&pod.fs_group);
            spec.group_add.extend(groups.map(|group| group.0.to_string()));
        }
        let seccomp = own.and_then(|own| own.seccomp_profile.as_ref());
        let seccomp_at = match seccomp {
            Some(_) => at.keys("securityContext.seccompProfile"),
            None => at.clone(),
        };
        if let Some(profile) = seccomp.or(of_pod.and_then(|pod| pod.seccomp_profile.as_ref())) {
            spec.security.seccomp = self.seccomp(profile, &seccomp_at);
        }
        let apparmor = own.and_then(|own| own.app_armor_profile.as_ref());
        if let Some(profile) = apparmor.or(of_pod.and_then(|pod| pod.app_armor_profile.as_ref())) {
            spec.security.apparmor = match (profile.kind, &profile.localhost_profile) {
                (model::ProfileType::Unconfined, _) => Some("unconfined".to_owned()),
                (model::ProfileType::Localhost, Some(name)) => Some(name.clone()),
                (model::ProfileType::RuntimeDefault, _) | (model::ProfileType::Localhost, None) => None,
            };
        }
        let selinux = own.and_then(|own| own.se_linux_options.as_ref());
        if let Some(options) = selinux.or(of_pod.and_then(|pod| pod.se_linux_options.as_ref())) {
            let parts =
                [("user", &options.user), ("role", &options.role), ("type", &options.kind), ("level", &options.level)];
            let labels = parts.iter().filter_map(|(word, value)| value.as_ref().map(|value| format!("{word}:{value}")));
            spec.security.labels.extend(labels);
        }
        let Some(own) = own else { return (non_root == Some(true), group.filter(|_| user.is_none())) };
        spec.security.privileged = own.privileged.unwrap_or(false);
        spec.security.read_only = own.read_only_root_filesystem.unwrap_or(false);
        // As `run --read-only`, of which `generate` makes this.
        spec.security.read_only_tmpfs = spec.security.read_only;
        if own.allow_privilege_escalation == Some(false) {
            if spec.security.privileged {
                let at = at.keys("securityContext.allowPrivilegeEscalation");
                self.wrong(&at, "cannot be false where privileged is true");
            }
            spec.security.no_new_privileges = true;
        }
        if own.proc_mount == Some(model::ProcMount::Unmasked) {
            spec.security.unmask.push("ALL".to_owned());
        }
        if let Some(capabilities) = &own.capabilities {
            for (list, word) in [(&capabilities.add, "add"), (&capabilities.drop, "drop")] {
                for (index, name) in list.iter().enumerate() {
                    let name = capability(name);
                    if name != "ALL" && !sys::capabilities::NAMES.contains(&format!("CAP_{name}").as_str()) {
                        let at = at.keys("securityContext.capabilities").key(word).index(index);
                        self.wrong(&at, format!("\"CAP_{name}\": unknown capability"));
                    }
                    match word {
                        "add" => spec.security.cap_add.push(name),
                        _ => spec.security.cap_drop.push(name),
                    }
                }
            }
        }
        (non_root == Some(true), group.filter(|_| user.is_none()))
    }

    fn seccomp(&mut self, profile: &model::SeccompProfile, at: &At<'_>) -> SeccompProfile {
        match (profile.kind, &profile.localhost_profile) {
            (model::ProfileType::RuntimeDefault, None) => SeccompProfile::Default,
            (model::ProfileType::Unconfined, None) => SeccompProfile::Unconfined,
            (model::ProfileType::Localhost, Some(path)) => {
                if path.starts_with('/') || path.split('/').any(|part| part == "..") {
                    self.wrong(&at.key("localhostProfile"), "must be a path below the profiles' directory");
                }
                let root = self.options.seccomp_root.as_deref().unwrap_or(Path::new(SECCOMP_ROOT));
                SeccompProfile::File(root.join(path))
            }
            (model::ProfileType::Localhost, None) => {
                self.wrong(&at.key("localhostProfile"), "is required where type is \"Localhost\"");
                SeccompProfile::Default
            }
            (model::ProfileType::RuntimeDefault | model::ProfileType::Unconfined, Some(_)) => {
                self.wrong(&at.key("localhostProfile"), "may be set only where type is \"Localhost\"");
                SeccompProfile::Default
            }
        }
    }
}

fn capability(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name)
}
