//! What is refused, and how it is said.

use super::*;

/// What is left of the problems: path, text, hint.
fn told(text: &str) -> Vec<String> {
    wrong(text).into_iter().map(|problem| problem.splitn(4, ':').nth(3).unwrap_or_default().trim().to_owned()).collect()
}

fn pod(spec: &str) -> Vec<String> {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    told(&format!("apiVersion: v1\nkind: Pod\nmetadata: {{ name: x }}\nspec:\n{spec}"))
        .into_iter()
        .map(|problem| problem.strip_prefix("Pod/x: spec.").unwrap_or(&problem).to_owned())
        .collect()
}

#[test]
fn documents_that_are_no_objects() {
    for (text, expected) in [
        ("just words\n", "must be an object with apiVersion and kind, and this is the text \"just words\""),
        ("- a\n", "must be an object with apiVersion and kind, and this is a list"),
        ("apiVersion: v1\n", "kind: is required"),
        ("kind: Pod\n", "apiVersion: is required"),
        ("apiVersion: v1\nkind: Pod\nmetadata: { name: x }\n", "Pod/x: spec: is required"),
        ("apiVersion: v1\nkind: ConfigMap\n", "ConfigMap/: metadata: is required"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", "ConfigMap/: metadata.name: is required"),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: { generateName: x- }\n",
            "ConfigMap/: metadata.generateName: an object without a fixed name cannot be played twice: write `name`",
        ),
        (
            "apiVersion: v1\nkind: Pdo\nmetadata: { name: x }\n",
            "Pdo/x: kind: the kind \"Pdo\" is unknown (did you mean \"Pod\"?)",
        ),
        (
            "apiVersion: v1\nkind: NetworkPolicy\nmetadata: { name: x }\n",
            "NetworkPolicy/x: kind: the kind NetworkPolicy cannot be played: connections between pods are not filtered \
             (--ignore-unknown passes it over)",
        ),
        (
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n",
            "Kustomization/: kind: the kind Kustomization cannot be played: write out what it makes, as with \"kubectl \
             kustomize DIR | creel kube play -\" (--ignore-unknown passes it over)",
        ),
        (
            "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: { name: x }\nspec: { rules: [{}] }\n",
            "Ingress/x: apiVersion: Ingress of \"extensions/v1beta1\" is not known (write \"networking.k8s.io/v1\")",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: Big_Name }\n",
            "ConfigMap/Big_Name: metadata.name: \"Big_Name\" is not valid: at most 253 lower case letters, digits, \"-\" and \
             \".\", with a letter or digit at both ends of each part",
        ),
        (
            "apiVersion: v1\nkind: List\nitems:\n- { apiVersion: v1, kind: ConfigMap, metadata: { name: x }, dta: {} }\n",
            "ConfigMap/x: items[0].dta: unknown field (did you mean \"data\"?)",
        ),
    ] {
        let told = told(text);
        assert!(told.iter().any(|problem| problem == expected), "{text}{told:#?}");
    }
}

#[test]
fn all_problems_of_all_documents_are_told_at_once() {
    let problems = wrong(
        "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { containers: [{ nme: x, image: box }], replica: 1 }\n---\na: [b\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: { name: b }\ndata: { k: '!' }\n",
    );
    let lines: Vec<&str> = problems.iter().map(|problem| problem.split(": ").next().unwrap_or_default()).collect();
    assert_eq!(lines, ["a.yaml:4:22", "a.yaml:4:24", "a.yaml:4:47", "a.yaml:6:4", "a.yaml:11:12"], "{problems:#?}");
}

#[test]
fn the_same_object_twice() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n";
    assert_eq!(wrong(&format!("{map}---\n{map}")), ["a.yaml:5:1: ConfigMap/a: is there twice, first at a.yaml:1:1"]);
    planned(&format!("{map}---\n{}", map.replace("name: a", "name: a, namespace: other")));
}

