//! A document becomes an object of its kind.

use super::*;
use crate::decode::{Decode, Reader, Table};
use crate::plan::Kind;
use crate::yaml::Node;

macro_rules! kinds {
    ($($kind:ident,)*) => {
        /// An object as read.
        #[derive(Clone, Debug)]
        pub(crate) enum Object {
            $($kind(Box<$kind>),)*
        }

        impl Object {
            pub(crate) fn decode(kind: Kind, node: &Node, reader: &mut Reader) -> Option<Object> {
                match kind {
                    $(Kind::$kind => $kind::decode(node, reader).map(|object| Object::$kind(Box::new(object))),)*
                }
            }

            pub(crate) fn metadata(&self) -> &ObjectMeta {
                match self {
                    $(Object::$kind(object) => &object.metadata,)*
                }
            }
        }

        /// The declaration of a kind's fields.
        pub(crate) fn table(kind: Kind) -> &'static Table {
            match kind {
                $(Kind::$kind => $kind::table(),)*
            }
        }
    };
}

kinds! {
    Namespace, ConfigMap, Secret, PersistentVolume, PersistentVolumeClaim, Service, Pod, Deployment, ReplicaSet,
    ReplicationController, DaemonSet, StatefulSet, Job, CronJob, Ingress, HorizontalPodAutoscaler, StorageClass,
    IngressClass,
}
