//! `creel system service`: Docker's API on a socket, for as long as somebody asks.

use std::path::PathBuf;
use std::time::Duration;

use api::{Creel, Listener};

use crate::arguments;
use crate::caller;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Answer programs that speak Docker's API
///
/// Listens at unix:PATH or tcp:ADDRESS:PORT, else at podman/podman.sock below $XDG_RUNTIME_DIR, else at the socket that
/// systemd hands over. Each request is carried out by creel itself; the service holds nothing, and ends when it is idle.
#[derive(clap::Args)]
pub struct Args {
    /// Let scripts of these origins in; creel's service lets none
    #[arg(long, value_name = "ORIGINS", hide = true)]
    cors: Option<String>,
    /// End after so many seconds without a request; 0 is never
    #[arg(short, long, value_name = "SECONDS", default_value = "5", value_parser = arguments::number::u64)]
    time: u64,
    /// A certificate for TLS; creel's service has none
    #[arg(long, value_name = "FILE", hide = true)]
    tls_cert: Option<PathBuf>,
    /// Who may come in by TLS; creel's service has none
    #[arg(long, value_name = "FILE", hide = true)]
    tls_client_ca: Option<PathBuf>,
    /// A key for TLS; creel's service has none
    #[arg(long, value_name = "FILE", hide = true)]
    tls_key: Option<PathBuf>,
    #[arg(value_name = "[URI]")]
    uri: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_most(&args.uri, 1)?;
    if args.tls_cert.is_some() || args.tls_client_ca.is_some() || args.tls_key.is_some() {
        return Err(Failure::plain("creel's service does not speak TLS")
            .hint("let it listen at a unix socket, and forward that over ssh: ssh -L /tmp/creel.sock:SOCKET HOST"));
    }
    if args.cors.is_some() {
        return Err(Failure::plain("creel's service lets no scripts of web pages in: --cors has no use"));
    }
    // What is wrong with the flags is said now, not to each client.
    context.store()?;
    let listener = listener(args.uri.first().map(String::as_str))?;
    let program = std::env::current_exe()?;
    let creel = Creel { program, globals: context.globals.as_flags() };
    let idle = (args.time > 0).then(|| Duration::from_secs(args.time));
    api::serve(&listener, creel, idle)?;
    Ok(ExitCode::Success)
}

/// Where programs look for Podman's.
pub fn usual_socket() -> PathBuf {
    caller::runtime_dir().join("podman/podman.sock")
}

fn listener(uri: Option<&str>) -> Result<Listener, Failure> {
    let Some(uri) = uri else {
        if let Some(socket) = inherited() {
            return Ok(Listener::inherited(socket)?);
        }
        let socket = usual_socket();
        socket.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        return unix(socket);
    };
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    match scheme {
        "unix" => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.is_empty() {
                return Err(Failure::plain(format!("{uri} names no socket")).hint("write unix:///path/of/the.sock"));
            }
            unix(std::path::absolute(path)?)
        }
        "tcp" => {
            let address = rest.strip_prefix("//").unwrap_or(rest);
            output::warn("whoever reaches this port can do all that this user may do: a unix socket is safer");
            let address = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
            Listener::tcp(&address)
                .map_err(|error| Failure::from(error).context(format!("unable to create socket {address}")))
        }
        _ => Err(Failure::plain(format!(
            "API Service endpoint scheme {scheme:?} is not supported. Try tcp://{uri} or unix://{uri}"
        ))),
    }
}

fn unix(path: PathBuf) -> Result<Listener, Failure> {
    let text = path.display().to_string();
    Listener::unix(path).map_err(|error| Failure::from(error).context(format!("unable to create socket {text}")))
}

/// The first of the sockets that whoever started us listens at for us (sd_listen_fds(3)).
fn inherited() -> Option<std::os::fd::OwnedFd> {
    const FIRST: i32 = 3;
    let is_ours = caller::variable("LISTEN_PID").is_none_or(|pid| pid == std::process::id().to_string());
    let count: u32 = caller::variable("LISTEN_FDS")?.parse().ok()?;
    (is_ours && count > 0).then(|| sys::task::inherited_descriptor(FIRST)).flatten()
}
