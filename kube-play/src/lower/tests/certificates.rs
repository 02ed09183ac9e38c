//! Ingresses that have TLS, and the Secrets that they name.

use super::{planned, planned_with, wrong};
use crate::lower::{Options, Stored};

const CHAIN: &str = include_str!("../../../../tests/lab/tls/first.crt");
const KEY: &str = include_str!("../../../../tests/lab/tls/first.key");
const OTHER_KEY: &str = include_str!("../../../../tests/lab/tls/renewed.key");

fn secret(chain: &str, key: &str) -> String {
    let block = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{ name: shown }}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
        block(chain),
        block(key)
    )
}

fn ingress(annotations: &str, tls: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{ name: web }}\nspec: {{ selector: {{ app: web }}, ports: [{{ port: 80 }}] }}\n---\n\
         apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{ name: way-in, annotations: {{ {annotations} }} }}\n\
         spec:\n  defaultBackend: {{ service: {{ name: web, port: {{ number: 80 }} }} }}\n  tls: {tls}\n"
    )
}

#[test]
fn hosts_have_the_certificates_that_are_written() {
    let text = ingress("", "[{ hosts: [Shop.example, '*.wild.example'], secretName: shown }]") + &secret(CHAIN, KEY);
    // Hosts are written in small letters, as Kubernetes asks for.
    assert!(wrong(&text)[0].contains("spec.tls[0].hosts[0]: \"Shop.example\" is no name of a host"));
    let plan = planned(&text.replace("Shop", "shop"));
    let ingress = &plan.ingresses[0];
    let has_tls = ["shop.example", "a.wild.example", "wild.example", "else"].map(|host| ingress.has_tls(Some(host)));
    assert_eq!(
        (ingress.tls[0].secret.as_str(), ingress.redirects, has_tls),
        ("shown", true, [true, true, false, false])
    );
    assert!(!ingress.has_tls(None));
}

#[test]
fn an_annotation_keeps_clients_in_clear() {
    let annotation = "nginx.ingress.kubernetes.io/ssl-redirect: 'false'";
    let plan = planned(&(ingress(annotation, "[{ secretName: shown }]") + &secret(CHAIN, KEY)));
    assert!(!plan.ingresses[0].redirects && plan.ingresses[0].has_tls(None));
}

#[test]
fn a_certificate_that_cannot_be_shown_is_told_at_the_ingress() {
    let at = "a.yaml:11:23: Ingress/way-in: spec.tls[0].secretName: ";
    for (certificate, why) in [
        (String::new(), "no secret with name or id \"shown\": no such secret: it is neither in these files nor stored"),
        (secret(CHAIN, OTHER_KEY), "Secret \"shown\" has a certificate and a private key that do not belong together"),
        (secret(CHAIN, ""), "Secret \"shown\" has no private key in PEM"),
        (
            secret(CHAIN, KEY).replace("kubernetes.io/tls", "Opaque").replace("tls.key", "key"),
            "Secret \"shown\" has no key \"tls.key\"",
        ),
    ] {
        let said = wrong(&(ingress("", "[{ secretName: shown }]") + &certificate));
        assert!(said[0].starts_with(&format!("{at}{why}")), "{said:?}");
    }
    let said = wrong(&ingress("", "[{ hosts: [a] }]"));
    assert!(said[0].contains("spec.tls[0].secretName: is required: there is no certificate beside"), "{said:?}");
    // A Secret of this type that no client is shown may hold anything, as in a cluster.
    planned(secret("x", "y").trim_start_matches("---"));
}

#[test]
fn a_renewed_certificate_is_checked_for_who_shows_the_former() {
    let plan = planned(&(ingress("", "[{ secretName: shown }]") + &secret(CHAIN, KEY)));
    let stored = Stored { certificates: plan.ingresses[0].certificates().collect(), ..Stored::default() };
    let said = planned_with(&secret(CHAIN, OTHER_KEY), &stored, &Options::default()).unwrap_err();
    assert!(said[0].contains("do not belong together, and clients of an Ingress"), "{said:?}");
    assert!(planned_with(&secret(CHAIN, KEY), &stored, &Options::default()).is_ok());
}