#[test]
fn pods_that_contradict_themselves() {
    for (spec, expected) in [
        ("containers: []", "containers: is required: a pod has at least one container"),
        (
            "containers: [{ name: a, image: b }, { name: a, image: b }]",
            "containers[1].name: \"a\" is there twice, first at spec.containers[0].name",
        ),
        ("containers: [{ name: a }]", "containers[0].image: container \"a\" is missing the required 'image' field"),
        (
            "containers: [{ name: A, image: b }]",
            "containers[0].name: \"A\" is not valid: at most 63 lower case letters, digits and \"-\", with a letter or digit at both ends",
        ),
        (
            "containers: [{ name: a, image: b }]\nrestartPolicy: always",
            "restartPolicy: unsupported value \"always\": supported are \"Always\", \"OnFailure\", \"Never\" (did you mean \"Always\"?)",
        ),
        (
            "containers: [{ name: a, image: b }]\nhostPID: true\nshareProcessNamespace: true",
            "shareProcessNamespace: shareProcessNamespace and hostPID cannot both be true",
        ),
        (
            "containers: [{ name: a, image: b }]\ndnsPolicy: None",
            "dnsConfig.nameservers: is required where dnsPolicy is \"None\"",
        ),
        (
            "containers: [{ name: a, image: b }]\nos: { name: windows }",
            "os.name: unsupported value \"windows\": supported are \"linux\"",
        ),
        (
            "containers: [{ name: a, image: b }]\nruntimeClassName: x",
            "runtimeClassName: is not supported: there is one runtime",
        ),
        (
            "containers: [{ name: a, image: b, securityContext: { runAsNonRoot: true, runAsUser: 0 } }]",
            "containers[0].securityContext.runAsNonRoot: runAsNonRoot and runAsUser: 0 contradict each other",
        ),
        (
            "containers: [{ name: a, image: b, securityContext: { privileged: true, allowPrivilegeEscalation: false } }]",
            "containers[0].securityContext.allowPrivilegeEscalation: cannot be false where privileged is true",
        ),
        (
            "containers: [{ name: a, image: b, securityContext: { capabilities: { add: ['net admin'] } } }]",
            "containers[0].securityContext.capabilities.add[0]: \"CAP_NET ADMIN\": unknown capability",
        ),
        (
            "containers: [{ name: a, image: b, resources: { limits: { cpu: 1 }, requests: { cpu: 2 } } }]",
            "containers[0].resources.requests.cpu: 2 must be less than or equal to the limit of 1",
        ),
        (
            "containers: [{ name: a, image: b, resources: { limits: { nvidia.com/gpu: 1 } } }]",
            "containers[0].resources.limits[\"nvidia.com/gpu\"]: is no resource of this machine: there are cpu, memory, ephemeral-storage \
             (name a device among the limits: nvidia.com/gpu=all: 1 by CDI, or podman.io/device=/dev/PATH: 1)",
        ),
        (
            "containers: [{ name: a, image: b, resources: { limits: { memory: -1 } } }]",
            "containers[0].resources.limits.memory: must be greater than or equal to 0, and is -1",
        ),
        (
            "containers: [{ name: a, image: b, livenessProbe: {} }]",
            "containers[0].livenessProbe: must have one of exec, httpGet, tcpSocket, grpc",
        ),
        (
            "containers: [{ name: a, image: b, livenessProbe: { exec: { command: [x] }, tcpSocket: { port: 1 } } }]",
            "containers[0].livenessProbe: must have only one of exec, httpGet, tcpSocket, grpc",
        ),
        (
            "containers: [{ name: a, image: b, livenessProbe: { successThreshold: 2, exec: { command: [x] } } }]",
            "containers[0].livenessProbe.successThreshold: must be 1",
        ),
        (
            "containers: [{ name: a, image: b, livenessProbe: { periodSeconds: 0, exec: { command: [x] } } }]",
            "containers[0].livenessProbe.periodSeconds: must be greater than or equal to 1, and is 0",
        ),
        (
            "containers: [{ name: a, image: b, lifecycle: { stopSignal: TERM } }]",
            "containers[0].lifecycle.stopSignal: \"TERM\" is no signal like SIGTERM",
        ),
        (
            "containers: [{ name: a, image: b, env: [{ name: A=B }] }]",
            "containers[0].env[0].name: \"A=B\" is not valid: printable ASCII letters without \"=\"",
        ),
        (
            "containers: [{ name: a, image: b, env: [{ name: A, value: x, valueFrom: { fieldRef: { fieldPath: metadata.name } } }] }]",
            "containers[0].env[0].valueFrom: must not be set where value is",
        ),
        (
            "containers: [{ name: a, image: b, env: [{ name: A, valueFrom: { resourceFieldRef: { containerName: z, resource: limits.cpu } } }] }]",
            "containers[0].env[0].valueFrom.resourceFieldRef.containerName: the pod has no container \"z\"",
        ),
        (
            "containers: [{ name: a, image: b, volumeMounts: [{ name: dta, mountPath: /x }] }]\nvolumes: [{ name: data }]",
            "containers[0].volumeMounts[0].name: volume mount dta specified for container but not configured in volumes (did you mean \"data\"?)",
        ),
        (
            "containers: [{ name: a, image: b, volumeMounts: [{ name: d, mountPath: /x }, { name: d, mountPath: /x/ }] }]\nvolumes: [{ name: d }]",
            "containers[0].volumeMounts[1].mountPath: \"/x\" is there twice: duplicate mount destination",
        ),
        (
            "containers: [{ name: a, image: b, volumeMounts: [{ name: d, mountPath: /x, subPath: ../y }] }]\nvolumes: [{ name: d }]",
            "containers[0].volumeMounts[0].subPath: \"../y\" is not valid: a path without \"..\"",
        ),
        (
            "containers: [{ name: a, image: b }]\nvolumes: [{ name: d, emptyDir: {}, hostPath: { path: /x } }]",
            "volumes[0]: has more than one source: a volume has one",
        ),
        (
            "containers: [{ name: a, image: b }]\nvolumes: [{ name: d, nfs: { server: x, path: /y } }]",
            "volumes[0].nfs: is not supported: mount it on the host and use hostPath",
        ),
        (
            "containers: [{ name: a, image: b }]\nvolumes: [{ name: d, persistentVolumeClaim: { claimName: data } }]",
            "volumes[0].persistentVolumeClaim.claimName: PersistentVolumeClaim \"data\" is neither in these files nor stored (add one, or make the volume with \"creel volume create data\")",
        ),
        (
            "containers: [{ name: a, image: b }]\nvolumes: [{ name: d, configMap: { name: c, defaultMode: 644, optional: true } }]",
            "volumes[0].configMap.defaultMode: must be between 0000 and 0777 in octal, and is 644 (01204 in octal) (write 0644)",
        ),
        (
            "containers: [{ name: a, image: b, ports: [{ name: web, containerPort: 80 }, { name: web, containerPort: 81 }] }]",
            "containers[0].ports[1].name: \"web\" is there twice in the pod, first at spec.containers[0].ports[0].name",
        ),
        (
            "hostNetwork: true\ncontainers: [{ name: a, image: b, ports: [{ containerPort: 80, hostPort: 81 }] }]",
            "containers[0].ports[0].hostPort: must be the containerPort where hostNetwork is true",
        ),
        (
            "initContainers: [{ name: i, image: b, livenessProbe: { tcpSocket: { port: 1 } } }]\ncontainers: [{ name: a, image: b }]",
            "initContainers[0].livenessProbe: must not be set for init containers without restartPolicy: Always",
        ),
    ] {
        assert_eq!(pod(spec)[0], expected, "{spec}");
    }
}

