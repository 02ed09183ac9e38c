//! The fields that a command's rows have in a template.

/// By command, and by the field that they lie in; a field that ends in a dot has others in it. In Podman's order.
const FIELDS: &[(&str, &str, &str)] = &[
    ("artifact inspect", "", "TotalSizeBytes Digest Manifest. Name"),
    ("artifact ls", "", "Created CreatedAt Digest Repository Size Tag VirtualSize"),
    ("auto-update", "", "Unit Container ContainerName ContainerID Image Policy Updated"),
    ("doctor", "", "Cure Found Name Verdict"),
    (
        "events",
        "",
        "ContainerExitCode ID Image Name Network Status Time TimeNano Type HealthStatus Error Details. PodID \
         Attributes.",
    ),
    ("history", "", "Created CreatedAt CreatedBy CreatedSince ID Size Tags Comment"),
    (
        "image inspect",
        "",
        "ID Digest RepoTags RepoDigests Parent Comment Created Config. Version Author Architecture Os Size VirtualSize \
         GraphDriver. RootFS. Labels. Annotations. ManifestType User History NamesHistory HealthCheck",
    ),
    ("image inspect", "Config.", "User ExposedPorts. Env Entrypoint Cmd Volumes. WorkingDir Labels. StopSignal"),
    ("image inspect", "GraphDriver.", "Name Data."),
    ("image inspect", "RootFS.", "Type Layers"),
    (
        "images",
        "",
        "Created CreatedAt CreatedSince CreatedTime History ID Id IsDangling IsReadOnly Size Repository Tag \
         ParentId RepoTags RepoDigests SharedSize VirtualSize Labels. Containers ReadOnly Dangling Arch Digest \
         IsManifestList Names Os",
    ),
    ("info", "", "Host. Store. Registries. Plugins. Version."),
    (
        "info",
        "Host.",
        "Arch BuildahVersion CgroupManager CgroupsVersion CgroupControllers Conmon. CPUs CPUUtilization. \
         DatabaseBackend Distribution. EventLogger FreeLocks Hostname IDMappings. Kernel LogDriver MemFree \
         MemTotal NetworkBackend NetworkBackendInfo. OCIRuntime. OS RemoteSocket. RootlessNetworkCmd RuntimeInfo. \
         ServiceIsRemote Security. Slirp4NetNS. Pasta. SwapFree SwapTotal Uptime Variant Linkmode \
         EmulatedArchitectures",
    ),
    ("info", "Host.CPUUtilization.", "UserPercent SystemPercent IdlePercent"),
    ("info", "Host.Conmon.", "Package Path Version"),
    ("info", "Host.Distribution.", "Distribution Variant Version Codename"),
    ("info", "Host.IDMappings.", "GIDMap UIDMap"),
    ("info", "Host.NetworkBackendInfo.", "Backend Version Package Path DNS. DefaultNetwork"),
    ("info", "Host.OCIRuntime.", "Name Package Path Version"),
    ("info", "Host.RemoteSocket.", "Path Exists"),
    (
        "info",
        "Host.Security.",
        "AppArmorEnabled DefaultCapabilities Rootless SECCOMPEnabled SECCOMPProfilePath SELinuxEnabled",
    ),
    ("info", "Host.Slirp4NetNS.", "Executable Package Version"),
    ("info", "Plugins.", "Volume Network Log Authorization"),
    (
        "info",
        "Store.",
        "ContainerStore. GraphDriverName GraphOptions. GraphRoot GraphRootAllocated GraphRootUsed GraphStatus. \
         ImageCopyTmpDir ImageStore. RunRoot VolumePath TransientStore",
    ),
    ("info", "Store.ContainerStore.", "Number Paused Running Stopped"),
    ("info", "Version.", "APIVersion Version GoVersion GitCommit BuiltTime Built BuildOrigin OsArch Os"),
    (
        "inspect",
        "",
        "ID Created Path Args State. Image ImageDigest ImageName Rootfs Pod ResolvConfPath HostnamePath HostsPath \
         StaticDir OCIConfigPath OCIRuntime ConmonPidFile PidFile Name RestartCount Driver MountLabel \
         ProcessLabel AppArmorProfile EffectiveCaps BoundingCaps ExecIDs GraphDriver. SizeRw SizeRootFs Mounts \
         Dependencies NetworkSettings. Namespace IsInfra IsService KubeExitCodePropagation LockNumber Config. \
         HostConfig. UseImageHosts UseImageHostname",
    ),
    (
        "inspect",
        "Config.",
        "Hostname DomainName User AttachStdin AttachStdout AttachStderr Tty OpenStdin StdinOnce Env Cmd Image \
         Volumes. WorkingDir Entrypoint OnBuild Labels. Annotations. StopSignal StartupHealthCheck. Healthcheck. \
         HealthcheckOnFailureAction HealthLogDestination HealthMaxLogCount HealthMaxLogSize CreateCommand \
         Timezone SystemdMode Umask Secrets Timeout StopTimeout Passwd ChrootDirs SdNotifyMode SdNotifySocket \
         ExposedPorts.",
    ),
    (
        "inspect",
        "HostConfig.",
        "Binds CgroupManager CgroupMode ContainerIDFile LogConfig. NetworkMode PortBindings. RestartPolicy. \
         AutoRemove AutoRemoveImage Annotations. VolumeDriver VolumesFrom CapAdd CapDrop Dns DnsOptions DnsSearch \
         ExtraHosts HostsFile GroupAdd IpcMode Cgroup Cgroups Links OomScoreAdj PidMode Privileged \
         PublishAllPorts ReadonlyRootfs SecurityOpt Tmpfs. UTSMode UsernsMode IDMappings. ShmSize Runtime \
         ConsoleSize Isolation CpuShares Memory NanoCpus CgroupParent BlkioWeight BlkioWeightDevice \
         BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps CpuPeriod CpuQuota \
         CpuRealtimePeriod CpuRealtimeRuntime CpusetCpus CpusetMems Devices DiskQuota KernelMemory \
         MemoryReservation MemorySwap MemorySwappiness OomKillDisable Init PidsLimit Ulimits CpuCount CpuPercent \
         IOMaximumIOps IOMaximumBandwidth CgroupConf. IntelRdtClosID",
    ),
    ("inspect", "HostConfig.LogConfig.", "Type Config. Path Tag Size"),
    (
        "inspect",
        "NetworkSettings.",
        "Bridge SandboxID HairpinMode LinkLocalIPv6Address LinkLocalIPv6PrefixLen Ports. SandboxKey Networks. \
         EndpointID Gateway IPAddress IPPrefixLen SecondaryIPAddresses IPv6Gateway GlobalIPv6Address \
         GlobalIPv6PrefixLen SecondaryIPv6Addresses MacAddress AdditionalMacAddresses",
    ),
    (
        "inspect",
        "State.",
        "Healthcheck OciVersion Status Running Paused Restarting OOMKilled Dead Pid ConmonPid ExitCode Error \
         StartedAt FinishedAt Health. Checkpointed CgroupPath CheckpointedAt RestoredAt Restored StoppedByUser",
    ),
    ("inspect", "State.Health.", "Status FailingStreak Log"),
    (
        "network inspect",
        "",
        "Containers. Name ID Driver NetworkInterface Created Subnets Routes IPv6Enabled Internal DNSEnabled \
         NetworkDNSServers Labels. Options. IPAMOptions.",
    ),
    (
        "network ls",
        "",
        "ID Labels Name Driver NetworkInterface Created Subnets Routes IPv6Enabled Internal DNSEnabled \
         NetworkDNSServers Options. IPAMOptions.",
    ),
    (
        "pod inspect",
        "",
        "ID Name Namespace Created CreateCommand ExitPolicy State Hostname Labels. CreateCgroup CgroupParent \
         CgroupPath CreateInfra InfraContainerID InfraConfig. SharedNamespaces NumContainers Containers CPUPeriod \
         CPUQuota CPUShares CPUSetCPUs CPUSetMems Mounts Devices BlkioDeviceReadBps BlkioDeviceWriteBps \
         VolumesFrom SecurityOpts MemoryLimit MemorySwap BlkioWeight BlkioWeightDevice RestartPolicy LockNumber",
    ),
    (
        "pod inspect",
        "InfraConfig.",
        "PortBindings. HostNetwork StaticIP StaticMAC NoManageResolvConf DNSServer DNSSearch DNSOption \
         NoManageHostname NoManageHosts HostAdd HostsFile Networks NetworkOptions. CPUPeriod CPUQuota CPUSetCPUs \
         PidNS UserNS UtsNS",
    ),
    (
        "pod ps",
        "",
        "ContainerIds ContainerNames ContainerStatuses Created ID Id InfraID InfraId Label Labels. Networks \
         NumberOfContainers Restarts Cgroup Containers Name Namespace Status",
    ),
    ("pod stats", "", "CPU MemUsage MemUsageBytes Mem NetIO BlockIO PIDS Pod CID Name"),
    (
        "ps",
        "",
        "CGROUPNS Cgroup Command CreatedAt CreatedHuman ID IPC ImageID Label MNT NET Names Networks PIDNS Pod \
         Ports Restarts RunningFor Size Status USERNS UTS User AutoRemove Created CIDFile Exited ExitedAt \
         ExitCode ExposedPorts. Image IsInfra Labels. Mounts Namespaces. Pid PodName StartedAt State",
    ),
    ("ps", "Namespaces.", "MNT Cgroup IPC NET PIDNS UTS User"),
    ("quadlet list", "", "Name UnitName Path Status App"),
    ("search", "", "Index Name Description Stars Official Automated Tag"),
    ("secret inspect", "", "ID CreatedAt UpdatedAt Spec. SecretData"),
    ("secret inspect", "Spec.", "Name Driver. Labels."),
    ("secret inspect", "Spec.Driver.", "Name Options."),
    ("secret ls", "", "ID Name Driver CreatedAt UpdatedAt"),
    (
        "stats",
        "",
        "AVGCPU BlockIO CPUPerc ID MemPerc MemUsage MemUsageBytes NetIO PIDS AvgCPU ContainerID Name PerCPU CPU \
         CPUNano CPUSystemNano SystemNano MemLimit BlockInput BlockOutput PIDs UpTime Duration",
    ),
    ("system df", "", "Reclaimable Size Type Total Active RawSize RawReclaimable"),
    ("version", "", "Client. Server."),
    ("version", "Client.", "APIVersion Version GoVersion GitCommit BuiltTime Built BuildOrigin OsArch Os"),
    ("version", "Server.", "APIVersion Version GoVersion GitCommit BuiltTime Built BuildOrigin OsArch Os"),
    (
        "volume inspect",
        "",
        "Name Driver Mountpoint CreatedAt Status. Labels. Scope Options. UID GID Anonymous MountCount NeedsCopyUp \
         NeedsChown Timeout StorageID LockNumber",
    ),
    (
        "volume ls",
        "",
        "Name Driver Mountpoint CreatedAt Status. Labels. Scope Options. UID GID Anonymous MountCount NeedsCopyUp \
         NeedsChown Timeout StorageID LockNumber",
    ),
];

