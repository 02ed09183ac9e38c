//! The loop of a running container: one poll over its streams, its end, its clients and our signals.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use sys::channel::Channel;
use sys::process::{Ended, Pidfd, Process};
use sys::signals::SignalFd;

use super::clients::Clients;
use super::connectivity::{Connectivity, Part};
use super::made::Made;
use super::prepare::{Prepared, Released, Terminals};
use super::{Resident, SIGTERM, write_status};
use crate::attach::Streams;
use crate::container::{Container, Status};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::events;
use crate::list;
use crate::log::{Log, Output};
use crate::notify::Proxy;
use crate::spec::NamespaceMode;
use crate::state::{Exit, State};
use crate::stop::{Plan, Wish};
use crate::wire::{CHUNK, FromClient, FromMonitor};

/// Input that the container has not read yet; above it, clients are not read.
const MAX_PENDING_INPUT: usize = 64 * 1024;
/// After this long the start is over: a container that still runs is one that stays, and its monitor makes itself small.
const BUSY: Duration = Duration::from_millis(200);
/// What `run --timeout` exits with.
const TIMEOUT_CODE: i32 = 255;
const SIGKILL: i32 = 9;

/// A run that is over: its record is written, its clients wait for the last word, its resources are still held.
pub(super) struct End {
    pub(super) exit: Exit,
    /// Somebody asked for it: it does not run again by itself.
    pub(super) is_wanted: bool,
    pub(super) released: Released,
    pub(super) clients: Clients,
}

/// Starts the prepared program and stays with it to its end.
pub(super) fn watch(
    engine: &Engine,
    container: &mut Container,
    prepared: Prepared,
    starter: &mut Option<Channel>,
    attach: Option<Streams>,
    hold: bool,
    me: &Resident,
) -> Result<End> {
    let Prepared { made, terminals, log, notify, mut released, status } = prepared;
    let listener = listen(engine, container)?;
    let mut clients = Clients::default();
    let monitor = Process::me().map_err(Error::io("/proc/self/stat"))?;
    let init = made.init().clone();
    let put = |container: &mut Container, state: State| {
        container.status = Status { state, ..status.clone() };
        write_status(engine, container, &container.status)
    };
    if hold {
        put(container, State::Initialized { init: init.clone(), monitor: monitor.clone() })?;
        events::record(engine, container, "init");
        if let Some(starter) = starter.take() {
            // A starter that is gone does not undo what it asked for.
            let _ = starter.send(&FromMonitor::Started { init: init.clone() }.encode(), &[]);
        }
        if !wait_for_start(&listener, &mut clients, &me.signals, &made)? {
            drop(made);
            me.tell_plan(Plan::CleanUp)?;
            put(container, State::Created)?;
            let exit = Exit {
                code: 0,
                started: None,
                at: Timestamp::now(),
                oom_killed: false,
                error: None,
                stopped_by_user: true,
            };
            return Ok(End { exit, is_wanted: true, released, clients });
        }
    }
    let running = match made.start() {
        Ok(running) => running,
        Err(error) => {
            let error = Error::from(error);
            let failed = FromMonitor::Failed { exit_code: super::exit_code(&error), message: super::message(&error) };
            clients.answer(0, &failed);
            return Err(error);
        }
    };
    let since = Timestamp::now();
    // Whoever is told that it runs finds them.
    released.write_pid_files(container, &init);
    put(container, State::Running { init: init.clone(), monitor, since })?;
    tell_of_start(engine, container, hold, attach.is_some() && starter.is_some());
    let started = FromMonitor::Started { init: init.clone() };
    if hold {
        clients.answer(0, &started);
    }
    if let Some(starter) = starter.take() {
        let told = starter.send(&started.encode(), &[]);
        if let (Ok(()), Some(streams)) = (told, attach) {
            clients.add(starter, streams).map_err(Error::io("the starter's channel"))?;
        }
    }
    let mut run = Run {
        stdin: Stdin { pipe: None, pending: VecDeque::new(), ended: false },
        stdout: None,
        stderr: None,
        terminal: None,
        clients,
        log,
        log_failed: false,
        notify,
        connectivity: std::mem::take(&mut released.connectivity),
        reread: false,
        buffer: sys::memory::Buffer::new(CHUNK - 1).map_err(Error::io("memory"))?,
    };
    run.take_streams(terminals, running.terminal)?;
    if status.restarts > 0 {
        run.catch_up(engine, container);
    }
    let deadline = container.spec().timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
    let mut checks = Checks {
        health: crate::health::Schedule::new(engine, container),
        probes: crate::probes::Schedule::new(container),
    };
    let ended = run.until_exit(engine, container, &running.pidfd, &listener, &me.signals, deadline, &mut checks)?;
    drop(checks);
    drop(listener);
    if !matches!(container.spec().namespaces.pid, NamespaceMode::Private)
        && let Some(mounts) = &running.mount_ns
    {
        // The kernel ends a pid namespace with its first process; this container was in somebody else's.
        kill_all_in(mounts);
    }
    run.drain();
    // Whoever hears of the end may publish them at once.
    run.connectivity.unpublish();
    let now = Timestamp::now();
    let wish = crate::stop::wish(engine, container);
    let exit = Exit {
        code: ended,
        started: Some(since),
        at: now,
        oom_killed: released.oom_killed(),
        error: None,
        stopped_by_user: wish == Wish::User,
    };
    container.status =
        Status { restarts: status.restarts, home: status.home.clone(), ..Status::new(State::Exited(exit.clone())) };
    if let Ok(now) = list::again(engine, container) {
        // It may have been renamed meanwhile.
        container.record.name = now.record.name;
    }
    match wish == Wish::Nobodys && super::restart_wanted(container.spec(), &exit, status.restarts) {
        // Nobody is to take this end for the last one.
        true => container.status.restarting = Some(Process::me().map_err(Error::io("/proc/self/stat"))?),
        false => me.tell_plan(Plan::CleanUp)?,
    }
    // Before the record says it: whoever waits for the end finds it told. As Podman: not where patience was at its end.
    if exit.code != 137 && crate::stop::was_asked(engine, container) {
        events::record(engine, container, "stop");
    }
    events::tell(engine, container, events::ended(container, events::DIED));
    write_status(engine, container, &container.status)?;
    released.connectivity = run.connectivity;
    Ok(End {
        exit,
        is_wanted: wish != Wish::Nobodys,
        released: released.with_mounts(running.mount_ns),
        clients: run.clients,
    })
}