#[test]
fn workloads_that_do_not_fit_together() {
    let told = |kind: &str, spec: &str| {
        let template =
            "template: { metadata: { labels: { app: web } }, spec: { containers: [{ name: a, image: b }] } }";
        let text =
            format!("apiVersion: apps/v1\nkind: {kind}\nmetadata: {{ name: web }}\nspec:\n  {template}\n  {spec}\n");
        told(&text).remove(0).replace(&format!("{kind}/web: spec."), "")
    };
    for (kind, spec, expected) in [
        (
            "Deployment",
            "selector: { matchLabels: { app: site } }",
            "template.metadata.labels: selector app=site does not match the template's labels: app=web",
        ),
        ("Deployment", "replicas: 1", "selector: is required"),
        ("Deployment", "selector: {}", "selector: must choose by at least one label"),
        (
            "Deployment",
            "selector: { matchLabels: { app: web } }\n  replicas: -1",
            "replicas: must be greater than or equal to 0, and is -1",
        ),
        (
            "Deployment",
            "selector: { matchLabels: { app: web } }\n  strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 0% } }",
            "strategy.rollingUpdate.maxUnavailable: must not be 0 where maxSurge is 0",
        ),
        (
            "Deployment",
            "selector: { matchLabels: { app: web } }\n  strategy: { rollingUpdate: { maxSurge: lots } }",
            "strategy.rollingUpdate.maxSurge: must be a number or a percentage like \"25%\", and is \"lots\"",
        ),
        (
            "Deployment",
            "selector: { matchLabels: { app: web } }\n  strategy: { type: Recreate, rollingUpdate: {} }",
            "strategy.rollingUpdate: must not be set where type is \"Recreate\"",
        ),
        (
            "Deployment",
            "selector: { matchLabels: { app: web } }\n  progressDeadlineSeconds: 5\n  minReadySeconds: 5",
            "progressDeadlineSeconds: must be greater than minReadySeconds",
        ),
        (
            "StatefulSet",
            "selector: { matchLabels: { app: web } }\n  serviceName: db",
            "serviceName: Service \"db\" is neither in these files nor stored",
        ),
        (
            "StatefulSet",
            "selector: { matchLabels: { app: web } }\n  volumeClaimTemplates: [{ spec: {} }]",
            "volumeClaimTemplates[0].metadata.name: \"\" is not valid: at most 63 lower case letters, digits and \"-\", with a letter or digit at both ends",
        ),
    ] {
        assert_eq!(told(kind, spec), expected, "{spec}");
    }
}

