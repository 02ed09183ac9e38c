//! What a command works with: the global flags, the caller's environment, the configuration files, and from them the
//! store. Everything is found out when it is first needed.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use containers::{Engine, Settings};
use storage::{Dirs, Driver, Store, StoreOptions};
use sys::userns::Mapping;

use crate::caller::{self, variable};
use crate::config::{Config, Places, StorageConfig};
use crate::error::Failure;
use crate::globals::Globals;
use crate::output;

/// See the module.
pub struct Context {
    pub globals: Globals,
    /// As the program was called, for inspect.
    pub command_line: Vec<String>,
    config: OnceCell<Config>,
    storage: OnceCell<StorageConfig>,
}

impl Context {
    pub fn new(globals: Globals, command_line: Vec<String>) -> Context {
        Context { globals, command_line, config: OnceCell::new(), storage: OnceCell::new() }
    }

    /// The name that the user called: `creel`, or another program's that creel stands in for.
    pub fn program(&self) -> &'static str {
        caller::program_of(self.command_line.first().map_or("", String::as_str))
    }

    fn places(&self) -> Result<Places, Failure> {
        Ok(Places {
            config_home: caller::below_home("XDG_CONFIG_HOME", ".config")?,
            uid: caller::uid(),
            only: variable("CONTAINERS_CONF").map(PathBuf::from),
            last: variable("CONTAINERS_CONF_OVERRIDE").map(PathBuf::from),
            modules: self.globals.module.clone(),
            storage: variable("CONTAINERS_STORAGE_CONF").map(PathBuf::from),
        })
    }

    /// containers.conf.
    pub fn config(&self) -> Result<&Config, Failure> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = Config::load(&self.places()?)?;
        config.tell_what_is_not_honoured();
        for (name, value) in config.engine_variables() {
            sys::environment::set_if_absent(&name, &value);
        }
        Ok(self.config.get_or_init(|| config))
    }

    /// The storage.conf that counts, if there is one.
    pub fn storage_conf(&self) -> Result<Option<PathBuf>, Failure> {
        Ok(StorageConfig::file(&self.places()?).map(|(path, _)| path))
    }

    fn storage_config(&self) -> Result<&StorageConfig, Failure> {
        if let Some(config) = self.storage.get() {
            return Ok(config);
        }
        let uid = caller::uid().to_string();
        let config = StorageConfig::load(&self.places()?, |name| match name {
            "UID" => Some(uid.clone()),
            name => variable(name),
        })?;
        Ok(self.storage.get_or_init(|| config))
    }

    /// Where things are. A graphroot that storage.conf names holds Podman's store, so ours is a directory in it.
    pub fn dirs(&self) -> Result<Dirs, Failure> {
        let root = match &self.globals.root {
            Some(root) => absolute(root)?,
            None => match &self.storage_config()?.graphroot {
                Some(graphroot) => graphroot.join("creel"),
                None if caller::is_real_root() => "/var/lib/creel".into(),
                None => caller::below_home("XDG_DATA_HOME", ".local/share")?.join("creel"),
            },
        };
        let runroot = match &self.globals.runroot {
            Some(runroot) => absolute(runroot)?,
            // A store of one's own has a state of its own: two stores never share the names in it.
            None if self.globals.root.is_some() => {
                let name = root.to_string_lossy().trim_matches('/').replace('/', "-");
                caller::runtime_dir().join("creel/stores").join(name)
            }
            None => match &self.storage_config()?.runroot {
                Some(runroot) => runroot.join("creel"),
                None => caller::runtime_dir().join("creel"),
            },
        };
        let tmp = match &self.globals.tmpdir {
            Some(tmp) => absolute(tmp)?,
            None => match (variable("TMPDIR"), self.config()?.text("engine", "image_copy_tmp_dir")) {
                (Some(dir), _) => dir.into(),
                (None, Some(dir)) if dir != "storage" => dir.into(),
                (None, _) => "/var/tmp".into(),
            },
        };
        Ok(Dirs { root, runroot, tmp })
    }

    pub fn store_options(&self) -> Result<StoreOptions, Failure> {
        let config = self.storage_config()?;
        let mut options = StoreOptions {
            driver: Driver::Overlay,
            mount_program: config.mount_program.clone(),
            ignore_chown_errors: config.ignore_chown_errors,
            volume_path: match (&self.globals.volumepath, self.config()?.text("engine", "volume_path")) {
                (Some(path), _) => Some(absolute(path)?),
                (None, path) => path.map(PathBuf::from),
            },
            image_root: match (&self.globals.imagestore, &config.imagestore) {
                (Some(path), _) => Some(absolute(path)?),
                (None, path) => path.clone(),
            },
            additional_stores: config.additional_stores.iter().map(|path| store_in(path)).collect(),
            events: self.config()?.events(self.globals.events_backend.as_deref())?,
        };
        let driver = self
            .globals
            .storage_driver
            .clone()
            .or_else(|| variable("STORAGE_DRIVER"))
            .or_else(|| config.driver.clone());
        match driver.as_deref() {
            None | Some("overlay" | "overlay2") => {}
            Some("fuse-overlayfs") => options.mount_program = Some("fuse-overlayfs".into()),
            Some("vfs") => options.driver = Driver::Vfs,
            Some(other) => {
                let failure = Failure::plain(format!("storage driver {other:?} is not supported"));
                return Err(failure.hint("creel has the drivers overlay and vfs"));
            }
        }
        let from_environment = variable("STORAGE_OPTS").unwrap_or_default();
        let from_environment = from_environment.split(',').filter(|option| !option.is_empty()).map(str::to_owned);
        for option in from_environment.chain(self.globals.storage_opt.iter().cloned()) {
            apply_storage_opt(&mut options, &option)?;
        }
        Ok(options)
    }

    /// The store, without entering the user namespace: for looking only.
    pub fn store(&self) -> Result<Store, Failure> {
        self.refuse_remote()?;
        // What is wrong with a flag is wrong for every command.
        self.cgroup_manager()?;
        self.runtime()?;
        Ok(Store::open(self.dirs()?, self.store_options()?)?)
    }

    /// For commands that only read records.
    pub fn reader(&self) -> Result<Engine, Failure> {
        let settings = Settings { uid: caller::uid(), gid: caller::gid(), ..self.settings()? };
        Ok(Engine { store: self.store()?, settings })
    }

    /// For commands that act: enters the user's namespace. The process must have one thread only.
    pub fn engine(&self) -> Result<Engine, Failure> {
        self.refuse_remote()?;
        let config = self.config()?;
        let runtime = self.runtime()?;
        if runtime.is_none() && !self.globals.runtime_flag.is_empty() {
            return Err(Failure::plain("--runtime-flag is for another OCI runtime").hint("name it with --runtime"));
        }
        // As Podman has them: without their dashes.
        let listed = self.globals.runtime.as_deref().map(|name| config.runtime_flags(name)).unwrap_or_default();
        let runtime_flags = listed.iter().chain(&self.globals.runtime_flag).map(|flag| format!("--{flag}")).collect();
        let mut settings = Settings {
            runtime,
            runtime_flags,
            cgroup_manager: self.cgroup_manager()?,
            hooks_dirs: directories(&self.globals.hooks_dir, config.list("engine", "hooks_dir"))?,
            cdi_spec_dirs: directories(&self.globals.cdi_spec_dir, config.list("engine", "cdi_spec_dirs"))?,
            seccomp_profile: config.text("containers", "seccomp_profile").map(PathBuf::from),
            log_level: self.globals.log_level.clone(),
            notify_socket: variable("NOTIFY_SOCKET"),
            ..self.settings()?
        };
        // Paths of the user first: inside of the namespace we are root, and everything would be root's.
        let (dirs, options) = (self.dirs()?, self.store_options()?);
        self.enter(&mut settings)?;
        Ok(Engine { store: Store::open(dirs, options)?, settings })
    }

    /// What commands that read need, and those that act.
    fn settings(&self) -> Result<Settings, Failure> {
        let config = self.config()?;
        Ok(Settings {
            userns_dir: self.userns_dir(),
            uplink: self.uplink()?,
            network_config_dir: self.network_config_dir()?,
            default_network: config.text("network", "default_network").map(str::to_owned),
            default_subnet: config.default_subnet()?,
            ..Settings::default()
        })
    }

    fn refuse_remote(&self) -> Result<(), Failure> {
        if self.globals.is_remote() {
            return Err(Failure::plain("creel has no remote connections").hint("run creel on that machine, over ssh"));
        }
        Ok(())
    }

    /// The OCI runtime that was asked for instead of creel's own.
    fn runtime(&self) -> Result<Option<PathBuf>, Failure> {
        let name = self.globals.runtime.as_deref();
        name.map(|name| find_runtime(name, self.config()?)).transpose()
    }

    /// `--cgroup-manager`, else what containers.conf says.
    pub fn cgroup_manager(&self) -> Result<Option<String>, Failure> {
        match self.globals.cgroup_manager.as_deref().or(self.config()?.text("engine", "cgroup_manager")) {
            Some(manager @ ("systemd" | "cgroupfs")) => Ok(Some(manager.to_owned())),
            Some(other) => Err(Failure::plain(format!("cgroup manager {other:?} is neither systemd nor cgroupfs"))),
            None => Ok(None),
        }
    }

    /// The user-mode network stack that was asked for, by flag or in containers.conf.
    pub fn uplink(&self) -> Result<Option<String>, Failure> {
        let config = self.config()?;
        let wished = self.globals.network_cmd_path.as_deref().or(config.text("engine", "network_cmd_path"));
        Ok(wished.or(config.text("network", "default_rootless_network_cmd")).map(str::to_owned))
    }

    /// Where the records of named networks are, if not in the store.
    pub fn network_config_dir(&self) -> Result<Option<PathBuf>, Failure> {
        let config = self.config()?.text("network", "network_config_dir").filter(|dir| !dir.is_empty());
        let wished = self.globals.network_config_dir.clone().or(config.map(PathBuf::from));
        let absolute = |dir: PathBuf| {
            std::path::absolute(&dir)
                .map_err(|error| Failure::plain(format!("--network-config-dir {}: {error}", dir.display())))
        };
        wished.map(absolute).transpose()
    }

    /// Enters the user's namespace and notes who we were.
    pub fn enter(&self, settings: &mut Settings) -> Result<(), Failure> {
        let identity = sys::userns::enter(&settings.userns_dir)?;
        (settings.uid, settings.gid) = match identity.mapping {
            Mapping::Given => (caller::uid(), caller::gid()),
            Mapping::Full | Mapping::Single { .. } => (identity.uid, identity.gid),
        };
        if let Mapping::Single { why } = identity.mapping {
            settings.single_id = true;
            if let Some(why) = why
                && !crate::doctor::warn_of_single_id()
            {
                output::warn(&format!("containers have one user id only: {why}"));
            }
        }
        Ok(())
    }

    /// The same for all stores of one user, so that all containers are in one namespace.
    pub fn userns_dir(&self) -> PathBuf {
        caller::runtime_dir().join("creel").join("userns")
    }
}

