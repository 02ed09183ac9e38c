//! `kube play`, `kube down`, `kube generate`

use crate::lab::image::{Compression, box_draft};
use crate::lab::registry::{Guarded, Registry};
use crate::lab::{Lab, differs_on_purpose, eventually, free_port, is_podman};

fn served(port: u16) -> bool {
    use std::io::{Read, Write};
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok_and(|mut stream| {
        let mut text = String::new();
        let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
        let _ = stream.read_to_string(&mut text);
        text.contains("hello from the box")
    })
}

#[test]
fn a_pod_is_played_and_taken_down() {
    let lab = Lab::new();
    let port = free_port();
    lab.write(
        "pod.yaml",
        format!(
            "
apiVersion: v1
kind: Pod
metadata:
  name: web
  labels:
    app: site
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: server
    image: localhost/box:latest
    command: [httpd, -f, -p, '80', -h, /www]
    ports:
    - containerPort: 80
      hostPort: {port}
  - name: side
    image: localhost/box:latest
    args: [sh, -c, 'echo \"$GREETING\"; exec idle']
    env:
    - name: GREETING
      value: hello
"
        ),
    );
    let text = lab.ok("kube play pod.yaml");
    assert!(text.starts_with("Pod:\n") && text.contains("Containers:\n"), "{text}");
    eventually("the page is served", || served(port));
    assert_eq!(lab.ok("pod ps --format '{{.Name}} {{.Status}}'"), "web Running");
    assert!(lab.log_holds("web-side", "ready").starts_with("hello"));
    assert_eq!(lab.ok("pod inspect web --format '{{index .Labels \"app\"}}'"), "site");
    match is_podman() {
        true => drop(lab.creel("kube play pod.yaml").run().fails(125)),
        false => assert_eq!(lab.ok("kube play pod.yaml"), "pod/web unchanged"),
    }
    lab.ok("kube play --replace pod.yaml");
    eventually("the page is served again", || served(port));
    let text = lab.ok("kube down pod.yaml");
    assert!(text.contains("Pods stopped:") && text.contains("Pods removed:"), "{text}");
    assert_eq!(lab.ok("ps -aq"), "");
    assert_eq!(lab.ok("pod ps -q"), "");
}

#[test]
fn configuration_and_secrets_reach_the_containers() {
    let lab = Lab::new();
    lab.write(
        "all.yaml",
        "
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  colour: red
  file.txt: |
    from the map
---
apiVersion: v1
kind: Secret
metadata:
  name: word
data:
  pass: c2VzYW1l
---
apiVersion: v1
kind: Pod
metadata:
  name: reader
spec:
  restartPolicy: Never
  containers:
  - name: one
    image: localhost/box:latest
    command: [sh, -c, 'echo $COLOUR $PASS; cat /settings/file.txt /word/pass; ls /scratch']
    env:
    - name: COLOUR
      valueFrom: { configMapKeyRef: { name: settings, key: colour } }
    - name: PASS
      valueFrom: { secretKeyRef: { name: word, key: pass } }
    volumeMounts:
    - { name: settings, mountPath: /settings }
    - { name: word, mountPath: /word }
    - { name: scratch, mountPath: /scratch }
  volumes:
  - name: settings
    configMap: { name: settings }
  - name: word
    secret: { secretName: word }
  - name: scratch
    emptyDir: {}
",
    );
    lab.ok("kube play all.yaml");
    let log = lab.log_holds("reader-one", "sesame");
    assert_eq!(log, "red sesame\nfrom the map\nsesame");
    lab.ok("kube down all.yaml");
    assert_eq!(lab.ok("secret ls -q"), "");
}