#[test]
fn a_pod_has_no_less_than_its_containers() {
    let pod = |resources: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{ name: x }}\nspec:\n  resources: {resources}\n  containers: [{{ name: a, image: box, \
             resources: {{ limits: {{ memory: 64Mi }} }} }}]\n"
        )
    };
    let plan = super::planned(&pod("{ limits: { memory: 64Mi, cpu: 500m } }"));
    let resources = &plan.pods[0].template.resources;
    assert_eq!(
        (resources.memory, resources.cpu_quota, resources.cpu_shares),
        (Some(64 << 20), Some(50_000), Some(512))
    );
    for (resources, expected) in [
        ("{ limits: { memory: 32Mi } }", "limits.memory: 32Mi is less than the limit of container \"a\", 64Mi"),
        (
            "{ limits: { memory: 64Mi }, requests: { memory: 65Mi } }",
            "requests.memory: 65Mi must be less than or equal to the limit of 64Mi",
        ),
        (
            "{ limits: { ephemeral-storage: 1Gi } }",
            "limits.ephemeral-storage: is no resource of a whole pod: there are cpu, memory",
        ),
    ] {
        let said = wrong(&pod(resources));
        assert!(said[0].ends_with(&format!("Pod/x: spec.resources.{expected}")), "{said:?}");
    }
}

#[test]
fn claims_by_podmans_annotations() {
    for (annotations, word, expected) in [
        ("volume.podman.io/driver: nfs", "driver", "must be \"local\" or \"image\", and is \"nfs\""),
        ("volume.podman.io/driver: image", "driver", "needs volume.podman.io/image"),
        ("volume.podman.io/image: box", "image", "needs volume.podman.io/driver: image"),
        (
            "volume.podman.io/driver: image, volume.podman.io/image: box, volume.podman.io/import-source: a.tar",
            "import-source",
            "cannot be beside volume.podman.io/image: that cannot be written to",
        ),
        ("volume.podman.io/colour: red", "colour", "unknown annotation of Podman's volumes"),
    ] {
        let said = wrong(&format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{ name: x, annotations: {{ {annotations} }} }}\n"
        ));
        let at = format!("PersistentVolumeClaim/x: metadata.annotations[\"volume.podman.io/{word}\"]");
        assert!(said[0].ends_with(&format!("{at}: {expected}")), "{said:?}");
    }
}