fn tell_of_start(engine: &Engine, container: &Container, was_held: bool, attached: bool) {
    if container.record.builder.is_some() {
        return;
    }
    let init = (!was_held).then(|| events::event(container, "init"));
    let attach = attached.then(|| events::event(container, "attach"));
    let told: Vec<_> = init.into_iter().chain([events::event(container, "start")]).chain(attach).collect();
    storage::events::record_all(&engine.store, &told);
}

/// What is asked of the container while it runs.
struct Checks {
    health: crate::health::Schedule,
    probes: crate::probes::Schedule,
}

/// The streams of one run.
struct Run {
    stdin: Stdin,
    stdout: Option<File>,
    stderr: Option<File>,
    /// Instead of the three, with `--tty`.
    terminal: Option<File>,
    clients: Clients,
    log: Option<Log>,
    log_failed: bool,
    /// The container's socket to the service manager.
    notify: Option<Proxy>,
    connectivity: Connectivity,
    /// The container's record was changed.
    reread: bool,
    buffer: sys::memory::Buffer,
}

struct Stdin {
    pipe: Option<File>,
    pending: VecDeque<u8>,
    /// A client said that there is no more.
    ended: bool,
}

/// Who a poll entry belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Signals,
    Init,
    Listener,
    Stdout,
    Stderr,
    Terminal,
    Stdin,
    Notify,
    /// A health check that runs.
    Check,
    Network(Part),
    Client(usize),
}

