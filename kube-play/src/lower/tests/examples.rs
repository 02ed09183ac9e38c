//! Manifests of the kind that the Kubernetes documentation teaches with.

use super::*;
use crate::plan::{
    ConcurrencyPolicy, CountOrPercent, MetricTargetPlan, PortRef, PullPolicy, ServiceType, UpdateStrategy, VolumeSource,
};

#[test]
fn a_deployment_with_a_service_and_probes() {
    let plan = planned(
        "
apiVersion: v1
kind: Service
metadata: { name: shop, labels: { app: shop } }
spec:
  type: NodePort
  selector: { app: shop }
  ports:
  - { name: web, port: 80, targetPort: http }
  - { name: admin, port: 8443, nodePort: 30443 }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: shop }
spec:
  replicas: 3
  minReadySeconds: 5
  selector:
    matchLabels: { app: shop }
    matchExpressions: [{ key: tier, operator: In, values: [front, back] }]
  strategy: { rollingUpdate: { maxSurge: 2, maxUnavailable: 0 } }
  template:
    metadata: { labels: { app: shop, tier: front } }
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: web
        image: registry.example.org/shop
        ports: [{ name: http, containerPort: 8080 }]
        readinessProbe: { httpGet: { path: /ready, port: http, httpHeaders: [{ name: X-Probe, value: 'yes' }] }, periodSeconds: 2 }
        livenessProbe: { grpc: { port: 9000 }, initialDelaySeconds: 3 }
        startupProbe: { tcpSocket: { port: 8080 }, failureThreshold: 30 }
        lifecycle:
          preStop: { sleep: { seconds: 3 } }
          postStart: { exec: { command: [touch, /started] } }
          stopSignal: SIGUSR1
",
    );
    let shop = &plan.workloads[0];
    assert_eq!((shop.replicas, shop.min_ready, shop.history_limit, shop.progress_deadline), (3, 5, 10, Some(600)));
    assert_eq!(
        shop.update,
        UpdateStrategy::RollingUpdate {
            max_surge: CountOrPercent::Count(2),
            max_unavailable: CountOrPercent::Count(0)
        }
    );
    let web = &shop.template.containers[0];
    assert_eq!((web.pull, web.spec.stop_timeout, web.spec.stop_signal), (PullPolicy::Newer, Some(5), Some(10)));
    assert_eq!(web.pre_stop, Some(Handler::Sleep { seconds: 3 }));
    assert!(
        matches!(&web.readiness.as_ref().expect("one").handler, Handler::Http { port: 8080, headers, .. } if headers.len() == 1)
    );
    let service = &plan.services[0];
    assert_eq!(service.ports[0].target, PortRef::Name("http".into()));
    assert_eq!(shop.template.port(&service.ports[0].target), Some(8080));
    assert_eq!(service.ports[1].target, PortRef::Number(8443));
    let node_port = service.ports[0].node_port.expect("one was chosen");
    assert!((30000..=32767).contains(&node_port) && node_port != 30443);
    assert_eq!(service.names()[2], "shop.default.svc");
    assert_eq!(plan.namespaces.len(), 1);
    assert_eq!(plan.host_ports.iter().map(|port| port.port).collect::<Vec<_>>(), [node_port, 30443]);
}

