//! `kube apply`: what reaches a cluster. The cluster is a server of python's that writes down what it hears.

use std::fs;

use crate::lab::{Lab, differs_on_purpose, eventually, free_port, has_program};

const SERVER: &str = r#"
import http.server, json, ssl, sys

class Api(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        subject = (self.connection.getpeercert() or {}).get("subject", ())
        who = dict(part[0] for part in subject).get("commonName", "-")
        with open("heard", "a") as heard:
            heard.write(f"{self.path} {self.headers.get('Authorization')} {who} {body}\n")
        fails = "taken" in body
        answer = {"kind": "Status", "message": 'pods "taken" already exists'} if fails else {}
        text = json.dumps(answer).encode()
        self.send_response(409 if fails else 201)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Api)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("server.crt", "server.key")
context.load_verify_locations("ca.crt")
context.verify_mode = ssl.CERT_OPTIONAL
server.socket = context.wrap_socket(server.socket, server_side=True)
open("up", "w").close()
server.serve_forever()
"#;

const CERTIFICATES: &str = "set -e
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt
    for name in localhost alice; do
        openssl req -newkey rsa:2048 -nodes -subj /CN=$name -keyout $name.key -out $name.csr
        printf subjectAltName=DNS:$name > names
        openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out $name.crt
    done
    mv localhost.crt server.crt; mv localhost.key server.key";

fn pod(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ name: {name} }}\nspec: {{ containers: [{{ name: it, image: box }}] }}\n"
    )
}

#[test]
fn objects_reach_a_cluster_and_its_answers_come_back() {
    if differs_on_purpose("podman sends YAML, no token, and all to the namespace default") {
        return;
    }
    let lab = Lab::new();
    if ["python3", "openssl", "curl"].iter().any(|program| !has_program(program)) {
        return;
    }
    let port = free_port();
    lab.write("server.py", SERVER);
    lab.write("certificates.sh", CERTIFICATES);
    lab.program("sh certificates.sh").run().ok();
    let _server = lab.program(&format!("python3 server.py {port}")).spawn();
    eventually("the server is up", || lab.path("up").exists());
    let heard = || {
        let text = fs::read_to_string(lab.path("heard")).unwrap_or_default();
        let _ = fs::remove_file(lab.path("heard"));
        text
    };
    let kubeconfig = |name: &str, cluster: &str, user: &str| {
        lab.write(
            name,
            format!(
                "
apiVersion: v1
kind: Config
current-context: here
clusters: [{{ name: it, cluster: {{ server: 'https://localhost:{port}', {cluster} }} }}]
contexts: [{{ name: here, context: {{ cluster: it, user: me, namespace: team }} }}]
users: [{{ name: me, user: {{ {user} }} }}]
"
            ),
        );
    };
    kubeconfig("token", "certificate-authority: ca.crt", "token: open sesame");
    kubeconfig("certificate", "certificate-authority: ca.crt", "client-certificate: alice.crt, client-key: alice.key");
    kubeconfig("unknown", "", "token: open sesame");
    lab.write("pod.yaml", pod("one"));
    lab.write("several.yaml", format!("{}---\n{}---\n{}", pod("one"), pod("taken"), pod("two")));
    lab.write("broken.yaml", format!("{}---\nkind: Pod\n", pod("one")));
    let said = lab.ok("kube apply --kubeconfig token --file pod.yaml");
    assert_eq!(said, "Deploying to cluster...\nSuccessfully deployed workloads to cluster!");
    let body = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"one"},"spec":{"containers":[{"image":"box","name":"it"}]}}"#;
    assert_eq!(heard(), format!("/api/v1/namespaces/team/pods Bearer open sesame - {body}\n"));
    lab.ok("kube apply -k certificate --ns other -f pod.yaml");
    assert_eq!(heard(), format!("/api/v1/namespaces/other/pods None alice {body}\n"));
    lab.ok("kube apply -k unknown --ca-cert-file ca.crt -f pod.yaml");
    assert_eq!(heard().lines().count(), 1);
    lab.ok("create --name web -p 8080:80 box idle");
    lab.ok("kube apply -k token --service web");
    let requests = heard();
    let paths: Vec<&str> = requests.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(paths, ["/api/v1/namespaces/team/services", "/api/v1/namespaces/team/pods"]);
    // The first refusal ends it.
    let error = lab.creel("kube apply -k token -f several.yaml").run().fails(125);
    assert!(error.contains("409: pods \"taken\" already exists") && error.contains("pod/one"), "{error}");
    assert_eq!(heard().lines().count(), 2);
    for (line, text) in [
        ("-k unknown -f pod.yaml", "certificate"),
        ("-k token -f broken.yaml", "broken.yaml:6"),
        ("-k token", "nothing to deploy"),
        ("-k token -f pod.yaml web", "cannot set --file and names at the same time"),
        ("-k token -s -f pod.yaml", "cannot set --service and --file at the same time"),
        ("-k nowhere -f pod.yaml", "open nowhere: no such file or directory"),
        ("-f pod.yaml", "kubeconfig not given, unable to connect to cluster"),
    ] {
        let error = lab.creel(&format!("kube apply {line}")).run().fails(125);
        assert!(error.contains(text), "{error}");
    }
    assert_eq!(heard(), "");
}
