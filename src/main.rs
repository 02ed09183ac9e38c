//! The command `creel`: arguments, dispatch, output, errors.
//!
//! The same binary is also the monitor of a container, the forwarder of its ports, the worker that pulls an image and the
//! first process of a container with `--init`. Those are told apart before anything else happens: they live long or are
//! many, so they never see the parser.

#![expect(unreachable_pub, reason = "a program has no outside: pub means for its other modules")]

mod arguments;
mod caller;
mod cli;
mod commands;
mod completion;
mod config;
mod context;
mod create_args;
mod credentials;
mod dispatch;
mod doctor;
mod error;
mod filters;
mod format;
mod glob;
mod globals;
mod hello;
mod help;
mod logging;
mod output;
mod select;
mod signal;
mod state;
mod style;
mod systemctl;
mod transfer;
mod when;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A file that may not grow further (`ulimit -f`) is an error of write(2) then, and not the end of us. Programs in
    // containers get the default back.
    let _ = sys::signals::ignore(rustix::process::Signal::XFSZ.as_raw());
    if let Some((program, words)) = commands::quadlet::generator_call() {
        return commands::quadlet::generator_main(&program, words);
    }
    let mut args = std::env::args_os().skip(1);
    let words = |word: std::ffi::OsString| word.to_string_lossy().into_owned();
    match args.next().as_deref().map(OsStr::as_bytes) {
        Some(b"monitor") => match args.nth(1).and_then(|fd| fd.to_str()?.parse().ok()) {
            Some(channel) => containers::monitor_main(channel),
            None => ExitCode::FAILURE,
        },
        Some(b"forwarder") => match args.next().and_then(|plan| network::forward(plan.to_str()?).ok()) {
            Some(()) => ExitCode::SUCCESS,
            None => ExitCode::FAILURE,
        },
        Some(b"uplink") => network::uplink_main(args.map(words)),
        Some(b"network-holder") => match args.next().and_then(|fd| fd.to_str()?.parse().ok()) {
            Some(channel) => network::holder_main(channel),
            None => ExitCode::FAILURE,
        },
        Some(b"__orphan") => containers::orphan_main(args),
        Some(b"__health") => containers::health_main(),
        Some(b"__complete") => completion::main(args.map(words).collect(), completion::Descriptions::Shown),
        Some(b"__completeNoDesc") => completion::main(args.map(words).collect(), completion::Descriptions::Left),
        Some(b"__probe") => containers::probe_main(),
        Some(b"__pull") => {
            logging::start_for_worker();
            images::pull_worker()
        }
        Some(b"__init") => containers::init_main(args),
        Some(b"__kube-pod") => {
            logging::start_for_worker();
            commands::kube::pod_main()
        }
        Some(b"__kube-supervisor") => commands::kube::supervisor_main(),
        Some(b"__hello") => hello::serve(args),
        Some(b"__hold") => containers::hold_main(),
        _ => dispatch::main(),
    }
}
