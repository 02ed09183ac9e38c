//! Steps that were done before: here, or where `--cache-from` and `--cache-to` say.

use images::{Image, Progress, PullOptions, PullPolicy, PushOptions};
use jiff::{SignedDuration, Timestamp};

use super::Stage;
use crate::act::{Event, cache};
use crate::error::Result;

impl Stage<'_, '_> {
    /// What an earlier build on this machine has come to, unless that is too long ago.
    pub(super) fn cached(&self, keys: &[String]) -> Result<Option<Image>> {
        let ttl = self.build.options.cache_ttl.and_then(|ttl| SignedDuration::try_from(ttl).ok());
        let is_fresh = |image: &Image| ttl.is_none_or(|ttl| Timestamp::now().duration_since(image.stored) <= ttl);
        for key in keys {
            if let Some(image) = cache::find(&self.build.engine.store, key)?.filter(is_fresh) {
                return Ok(Some(image));
            }
        }
        Ok(None)
    }

    /// What a build on another machine has come to. A repository without it, or that cannot be reached, is none.
    pub(super) fn fetched(&mut self, keys: &[String]) -> Result<Option<Image>> {
        let store = &self.build.engine.store;
        let options = PullOptions {
            policy: PullPolicy::Always,
            platform: self.platform.clone(),
            progress: Progress::Quiet,
            retry: Some(0),
            ..self.build.options.pull.clone()
        };
        for repository in &self.build.options.remote_cache.from {
            for key in keys {
                let name = format!("{repository}:{key}");
                let Some(pulled) =
                    images::pull(store, &name, &options).ok().and_then(|pulled| pulled.into_iter().next())
                else {
                    continue;
                };
                images::untag(store, &name, &[&name])?;
                for key in keys {
                    cache::remember(store, key, &pulled.image)?;
                }
                (self.build.tell)(Event::Fetched { name: &name });
                return Ok(Some(images::get(store, &format!("sha256:{}", pulled.image.id))?));
            }
        }
        Ok(None)
    }

    /// Hands what the step has come to on to other machines.
    pub(super) fn send(&mut self, keys: &[String]) -> Result<()> {
        let cache = &self.build.options.remote_cache;
        let (Some(image), Some(key)) = (&self.image, keys.first()) else { return Ok(()) };
        let options = PushOptions { progress: Progress::Quiet, ..cache.push.clone() };
        for repository in &cache.to {
            let name = format!("{repository}:{key}");
            (self.build.tell)(Event::Sent { name: &name });
            images::push(&self.build.engine.store, &image.id, Some(&format!("docker://{name}")), &options)?;
        }
        Ok(())
    }
}