#[test]
fn two_tiers_with_secrets_and_claims() {
    let plan = planned(
        "
apiVersion: v1
kind: Secret
metadata: { name: database }
stringData: { password: sesame }
data: { root: c2VzYW1l }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: database }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 20Gi } } }
---
apiVersion: v1
kind: Service
metadata: { name: database }
spec: { clusterIP: None, selector: { tier: database }, ports: [{ port: 3306 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: database }
spec:
  selector: { matchLabels: { tier: database } }
  strategy: { type: Recreate }
  template:
    metadata: { labels: { tier: database } }
    spec:
      securityContext: { fsGroup: 999, runAsUser: 999, runAsGroup: 999, supplementalGroups: [7], runAsNonRoot: true }
      containers:
      - name: mysql
        image: mysql:8.0
        env: [{ name: MYSQL_ROOT_PASSWORD, valueFrom: { secretKeyRef: { name: database, key: password } } }]
        envFrom: [{ prefix: DB_, secretRef: { name: database } }]
        volumeMounts: [{ name: data, mountPath: /var/lib/mysql, subPath: mysql }]
      volumes: [{ name: data, persistentVolumeClaim: { claimName: database } }]
",
    );
    let database = &plan.workloads[0];
    assert_eq!((database.replicas, database.replicas_written, &database.update), (1, false, &UpdateStrategy::Recreate));
    let mysql = &database.template.containers[0];
    assert_eq!(mysql.spec.user.as_deref(), Some("999:999"));
    assert_eq!(mysql.spec.group_add, ["7", "999"]);
    assert!(mysql.run_as_non_root);
    assert_eq!(database.template.fs_group, Some(999));
    let mut objects = Objects::default();
    for secret in &plan.secrets {
        objects.secrets.insert(("default".into(), secret.meta.id.name.clone()), secret.clone());
    }
    let facts = PodFacts { namespace: "default".into(), ..PodFacts::default() };
    let env = mysql.resolve(&[], &objects, &facts).expect("all is there").environment;
    let words: Vec<String> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(words, ["DB_password=sesame", "DB_root=sesame", "MYSQL_ROOT_PASSWORD=sesame"]);
    assert_eq!(plan.volumes[0].size.as_ref().map(|size| size.units()), Some(20 << 30));
    assert!(plan.services[0].headless);
}

#[test]
fn a_stateful_set_with_claims_of_its_own() {
    let plan = planned(
        "
apiVersion: v1
kind: Service
metadata: { name: nginx }
spec: { clusterIP: None, selector: { app: nginx }, ports: [{ port: 80, name: web }] }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: web }
spec:
  selector: { matchLabels: { app: nginx } }
  serviceName: nginx
  replicas: 3
  template:
    metadata: { labels: { app: nginx } }
    spec:
      containers:
      - { name: nginx, image: nginx:1.27, ports: [{ containerPort: 80, name: web }], volumeMounts: [{ name: www, mountPath: /www }] }
  volumeClaimTemplates:
  - metadata: { name: www }
    spec: { accessModes: [ReadWriteOnce], storageClassName: fast, resources: { requests: { storage: 1Gi } } }
",
    );
    let web = &plan.workloads[0];
    let set = web.stateful.as_ref().expect("its own part");
    assert_eq!((set.service.as_deref(), set.claims[0].meta.id.name.as_str()), (Some("nginx"), "www"));
    assert_eq!(web.template.volumes[0].source, VolumeSource::OwnClaim { template: "www".into() });
    assert_eq!(crate::plan::claim_name("www", "web-0"), "www-web-0");
    assert!(matches!(web.update, UpdateStrategy::Ordinal { partition: 0, .. }));
}

#[test]
fn jobs_and_cron_jobs() {
    let plan = planned(
        "
apiVersion: batch/v1
kind: Job
metadata: { name: pi }
spec:
  completions: 5
  parallelism: 2
  backoffLimit: 4
  activeDeadlineSeconds: 100
  ttlSecondsAfterFinished: 60
  template:
    spec:
      containers: [{ name: pi, image: perl, command: [perl, -e, 'print 3'] }]
      restartPolicy: Never
---
apiVersion: batch/v1
kind: CronJob
metadata: { name: hello }
spec:
  schedule: '*/5 * * * *'
  timeZone: Etc/UTC
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      template:
        spec:
          containers: [{ name: hello, image: busybox:1.28, args: [date] }]
          restartPolicy: OnFailure
",
    );
    let run = &plan.jobs[0].run;
    assert_eq!((run.completions, run.parallelism, run.backoff_limit, run.ttl), (Some(5), 2, 4, Some(60)));
    let cron = &plan.cron_jobs[0];
    assert_eq!((cron.concurrency, cron.successful_limit, cron.failed_limit), (ConcurrencyPolicy::Forbid, 3, 1));
    assert_eq!((cron.run.completions, cron.run.backoff_limit), (Some(1), 6));
}