impl Run {
    fn take_streams(&mut self, terminals: Terminals, terminal: Option<OwnedFd>) -> Result<()> {
        let nonblocking = |fd: OwnedFd| -> Result<File> {
            rustix::io::ioctl_fionbio(&fd, true)
                .map_err(|error| Error::Io { path: "a stream".into(), source: error.into() })?;
            Ok(File::from(fd))
        };
        self.terminal = terminal.map(nonblocking).transpose()?;
        self.stdin.pipe = terminals.stdin.map(nonblocking).transpose()?;
        self.stdout = terminals.stdout.map(nonblocking).transpose()?;
        self.stderr = terminals.stderr.map(nonblocking).transpose()?;
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the loop's sources, each from another owner")]
    fn until_exit(
        &mut self,
        engine: &Engine,
        container: &mut Container,
        init: &Pidfd,
        listener: &OwnedFd,
        signals: &SignalFd,
        deadline: Option<Instant>,
        checks: &mut Checks,
    ) -> Result<i32> {
        let mut timed_out = false;
        let mut busy_until = Some(Instant::now() + BUSY);
        loop {
            let (ready, exited) = {
                let (mut entries, sources) = self.entries(init, listener, signals, checks);
                let deadline = deadline.filter(|_| !timed_out);
                let checked = [checks.health.next(), checks.probes.next()];
                let next = [deadline, busy_until, self.connectivity.due()].into_iter().chain(checked).flatten().min();
                wait(&mut entries, next).map_err(Error::io("poll"))?;
                let ready: Vec<(Source, PollFlags)> = sources
                    .into_iter()
                    .zip(&entries)
                    .map(|(source, entry)| (source, entry.revents()))
                    .filter(|(_, events)| !events.is_empty())
                    .collect();
                let exited = ready.iter().any(|(source, _)| *source == Source::Init);
                (ready, exited)
            };
            for (source, events) in ready {
                self.handle(engine, container, source, events, init, listener, signals)?;
            }
            if std::mem::take(&mut self.reread) {
                reread(engine, container);
                checks.health.change(container);
            }
            self.clients.drop_gone();
            if exited && let Some(ended) = init.reap().map_err(Error::io("waitid"))? {
                return Ok(match ended {
                    Ended::Signal(_) if timed_out => TIMEOUT_CODE,
                    ended => ended.exit_code(),
                });
            }
            if !timed_out && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                timed_out = true;
                init.signal(SIGKILL).map_err(Error::io("the container's first process"))?;
            }
            self.connectivity.mend(engine);
            checks.health.end(engine, container);
            checks.health.run_due(engine, container);
            checks.probes.tick(engine, container, init);
            if busy_until.is_some_and(|until| Instant::now() >= until) {
                busy_until = None;
                // It only costs memory where it fails.
                let _ = sys::memory::shrink();
            }
        }
    }