/// What the unfinished field at the end of the template could be, with all that stands before it: `{{.Nam` becomes
/// `{{.Names}}`, `{{json .State.` becomes `{{json .State.Status}}`. `None` where no field is being written.
pub(super) fn complete(verb: &str, current: &str) -> Option<Vec<String>> {
    let open = current.rfind("{{").filter(|open| !current[*open..].contains("}}"))?;
    let start = open + current[open..].rfind(['{', ' ', '(']).map_or(0, |at| at + 1);
    let path = current[start..].strip_prefix('.')?;
    let parent = &path[..path.rfind('.').map_or(0, |at| at + 1)];
    let verb = if verb == "container inspect" { "inspect" } else { verb };
    let (_, _, fields) = FIELDS.iter().find(|(of, within, _)| *of == verb && *within == parent)?;
    let before = &current[..start];
    let whole = |field: &str| match field.ends_with('.') {
        true => format!("{before}.{parent}{field}"),
        false => format!("{before}.{parent}{field}}}}}"),
    };
    Some(fields.split_ascii_whitespace().map(whole).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_field_of_a_template_is_completed() {
        let offered = |verb, current| complete(verb, current).unwrap_or_default();
        assert!(offered("ps", "{{.Na").contains(&"{{.Names}}".to_owned()));
        assert!(offered("ps", "table {{.ID}} {{.").contains(&"table {{.ID}} {{.Namespaces.".to_owned()));
        assert!(offered("inspect", "{{json .State.").contains(&"{{json .State.Status}}".to_owned()));
        assert_eq!(offered("secret inspect", "{{.Spec.Driver."), ["{{.Spec.Driver.Name}}", "{{.Spec.Driver.Options."]);
        assert_eq!(complete("ps", "{{.ID}}"), None);
        assert_eq!(complete("ps", "{{.Nowhere."), None);
        assert_eq!(complete("ps", "json"), None);
    }
}