#[test]
fn volumes_of_every_kind() {
    let plan = planned(
        "
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { colour: red, file.txt: 'from the map' }
binaryData: { blob: AP8= }
---
apiVersion: v1
kind: Pod
metadata: { name: all, labels: { app: x, tier: y }, annotations: { note: 'two words' } }
spec:
  containers:
  - name: a
    image: box@sha256:0000000000000000000000000000000000000000000000000000000000000000
    resources: { limits: { cpu: 250m, memory: 64Mi }, requests: { cpu: 100m } }
    volumeMounts:
    - { name: map, mountPath: /map }
    - { name: info, mountPath: /info, readOnly: true }
    - { name: host, mountPath: /host, mountPropagation: HostToContainer }
    - { name: files, mountPath: /files, subPathExpr: $(NAME) }
    env:
    - { name: NAME, valueFrom: { fieldRef: { fieldPath: \"metadata.labels['app']\" } } }
    - { name: CPU, valueFrom: { resourceFieldRef: { resource: limits.cpu } } }
    - { name: MEMORY, valueFrom: { resourceFieldRef: { resource: limits.memory, divisor: 1Mi } } }
    - { name: MILLIS, valueFrom: { resourceFieldRef: { resource: requests.cpu, divisor: 1m } } }
    - { name: MAYBE, valueFrom: { configMapKeyRef: { name: nothing, key: x, optional: true } } }
  volumes:
  - { name: map, configMap: { name: settings, defaultMode: 0400, items: [{ key: file.txt, path: etc/file, mode: 0755 }, { key: blob, path: blob }] } }
  - name: info
    projected:
      sources:
      - downwardAPI:
          items:
          - { path: labels, fieldRef: { fieldPath: metadata.labels } }
          - { path: cpu, resourceFieldRef: { containerName: a, resource: limits.cpu, divisor: 1m } }
      - configMap: { name: settings, items: [{ key: colour, path: colour }] }
      - secret: { name: not-there, optional: true }
  - { name: host, hostPath: { path: /tmp/x, type: DirectoryOrCreate } }
  - { name: files, image: { reference: 'files:1', pullPolicy: Never } }
  - { name: scratch, ephemeral: { volumeClaimTemplate: { spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } } } } }
",
    );
    let template = &plan.pods[0].template;
    let objects = Objects {
        config_maps: [(("default".to_owned(), "settings".to_owned()), plan.config_maps[0].clone())].into(),
        ..Objects::default()
    };
    let facts = PodFacts {
        namespace: "default".into(),
        labels: template.labels.clone(),
        annotations: template.annotations.clone(),
        ..PodFacts::default()
    };
    let files = |name: &str| {
        let volume = template.volumes.iter().find(|volume| volume.name == name).expect("it is planned");
        let VolumeSource::Files(projection) = &volume.source else { panic!("{name} holds no files") };
        let files = projection.files(&objects, &facts).expect("all is there");
        let words = files
            .iter()
            .map(|(path, file)| format!("{path} {:o} {:?}", file.mode, String::from_utf8_lossy(&file.bytes)));
        words.collect::<Vec<_>>()
    };
    assert_eq!(files("map"), ["blob 400 \"\\0\u{fffd}\"", "etc/file 755 \"from the map\""]);
    assert_eq!(
        files("info"),
        ["colour 644 \"red\"", "cpu 644 \"250\"", "labels 644 \"app=\\\"x\\\"\\ntier=\\\"y\\\"\""]
    );
    let a = &template.containers[0];
    assert_eq!((a.pull, a.spec.resources.cpu_shares), (PullPolicy::IfNotPresent, Some(102)));
    let resolved = a.resolve(&[], &objects, &facts).expect("all is there");
    let words: Vec<String> = resolved.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(words, ["NAME=x", "CPU=1", "MEMORY=64", "MILLIS=100"]);
    assert_eq!(resolved.mounts[3].sub_path.as_deref(), Some("x"));
    // A ConfigMap is read only, whatever the mount says.
    assert!(a.mounts[0].read_only && !a.mounts[2].read_only);
}

#[test]
fn an_ingress_and_an_autoscaler() {
    let plan = planned(
        "
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: { name: web, namespace: shop }
  spec: { selector: { app: web }, ports: [{ name: http, port: 80 }] }
- apiVersion: apps/v1
  kind: Deployment
  metadata: { name: web, namespace: shop }
  spec:
    selector: { matchLabels: { app: web } }
    template:
      metadata: { labels: { app: web } }
      spec: { containers: [{ name: a, image: box, resources: { requests: { cpu: 100m } } }] }
- apiVersion: networking.k8s.io/v1
  kind: Ingress
  metadata: { name: web, namespace: shop }
  spec:
    ingressClassName: nginx
    defaultBackend: { service: { name: web, port: { number: 80 } } }
    rules:
    - host: '*.example.org'
      http: { paths: [{ path: /api, pathType: Prefix, backend: { service: { name: web, port: { name: http } } } }] }
- apiVersion: autoscaling/v2
  kind: HorizontalPodAutoscaler
  metadata: { name: web, namespace: shop }
  spec:
    scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: web }
    minReplicas: 2
    maxReplicas: 5
    metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 50 } } }]
