//! Users, capabilities, system call filters.

use crate::decode::{Id, object, words};

object! {
    PodSecurityContext {
        "runAsUser" run_as_user: Option<Id>,
        "runAsGroup" run_as_group: Option<Id>,
        /// A container that would run as user 0 is not started.
        "runAsNonRoot" run_as_non_root: Option<bool>,
        "supplementalGroups" supplemental_groups: Vec<Id>,
        /// The group of the pod's volumes and of its processes.
        "fsGroup" fs_group: Option<Id>,
        "fsGroupChangePolicy" fs_group_change_policy: Option<FsGroupChangePolicy>,
        "sysctls" sysctls: Vec<Sysctl>,
        "seccompProfile" seccomp_profile: Option<SeccompProfile>,
        "seLinuxOptions" se_linux_options: Option<SeLinuxOptions>,
        "appArmorProfile" app_armor_profile: Option<AppArmorProfile>,
    }
    no_effect {
        /// groups of the image's user are merged in
        "supplementalGroupsPolicy",
        /// labels are recorded only
        "seLinuxChangePolicy",
    }
    refused {
        /// containers are of Linux
        "windowsOptions",
    }
}

object! {
    SecurityContext {
        "runAsUser" run_as_user: Option<Id>,
        "runAsGroup" run_as_group: Option<Id>,
        "runAsNonRoot" run_as_non_root: Option<bool>,
        "readOnlyRootFilesystem" read_only_root_filesystem: Option<bool>,
        "privileged" privileged: Option<bool>,
        "allowPrivilegeEscalation" allow_privilege_escalation: Option<bool>,
        "capabilities" capabilities: Option<Capabilities>,
        "procMount" proc_mount: Option<ProcMount>,
        "seccompProfile" seccomp_profile: Option<SeccompProfile>,
        /// Recorded; there is no SELinux support below.
        "seLinuxOptions" se_linux_options: Option<SeLinuxOptions>,
        "appArmorProfile" app_armor_profile: Option<AppArmorProfile>,
    }
    refused {
        /// containers are of Linux
        "windowsOptions",
    }
}

object! {
    /// Names with or without `CAP_`, or `ALL`.
    Capabilities {
        "add" add: Vec<String>,
        "drop" drop: Vec<String>,
    }
}

object! {
    Sysctl {
        "name" name: String,
        "value" value: String,
    }
}

object! {
    SeccompProfile {
        "type" kind: ProfileType,
        /// A file, relative to `--seccomp-profile-root`.
        "localhostProfile" localhost_profile: Option<String>,
    }
}

object! {
    AppArmorProfile {
        "type" kind: ProfileType,
        "localhostProfile" localhost_profile: Option<String>,
    }
}

object! {
    SeLinuxOptions {
        "user" user: Option<String>,
        "role" role: Option<String>,
        "type" kind: Option<String>,
        "level" level: Option<String>,
    }
}

words! {
    pub(crate) ProfileType {
        #[default]
        RuntimeDefault = "RuntimeDefault",
        Unconfined = "Unconfined",
        Localhost = "Localhost",
    }
}

words! {
    pub(crate) ProcMount {
        #[default]
        Default = "Default",
        Unmasked = "Unmasked",
    }
}

words! {
    pub FsGroupChangePolicy {
        #[default]
        Always = "Always",
        OnRootMismatch = "OnRootMismatch",
    }
}