    fn entries<'a>(
        &'a self,
        init: &'a Pidfd,
        listener: &'a OwnedFd,
        signals: &'a SignalFd,
        checks: &'a Checks,
    ) -> (Vec<PollFd<'a>>, Vec<Source>) {
        let mut entries = Vec::with_capacity(8);
        let mut sources = Vec::with_capacity(8);
        let mut add = |source: Source, fd: BorrowedFd<'a>, flags: PollFlags| {
            entries.push(PollFd::from_borrowed_fd(fd, flags));
            sources.push(source);
        };
        add(Source::Signals, signals.as_fd(), PollFlags::IN);
        add(Source::Init, init.as_fd(), PollFlags::IN);
        add(Source::Listener, listener.as_fd(), PollFlags::IN);
        if let Some(notify) = &self.notify {
            add(Source::Notify, notify.as_fd(), PollFlags::IN);
        }
        for (part, fd) in self.connectivity.parts() {
            add(Source::Network(part), fd, PollFlags::IN);
        }
        for check in checks.health.running().into_iter().chain(checks.probes.running()) {
            add(Source::Check, check, PollFlags::IN);
        }
        let output = !self.clients.congested();
        for (source, stream) in [(Source::Stdout, &self.stdout), (Source::Stderr, &self.stderr)] {
            if let Some(stream) = stream.as_ref().filter(|_| output) {
                add(source, stream.as_fd(), PollFlags::IN);
            }
        }
        let input = !self.stdin.pending.is_empty();
        if let Some(terminal) = &self.terminal {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, output);
            flags.set(PollFlags::OUT, input);
            if !flags.is_empty() {
                add(Source::Terminal, terminal.as_fd(), flags);
            }
        }
        if let Some(pipe) = self.stdin.pipe.as_ref().filter(|_| input) {
            add(Source::Stdin, pipe.as_fd(), PollFlags::OUT);
        }
        let read_clients = self.stdin.pending.len() < MAX_PENDING_INPUT;
        for (index, (fd, write)) in self.clients.fds().enumerate() {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, read_clients);
            flags.set(PollFlags::OUT, write);
            add(Source::Client(index), fd, flags);
        }
        (entries, sources)
    }

    #[expect(clippy::too_many_arguments, reason = "the loop's sources, each from another owner")]
    fn handle(
        &mut self,
        engine: &Engine,
        container: &mut Container,
        source: Source,
        events: PollFlags,
        init: &Pidfd,
        listener: &OwnedFd,
        signals: &SignalFd,
    ) -> Result<()> {
        match source {
            // Their end is handled last, that of the container when everything it wrote before has been read.
            Source::Init | Source::Check => {}
            Source::Network(part) => self.connectivity.ended(part),
            Source::Notify => {
                if self.notify.as_ref().is_some_and(Proxy::forward) {
                    engine.store.tell();
                }
            }
            Source::Signals => {
                while let Some(arrived) = signals.read().map_err(Error::io("signalfd"))? {
                    // A service manager stops the monitor: the container is to stop, by its own signal.
                    if arrived.signal == SIGTERM {
                        crate::stop::mark_ended_by_manager(engine, container)?;
                        let _ = init.signal(crate::stop::stop_signal(container));
                    }
                    self.reread |= arrived.signal == crate::update::REREAD;
                }
            }
            Source::Listener => {
                if let Some(channel) = accept(listener).map_err(Error::io("the attach socket"))? {
                    self.clients.add(channel, Streams::default()).map_err(Error::io("the attach socket"))?;
                }
            }
            Source::Stdout => {
                let mut stream = self.stdout.take();
                self.read_output(&mut stream, Output::Stdout);
                self.stdout = stream;
            }
            Source::Stderr => {
                let mut stream = self.stderr.take();
                self.read_output(&mut stream, Output::Stderr);
                self.stderr = stream;
            }
            Source::Terminal => {
                if events.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                    let mut stream = self.terminal.take();
                    self.read_output(&mut stream, Output::Stdout);
                    self.terminal = stream;
                }
                self.write_input();
            }
            Source::Stdin => self.write_input(),
            Source::Client(index) => {
                if events.contains(PollFlags::OUT) {
                    self.clients.flush(index);
                }
                if events.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                    self.hear(engine, container, index);
                }
            }
        }
        Ok(())
    }

    /// One read of one output: to the log first, then to whoever is attached.
    fn read_output(&mut self, stream: &mut Option<File>, output: Output) {
        let Some(file) = stream else { return };
        match file.read(&mut self.buffer) {
            Ok(0) => *stream = None,
            Ok(length) => {
                let bytes = &self.buffer[..length];
                if let Some(log) = &mut self.log
                    && let Err(error) = log.append(output, bytes, Timestamp::now())
                    && !std::mem::replace(&mut self.log_failed, true)
                {
                    tracing::warn!(%error, "the container's log cannot be written");
                }
                self.clients.output(output, bytes);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // EIO: the last process has closed the terminal.
            Err(_) => *stream = None,
        }
    }

    fn hear(&mut self, engine: &Engine, container: &mut Container, index: usize) {
        match self.clients.receive(index) {
            Some(FromClient::Stdin(bytes)) if !self.stdin.ended => {
                self.stdin.pending.extend(bytes);
                self.write_input();
            }
            Some(FromClient::StdinEnd) => {
                self.stdin.ended = true;
                self.write_input();
            }
            Some(FromClient::Resize { rows, columns }) => {
                resize(self.terminal.as_ref().map(AsFd::as_fd), rows, columns);
            }
            Some(FromClient::Hello(streams) | FromClient::Start(streams)) => {
                self.clients.set_streams(index, streams);
            }
            Some(FromClient::Changing) => self.clients.set_changing(index, true),
            Some(FromClient::Follow) => {
                self.clients.set_changing(index, false);
                let answer = match self.follow(engine, container) {
                    Ok(()) => FromMonitor::Done,
                    Err(error) => FromMonitor::Failed { exit_code: 125, message: super::message(&error) },
                };
                self.clients.answer(index, &answer);
            }
            None if self.clients.left_changing(index) => {
                if let Err(error) = self.follow(engine, container) {
                    tracing::warn!(%error, "cannot follow a record whose change was interrupted");
                }
            }
            Some(FromClient::Stdin(_)) | None => {}
        }
    }

    /// Who changed the record while it was between two runs has told nobody.
    fn catch_up(&mut self, engine: &Engine, container: &mut Container) {
        let is_new = |now: &Container| now.record.spec.network != container.record.spec.network;
        if list::again(engine, container).is_ok_and(|now| is_new(&now))
            && let Err(error) = self.follow(engine, container)
        {
            tracing::warn!(%error, "cannot follow a record that has changed");
        }
    }

    /// The container's networks or ports have changed in its record.
    fn follow(&mut self, engine: &Engine, container: &mut Container) -> Result<()> {
        container.record.spec.network = list::again(engine, container)?.record.spec.network;
        let hostname = super::prepare::hostname(engine, container)?;
        let followed = self.connectivity.follow(engine, container, &hostname);
        // Also where it failed: what is there is told.
        container.status.network = Some(self.connectivity.status());
        write_status(engine, container, &container.status)?;
        followed
    }

    fn write_input(&mut self) {
        let Some(target) = self.terminal.as_mut().or(self.stdin.pipe.as_mut()) else {
            self.stdin.pending.clear();
            return;
        };
        while !self.stdin.pending.is_empty() {
            let (front, _) = self.stdin.pending.as_slices();
            match target.write(front) {
                Ok(written) => drop(self.stdin.pending.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    // The container reads no more.
                    self.stdin.pending.clear();
                    self.stdin.pipe = None;
                    return;
                }
            }
        }
        if self.stdin.ended {
            self.stdin.pipe = None;
        }
    }

    /// After the exit: everything that is still in the pipes. A process that outlived the container's first one and
    /// holds a pipe open is not waited for.
    fn drain(&mut self) {
        if let Some(notify) = &self.notify {
            notify.forward();
        }
        for output in [Output::Stdout, Output::Stderr] {
            let mut stream = match output {
                Output::Stdout => self.terminal.take().or_else(|| self.stdout.take()),
                Output::Stderr => self.stderr.take(),
            };
            while let Some(file) = &stream {
                let mut entry = [PollFd::new(file, PollFlags::IN)];
                match poll(&mut entry, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 })) {
                    Ok(1..) => self.read_output(&mut stream, output),
                    _ => break,
                }
            }
        }
    }
}