",
    );
    assert_eq!(plan.services[0].kind, ServiceType::ClusterIp);
    assert_eq!(plan.ingresses[0].rules[0].host.as_deref(), Some("*.example.org"));
    let scaler = &plan.autoscalers[0];
    assert_eq!((scaler.least, scaler.most, scaler.down.window, scaler.up.policies.len()), (2, 5, 300, 2));
    assert_eq!(scaler.metrics[0].target, MetricTargetPlan::Utilization(50));
    assert_eq!(plan.namespaces.iter().map(|namespace| namespace.name.as_str()).collect::<Vec<_>>(), ["shop"]);
}

#[test]
fn claims_bind_to_volumes_of_the_host() {
    let plan = planned(
        "
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: data, annotations: { volume.podman.io/uid: '5', volume.podman.io/mount-options: noexec } }
spec: { storageClassName: manual, accessModes: [ReadWriteOnce], resources: { requests: { storage: 3Gi } } }
---
apiVersion: v1
kind: PersistentVolume
metadata: { name: disk }
spec: { storageClassName: manual, capacity: { storage: 10Gi }, accessModes: [ReadWriteOnce], hostPath: { path: /mnt/data } }
",
    );
    let volume = &plan.volumes[0];
    assert_eq!(
        volume.bound.as_ref().map(|bound| (bound.name.as_str(), bound.path.as_str())),
        Some(("disk", "/mnt/data"))
    );
    let mut options: Vec<&str> = volume.options["o"].split(',').collect();
    options.sort_unstable();
    assert_eq!(options, ["noexec", "uid=5"]);
}