#[test]
fn indexed_jobs() {
    for (spec, expected) in [
        ("backoffLimitPerIndex: 1", "backoffLimitPerIndex: needs completionMode: Indexed"),
        ("completions: 2, maxFailedIndexes: 1", "maxFailedIndexes: needs backoffLimitPerIndex"),
        (
            "completions: 2, completionMode: Indexed, backoffLimitPerIndex: 1, maxFailedIndexes: 3",
            "maxFailedIndexes: must be at most completions",
        ),
        (
            "completions: 2, successPolicy: { rules: [{ succeededCount: 1 }] }",
            "successPolicy: needs completionMode: Indexed",
        ),
        ("completions: 2, completionMode: Indexed, successPolicy: {}", "successPolicy.rules: is required"),
        (
            "completions: 2, completionMode: Indexed, successPolicy: { rules: [{ succeededIndexes: '0-2' }] }",
            "successPolicy.rules[0].succeededIndexes: must be rising numbers and ranges below 2 as \"0,2-5\", and is \"0-2\"",
        ),
        (
            "completions: 2, completionMode: Indexed, successPolicy: { rules: [{ succeededIndexes: '0', succeededCount: 2 }] }",
            "successPolicy.rules[0].succeededCount: must be at most 1, and is 2",
        ),
        (
            "completions: 2, completionMode: Indexed, successPolicy: { rules: [{}] }",
            "successPolicy.rules[0]: must have succeededIndexes or succeededCount",
        ),
        (
            "podFailurePolicy: { rules: [{ action: FailIndex, onExitCodes: { operator: In, values: [1] } }] }",
            "podFailurePolicy.rules[0].action: needs backoffLimitPerIndex",
        ),
    ] {
        let text = format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {{ name: x }}\nspec: {{ {spec}, template: {{ spec: {{ restartPolicy: Never, \
             containers: [{{ name: a, image: box }}] }} }} }}\n"
        );
        assert!(wrong(&text)[0].ends_with(&format!("Job/x: spec.{expected}")), "{:?}", wrong(&text));
    }
}

#[test]
fn jobs_services_and_others() {
    for (text, expected) in [
        (
            "apiVersion: batch/v1\nkind: Job\nmetadata: { name: x }\nspec: { template: { spec: { containers: [{ name: a, image: b }] } } }\n",
            "Job/x: spec.template.spec.restartPolicy: is required of a Job: \"OnFailure\" or \"Never\"",
        ),
        (
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: { name: x }\nspec: { schedule: '61 * * * *', jobTemplate: { spec: { template: { spec: { restartPolicy: Never, containers: [{ name: a, image: b }] } } } } }\n",
            "CronJob/x: spec.schedule: \"61\" is no minute: it lies between 0 and 59",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: { name: 1x }\nspec: { ports: [{ port: 80 }] }\n",
            "Service/1x: metadata.name: \"1x\" is not valid: at most 63 lower case letters, digits and \"-\", beginning with a letter and not ending with \"-\"",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: { name: x }\nspec: { selector: { a: b }, ports: [{ port: 80 }, { port: 81 }] }\n",
            "Service/x: spec.ports[0].name: is required where there are several ports",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: { name: x }\nspec: { selector: { a: b }, type: NodePort, ports: [{ port: 80, nodePort: 8080 }] }\n",
            "Service/x: spec.ports[0].nodePort: must be between 30000 and 32767, and is 8080",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: { name: x }\nspec: { selector: { a: b }, ports: [{ port: 80, nodePort: 30080 }] }\n",
            "Service/x: spec.ports[0].nodePort: may not be set where type is \"ClusterIP\"",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: { name: x }\nspec: { type: ExternalName }\n",
            "Service/x: spec.externalName: is required where type is \"ExternalName\"",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: { name: x }\nspec: { type: ExternalName, externalName: a.example, clusterIP: None }\n",
            "Service/x: spec.clusterIP: may not be set where type is \"ExternalName\"",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: { name: x }\nspec: { ports: [{ port: 1 }], selector: { a: b }, ipFamilyPolicy: RequireDualStack }\n",
            "Service/x: spec.ipFamilyPolicy: \"RequireDualStack\" is not carried out: Services have addresses of IPv4; write PreferDualStack",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: { name: x }\nspec: { ports: [{ port: 1 }], selector: { a: b }, ipFamilies: [IPv6] }\n",
            "Service/x: spec.ipFamilies: \"IPv6\" is not carried out: Services have addresses of IPv4",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: { name: x }\nspec: { ports: [{ port: 1 }], selector: { a: b }, loadBalancerSourceRanges: [10.0.0.0/8] }\n",
            "Service/x: spec.loadBalancerSourceRanges: may not be set where type is \"ClusterIP\"",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: { name: x }\nspec: { type: LoadBalancer, ports: [{ port: 1 }], selector: { a: b }, loadBalancerSourceRanges: [here] }\n",
            "Service/x: spec.loadBalancerSourceRanges[0]: must be a range like 10.0.0.0/8, and is \"here\"",
        ),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: { name: x }\ntype: kubernetes.io/tls\n",
            "Secret/x: data[\"tls.crt\"]: is required of a Secret of type kubernetes.io/tls",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: x }\ndata: { a/b: c }\n",
            "ConfigMap/x: data.a/b: \"a/b\" is not valid as a key: at most 253 letters, digits, \"-\", \"_\" and \".\", not beginning with \"..\"",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: x }\ndata: { a: { b: c } }\n",
            "ConfigMap/x: data.a: must be a string, and this is a map",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: x, labels: { a: 'b c' } }\n",
            "ConfigMap/x: metadata.labels.a: \"b c\" is not valid as a label: at most 63 letters, digits, \"-\", \"_\" and \".\", with a letter or digit at both ends",
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: { name: x }\nspec: { defaultBackend: { service: { name: y, port: { number: 80 } } } }\n",
            "Ingress/x: spec.defaultBackend.service.name: Service \"y\" is neither in these files nor stored",
        ),
        (
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: { name: x }\nspec: { maxReplicas: 3, scaleTargetRef: { kind: DaemonSet, name: y } }\n",
            "HorizontalPodAutoscaler/x: spec.scaleTargetRef.kind: a DaemonSet cannot be scaled",
        ),
    ] {
        assert_eq!(told(text)[0], expected, "{text}");
    }
}

