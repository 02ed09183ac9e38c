#![allow(clippy::all, clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "lab")]
use containers::*;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;
fn engine(enter: bool) -> Engine {
    let base = PathBuf::from(std::env::var("LAB").unwrap());
    let userns_dir = base.join("run/userns");
    let mut settings = Settings {
        userns_dir: userns_dir.clone(),
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        ..Settings::default()
    };
    if enter {
        let id = sys::userns::enter(&userns_dir).unwrap();
        settings.uid = id.uid;
        settings.gid = id.gid;
    }
    let dirs = storage::Dirs { root: base.join("root"), runroot: base.join("run"), tmp: base.join("tmp") };
    let store = storage::Store::open(dirs, storage::StoreOptions::default()).unwrap();
    Engine { store, settings }
}
fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().map(|a| a.as_bytes().to_vec()).as_deref() {
        Some(b"monitor") => return monitor_main(args.nth(1).unwrap().to_str().unwrap().parse().unwrap()),
        Some(b"__init") => return init_main(args),
        Some(b"__health") => return health_main(args),
        _ => {}
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    match go(&args) {
        Ok(code) => ExitCode::from(code as u8),
        Err(e) => {
            eprintln!("Error: {e}");
            let mut c = std::error::Error::source(&e);
            while let Some(x) = c {
                eprintln!("  by: {x}");
                c = x.source();
            }
            ExitCode::from(match e {
                Error::StartFailed { exit_code, .. } => exit_code as u8,
                Error::Runtime(r) => r.exit_code(),
                _ => 125,
            })
        }
    }
}
fn go(args: &[String]) -> Result<i32> {
    let reads = matches!(args[0].as_str(), "ps" | "logs" | "facts" | "wait");
    let e = engine(!reads);
    let flags: Vec<&str> = args[1..].iter().map(String::as_str).take_while(|a| a.starts_with('-')).collect();
    let rest: Vec<&str> = args[1 + flags.len()..].iter().map(String::as_str).collect();
    let val = |p: &str| flags.iter().find_map(|f| f.strip_prefix(p).and_then(|x| x.strip_prefix('=')));
    let has = |f: &str| flags.contains(&f);
    let c = |i: usize| find(&e, rest[i]);
    match args[0].as_str() {
        "create" | "run" => {
            let mut spec = ContainerSpec {
                source: Source::Directory { path: std::env::var("ROOTFS").unwrap().into(), overlay: has("--overlay") },
                command: rest[1..].iter().map(|s| s.to_string()).collect(),
                tty: has("-t"),
                stdin: has("-i"),
                ..Default::default()
            };
            if std::env::var("LAYER").is_ok() {
                spec.source = Source::None;
            }
            spec.network.mode = network::Mode::None;
            if let Some(n) = val("--network") {
                spec.network.mode = n.parse().unwrap();
            }
            if has("--rm") {
                spec.remove = Remove::Container;
            }
            if has("--always") {
                spec.restart = RestartPolicy::Always;
            }
            if let Some(u) = val("-u") {
                spec.user = Some(u.into());
            }
            if let Some(m) = val("--max-size") {
                spec.log.max_size = Some(m.parse().unwrap());
            }
            if let Some(m) = val("--max-files") {
                spec.log.max_files = Some(m.parse().unwrap());
            }
            if let Some(v) = val("-v") {
                let (n, d) = v.split_once(':').unwrap();
                spec.mounts.push(MountSpec {
                    kind: MountKind::Volume {
                        name: Some(n.to_string()).filter(|n| !n.is_empty()),
                        anonymous: n.is_empty(),
                        copy_up: true,
                        overlay: false,
                    },
                    destination: d.into(),
                    read_only: false,
                    options: vec![],
                    chown: false,
                    subpath: None,
                });
            }
            if let Some(h) = val("--health") {
                let s = std::time::Duration::from_secs(1);
                spec.health = Some(HealthSpec {
                    test: vec!["CMD-SHELL".into(), h.into()],
                    interval: Some(s),
                    timeout: s,
                    start_period: Default::default(),
                    retries: 2,
                    on_failure: match val("--on-failure") {
                        Some("kill") => HealthAction::Kill,
                        Some("restart") => HealthAction::Restart,
                        Some("stop") => HealthAction::Stop,
                        _ => HealthAction::None,
                    },
                    startup: None,
                    log_destination: "local".into(),
                    max_log_count: 5,
                    max_log_size: 500,
                });
            }
            let k = create(
                &e,
                CreateRequest {
                    spec,
                    name: Some(rest[0]).filter(|n| *n != "-"),
                    image: None,
                    replace: has("--replace"),
                },
            )?;
            if args[0] == "create" {
                println!("{}", k.id());
                return Ok(0);
            }
            let d = has("-d");
            let st = start(
                &e,
                &k,
                StartRequest {
                    attach: (!d).then_some(Streams { stdin: has("-i"), stdout: true, stderr: true }),
                    preserve_fds: vec![],
                },
            )?;
            match st.attached {
                Some(a) => match a.run(AttachRequest {
                    detach_keys: parse_detach_keys("ctrl-p,ctrl-q")?,
                    sig_proxy: Some(st.init),
                    tty: has("-t"),
                })? {
                    AttachEnd::Exited(c) => return Ok(c),
                    AttachEnd::Detached => println!("detached"),
                },
                None => println!("{}", k.id()),
            }
        }
        "layer" => {
            let l = e.store.unpack(None, None, None, &mut std::io::stdin(), &storage::Limits::default()).unwrap();
            println!("{}", l.chain_id);
        }
        "start" => {
            start(&e, &c(0)?, StartRequest::default())?;
        }
        "init" => init(&e, &c(0)?)?,
        "attach" => {
            let k = c(0)?;
            let a = attach(&e, &k, Streams::ALL)?;
            match a.run(AttachRequest {
                detach_keys: parse_detach_keys("ctrl-p,ctrl-q")?,
                sig_proxy: k.state().init().cloned(),
                tty: k.spec().tty,
            })? {
                AttachEnd::Exited(c) => return Ok(c),
                AttachEnd::Detached => println!("detached"),
            }
        }
        "ps" => {
            let t = std::time::Instant::now();
            let l = list(&e)?;
            let d = t.elapsed();
            if has("-q") {
                println!("{} in {d:?}", l.len());
            } else {
                for k in l {
                    println!(
                        "{} {} {:?} paused={} health={:?} restarts={}",
                        k.id().short(),
                        k.name(),
                        k.state(),
                        paused(&k),
                        k.status.health,
                        k.status.restarts
                    );
                }
            }
        }
        "stop" => stop(&e, &c(0)?, val("--time").map(|t| t.parse().unwrap()))?,
        "kill" => kill(&e, &c(0)?, rest.get(1).map_or(9, |s| s.parse().unwrap()))?,
        "restart" => restart(&e, &c(0)?, None)?,
        "pause" => pause(&e, &c(0)?)?,
        "unpause" => unpause(&e, &c(0)?)?,
        "rm" => {
            for id in remove(
                &e,
                &c(0)?,
                &RemoveRequest { force: has("-f"), volumes: has("-v"), timeout: None, depend: has("--depend") },
            )? {
                println!("{id}");
            }
        }
        "prune" => {
            for (id, n) in prune(&e, |_| false)? {
                println!("{id} {n:?}");
            }
        }
        "rename" => rename(&e, &c(0)?, &rest[1].parse()?)?,
        "wait" => println!(
            "{}",
            wait(
                &e,
                &c(0)?,
                &rest[1..].iter().map(|s| s.parse()).collect::<Result<Vec<_>>>()?,
                std::time::Duration::from_millis(250)
            )?
        ),
        "exec" => {
            let r = ExecRequest {
                command: rest[1..].iter().map(|s| s.to_string()).collect(),
                tty: has("-t"),
                stdin: has("-i"),
                detach: has("-d"),
                user: val("-u").map(Into::into),
                workdir: val("-w").map(Into::into),
                privileged: has("--privileged"),
                detach_keys: parse_detach_keys("ctrl-p,ctrl-q")?,
                ..Default::default()
            };
            match exec(&e, &c(0)?, r)? {
                ExecEnd::Exited(c) => return Ok(c),
                o => println!("{o:?}"),
            }
        }
        "logs" => {
            let ks = rest.iter().map(|n| find(&e, n)).collect::<Result<Vec<_>>>()?;
            let q = LogQuery {
                follow: has("-f"),
                tail: val("--tail").map(|t| t.parse().unwrap()),
                since: None,
                until: None,
            };
            follow_logs(&e, &ks, &q, &mut |i, l| {
                use std::io::Write;
                let mut o = std::io::stdout();
                if ks.len() > 1 {
                    write!(o, "{i} ")?;
                }
                o.write_all(&l.bytes)?;
                if !l.partial {
                    o.write_all(b"\n")?;
                }
                o.flush()
            })?;
        }
        "top" => {
            for r in top(&e, &c(0)?, &rest[1..].iter().map(|s| s.to_string()).collect::<Vec<_>>())? {
                println!("{}", r.join("\t"));
            }
        }
        "facts" => println!("{:#?} {:?}", facts(&e, &c(0)?)?, size(&e, &c(0)?)?),
        "health" => println!("{:?}", check_health(&e, &c(0)?)?),
        "cpout" => copy_out(&e, &c(0)?, rest[1].as_ref(), &mut std::io::stdout())?,
        "cpin" => copy_in(&e, &c(0)?, rest[1].as_ref(), &mut std::io::stdin(), &CopyOptions::default())?,
        "export" => export(&e, &c(0)?, &mut std::io::stdout())?,
        "diff" => {
            for x in changes(&e, &c(0)?)? {
                println!("{:?} {}", x.kind, x.path.display());
            }
        }
        "ctr2ctr" => {
            let (a, b) = (Endpoint::of_container(&e, &c(0)?)?, Endpoint::of_container(&e, &c(2)?)?);
            let mut v = vec![];
            a.pack(rest[1].as_ref(), "x".as_ref(), &mut v)?;
            b.unpack(rest[3].as_ref(), &mut v.as_slice(), &CopyOptions { owner: Some(b.owner()), overwrite: true })?;
        }
        other => panic!("{other}"),
    }
    Ok(0)
}
