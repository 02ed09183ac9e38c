//! Ingresses by TLS. Podman has no Ingresses.

use std::process::{Command, Stdio};

use crate::lab::{Lab, differs_on_purpose, eventually, has_program, ingress_port, ingress_tls_port, ingress_turn};

const FIRST: (&str, &str) = (include_str!("lab/tls/first.crt"), include_str!("lab/tls/first.key"));
const RENEWED: (&str, &str) = (include_str!("lab/tls/renewed.crt"), include_str!("lab/tls/renewed.key"));

/// A Secret with a certificate and a key.
fn secret((chain, key): (&str, &str)) -> String {
    let block = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: shown }}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
        block(chain),
        block(key)
    )
}

/// A server whose `/cgi-bin/wait` answers once it is told to, and whose `/cgi-bin/count` says how much it was sent.
fn site(annotation: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: Pod
metadata: {{ name: server, labels: {{ app: server }} }}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: it
    image: localhost/box
    command:
    - sh
    - -c
    - |
      mkdir -p /tmp/w/cgi-bin
      cd /tmp/w
      echo the page > index.html
      printf '#!/bin/sh\\nprintf \"\\\\r\\\\nwaited\\\\r\\\\n\"\\n>/tmp/asked\\nwhile ! test -e /tmp/go; do usleep 50000; done\\nhead -c 3000000 /dev/zero\\n' > cgi-bin/wait
      printf '#!/bin/sh\\nprintf \"\\\\r\\\\n$HTTP_X_FORWARDED_PROTO \"\\nwc -c\\n' > cgi-bin/count
      chmod +x cgi-bin/*
      exec httpd -f -p 80 -h /tmp/w
---
apiVersion: v1
kind: Service
metadata: {{ name: server }}
spec: {{ selector: {{ app: server }}, ports: [{{ port: 80 }}] }}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{ name: way-in, annotations: {{ {annotation} }} }}
spec:
  tls: [{{ hosts: [shop.example], secretName: shown }}]
  rules:
  - {{ host: shop.example, http: {{ paths: [{{ path: /, pathType: Prefix, backend: {{ service: {{ name: server, port: {{ number: 80 }} }} }} }}] }} }}
  - {{ host: plain.example, http: {{ paths: [{{ path: /, pathType: Prefix, backend: {{ service: {{ name: server, port: {{ number: 80 }} }} }} }}] }} }}
"
    )
}

/// curl that trusts what is in `authority`, and finds every host here.
fn curl(lab: &Lab, authority: &str, words: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "60", "--cacert"]).arg(lab.path(authority));
    for port in [ingress_port(), ingress_tls_port()] {
        for host in ["shop.example", "plain.example"] {
            command.args(["--resolve", &format!("{host}:{port}:127.0.0.1")]);
        }
    }
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(lab: &Lab, authority: &str, words: &[&str]) -> String {
    let output = curl(lab, authority, words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    text(output.stdout) + &text(output.stderr)
}

#[test]
fn an_ingress_speaks_tls_and_follows_its_secret() {
    if differs_on_purpose("podman plays no Ingress") || !has_program("curl") {
        return;
    }
    let lab = Lab::new();
    let Some(_turn) = ingress_turn() else { return };
    lab.write("first.crt", FIRST.0);
    lab.write("renewed.crt", RENEWED.0);
    lab.write("secret.yaml", secret(FIRST));
    lab.write("site.yaml", secret(FIRST) + &site(""));
    lab.ok("kube play site.yaml");
    let (plain, tls) = (ingress_port(), ingress_tls_port());
    let page = format!("https://shop.example:{tls}/");
    eventually("the page is there", || said(&lab, "first.crt", &[&page]) == "the page\n");
    assert!(lab.ok("kube get ingress").contains(" 80, 443 "), "{}", lab.ok("kube get ingress"));

    // Both versions, nothing older; what it is sent arrives whole, and the server knows how it was asked.
    lab.write("much", "x".repeat(2_000_000));
    let count = format!("https://shop.example:{tls}/cgi-bin/count");
    let much = format!("@{}", lab.path("much").display());
    for (version, most) in [("--tlsv1.2", "1.2"), ("--tlsv1.3", "1.3")] {
        let sent = said(&lab, "first.crt", &[version, "--tls-max", most, "--data-binary", &much, &count]);
        assert_eq!(sent, "https 2000000\n", "{most}");
    }
    // In clear: the same URL by TLS, for hosts that have it.
    let clear = format!("http://shop.example:{plain}/a?b=c");
    let moved =
        said(&lab, "first.crt", &["--output", "/dev/null", "--write-out", "%{http_code} %{redirect_url}", &clear]);
    assert_eq!(moved, format!("308 https://shop.example:{tls}/a?b=c"));
    assert_eq!(said(&lab, "first.crt", &[&format!("http://plain.example:{plain}/")]), "the page\n");
    // A host without a certificate is shown another one's.
    assert!(said(&lab, "first.crt", &[&format!("https://plain.example:{tls}/")]).contains("SSL"));

    // Another certificate is for clients that come from then on.
    let waiting = curl(&lab, "first.crt", &[&format!("https://shop.example:{tls}/cgi-bin/wait")]).spawn().unwrap();
    eventually("it is asked", || lab.creel("exec server-it test -e /tmp/asked").run().exit_code() == 0);
    lab.write("secret.yaml", secret(RENEWED));
    lab.ok("kube play secret.yaml");
    eventually("the other certificate is shown", || said(&lab, "renewed.crt", &[&page]) == "the page\n");
    lab.ok("exec server-it touch /tmp/go");
    let answer = waiting.wait_with_output().unwrap();
    assert!(answer.status.success() && answer.stdout.len() == 3_000_008, "{answer:?}");

    // One that cannot be shown changes nothing.
    lab.write("secret.yaml", secret((RENEWED.0, FIRST.1)));
    let refused = lab.creel("kube play secret.yaml").run();
    refused.code(125);
    assert!(refused.err().contains("do not belong together"), "{refused}");
    assert_eq!(said(&lab, "renewed.crt", &[&page]), "the page\n");

    lab.write("site.yaml", secret(RENEWED) + &site("nginx.ingress.kubernetes.io/ssl-redirect: 'false'"));
    lab.ok("kube play site.yaml");
    let clear = format!("http://shop.example:{plain}/");
    eventually("it is served in clear", || said(&lab, "renewed.crt", &[&clear]) == "the page\n");
    assert_eq!(said(&lab, "renewed.crt", &[&page]), "the page\n");
    lab.ok("kube down site.yaml");
}

#[test]
fn a_certificate_that_cannot_be_shown_makes_nothing() {
    if differs_on_purpose("podman plays no Ingress") {
        return;
    }
    let lab = Lab::new();
    lab.write("site.yaml", secret((FIRST.0, RENEWED.1)) + &site(""));
    let refused = lab.creel("kube play site.yaml").run();
    refused.code(125);
    let line = "Ingress/way-in: spec.tls[0].secretName: Secret \"shown\" has a certificate and a private key that do not belong together";
    assert!(refused.err().contains(line), "{refused}");
    assert_eq!(lab.ok("pod ls -q") + &lab.ok("secret ls -q") + &lab.ok("network ls -q --filter name=kube"), "");
}
