//! The program inside of `localhost/creel/hello`: a web server of one page, so that there is something to run before
//! any registry has been asked. Single-threaded, and fit to be process 1.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use sys::signals::SignalFd;

use crate::output;

/// Serves until SIGTERM or SIGINT. The port is 8080 or `$PORT`.
pub fn serve(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    if let Some(word) = args.next() {
        output::note(&format!("creel {}", env!("CARGO_PKG_VERSION")));
        return if word == "--version" { ExitCode::SUCCESS } else { ExitCode::from(2) };
    }
    match listen() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&format!("hello: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn listen() -> std::io::Result<()> {
    // Process 1 gets no default action for signals: they are read instead.
    let signals = SignalFd::only(&[Signal::SIGTERM as i32, Signal::SIGINT as i32])?;

    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    // Without IPv6 in the kernel there is still the other one.
    let listener = TcpListener::bind(any).or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))?;
    output::note(&format!("hello: listening on port {port}"));
    loop {
        let mut waiting =
            [PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
        if waiting[0].any().unwrap_or(false) {
            return Ok(());
        }
        if let Ok((client, from)) = listener.accept() {
            // One visitor that goes away mid-sentence is no reason to stop.
            let _ = answer(client, from);
        }
    }
}

fn answer(client: TcpStream, from: SocketAddr) -> std::io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    client.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut request = String::new();
    BufReader::new((&client).take(8192)).read_line(&mut request)?;
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    output::note(&format!("{} {method} {path}", from.ip().to_canonical()));
    let (status, body) = match (method, path) {
        ("GET" | "HEAD", "/") => ("200 OK", page(from)),
        ("GET" | "HEAD", "/healthz") => ("200 OK", "ok\n".to_owned()),
        _ => ("404 Not Found", "not found\n".to_owned()),
    };
    let kind = if body.starts_with('<') { "text/html" } else { "text/plain" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    (&client).write_all(head.as_bytes())?;
    if method != "HEAD" {
        (&client).write_all(body.as_bytes())?;
    }
    // What the client still sends is read away: a close with unread data would reset the connection under the page.
    client.shutdown(std::net::Shutdown::Write)?;
    let _ = std::io::copy(&mut (&client).take(1 << 16), &mut std::io::sink());
    Ok(())
}

fn page(from: SocketAddr) -> String {
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Hello from creel</title></head>\n<body>\n<h1>Hello from creel</h1>\n\
         <p>This is container <b>{host}</b>. The time is {}.</p>\n<p>You are {}.</p>\n</body></html>\n",
        jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC"),
        from.ip().to_canonical(),
    )
}