#[test]
fn both_owners_of_a_port_are_named() {
    let pod = |name: &str, port: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{ name: {name} }}\nspec: {{ containers: [{{ name: a, image: b, ports: [{{ containerPort: 80, {port} }}] }}] }}\n---\n"
        )
    };
    let both = |left: &str, right: &str| format!("{}{}", pod("x", left), pod("y", right));
    assert_eq!(
        wrong(&both("hostPort: 8080", "hostPort: 8080")),
        [
            "a.yaml:9:82: Pod/y: spec.containers[0].ports[0].hostPort: port 8080/TCP of the host is taken already by Pod/x (a.yaml:4:82)"
        ]
    );
    planned(&both("hostPort: 8080", "hostPort: 8080, protocol: UDP"));
    planned(&both("hostPort: 8080, hostIP: 127.0.0.1", "hostPort: 8080, hostIP: 127.0.0.2"));
    assert_eq!(wrong(&both("hostPort: 8080, hostIP: 127.0.0.1", "hostPort: 8080")).len(), 1);
    let taken = Stored { host_ports: planned(&pod("z", "hostPort: 8080")).host_ports, ..Stored::default() };
    assert!(planned_with(&pod("x", "hostPort: 8080"), &taken, &Options::default()).is_err());
    planned_with(&pod("z", "hostPort: 8080"), &taken, &Options::default()).expect("its own port is not in its way");
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: w }\nspec: { replicas: 2, selector: { matchLabels: { a: b } }, template: { metadata: { labels: { a: b } }, spec: { containers: [{ name: a, image: b, ports: [{ containerPort: 80, hostPort: 80 }] }] } } }\n";
    assert!(
        wrong(deployment)[0]
            .ends_with("is wanted by more than one pod (a Service of type NodePort leads to all of them)")
    );
    let service = |own: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{ name: s }}\nspec: {{ type: LoadBalancer, {own} selector: {{ a: b }}, ports: [{{ port: 80 }}], externalIPs: [192.0.2.1, 192.0.2.2] }}\n"
        )
    };
    let of_balancer = |own: &str| planned(&service(own)).host_ports.iter().filter(|port| port.port == 80).count();
    assert_eq!((of_balancer(""), of_balancer("loadBalancerIP: 192.0.2.3,")), (1, 3));
}

#[test]
fn what_is_passed_over_depends_on_how_strict_one_is() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: { name: x }\nspec: { colour: red, nodeName: n, containers: [{ name: a, image: b, env: [{ name: A, value: 1 }] }] }\n";
    let with = |validate| {
        let source = Source { name: "a.yaml", text, config_maps_only: false };
        plan(&read(&[source], "default", validate, Unknown::Refuse), &Stored::default(), &Options::default())
            .map(|plan| plan.warnings.iter().map(|problem| problem.path.clone()).collect::<Vec<_>>())
            .map_err(|problems| problems.iter().filter(|problem| problem.severity == Severity::Error).count())
    };
    assert_eq!(with(Validate::Strict), Err(2));
    assert_eq!(with(Validate::Warn), Ok(vec!["spec.colour".to_owned(), "spec.nodeName".to_owned()]));
    assert_eq!(with(Validate::Ignore), Ok(vec![]));
    let text = "apiVersion: v1\nkind: Role\nmetadata: { name: x }\n";
    let source = Source { name: "a.yaml", text, config_maps_only: false };
    let skipped =
        plan(&read(&[source], "default", Validate::Strict, Unknown::Skip), &Stored::default(), &Options::default());
    assert_eq!(skipped.expect("it is passed over").warnings.len(), 1);
}