/// `--storage-opt KEY=VALUE`, the key with or without the driver's name before it.
fn apply_storage_opt(options: &mut StoreOptions, option: &str) -> Result<(), Failure> {
    let (key, value) = option.split_once('=').unwrap_or((option, ""));
    match key.trim_start_matches("overlay.").trim_start_matches("vfs.").trim_start_matches('.') {
        "additionalimagestore" | "additionalimagestores" => {
            options.additional_stores.push(store_in(&absolute(Path::new(value))?));
        }
        "mount_program" => {
            options.mount_program = Some(PathBuf::from(value)).filter(|path| !path.as_os_str().is_empty())
        }
        "ignore_chown_errors" => {
            options.ignore_chown_errors = crate::arguments::go_bool(value).ok_or_else(|| {
                Failure::plain(format!("--storage-opt {option}: {value:?} is neither true nor false"))
            })?;
        }
        _ => {
            let failure = Failure::plain(format!("--storage-opt {option}: creel has no such option"));
            return Err(failure.hint("there are additionalimagestore, ignore_chown_errors and mount_program"));
        }
    }
    Ok(())
}

/// Directories that were typed, else those of containers.conf. The typed ones are made absolute: the monitor, which reads
/// them, is elsewhere.
fn directories(typed: &[impl AsRef<Path>], listed: Vec<String>) -> Result<Vec<PathBuf>, Failure> {
    if typed.is_empty() {
        return Ok(listed.into_iter().map(PathBuf::from).collect());
    }
    typed.iter().map(|path| absolute(path.as_ref())).collect()
}

/// A directory that Podman has a store in has creel's below it, see [`Context::dirs`].
fn store_in(path: &Path) -> PathBuf {
    let below = path.join("creel");
    if below.join("images").is_dir() { below } else { path.to_owned() }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(crate::error::on_path("resolve", path))
}

/// A runtime by path, or by name through containers.conf and `$PATH`.
fn find_runtime(name: &str, config: &Config) -> Result<PathBuf, Failure> {
    if name.contains('/') {
        return absolute(Path::new(name));
    }
    let listed = config.runtime_paths(name).into_iter();
    let path = variable("PATH").unwrap_or_else(|| "/usr/bin:/bin:/usr/sbin:/sbin".into());
    let searched: Vec<PathBuf> = path.split(':').map(|dir| Path::new(dir).join(name)).collect();
    listed.chain(searched).find(|path| path.is_file()).ok_or_else(|| {
        Failure::plain(format!("default OCI runtime \"{name}\" not found: invalid argument"))
            .hint("without --runtime creel uses its own runtime")
    })
}
