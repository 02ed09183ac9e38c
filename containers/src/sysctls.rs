//! Kernel parameters that a container may have for itself.

/// The namespace that a kernel parameter belongs to, see namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SysctlNamespace {
    Network,
    Ipc,
}

impl SysctlNamespace {
    /// `None`: the parameter is the whole machine's.
    pub fn of(key: &str) -> Option<SysctlNamespace> {
        const IPC: [&str; 8] = [
            "kernel.msgmax",
            "kernel.msgmnb",
            "kernel.msgmni",
            "kernel.sem",
            "kernel.shmall",
            "kernel.shmmax",
            "kernel.shmmni",
            "kernel.shm_rmid_forced",
        ];
        if key.starts_with("net.") {
            Some(SysctlNamespace::Network)
        } else if IPC.contains(&key) || key.starts_with("fs.mqueue.") {
            Some(SysctlNamespace::Ipc)
        } else {
            None
        }
    }
}
