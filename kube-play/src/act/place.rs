//! What a process of ours has to know to act in the same store.

use containers::{Engine, Settings};
use serde::{Deserialize, Serialize};
use storage::{Dirs, Store, StoreOptions};

use super::error::Result;

/// Goes over the standard input of the process, as part of its order or as all of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Place {
    dirs: Dirs,
    options: StoreOptions,
    settings: Settings,
}

impl Place {
    pub(super) fn of(engine: &Engine) -> Place {
        Place {
            dirs: engine.store.dirs().clone(),
            options: engine.store.options().clone(),
            settings: engine.settings.clone(),
        }
    }

    pub(super) fn open(self) -> Result<Engine> {
        Ok(Engine { store: Store::open(self.dirs, self.options)?, settings: self.settings })
    }
}