#[test]
fn a_claim_is_a_volume_that_stays() {
    let lab = Lab::new();
    lab.write(
        "claim.yaml",
        "
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: store
spec:
  accessModes: [ReadWriteOnce]
  resources: { requests: { storage: 1Gi } }
---
apiVersion: v1
kind: Pod
metadata:
  name: writer
spec:
  restartPolicy: Never
  containers:
  - name: one
    image: localhost/box:latest
    command: [sh, -c, 'echo kept >> /store/f; echo done']
    volumeMounts: [{ name: data, mountPath: /store }]
  volumes:
  - name: data
    persistentVolumeClaim: { claimName: store }
",
    );
    lab.ok("kube play claim.yaml");
    lab.log_holds("writer-one", "done");
    lab.ok("kube down claim.yaml");
    assert_eq!(lab.ok("volume ls -q"), "store");
    assert_eq!(lab.ok("run --rm --network none -v store:/s box cat /s/f"), "kept");
    lab.ok("kube play claim.yaml");
    let outcome = lab.creel("kube down --force claim.yaml").run();
    // podman removes the volume and then misses it.
    assert!(outcome.exit_code() == 0 || is_podman(), "{outcome}");
    assert_eq!(lab.ok("volume ls -q"), "");
}

#[test]
fn init_containers_run_first_and_in_order() {
    let lab = Lab::new();
    lab.write("init.yaml", "
apiVersion: v1
kind: Pod
metadata:
  name: ordered
spec:
  initContainers:
  - { name: first, image: localhost/box, command: [sh, -c, 'echo 1 >> /w/f'], volumeMounts: [{ name: w, mountPath: /w }] }
  - { name: second, image: localhost/box, command: [sh, -c, 'echo 2 >> /w/f'], volumeMounts: [{ name: w, mountPath: /w }] }
  containers:
  - { name: main, image: localhost/box, command: [sh, -c, 'cat /w/f; idle'], volumeMounts: [{ name: w, mountPath: /w }] }
  volumes:
  - { name: w, emptyDir: {} }
");
    lab.ok("kube play init.yaml");
    assert_eq!(lab.log_holds("ordered-main", "ready"), "1\n2\nready");
    lab.ok("kube down init.yaml");
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_made() {
    let lab = Lab::new();
    for (what, text) in [
        ("no YAML", "a: [b"),
        ("no kind", "apiVersion: v1\nmetadata: { name: x }\n"),
        ("a wrong type", "apiVersion: v1\nkind: Pod\nmetadata: { name: x }\nspec: { containers: nonsense }\n"),
        ("no name", "apiVersion: v1\nkind: Pod\nspec: { containers: [{ image: localhost/box }] }\n"),
    ] {
        lab.write("bad.yaml", text);
        assert_eq!(lab.creel("kube play bad.yaml").run().exit_code(), 125, "{what}");
        assert_eq!(lab.ok("pod ps -q"), "", "{what}");
    }
    lab.creel("kube play /no/such/file").run().fails(125);
    if !differs_on_purpose("podman takes unknown fields without a word") {
        lab.write("typo.yaml", "apiVersion: v1\nkind: Pod\nmetadata: { name: x }\nspec:\n  containers:\n  - name: a\n    image: localhost/box\n    comand: [idle]\n");
        let outcome = lab.creel("kube play typo.yaml").run();
        assert!(outcome.err().contains("comand") && outcome.err().contains("command"), "{outcome}");
        assert_eq!(lab.ok("pod ps -q"), "");
    }
}

#[test]
fn what_runs_becomes_a_manifest_that_can_be_played() {
    let lab = Lab::new();
    lab.ok("pod create --name duo");
    lab.ok("run -d --pod duo --name one -e A=1 box idle");
    let text = lab.ok("kube generate duo");
    assert!(
        text.contains("kind: Pod") && text.contains("name: duo") && text.contains("localhost/box:latest"),
        "{text}"
    );
    lab.write("duo.yaml", text);
    lab.ok("pod rm -f -t 0 duo");
    lab.ok("kube play duo.yaml");
    eventually("it runs", || lab.ok("pod ps --format {{.Status}}") == "Running");
    lab.ok("kube down duo.yaml");
    lab.ok("run -d --name alone --network none box idle");
    assert!(lab.ok("kube generate alone").contains("kind: Pod"));
    lab.ok("create --name shown -t -e A=b localhost/box idle");
    let text = lab.ok("kube generate shown");
    assert!(text.contains("    env:\n    - name: TERM\n      value: xterm\n    - name: A\n      value: b\n"), "{text}");
    lab.creel("kube generate nosuch").run().fails(125);
}

#[test]
fn a_deployment_has_as_many_pods_as_it_says_and_a_service_leads_to_them() {
    if differs_on_purpose("podman plays one replica and no Service") {
        return;
    }
    let lab = Lab::new();
    let port = 30000 + free_port() % 2767;
    lab.write(
        "site.yaml",
        format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: site
spec:
  replicas: 3
  selector: {{ matchLabels: {{ app: site }} }}
  template:
    metadata: {{ labels: {{ app: site }} }}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: server
        image: localhost/box:latest
        command: [httpd, -f, -p, '80', -h, /www]
        ports: [{{ containerPort: 80 }}]
---
apiVersion: v1
kind: Service
metadata:
  name: site
spec:
  type: NodePort
  selector: {{ app: site }}
  ports:
  - {{ port: 8080, targetPort: 80, nodePort: {port} }}
"
        ),
    );
    lab.ok("kube play site.yaml");
    assert_eq!(lab.ok("pod ps -q").lines().count(), 3);
    eventually("the page is served", || served(port));
    lab.ok("kube down site.yaml");
    assert_eq!(lab.ok("pod ps -q"), "");
    assert!(!served(port));
}

#[test]
fn containers_and_volumes_become_manifests() {
    let lab = Lab::new();
    lab.ok("volume create data");
    lab.ok("create --name web -p 8080:80 -p 127.0.0.1:8081:81/udp -e A=b -v data:/data -v /tmp:/host:ro --tmpfs /tm \
         --cap-add NET_ADMIN --read-only -w /bin -u 1000:1000 --restart always --dns 192.0.2.53 --add-host h:192.0.2.1 \
         --hostname hh --stop-timeout 33 --memory 100m --cpus 0.5 --tz UTC box idle 100");
    let text = lab.ok("kube generate web data");
    for part in [
        "kind: PersistentVolumeClaim",
        "---\napiVersion: v1\nkind: Pod\n",
        "  - args:\n    - idle\n    - \"100\"\n|  - command:\n    - idle\n    - \"100\"\n",
        "    - name: A\n      value: b\n",
        "    - containerPort: 80\n      hostPort: 8080\n    - containerPort: 81\n      hostIP: 127.0.0.1\n      hostPort: 8081\n      protocol: UDP\n",
        "      limits:\n        cpu: 500m\n        memory: 100Mi\n",
        "      readOnlyRootFilesystem: true\n      runAsGroup: 1000\n      runAsUser: 1000\n",
        "    - mountPath: /host\n      name: tmp-host-0\n      readOnly: true\n",
        "    persistentVolumeClaim:\n      claimName: data\n|  - name: data-pvc\n    persistentVolumeClaim:\n",
        "  hostname: hh\n",
        "  restartPolicy: Always\n",
        "  terminationGracePeriodSeconds: 33\n",
    ] {
        assert!(part.split('|').any(|part| text.contains(part)), "{part}\n{text}");
    }
    if !differs_on_purpose("podman leaves out in silence what a manifest cannot say") {
        assert!(text.contains("# NOTE: container web: --tz has no place in a manifest"), "{text}");
    }
    let service = lab.ok("kube generate -s web");
    assert!(service.contains("kind: Service") && !service.contains("hostPort"), "{service}");
    let deployment = lab.ok("kube generate -t deployment -r 3 web");
    assert!(deployment.contains("kind: Deployment") && deployment.contains("replicas: 3"), "{deployment}");
    lab.ok("pod create --name named --infra-name holder");
    lab.ok("create --pod named --name free --security-opt label=disable box true");
    let pod = lab.ok("kube generate named");
    for part in ["io.podman.annotations.infra.name: holder\n", "      seLinuxOptions:\n        type: spc_t\n"] {
        assert!(pod.contains(part), "{part}\n{pod}");
    }
    lab.ok("create --name once --restart on-failure box true");
    for (arguments, text) in [
        ("kube generate -t foo web", "invalid generation type"),
        ("kube generate -r 2 web", "--replicas can only be set when --type is set to deployment"),
        ("kube generate -t deployment once", "k8s Deployments can only have restartPolicy set to Always"),
        ("kube generate nosuch", "name or ID \"nosuch\" not found"),
    ] {
        let error = lab.creel(arguments).run().fails(125);
        assert!(error.contains(text), "{arguments}: {error}");
    }
    lab.ok("kube generate -f web.yaml once");
    let error = lab.creel("kube generate -f web.yaml once").run().fails(125);
    assert!(error.contains("file exists"), "{error}");
}

#[test]
fn a_pod_becomes_a_manifest_with_its_members_in_order() {
    let lab = Lab::new();
    lab.ok("pod create --name duo -p 8090:80 -l k=v --add-host a:192.0.2.1 --hostname hostn --share +pid");
    lab.ok("create --pod duo --name first -v shared:/data box idle");
    lab.ok("create --pod duo --name second -e X=1 -v shared:/data2 box idle");
    lab.ok("create --pod duo --init-ctr always --name before box true");
    let text = lab.ok("kube generate duo");
    let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
    assert!(
        place("    name: first\n    ports:\n    - containerPort: 80\n      hostPort: 8090\n")
            < place("    name: second\n")
    );
    assert!(place("initContainers:") < place("    name: before\n"));
    assert!(
        place("shareProcessNamespace: true") > 0 && place("  hostname: hostn\n") > 0 && place("    app: duo\n") > 0
    );
    assert_eq!(text.matches("claimName: shared").count(), 1, "{text}");
    let error = lab.creel("kube generate first").run().fails(125);
    assert!(error.contains("is associated with pod"), "{error}");
}

#[test]
fn an_image_is_pulled_with_the_pods_pull_secret() {
    if differs_on_purpose("podman passes over imagePullSecrets") {
        return;
    }
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Password) else { return };
    registry.put(box_draft(), "private:1", Compression::Gzip);
    let text = |password: &str| {
        format!(
            "
apiVersion: v1
kind: Secret
metadata: {{ name: regcred }}
type: kubernetes.io/dockerconfigjson
stringData:
  .dockerconfigjson: '{{\"auths\": {{\"127.0.0.1:{}\": {{\"username\": \"alice\", \"password\": \"{password}\"}}}}}}'
---
apiVersion: v1
kind: Pod
metadata: {{ name: private }}
spec:
  terminationGracePeriodSeconds: 0
  imagePullSecrets: [{{ name: regcred }}]
  containers:
  - {{ name: it, image: \"{}:1\", command: [idle] }}
",
            registry.port,
            registry.name("private")
        )
    };
    lab.write("wrong.yaml", text("guess"));
    let play = |file: &str| lab.creel(&format!("kube play --tls-verify=false {file}")).within(60).run();
    let error = play("wrong.yaml").fails(125);
    assert!(error.contains("unauthorized") || error.contains("authentication required"), "{error}");
    assert_eq!((lab.ok("secret ls -q"), lab.ok("pod ps -q")), (String::new(), String::new()));
    lab.write("right.yaml", text("open sesame"));
    play("right.yaml").ok();
    assert_eq!(lab.state("private-it"), "running");
    lab.ok("kube down right.yaml");
    lab.ok("rmi -a -f");
    let without = text("open sesame");
    lab.write("without.yaml", without.split_once("---").unwrap().1);
    let outcome = play("without.yaml");
    assert!(outcome.fails(125).contains("regcred"), "{outcome}");
}

fn pod_of(image: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ name: p }}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  \
         - {{ name: c, image: \"{image}\", command: [idle] }}\n"
    )
}

#[test]
fn a_play_takes_credentials_and_an_authfile() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Password) else { return };
    registry.put(box_draft(), "private:1", Compression::Gzip);
    lab.write("pod.yaml", pod_of(&format!("{}:1", registry.name("private"))));
    let login =
        format!("{{\"auths\": {{\"127.0.0.1:{}\": {{\"auth\": \"YWxpY2U6b3BlbiBzZXNhbWU=\"}}}}}}", registry.port);
    let authfile = lab.write("auth.json", login);
    let play = |flags: &[&str]| {
        let words = [&["kube", "play", "--tls-verify=false"], flags, &["pod.yaml"]].concat();
        lab.creel_words(&words).within(60).run()
    };
    play(&["--creds", "alice:wrong"]).fails(125);
    for flags in [["--creds", "alice:open sesame"], ["--authfile", authfile.to_str().unwrap()]] {
        play(&flags).ok();
        assert_eq!(lab.state("p-c"), "running", "{flags:?}");
        lab.ok("kube down pod.yaml");
        lab.ok("rmi -a -f");
    }
}

