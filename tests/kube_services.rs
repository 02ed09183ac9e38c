//! What a played Service is to its clients: addresses, names, who gets in.

use crate::lab::{Lab, differs_on_purpose, eventually};

fn no_services() -> bool {
    differs_on_purpose("podman plays no Services")
}

/// A pod that only asks.
const CLIENT: &str = "
apiVersion: v1
kind: Pod
metadata: { name: client }
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - { name: it, image: localhost/box, command: [idle] }
";

/// What a client hears of a server that is not there.
fn refused(lab: &Lab, address: &str) -> bool {
    let said = lab.creel(&format!("exec client-it nc -w 9 {address} 80")).input("").run().err();
    said.contains("Connection refused")
}

#[test]
fn an_address_that_no_service_has_refuses_at_once() {
    if no_services() {
        return;
    }
    let lab = Lab::new();
    lab.write("client.yaml", CLIENT);
    lab.ok("kube play client.yaml");
    // More often than a kernel tells one host that another one is not there.
    for last in 1..20 {
        assert!(refused(&lab, &format!("10.111.0.{last}")), "{last}");
    }
    lab.ok("kube down client.yaml");
    // A network of one's own has them from its first Service on.
    lab.write(
        "both.yaml",
        format!(
            "{CLIENT}---\napiVersion: v1\nkind: Service\nmetadata: {{ name: s }}\nspec: {{ ports: [{{ port: 80 }}] }}\n"
        ),
    );
    lab.ok("network create mine");
    lab.ok("kube play --network mine both.yaml");
    eventually("nobody is there", || refused(&lab, "10.111.0.1"));
    lab.ok("kube down both.yaml");
}