#[test]
fn an_immutable_object_stays_as_it_is() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: x }\nimmutable: true\ndata: { a: '1' }\n";
    let map = planned(text).config_maps.remove(0);
    let stored = Stored {
        objects: Objects { config_maps: [(("default".into(), "x".into()), map)].into(), ..Objects::default() },
        ..Stored::default()
    };
    planned_with(text, &stored, &Options::default()).expect("nothing changed");
    let problems =
        planned_with(&text.replace("'1'", "'2'"), &stored, &Options::default()).expect_err("it is immutable");
    assert!(problems[0].ends_with("cannot be changed: the stored one is immutable (remove that one first)"));
}

/// Whatever a file holds: an answer, soon, and no panic.
#[test]
fn broken_texts_never_panic() {
    let seeds = [
        include_str!("examples.rs")
            .split("\"\n")
            .filter(|part| part.contains("apiVersion:"))
            .collect::<Vec<_>>()
            .join("\n---\n"),
        "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {k: AA==}}]\n"
            .to_owned(),
    ];
    let mut seed = 11u64;
    let mut random = move |most: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % most
    };
    let scraps = [
        "{", "}", "[", "]", ": ", "- ", "&a ", "*a", "<<: *a", "!!str ", "'", "\"", "\n", "  ", "\t", "|\n", ">-\n",
        "---\n", "%", "null", "-1", "1e99", "é", "\u{feff}", "~", "$(A)", "0x",
    ];
    let start = std::time::Instant::now();
    for round in 0..400 {
        let mut text: Vec<char> = seeds[round % 2].chars().collect();
        // A window of it, so that a round is quick.
        let from = random(text.len().saturating_sub(200).max(1));
        text = text[from..(from + 1500).min(text.len())].to_vec();
        for _ in 0..1 + random(6) {
            let at = random(text.len().max(1)).min(text.len());
            match random(3) {
                0 => drop(text.drain(at..(at + random(9)).min(text.len()))),
                1 => drop(text.splice(at..at, scraps[random(scraps.len())].chars())),
                _ => {
                    let copy: Vec<char> = text[at..(at + random(40)).min(text.len())].to_vec();
                    text.splice(at..at, copy);
                }
            }
        }
        let text: String = text.into_iter().collect();
        let _ = planned_with(&text, &Stored::default(), &Options::default());
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn a_volume_at_fault_is_told_of_once() {
    let mounted = |volume: &str| {
        pod(&format!(
            "containers: [{{ name: a, image: b, volumeMounts: [{{ name: d, mountPath: /x }}] }}]\nvolumes: [{{ name: d, {volume} }}]"
        ))
    };
    assert_eq!(
        mounted("nfs: { server: x, path: /y }"),
        ["volumes[0].nfs: is not supported: mount it on the host and use hostPath"]
    );
    assert_eq!(
        mounted("csi: { driver: x }"),
        ["volumes[0].csi: is not supported: needs a driver that runs in a cluster"]
    );
    assert_eq!(mounted("secret: {}"), ["volumes[0].secret.secretName: is required"]);
}

#[test]
fn a_metric_that_is_not_measured_is_told_once() {
    for (metric, expected) in [
        ("{ type: Pods, pods: { metric: { name: z } } }", "pods: is not supported: only cpu and memory are measured"),
        ("{ type: Pods }", "type: only cpu and memory are measured (write type: Resource)"),
        ("{ type: Resource }", "resource: is required"),
    ] {
        let text = format!(
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{ name: x }}\nspec: {{ maxReplicas: 3, \
             scaleTargetRef: {{ kind: Deployment, name: y }}, metrics: [{metric}] }}\n"
        );
        let told: Vec<String> = told(&text).into_iter().filter(|problem| problem.contains("metrics")).collect();
        assert_eq!(told, [format!("HorizontalPodAutoscaler/x: spec.metrics[0].{expected}")], "{metric}");
    }
}