/// The socket that `attach`, and `start` of an initialized container, connect to.
fn listen(engine: &Engine, container: &Container) -> Result<OwnedFd> {
    let dir = engine.run_dir(container.id());
    let failed = |error: rustix::io::Errno| Error::Io { path: dir.join("attach"), source: error.into() };
    let open = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let handle = rustix::fs::open(&dir, open, rustix::fs::Mode::empty()).map_err(failed)?;
    match rustix::fs::unlinkat(&handle, "attach", rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(failed(error)),
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).map_err(failed)?;
    // A socket's path has 108 bytes, a directory may be deeper: name it through the descriptor.
    let path = format!("/proc/self/fd/{}/attach", std::os::fd::AsRawFd::as_raw_fd(&handle));
    let address = SocketAddrUnix::new(path).map_err(failed)?;
    rustix::net::bind(&socket, &address).map_err(failed)?;
    rustix::net::listen(&socket, 16).map_err(failed)?;
    Ok(socket)
}

fn accept(listener: &OwnedFd) -> io::Result<Option<Channel>> {
    match rustix::net::accept_with(listener, SocketFlags::CLOEXEC) {
        Ok(socket) => Ok(Some(Channel::from(socket))),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Kills every process that is in a mount namespace, until none is left that can be found.
fn kill_all_in(mounts: &OwnedFd) {
    let Ok(namespace) = rustix::fs::fstat(mounts) else { return };
    let is_there = |pid: i32| {
        let place = rustix::fs::stat(format!("/proc/{pid}/ns/mnt"));
        place.is_ok_and(|place| (place.st_dev, place.st_ino) == (namespace.st_dev, namespace.st_ino))
    };
    // One that is forking just now may need a second look.
    for _ in 0..16 {
        let Ok(processes) = std::fs::read_dir("/proc") else { return };
        let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut found = false;
        for pid in pids.filter(|pid| is_there(*pid)) {
            // Held before it is asked again: then it cannot be another one by now.
            if let Ok(process) = Pidfd::open(pid)
                && is_there(pid)
            {
                found |= process.signal(SIGKILL).is_ok();
            }
        }
        if !found {
            return;
        }
    }
}

/// Waits until something happens or it is `until`.
fn wait(entries: &mut [PollFd<'_>], until: Option<Instant>) -> io::Result<()> {
    let timeout = until.map(|until| {
        let left = until.saturating_duration_since(Instant::now());
        rustix::time::Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        }
    });
    match poll(entries, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// An initialized container waits for the word to start. False when it is to end instead.
///
/// What clients that are attached already say to it stays in their sockets until it runs.
fn wait_for_start(listener: &OwnedFd, clients: &mut Clients, signals: &SignalFd, made: &Made) -> Result<bool> {
    loop {
        let mut entries = vec![
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(made.pidfd().as_fd(), PollFlags::IN),
            PollFd::new(listener, PollFlags::IN),
        ];
        let (unknown, fds): (Vec<usize>, Vec<_>) = clients.unknown().unzip();
        entries.extend(fds.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        wait(&mut entries, None).map_err(Error::io("poll"))?;
        let ready: Vec<bool> = entries.iter().map(|entry| !entry.revents().is_empty()).collect();
        drop(entries);
        if ready[1] || (ready[0] && signals.read().map_err(Error::io("signalfd"))?.is_some()) {
            return Ok(false);
        }
        if ready[2]
            && let Some(channel) = accept(listener).map_err(Error::io("the attach socket"))?
        {
            clients.add(channel, Streams::default()).map_err(Error::io("the attach socket"))?;
        }
        for (index, _) in unknown.into_iter().zip(&ready[3..]).filter(|(_, ready)| **ready) {
            match clients.receive(index) {
                Some(FromClient::Start(streams)) => {
                    clients.set_streams(index, streams);
                    clients.move_first(index);
                    return Ok(true);
                }
                Some(FromClient::Hello(streams)) => clients.set_streams(index, streams),
                Some(FromClient::Resize { rows, columns }) => resize(made.terminal(), rows, columns),
                Some(FromClient::Stdin(_) | FromClient::StdinEnd | FromClient::Changing | FromClient::Follow)
                | None => {}
            }
        }
        clients.drop_gone();
    }
}

fn resize(terminal: Option<BorrowedFd<'_>>, rows: u16, columns: u16) {
    if let Some(terminal) = terminal {
        // A terminal that is gone has no size.
        let _ = sys::pty::set_size(terminal, columns, rows);
    }
}

/// Takes over what `rename` and `update` have made of the record.
pub(super) fn reread(engine: &Engine, container: &mut Container) {
    match crate::list::read(engine, container.id()) {
        Ok(Some(now)) => container.record = now.record,
        // Being removed.
        Ok(None) => {}
        Err(error) => tracing::warn!(id = %container.id(), %error, "cannot read the container's record again"),
    }
}

/// Waits before a restart by policy. False when somebody asked to stop, or took the container away.
pub(super) fn pause_before_restart(
    engine: &Engine,
    container: &Container,
    pause: Duration,
    me: &Resident,
) -> Result<bool> {
    me.tell_plan(Plan::Start)?;
    let mut status = container.status.clone();
    status.restarting = Some(Process::me().map_err(Error::io("/proc/self/stat"))?);
    write_status(engine, container, &status)?;
    let mut entries = [PollFd::from_borrowed_fd(me.signals.as_fd(), PollFlags::IN)];
    wait(&mut entries, Some(Instant::now() + pause)).map_err(Error::io("poll"))?;
    let told = me.signals.read().map_err(Error::io("signalfd"))?.is_some();
    if told || crate::list::find(engine, container.id().as_str()).is_err() {
        status.restarting = None;
        // Gone with the container where it was removed.
        let _ = write_status(engine, container, &status);
        let _ = std::fs::remove_dir_all(engine.run_dir(container.id()));
        return Ok(false);
    }
    Ok(true)
}
