//! Probes and hooks, and the handlers that both have.

use super::{At, Lowering};
use crate::model;
use crate::plan::{Handler, NamedPort, PortRef, ProbePlan};

impl Lowering<'_> {
    pub(super) fn probe(
        &mut self,
        probe: &model::Probe,
        word: &str,
        ports: &[NamedPort],
        at: &At<'_>,
    ) -> Option<ProbePlan> {
        let model::Probe { exec, http_get, tcp_socket, grpc, .. } = probe;
        let success_threshold = probe.success_threshold.map_or(1, |threshold| threshold.0);
        if word != "readinessProbe" && success_threshold != 1 {
            self.wrong(&at.key("successThreshold"), "must be 1");
        }
        if word == "readinessProbe" && probe.termination_grace_period_seconds.is_some() {
            self.wrong(&at.key("terminationGracePeriodSeconds"), "must not be set for readiness probes");
        }
        let handler = match (exec, http_get, tcp_socket, grpc) {
            (Some(exec), None, None, None) => self.exec(exec, &at.key("exec")),
            (None, Some(get), None, None) => self.http(get, ports, &at.key("httpGet")),
            (None, None, Some(socket), None) => self.tcp(socket, ports, &at.key("tcpSocket")),
            (None, None, None, Some(grpc)) => {
                Some(Handler::Grpc { port: grpc.port.0, service: grpc.service.clone().unwrap_or_default() })
            }
            (None, None, None, None) => {
                self.wrong(at, "must have one of exec, httpGet, tcpSocket, grpc");
                None
            }
            _ => {
                self.wrong(at, "must have only one of exec, httpGet, tcpSocket, grpc");
                None
            }
        };
        Some(ProbePlan {
            handler: handler?,
            initial_delay: probe.initial_delay_seconds.unwrap_or(0),
            period: probe.period_seconds.map_or(10, |seconds| seconds.0),
            timeout: probe.timeout_seconds.map_or(1, |seconds| seconds.0),
            success_threshold,
            failure_threshold: probe.failure_threshold.map_or(3, |threshold| threshold.0),
            grace: probe.termination_grace_period_seconds.map(|seconds| seconds.0),
        })
    }

    pub(super) fn hook(
        &mut self,
        handler: &model::LifecycleHandler,
        ports: &[NamedPort],
        at: &At<'_>,
    ) -> Option<Handler> {
        let model::LifecycleHandler { exec, http_get, tcp_socket, sleep } = handler;
        match (exec, http_get, tcp_socket, sleep) {
            (Some(exec), None, None, None) => self.exec(exec, &at.key("exec")),
            (None, Some(get), None, None) => self.http(get, ports, &at.key("httpGet")),
            (None, None, Some(socket), None) => self.tcp(socket, ports, &at.key("tcpSocket")),
            (None, None, None, Some(sleep)) => Some(Handler::Sleep { seconds: sleep.seconds }),
            (None, None, None, None) => {
                self.wrong(at, "must have one of exec, httpGet, sleep");
                None
            }
            _ => {
                self.wrong(at, "must have only one of exec, httpGet, sleep");
                None
            }
        }
    }

    fn exec(&mut self, exec: &model::ExecAction, at: &At<'_>) -> Option<Handler> {
        if exec.command.is_empty() {
            self.wrong(&at.key("command"), "is required");
            return None;
        }
        Some(Handler::Exec { command: exec.command.clone() })
    }

    fn http(&mut self, get: &model::HttpGetAction, ports: &[NamedPort], at: &At<'_>) -> Option<Handler> {
        let path = get.path.clone().filter(|path| !path.is_empty()).unwrap_or_else(|| "/".to_owned());
        for (index, header) in get.http_headers.iter().enumerate() {
            let at = at.key("httpHeaders").index(index);
            let token = |char: char| char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char);
            if header.name.is_empty() || !header.name.chars().all(token) {
                self.wrong(&at.key("name"), format!("{:?} is no header's name", header.name));
            }
            if header.value.contains(['\r', '\n']) {
                self.wrong(&at.key("value"), "must be one line");
            }
        }
        if path.contains(|char: char| char.is_control() || char == ' ') {
            self.wrong(&at.key("path"), format!("{path:?} is no path of a URL"));
        }
        Some(Handler::Http {
            scheme: get.scheme.unwrap_or_default(),
            host: get.host.clone().filter(|host| !host.is_empty()),
            port: self.handler_port(&get.port, ports, &at.key("port"))?,
            path: if path.starts_with('/') { path } else { format!("/{path}") },
            headers: get.http_headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect(),
        })
    }

    fn tcp(&mut self, socket: &model::TcpSocketAction, ports: &[NamedPort], at: &At<'_>) -> Option<Handler> {
        let host = socket.host.clone().filter(|host| !host.is_empty());
        Some(Handler::Tcp { host, port: self.handler_port(&socket.port, ports, &at.key("port"))? })
    }

    /// A port's number; a name is one of the container's own ports.
    fn handler_port(&mut self, port: &PortRef, ports: &[NamedPort], at: &At<'_>) -> Option<u16> {
        match port {
            PortRef::Number(number) => Some(*number),
            PortRef::Name(name) => match ports.iter().find(|port| port.name.as_ref() == Some(name)) {
                Some(port) => Some(port.number),
                None => {
                    let names = ports.iter().filter_map(|port| port.name.as_deref());
                    let hint = crate::problem::meant(name, names).map(|meant| format!("did you mean \"{meant}\"?"));
                    let text = format!("the container has no port named {name:?}");
                    self.problems.push(at.problem(crate::problem::Severity::Error, text, hint));
                    None
                }
            },
        }
    }
}