#[test]
fn a_play_takes_the_authority_of_a_registry() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Tls) else { return };
    registry.put(box_draft(), "box:1", Compression::Gzip);
    lab.write("pod.yaml", pod_of(&format!("{}:1", registry.name("box"))));
    let folder = lab.folder("certificates");
    lab.write("certificates/ca.crt", std::fs::read(registry.authority()).unwrap());
    let error = lab.creel("kube play pod.yaml").within(60).run().fails(125);
    assert!(error.contains("certificate"), "{error}");
    lab.creel(&format!("kube play --cert-dir {} pod.yaml", folder.display())).within(60).run().ok();
    assert_eq!(lab.state("p-c"), "running");
    lab.ok("kube down pod.yaml");
}

#[test]
fn objects_are_shown_by_path_and_in_columns() {
    if differs_on_purpose("podman has no kube get") {
        return;
    }
    let lab = Lab::new();
    let map = |name: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name}, labels: {{ app: x }} }}\ndata: {{ a: '1' }}\n"
        )
    };
    lab.write("one.yaml", map("one"));
    lab.write("two.yaml", map("two"));
    lab.ok("kube play one.yaml");
    // Who names no object gets a List, also of one.
    assert_eq!(lab.json("kube get cm -o json")["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(lab.json("kube get cm one -o json")["kind"], "ConfigMap");
    lab.ok("kube play two.yaml");
    let get = |output: &str| lab.creel_words(&["kube", "get", "cm", "-o", output]).run();
    assert_eq!(get("jsonpath={.items[*].metadata.name}").out(), "one two");
    assert_eq!(get("jsonpath={range .items[?(@.metadata.name==\"two\")]}{.kind}/{.data.a}{end}").out(), "ConfigMap/1");
    assert_eq!(
        get("custom-columns=NAME:.metadata.name,APP:.metadata.labels.app,NONE:.spec").out(),
        "NAME   APP   NONE\none    x     <none>\ntwo    x     <none>"
    );
    assert_eq!(lab.creel_words(&["kube", "get", "cm/two", "-o", "jsonpath={.data.a}"]).run().out(), "1");
    for (output, said) in [
        ("jsonpath={.a", "error parsing jsonpath {.a,"),
        ("custom-columns=A", "expected <header>:<json-path-expr>"),
        ("table", "unable to match a printer suitable for the output format \"table\""),
    ] {
        let error = get(output).fails(125);
        assert!(error.contains(said), "{error}");
    }
    lab.ok("kube down one.yaml two.yaml");
}
