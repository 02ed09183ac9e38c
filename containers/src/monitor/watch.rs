//! A run from its first instruction to its record of the end, and its loop: one poll over its streams, its end, its
//! clients and our signals.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags};
use sys::channel::Channel;
use sys::process::{Ended, Pidfd, Process};
use sys::signals::SignalFd;

use super::clients::Clients;
use super::connectivity::{Connectivity, Part};
use super::door::{accept, listen, wait_for_start};
use super::pipes::{Pipes, resize};
use super::prepare::{Prepared, Released};
use super::{Resident, SIGTERM, write_status};
use crate::attach::Streams;
use crate::container::{Container, Status};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::events;
use crate::list;
use crate::log::Output;
use crate::notice::poll_until;
use crate::notify::Proxy;
use crate::spec::NamespaceMode;
use crate::state::{Exit, State};
use crate::stop::{Plan, Wish};
use crate::wire::{FromClient, FromMonitor};

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
    released.write_pid_files(engine, container, &init);
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
        pipes: Pipes::new(terminals, running.terminal, log)?,
        clients,
        notify,
        connectivity: std::mem::take(&mut released.connectivity),
        reread: false,
    };
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
    if let Some(notify) = &run.notify {
        notify.forward();
    }
    run.pipes.drain(&mut run.clients);
    // Whoever hears of the end may publish them at once.
    run.connectivity.unpublish();
    let exit = Exit {
        code: ended,
        started: Some(since),
        at: Timestamp::now(),
        oom_killed: released.oom_killed(),
        error: None,
        stopped_by_user: false,
    };
    let (exit, is_wanted) = write_end(engine, container, &status, exit, me)?;
    released.connectivity = run.connectivity;
    Ok(End { exit, is_wanted, released: released.with_mounts(running.mount_ns), clients: run.clients })
}

/// Writes and tells how a run has ended, and says whether somebody asked for that. `before` is what the record said when
/// it began.
fn write_end(
    engine: &Engine,
    container: &mut Container,
    before: &Status,
    exit: Exit,
    me: &Resident,
) -> Result<(Exit, bool)> {
    let wish = crate::stop::wish(engine, container);
    let exit = Exit { stopped_by_user: wish == Wish::User, ..exit };
    container.status =
        Status { restarts: before.restarts, home: before.home.clone(), ..Status::new(State::Exited(exit.clone())) };
    if let Ok(now) = list::again(engine, container) {
        // It may have been renamed meanwhile.
        container.record.name = now.record.name;
    }
    match wish == Wish::Nobodys && super::restart_wanted(container.spec(), &exit, before.restarts) {
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
    Ok((exit, wish != Wish::Nobodys))
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

/// What one run has to do with others.
struct Run {
    pipes: Pipes,
    clients: Clients,
    /// The container's socket to the service manager.
    notify: Option<Proxy>,
    connectivity: Connectivity,
    /// The container's record was changed.
    reread: bool,
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
                poll_until(&mut entries, next).map_err(Error::io("poll"))?;
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
        for (source, stream) in [(Source::Stdout, &self.pipes.stdout), (Source::Stderr, &self.pipes.stderr)] {
            if let Some(stream) = stream.as_ref().filter(|_| output) {
                add(source, stream.as_fd(), PollFlags::IN);
            }
        }
        let input = self.pipes.pending_input() > 0;
        if let Some(terminal) = &self.pipes.terminal {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, output);
            flags.set(PollFlags::OUT, input);
            if !flags.is_empty() {
                add(Source::Terminal, terminal.as_fd(), flags);
            }
        }
        if let Some(pipe) = self.pipes.stdin.as_ref().filter(|_| input) {
            add(Source::Stdin, pipe.as_fd(), PollFlags::OUT);
        }
        let read_clients = self.pipes.pending_input() < MAX_PENDING_INPUT;
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
            Source::Stdout => self.pipes.pass_on(Output::Stdout, &mut self.clients),
            Source::Stderr => self.pipes.pass_on(Output::Stderr, &mut self.clients),
            Source::Terminal => {
                if events.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                    self.pipes.pass_on(Output::Stdout, &mut self.clients);
                }
                self.pipes.write_input();
            }
            Source::Stdin => self.pipes.write_input(),
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

    fn hear(&mut self, engine: &Engine, container: &mut Container, index: usize) {
        match self.clients.receive(index) {
            Some(FromClient::Stdin(bytes)) => self.pipes.feed(&bytes),
            Some(FromClient::StdinEnd) => self.pipes.end_input(),
            Some(FromClient::Resize { rows, columns }) => {
                resize(self.pipes.terminal.as_ref().map(AsFd::as_fd), rows, columns);
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
            None => {}
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
    poll_until(&mut entries, Some(Instant::now() + pause)).map_err(Error::io("poll"))?;
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
