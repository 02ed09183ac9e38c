//! Volumes of a pod.

use super::{ClaimTemplate, ImagePullPolicy, KeyToPath, ObjectFieldSelector, ResourceFieldSelector};
use crate::decode::{AbsolutePath, FileMode, ImageName, InnerPath, Subdomain, VolumeName, object, words};
use crate::quantity::Quantity;

object! {
    /// A name and one source.
    Volume {
        "name" name: VolumeName,
        "emptyDir" empty_dir: Option<EmptyDirSource>,
        "hostPath" host_path: Option<HostPathSource>,
        "configMap" config_map: Option<ConfigMapSource>,
        "secret" secret: Option<SecretSource>,
        "projected" projected: Option<ProjectedSource>,
        "downwardAPI" downward_api: Option<DownwardApiSource>,
        /// A named volume of the claim's name.
        "persistentVolumeClaim" persistent_volume_claim: Option<ClaimSource>,
        "image" image: Option<ImageSource>,
        /// A volume that lives as long as the pod.
        "ephemeral" ephemeral: Option<EphemeralSource>,
    }
    refused {
        /// needs a driver that runs in a cluster
        "csi",
        /// mount it on the host and use hostPath
        "nfs",
        /// mount it on the host and use hostPath
        "iscsi",
        /// mount it on the host and use hostPath
        "cephfs",
        /// mount it on the host and use hostPath
        "glusterfs",
        /// mount it on the host and use hostPath
        "rbd",
        /// mount it on the host and use hostPath
        "fc",
        /// clone it in an init container into an emptyDir
        "gitRepo",
        /// a disk of a cloud
        "awsElasticBlockStore",
        /// a disk of a cloud
        "gcePersistentDisk",
        /// a disk of a cloud
        "azureDisk",
        /// a disk of a cloud
        "azureFile",
        /// a disk of a cloud
        "cinder",
        /// a disk of a cloud
        "vsphereVolume",
        /// a disk of a cloud
        "portworxVolume",
        /// needs a driver that runs in a cluster
        "flexVolume",
        /// needs a driver that runs in a cluster
        "flocker",
        /// needs a driver that runs in a cluster
        "photonPersistentDisk",
        /// needs a driver that runs in a cluster
        "quobyte",
        /// needs a driver that runs in a cluster
        "scaleIO",
        /// needs a driver that runs in a cluster
        "storageos",
    }
}

object! {
    EmptyDirSource {
        "medium" medium: Option<EmptyDirMedium>,
        /// Enforced with `medium: Memory`; else a warning says so.
        "sizeLimit" size_limit: Option<Quantity>,
    }
}

words! {
    pub(crate) EmptyDirMedium {
        #[default]
        Disk = "",
        Memory = "Memory",
    }
}

object! {
    HostPathSource {
        "path" path: AbsolutePath,
        "type" kind: Option<HostPathType>,
    }
}

words! {
    /// What must be at a path of the host.
    pub HostPathType {
        #[default]
        Anything = "",
        DirectoryOrCreate = "DirectoryOrCreate",
        Directory = "Directory",
        FileOrCreate = "FileOrCreate",
        File = "File",
        Socket = "Socket",
        CharDevice = "CharDevice",
        BlockDevice = "BlockDevice",
    }
}

object! {
    /// The keys of a ConfigMap as files; they follow the ConfigMap when it changes.
    ConfigMapSource {
        "name" name: Option<Subdomain>,
        "items" items: Vec<KeyToPath>,
        "defaultMode" default_mode: Option<FileMode>,
        "optional" optional: Option<bool>,
    }
}

object! {
    /// The keys of a Secret as files; they follow the Secret when it changes.
    SecretSource {
        "secretName" secret_name: Option<Subdomain>,
        "items" items: Vec<KeyToPath>,
        "defaultMode" default_mode: Option<FileMode>,
        "optional" optional: Option<bool>,
    }
}

object! {
    DownwardApiSource {
        "items" items: Vec<DownwardApiFile>,
        "defaultMode" default_mode: Option<FileMode>,
    }
}

object! {
    DownwardApiFile {
        "path" path: InnerPath,
        "fieldRef" field_ref: Option<ObjectFieldSelector>,
        "resourceFieldRef" resource_field_ref: Option<ResourceFieldSelector>,
        "mode" mode: Option<FileMode>,
    }
}

object! {
    /// Several sources in one directory.
    ProjectedSource {
        "sources" sources: Vec<Projection>,
        "defaultMode" default_mode: Option<FileMode>,
    }
}

object! {
    Projection {
        "configMap" config_map: Option<ProjectedKeys>,
        "secret" secret: Option<ProjectedKeys>,
        "downwardAPI" downward_api: Option<ProjectedDownward>,
    }
    no_effect {
        /// there is no API server to log in to
        "serviceAccountToken",
    }
    refused {
        /// there is no API server
        "clusterTrustBundle",
        /// there is no API server
        "podCertificate",
    }
}

object! {
    ProjectedKeys {
        "name" name: Option<Subdomain>,
        "items" items: Vec<KeyToPath>,
        "optional" optional: Option<bool>,
    }
}

object! {
    ProjectedDownward {
        "items" items: Vec<DownwardApiFile>,
    }
}

object! {
    ClaimSource {
        "claimName" claim_name: Subdomain,
        "readOnly" read_only: Option<bool>,
    }
}

object! {
    /// The files of an image, read only.
    ImageSource {
        "reference" reference: ImageName,
        "pullPolicy" pull_policy: Option<ImagePullPolicy>,
    }
}

object! {
    EphemeralSource {
        "volumeClaimTemplate" volume_claim_template: ClaimTemplate,
    }
}
