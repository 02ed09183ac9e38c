//! Every key of every kind of Quadlet, in the order in which they come on the command line. docs/quadlet.md is written from
//! this.

use super::translation::Translation;
use super::{build, container, kube, network, pod, pull, user_namespace, volume};
use crate::error::Result;

pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) becomes: Becomes,
}

/// What a key becomes.
#[cfg_attr(not(test), expect(dead_code, reason = "the words are docs/quadlet.md's, which a test writes"))]
#[derive(Clone, Copy)]
pub(super) enum Becomes {
    /// `FLAG PREFIXvalue`, of the last value.
    Last(&'static str, &'static str),
    /// `FLAG=value`, of the last value.
    Joined(&'static str),
    /// `FLAG value` of each value, whole.
    Each(&'static str),
    /// `FLAG PREFIXword` of each word.
    Words(&'static str, &'static str),
    /// `FLAG key=value` of each word, sorted by key, the last of a key.
    Pairs(&'static str),
    /// `FLAG path` of each word, which is taken as relative to the Quadlet.
    Paths(&'static str),
    /// `FLAG` or `FLAG=false`.
    Switch(&'static str),
    /// These words, when it is true.
    When(&'static [&'static str]),
    /// The words of all its values, as they are.
    Verbatim,
    /// More than a flag: what it becomes in words, and who does it.
    Done(&'static str, fn(&mut Translation<'_>) -> Result<()>),
    /// Read where the whole command line is made; what for, in words.
    Read(&'static str),
    /// From before UserNS=: read with [`user_namespace`]; warned of by nobody, as in Podman.
    Retired(&'static str),
}

use Becomes::{Done, Each, Joined, Last, Pairs, Paths, Read, Retired, Switch, Verbatim, When, Words};

const fn key(name: &'static str, becomes: Becomes) -> Key {
    Key { name, becomes }
}

const SERVICE_NAME: Key = key("ServiceName", Read("the name of the service, without `.service`"));
const GLOBAL_ARGS: Key = key("GlobalArgs", Read("words before the command, as they are"));
const MODULE: Key = key("ContainersConfModule", Read("`--module=`, before the command"));
const PODMAN_ARGS: Key = key("PodmanArgs", Verbatim);

/// The section `[Quadlet]` of every kind.
pub(super) const QUADLET: &[Key] =
    &[key("DefaultDependencies", Read("`false`: the service does not wait for the network"))];

pub(super) const CONTAINER: &[Key] = &[
    key("ContainerName", Read("`--name`; otherwise `systemd-NAME`")),
    SERVICE_NAME,
    GLOBAL_ARGS,
    MODULE,
    key("LogDriver", Last("--log-driver", "")),
    key("LogOpt", Words("--log-opt", "")),
    key("CgroupsMode", Done("`--cgroups`; otherwise `split`", container::cgroups)),
    key("Entrypoint", Done("`--entrypoint=`, an empty one too", container::entrypoint)),
    key("Timezone", Last("--tz", "")),
    key("PidsLimit", Last("--pids-limit", "")),
    key("Memory", Last("--memory", "")),
    key("ShmSize", Last("--shm-size", "")),
    key("WorkingDir", Last("--workdir", "")),
    key("IP", Last("--ip", "")),
    key("IP6", Last("--ip6", "")),
    key("HostName", Last("--hostname", "")),
    key("StopSignal", Last("--stop-signal", "")),
    key("StopTimeout", Last("--stop-timeout", "")),
    key("Pull", Last("--pull", "")),
    key("Retry", Last("--retry", "")),
    key("RetryDelay", Last("--retry-delay", "")),
    key("DNS", Each("--dns")),
    key("DNSOption", Each("--dns-option")),
    key("DNSSearch", Each("--dns-search")),
    key("GroupAdd", Each("--group-add")),
    key("AddHost", Each("--add-host")),
    key("Tmpfs", Each("--tmpfs")),
    key("NetworkAlias", Each("--network-alias")),
    key("Ulimit", Each("--ulimit")),
    key("RunInit", Switch("--init")),
    key("EnvironmentHost", Switch("--env-host")),
    key("HttpProxy", Switch("--http-proxy")),
    key("ReadOnlyTmpfs", Switch("--read-only-tmpfs")),
    key("Network", Done("`--network`, also of `NAME.network` and `NAME.container`", network::of_unit)),
    key("Notify", Done("`--sdnotify=container`, `healthy`; otherwise `conmon`", container::notify)),
    key("NoNewPrivileges", When(&["--security-opt=no-new-privileges"])),
    key("SecurityLabelDisable", When(&["--security-opt", "label=disable"])),
    key("SecurityLabelNested", When(&["--security-opt", "label=nested"])),
    key("SecurityLabelType", Last("--security-opt", "label=type:")),
    key("SecurityLabelFileType", Last("--security-opt", "label=filetype:")),
    key("SecurityLabelLevel", Last("--security-opt", "label=level:")),
    key("AppArmor", Last("--security-opt", "apparmor=")),
    key("AddDevice", Done("`--device`; with `-` in front only if the host has it", container::devices)),
    key("SeccompProfile", Last("--security-opt", "seccomp=")),
    key("DropCapability", Words("--cap-drop", "")),
    key("AddCapability", Words("--cap-add", "")),
    key("Sysctl", Words("--sysctl", "")),
    key("ReadOnly", Switch("--read-only")),
    key("VolatileTmp", Done("`--tmpfs /tmp:rw,size=512M,mode=1777`", container::volatile_tmp)),
    key("User", Done("`--user`", container::user)),
    key("Group", Read("the group of `--user`")),
    key("RemapUsers", Retired("`--userns`")),
    key("RemapUid", Retired("`--uidmap`, or options of `--userns`")),
    key("RemapGid", Retired("`--gidmap`, or options of `--userns`")),
    key("RemapUidSize", Retired("size= of `--userns=auto`")),
    key("UserNS", Done("`--userns`", user_namespace::of_unit)),
    key("UIDMap", Words("--uidmap", "")),
    key("GIDMap", Words("--gidmap", "")),
    key("SubUIDMap", Last("--subuidname", "")),
    key("SubGIDMap", Last("--subgidname", "")),
    key("Volume", Done("`-v`, also of `NAME.volume`", volume::of_unit)),
    key("AutoUpdate", Done("the label `io.containers.autoupdate`", container::auto_update)),
    key("ExposeHostPort", Done("`--expose`", container::exposed)),
    key("PublishPort", Each("--publish")),
    key("Environment", Pairs("--env")),
    key("Label", Pairs("--label")),
    key("Annotation", Pairs("--annotation")),
    key("Mask", Words("--security-opt", "mask=")),
    key("Unmask", Words("--security-opt", "unmask=")),
    key("EnvironmentFile", Paths("--env-file")),
    key("Secret", Words("--secret", "")),
    key("Mount", Done("`--mount`, also of `NAME.volume`, `NAME.image` and `NAME.artifact`", container::mounts)),
    key("HealthCmd", Last("--health-cmd", "")),
    key("HealthInterval", Last("--health-interval", "")),
    key("HealthOnFailure", Last("--health-on-failure", "")),
    key("HealthLogDestination", Last("--health-log-destination", "")),
    key("HealthMaxLogCount", Last("--health-max-log-count", "")),
    key("HealthMaxLogSize", Last("--health-max-log-size", "")),
    key("HealthRetries", Last("--health-retries", "")),
    key("HealthStartPeriod", Last("--health-start-period", "")),
    key("HealthTimeout", Last("--health-timeout", "")),
    key("HealthStartupCmd", Last("--health-startup-cmd", "")),
    key("HealthStartupInterval", Last("--health-startup-interval", "")),
    key("HealthStartupRetries", Last("--health-startup-retries", "")),
    key("HealthStartupSuccess", Last("--health-startup-success", "")),
    key("HealthStartupTimeout", Last("--health-startup-timeout", "")),
    key("Pod", Done("`--pod` of `NAME.pod`", container::pod)),
    key("StartWithPod", Read("`false`: the pod's service does not start it")),
    PODMAN_ARGS,
    key("Image", Done("the image, also of `NAME.image` and `NAME.build`", container::image)),
    key("Rootfs", Read("`--rootfs`, in place of an image")),
    key("Exec", Done("the command and its arguments", container::command)),
    key("ReloadCmd", Read("`ExecReload=` with `exec`")),
    key("ReloadSignal", Read("`ExecReload=` with `kill --signal`")),
];

pub(super) const POD: &[Key] = &[
    key("PodName", Read("`--name`; otherwise `systemd-NAME`")),
    SERVICE_NAME,
    GLOBAL_ARGS,
    MODULE,
    key("ExitPolicy", Done("`--exit-policy`; otherwise `stop`", pod::exit_policy)),
    key("RemapUsers", Retired("`--userns`")),
    key("RemapUid", Retired("`--uidmap`, or options of `--userns`")),
    key("RemapGid", Retired("`--gidmap`, or options of `--userns`")),
    key("RemapUidSize", Retired("size= of `--userns=auto`")),
    key("UserNS", Done("`--userns`", user_namespace::of_unit)),
    key("UIDMap", Words("--uidmap", "")),
    key("GIDMap", Words("--gidmap", "")),
    key("SubUIDMap", Last("--subuidname", "")),
    key("SubGIDMap", Last("--subgidname", "")),
    key("PublishPort", Each("--publish")),
    key("Label", Pairs("--label")),
    key("Network", Done("`--network`, also of `NAME.network` and `NAME.container`", network::of_unit)),
    key("IP", Last("--ip", "")),
    key("IP6", Last("--ip6", "")),
    key("ShmSize", Last("--shm-size", "")),
    key("NetworkAlias", Each("--network-alias")),
    key("DNS", Each("--dns")),
    key("DNSOption", Each("--dns-option")),
    key("DNSSearch", Each("--dns-search")),
    key("AddHost", Each("--add-host")),
    key("HostName", Each("--hostname")),
    key("Volume", Done("`-v`, also of `NAME.volume`", volume::of_unit)),
    key("StopTimeout", Read("`--time` of `pod stop`; otherwise 10")),
    // `--infra-name` and `--name` stand before it.
    key("PodmanArgs", Done("words on the command line, as they are", pod::names_and_arguments)),
];

pub(super) const VOLUME: &[Key] = &[
    key("VolumeName", Read("the volume's name; otherwise `systemd-NAME`")),
    SERVICE_NAME,
    GLOBAL_ARGS,
    MODULE,
    key("Driver", Done("`--driver`; with `image`, `Image=` is needed", volume::driver)),
    key("Image", Read("`--opt image=`, also of `NAME.image` and `NAME.build`")),
    key("Copy", Done("`--opt copy` or `--opt nocopy`", volume::copy)),
    key("Device", Done("`--opt device=`", volume::device)),
    key("Type", Read("`--opt type=`; needs `Device=`")),
    key("Options", Done("`--opt o=`; needs `Device=`", volume::options)),
    key("User", Read("`uid=` of `--opt o=`, a number or a name")),
    key("Group", Read("`gid=` of `--opt o=`, a number or a name")),
    key("Label", Pairs("--label")),
    PODMAN_ARGS,
];

pub(super) const NETWORK: &[Key] = &[
    key("NetworkName", Read("the network's name; otherwise `systemd-NAME`")),
    SERVICE_NAME,
    GLOBAL_ARGS,
    MODULE,
    key("NetworkDeleteOnStop", Read("`ExecStopPost=` with `network rm`")),
    key("DisableDNS", Switch("--disable-dns")),
    key("Internal", Switch("--internal")),
    key("IPv6", Switch("--ipv6")),
    key("Driver", Last("--driver", "")),
    key("IPAMDriver", Last("--ipam-driver", "")),
    key("InterfaceName", Last("--interface-name", "")),
    key("DNS", Each("--dns")),
    key("Subnet", Done("`--subnet`", network::subnets)),
    key("Gateway", Read("`--gateway`, one for each `Subnet=`")),
    key("IPRange", Read("`--ip-range`, one for each `Subnet=`")),
    key("Options", Pairs("--opt")),
    key("Label", Pairs("--label")),
    PODMAN_ARGS,
];

pub(super) const KUBE: &[Key] = &[
    SERVICE_NAME,
    GLOBAL_ARGS,
    MODULE,
    key("ExitCodePropagation", Joined("--service-exit-code-propagation")),
    key("LogDriver", Last("--log-driver", "")),
    key("LogOpt", Words("--log-opt", "")),
    key("RemapUsers", Retired("`--userns`")),
    key("RemapUid", Retired("`--uidmap`, or options of `--userns`")),
    key("RemapGid", Retired("`--gidmap`, or options of `--userns`")),
    key("RemapUidSize", Retired("size= of `--userns=auto`")),
    key("UserNS", Done("`--userns`", user_namespace::of_unit)),
    key("Network", Done("`--network`, also of `NAME.network` and `NAME.container`", network::of_unit)),
    key("AutoUpdate", Done("`--annotation=io.containers.autoupdate[/NAME]=`", kube::auto_update)),
    key("ConfigMap", Paths("--configmap")),
    key("PublishPort", Each("--publish")),
    PODMAN_ARGS,
    key("Yaml", Done("the files to play", kube::files)),
    key("KubeDownForce", Read("`--force` of `kube down`")),
    key("SetWorkingDirectory", Read("`yaml` or `unit`: `WorkingDirectory=`")),
];

pub(super) const IMAGE: &[Key] = &[
    SERVICE_NAME,
    GLOBAL_ARGS,
    MODULE,
    key("Arch", Last("--arch", "")),
    key("AuthFile", Last("--authfile", "")),
    key("CertDir", Last("--cert-dir", "")),
    key("Creds", Last("--creds", "")),
    key("DecryptionKey", Last("--decryption-key", "")),
    key("OS", Last("--os", "")),
    key("Variant", Last("--variant", "")),
    key("Policy", Last("--policy", "")),
    key("Retry", Last("--retry", "")),
    key("RetryDelay", Last("--retry-delay", "")),
    key("AllTags", Switch("--all-tags")),
    key("TLSVerify", Switch("--tls-verify")),
    PODMAN_ARGS,
    key("Image", Done("the image to pull", pull::image)),
    key("ImageTag", Read("what other Quadlets call the image, where that is not its own name")),
];

pub(super) const BUILD: &[Key] = &[
    SERVICE_NAME,
    GLOBAL_ARGS,
    MODULE,
    key("Arch", Last("--arch", "")),
    key("AuthFile", Last("--authfile", "")),
    key("Pull", Joined("--pull")),
    key("Target", Last("--target", "")),
    key("Variant", Last("--variant", "")),
    key("Retry", Last("--retry", "")),
    key("RetryDelay", Last("--retry-delay", "")),
    key("IgnoreFile", Last("--ignorefile", "")),
    key("ForceRM", Switch("--force-rm")),
    key("TLSVerify", Switch("--tls-verify")),
    key("DNS", Each("--dns")),
    key("DNSOption", Each("--dns-option")),
    key("DNSSearch", Each("--dns-search")),
    key("GroupAdd", Each("--group-add")),
    key("ImageTag", Each("--tag")),
    key("BuildArg", Pairs("--build-arg")),
    key("Environment", Pairs("--env")),
    key("Label", Pairs("--label")),
    key("Annotation", Pairs("--annotation")),
    key("Network", Done("`--network`, also of `NAME.network` and `NAME.container`", network::of_unit)),
    key("Secret", Words("--secret", "")),
    key("Volume", Done("`-v`, also of `NAME.volume`", volume::of_unit)),
    key("File", Last("--file", "")),
    PODMAN_ARGS,
    key("SetWorkingDirectory", Done("`unit`, `file`, or the context of the build", build::context)),
];

pub(super) const ARTIFACT: &[Key] = &[
    SERVICE_NAME,
    GLOBAL_ARGS,
    MODULE,
    key("AuthFile", Last("--authfile", "")),
    key("CertDir", Last("--cert-dir", "")),
    key("Creds", Last("--creds", "")),
    key("DecryptionKey", Last("--decryption-key", "")),
    key("Retry", Last("--retry", "")),
    key("RetryDelay", Last("--retry-delay", "")),
    key("Quiet", Switch("--quiet")),
    key("TLSVerify", Switch("--tls-verify")),
    PODMAN_ARGS,
    key("Artifact", Done("the artifact to pull", pull::artifact)),
];

/// The key that somebody may have meant: by letters in another case, else by the fewest slips of the finger.
pub(super) fn nearest(keys: &'static [Key], wrong: &str) -> Option<&'static str> {
    let slips = |known: &str| distance(&wrong.to_ascii_lowercase(), &known.to_ascii_lowercase());
    let (slips, name) = keys.iter().map(|key| (slips(key.name), key.name)).min()?;
    (slips <= 1 + wrong.len() / 4).then_some(name)
}

/// Letters that are other, missing or too many.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, letter) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (at, other) in b.iter().enumerate() {
            let least = (diagonal + usize::from(letter != *other)).min(row[at] + 1).min(row[at + 1] + 1);
            diagonal = std::mem::replace(&mut row[at + 1], least);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quadlet::Kind;

    #[test]
    fn a_key_is_in_its_table_once() {
        for kind in Kind::ALL {
            let mut names: Vec<_> = kind.keys().iter().map(|key| key.name).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{kind:?}");
        }
    }

    #[test]
    fn the_nearest_key_is_named() {
        assert_eq!(nearest(CONTAINER, "image"), Some("Image"));
        assert_eq!(nearest(CONTAINER, "Imag"), Some("Image"));
        assert_eq!(nearest(CONTAINER, "PublishPorts"), Some("PublishPort"));
        assert_eq!(nearest(CONTAINER, "Enviroment"), Some("Environment"));
        assert_eq!(nearest(CONTAINER, "Restart"), None);
    }
}