#[test]
fn podmans_annotations_are_obeyed() {
    let plan = planned(
        "
apiVersion: v1
kind: Pod
metadata:
  name: x
  annotations:
    io.podman.annotations.userns: keep-id:uid=1000,gid=1000
    io.podman.annotations.infra.name: x-holder
    io.podman.annotations.ulimit: nofile=1024:2048,core=-1
    io.podman.annotations.init/a: 'TRUE'
    io.podman.annotations.pids-limit/a: '100'
    io.podman.annotations.cpuset/b: 0-1
    io.containers.autoupdate/a: registry
    io.containers.sdnotify/b: container
    io.kubernetes.cri-o.SandboxID/a: 83a42773
    note: anything
spec:
  containers: [{ name: a, image: box }, { name: b, image: box }]
",
    );
    let template = &plan.pods[0].template;
    let keep = containers::UserNamespace::KeepId { uid: Some(1000), gid: Some(1000), size: None };
    assert_eq!((template.user_namespace.clone(), template.infra_name.as_deref()), (Some(keep), Some("x-holder")));
    let [a, b] = &template.containers[..] else { panic!("two containers") };
    assert!(a.spec.init && !b.spec.init);
    assert_eq!((a.spec.resources.pids_limit, b.spec.resources.pids_limit), (Some(100), None));
    assert_eq!(b.spec.resources.cpuset_cpus.as_deref(), Some("0-1"));
    assert_eq!((a.spec.ulimits.len(), a.spec.ulimits[1].soft), (2, u64::MAX));
    assert_eq!(a.spec.labels.get("io.containers.autoupdate").map(String::as_str), Some("registry"));
    assert_eq!([a, b].map(|it| it.spec.sdnotify), [containers::SdNotify::Ignore, containers::SdNotify::Container]);
    let warned: Vec<String> = plan.warnings.iter().map(ToString::to_string).collect();
    assert!(warned.is_empty(), "{warned:?}");
    for (value, why) in [("bogus", "must be container, conmon, healthy or ignore"), ("healthy", "needs a probe")] {
        let said = wrong(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{ name: x, annotations: {{ io.containers.sdnotify: {value} }} }}\nspec: {{ \
             containers: [{{ name: a, image: box }}] }}\n"
        ));
        assert!(said[0].contains("io.containers.sdnotify") && said[0].contains(why), "{said:?}");
    }
    let unknown = wrong(
        "apiVersion: v1\nkind: Pod\nmetadata: { name: x, annotations: { io.podman.annotations.colour: red } }\nspec: { \
         containers: [{ name: a, image: box }] }\n",
    );
    assert!(unknown[0].contains("io.podman.annotations.colour") && unknown[0].contains("not supported"), "{unknown:?}");
}

#[test]
fn options_reach_every_pod() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: { name: x }\nspec: { containers: [{ name: a, image: box, ports: [{ containerPort: \
                80 }] }] }\n";
    let port = |host_port, container_port| PublishedPort {
        host_ip: None,
        host_port,
        container_port,
        protocol: Default::default(),
    };
    let with =
        |options: &Options| planned_with(text, &Stored::default(), options).expect("a plan").pods.remove(0).template;
    let options = Options {
        networks: vec!["front".into()],
        publish: vec![port(8080, 80), port(9000, 9000)],
        no_pod_prefix: true,
        annotations: [("a".to_owned(), "b".to_owned())].into(),
        ..Options::default()
    };
    let template = with(&options);
    assert_eq!(template.ports, [port(8080, 80), port(9000, 9000)]);
    assert_eq!(template.network, PodNetwork::Given(vec!["front".into()]));
    assert_eq!((template.container_name("x", "a").as_str(), template.annotations["a"].as_str()), ("a", "b"));
    assert_ne!(template.hash, with(&Options::default()).hash);
    assert_eq!(with(&Options { publish_all: true, ..Options::default() }).ports, [port(80, 80)]);
}

#[test]
fn node_ports_stay_from_play_to_play() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec: { type: NodePort, selector: { a: b }, ports: [{ port: 80 }] }\n";
    let mut first = planned(text).services.remove(0);
    first.ports[0].node_port = Some(31234);
    let stored = Stored {
        objects: Objects { services: [(("default".into(), "web".into()), first)].into(), ..Objects::default() },
        ..Stored::default()
    };
    let again = planned_with(text, &stored, &Options::default()).expect("a plan");
    assert_eq!(again.services[0].ports[0].node_port, Some(31234));
}

#[test]
fn services_become_variables() {
    let service = planned(
        "apiVersion: v1\nkind: Service\nmetadata: { name: redis-main }\nspec: { selector: { a: b }, ports: [{ name: db, port: 6379 }] }\n",
    )
    .services
    .remove(0);
    let address = "10.89.0.7".parse().expect("an address");
    let variables = crate::plan::service_variables([(&service, address)]);
    for (name, value) in [
        ("REDIS_MAIN_SERVICE_HOST", "10.89.0.7"),
        ("REDIS_MAIN_SERVICE_PORT", "6379"),
        ("REDIS_MAIN_SERVICE_PORT_DB", "6379"),
        ("REDIS_MAIN_PORT", "tcp://10.89.0.7:6379"),
        ("REDIS_MAIN_PORT_6379_TCP_ADDR", "10.89.0.7"),
    ] {
        assert!(variables.contains(&(name.to_owned(), value.to_owned())), "{name}");
    }
}
