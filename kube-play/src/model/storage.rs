//! Claims and the volumes behind them: named volumes of this machine.

use std::collections::BTreeMap;

use super::{HostPathSource, LabelSelector, ObjectMeta, ResourceRequirements};
use crate::decode::{AbsolutePath, Subdomain, object, words};
use crate::quantity::Quantity;

object! {
    /// A named volume. It stays when pods go. Podman's annotations are read: `volume.podman.io/driver` (`local`, `image`),
    /// `device`, `type`, `uid`, `gid`, `mount-options`, `image`, and `import-source`, an archive that is unpacked when the
    /// volume is made.
    PersistentVolumeClaim {
        "metadata" metadata: ObjectMeta,
        "spec" spec: Option<ClaimSpec>,
    }
    quiet { "apiVersion", "kind", "status", }
}

object! {
    ClaimTemplate {
        "metadata" metadata: Option<ObjectMeta>,
        "spec" spec: ClaimSpec,
    }
    quiet { "apiVersion", "kind", "status", }
}

object! {
    ClaimSpec {
        /// A PersistentVolume of the same play, or any word that fits it.
        "volumeName" volume_name: Option<Subdomain>,
        "accessModes" access_modes: Vec<AccessMode>,
        /// Recorded: a volume grows as the disk allows.
        "resources" resources: Option<ResourceRequirements>,
        /// Binds to a PersistentVolume of the same class; else the local class is meant.
        "storageClassName" storage_class_name: Option<String>,
        "selector" selector: Option<LabelSelector>,
    }
    checked { "volumeMode": VolumeMode, }
    no_effect {
        /// there is one local class
        "volumeAttributesClassName",
    }
    refused {
        /// volumes are made empty
        "dataSource",
        /// volumes are made empty
        "dataSourceRef",
    }
}

words! {
    pub AccessMode {
        #[default]
        ReadWriteOnce = "ReadWriteOnce",
        ReadOnlyMany = "ReadOnlyMany",
        ReadWriteMany = "ReadWriteMany",
        ReadWriteOncePod = "ReadWriteOncePod",
    }
}

words! {
    pub(crate) VolumeMode {
        #[default]
        Filesystem = "Filesystem",
    }
}

object! {
    /// A directory of the host that claims may bind to.
    PersistentVolume {
        "metadata" metadata: ObjectMeta,
        "spec" spec: PersistentVolumeSpec,
    }
    quiet { "apiVersion", "kind", "status", }
}

object! {
    PersistentVolumeSpec {
        "hostPath" host_path: Option<HostPathSource>,
        "local" local: Option<LocalSource>,
        "storageClassName" storage_class_name: Option<String>,
        "claimRef" claim_ref: Option<ClaimReference>,
    }
    checked {
        "capacity": BTreeMap<String, Quantity>,
        "accessModes": Vec<AccessMode>,
        "volumeMode": VolumeMode,
    }
    no_effect {
        /// a directory of the host is never removed
        "persistentVolumeReclaimPolicy",
        /// there is one node
        "nodeAffinity",
        /// a directory is used as it is
        "mountOptions",
    }
    refused {
        /// mount it on the host and use hostPath
        "nfs",
        /// needs a driver that runs in a cluster
        "csi",
        /// mount it on the host and use hostPath
        "iscsi",
        /// a disk of a cloud
        "awsElasticBlockStore",
        /// a disk of a cloud
        "gcePersistentDisk",
        /// a disk of a cloud
        "azureDisk",
        /// a disk of a cloud
        "azureFile",
    }
}

object! {
    LocalSource {
        "path" path: AbsolutePath,
    }
    quiet { "fsType", }
}

object! {
    ClaimReference {
        "name" name: Option<Subdomain>,
        "namespace" namespace: Option<String>,
    }
    quiet { "apiVersion", "kind", "uid", "resourceVersion", "fieldPath", }
}

object! {
    /// Accepted, so that manifests with one of their own play: there is one class, local directories.
    StorageClass {
        "metadata" metadata: ObjectMeta,
    }
    quiet {
        "apiVersion", "kind", "reclaimPolicy", "volumeBindingMode", "allowVolumeExpansion", "mountOptions",
        "allowedTopologies", "provisioner", "parameters",
    }
}
