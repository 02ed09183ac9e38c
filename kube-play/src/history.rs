//! The templates a workload had: what `kube rollout history` shows and `kube rollout undo` goes back to.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::{PodTemplate, WorkloadPlan};

/// The annotation that says why a revision was made.
const CAUSE: &str = "kubernetes.io/change-cause";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    pub number: u64,
    pub created: Timestamp,
    pub cause: Option<String>,
    pub template: PodTemplate,
    /// `spec.template` as it was written.
    pub manifest: Value,
}

/// Oldest first; the last one is current.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    pub revisions: Vec<Revision>,
}

impl History {
    /// Notes the plan's template, if it is a new one. A template that was there before becomes the newest, under a new
    /// number, as in Kubernetes. Keeps as many old ones as the plan says, and those whose pods still run.
    pub fn record(&mut self, plan: &WorkloadPlan, running: &[String], now: Timestamp) {
        let cause = plan.meta.annotations.get(CAUSE).cloned();
        if let Some(last) = self.revisions.last_mut().filter(|last| last.template.hash == plan.template.hash) {
            last.cause = cause.or(last.cause.take());
            return;
        }
        if plan.paused {
            // It has no pods before it is resumed, and may be another one by then.
            return;
        }
        let number = self.revisions.last().map_or(1, |last| last.number + 1);
        self.revisions.retain(|revision| revision.template.hash != plan.template.hash);
        let manifest = plan.meta.manifest.pointer("/spec/template").cloned().unwrap_or_default();
        self.revisions.push(Revision { number, created: now, cause, template: plan.template.clone(), manifest });
        let kept = plan.history_limit as usize + 1;
        let mut excess = self.revisions.len().saturating_sub(kept);
        self.revisions.retain(|revision| {
            let goes = excess > 0 && !running.contains(&revision.template.hash);
            excess -= usize::from(goes);
            !goes
        });
    }

    /// The template with this hash.
    pub fn template(&self, hash: &str) -> Option<&PodTemplate> {
        self.revisions.iter().map(|revision| &revision.template).find(|template| template.hash == hash)
    }

    /// The revision before the current one, or the one with this number. Fails as kubectl does.
    pub fn target(&self, number: Option<u64>) -> Result<&Revision, String> {
        match number.filter(|number| *number > 0) {
            Some(number) => self
                .revisions
                .iter()
                .find(|revision| revision.number == number)
                .ok_or_else(|| format!("unable to find specified revision {number} in history")),
            None => {
                let before = self.revisions.len().checked_sub(2).and_then(|index| self.revisions.get(index));
                before.ok_or_else(|| "no rollout history found".to_owned())
            }
        }
    }
}

impl Revision {
    /// Puts its template into the plan. Another play of the file leads forward again.
    pub fn restore(&self, plan: &mut WorkloadPlan) {
        plan.template = self.template.clone();
        if let Some(template) = plan.meta.manifest.pointer_mut("/spec/template") {
            *template = self.manifest.clone();
        }
        plan.meta.hash = format!("undone-{}", self.template.hash);
        match &self.cause {
            Some(cause) => drop(plan.meta.annotations.insert(CAUSE.to_owned(), cause.clone())),
            None => drop(plan.meta.annotations.remove(CAUSE)),
        }
    }
}

impl WorkloadPlan {
    /// As `kube scale` and an autoscaler do it. A file that says another number leads back to that with its next play, one
    /// that says none leaves this one.
    pub fn scale(&mut self, replicas: u32) {
        self.replicas = replicas;
        if let Some(written) = self.meta.manifest.pointer_mut("/spec/replicas").filter(|_| self.replicas_written) {
            *written = replicas.into();
            self.meta.hash = format!("scaled-{replicas}");
        }
    }

    /// As `kube rollout pause` and `resume` do it; what a file says about it leads back with its next play.
    pub fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
        if let Some(written) = self.meta.manifest.pointer_mut("/spec/paused") {
            *written = paused.into();
            self.meta.hash = format!("paused-{paused}");
        }
    }

    /// Takes over what a new manifest leaves open from the plan before it.
    pub fn adopt(&mut self, before: &WorkloadPlan) {
        if !self.replicas_written {
            self.replicas = before.replicas;
        }
        if self.meta.manifest.pointer("/spec/paused").is_none_or(Value::is_null) {
            self.paused = before.paused;
        }
    }

    /// A rollout of the same template, as `kube rollout restart` asks for it.
    pub fn restart(&mut self, now: Timestamp) {
        const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";
        let at = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        self.template.annotations.insert(RESTARTED.to_owned(), at.clone());
        for container in self.template.init.iter_mut().chain(&mut self.template.containers) {
            container.spec.annotations.insert(RESTARTED.to_owned(), at.clone());
        }
        if let Some(template) = self.meta.manifest.pointer_mut("/spec/template") {
            template["metadata"]["annotations"][RESTARTED] = at.clone().into();
        }
        self.template.hash = crate::lower::short_hash(&[&self.template.hash.as_str().into(), &at.into()]);
        self.meta.hash = format!("restarted-{}", self.template.hash);
    }
    /// As `kube set image` does it: other images for containers by name, `*` for all. A template that was there before is
    /// the same one again. Another play of the file leads back.
    ///
    /// # Errors
    /// kubectl's words for a container that is not there.
    pub fn set_images(&mut self, images: &[(String, String)], history: &History) -> Result<(), String> {
        for (name, image) in images {
            let mut found = false;
            for (place, containers) in
                [("initContainers", &mut self.template.init), ("containers", &mut self.template.containers)]
            {
                for (index, container) in containers.iter_mut().enumerate() {
                    if name != "*" && *name != container.name {
                        continue;
                    }
                    found = true;
                    container.image.clone_from(image);
                    let path = format!("/spec/template/spec/{place}/{index}");
                    let Some(written) = self.meta.manifest.pointer_mut(&path) else { continue };
                    written["image"] = image.as_str().into();
                    if written.get("imagePullPolicy").is_none_or(Value::is_null) {
                        container.pull = crate::lower::usual_pull_policy(image);
                    }
                }
            }
            if !found {
                return Err(format!("unable to find container named {name:?}"));
            }
        }
        let manifest = self.meta.manifest.pointer("/spec/template").cloned().unwrap_or_default();
        match history.revisions.iter().find(|revision| revision.manifest == manifest) {
            Some(revision) => self.template = revision.template.clone(),
            None => self.template.hash = crate::lower::short_hash(&[&self.template.hash.as_str().into(), &manifest]),
        }
        self.meta.hash = format!("image-{}", self.template.hash);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::planned;

    fn plan(image: &str, replicas: &str) -> WorkloadPlan {
        let text = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: web }}\nspec:\n  {replicas}\n  revisionHistoryLimit: 2\n  selector: \
             {{ matchLabels: {{ app: web }} }}\n  template:\n    metadata: {{ labels: {{ app: web }} }}\n    spec: {{ containers: [{{ \
             name: a, image: {image} }}] }}\n"
        );
        planned(&text).workloads.remove(0)
    }

    #[test]
    fn revisions_are_numbered_kept_and_gone_back_to() {
        let now = Timestamp::UNIX_EPOCH;
        let mut history = History::default();
        for image in ["a:1", "a:2", "a:2", "a:3", "a:4"] {
            history.record(&plan(image, ""), &[], now);
        }
        let numbers = |history: &History| history.revisions.iter().map(|revision| revision.number).collect::<Vec<_>>();
        assert_eq!(numbers(&history), [2, 3, 4]);
        let image = |revision: &Revision| revision.template.containers[0].image.clone();
        assert_eq!(history.target(None).map(image), Ok("a:3".to_owned()));
        assert_eq!(history.target(Some(2)).map(image), Ok("a:2".to_owned()));
        assert!(history.target(Some(1)).is_err());
        let mut current = plan("a:4", "");
        let target = history.target(Some(2)).expect("there").clone();
        target.restore(&mut current);
        assert_eq!(current.meta.manifest["spec"]["template"]["spec"]["containers"][0]["image"], "a:2");
        history.record(&current, &[], now);
        assert_eq!(numbers(&history), [3, 4, 5]);
        assert_eq!(image(history.revisions.last().expect("one")), "a:2");
        // The next play of the file is a change.
        assert_ne!(current.meta.hash, plan("a:4", "").meta.hash);
    }

    #[test]
    fn a_scaled_number_stays_where_the_file_says_none() {
        let mut open = plan("a:1", "");
        open.scale(5);
        let mut again = plan("a:1", "");
        assert_eq!(open.meta.hash, again.meta.hash);
        again.adopt(&open);
        assert_eq!(again.replicas, 5);
        let mut fixed = plan("a:1", "replicas: 2");
        fixed.scale(5);
        let mut again = plan("a:1", "replicas: 2");
        assert_ne!(fixed.meta.hash, again.meta.hash);
        again.adopt(&fixed);
        assert_eq!(again.replicas, 2);
    }

    #[test]
    fn another_image_is_another_template_and_the_former_one_is_the_former() {
        let images = |name: &str, image: &str| [(name.to_owned(), image.to_owned())];
        let first = plan("a:1", "");
        let mut history = History::default();
        history.record(&first, &[], Timestamp::UNIX_EPOCH);
        let mut set = first.clone();
        set.set_images(&images("a", "a:2"), &history).unwrap();
        assert_eq!(set.template.containers[0].image, "a:2");
        assert_eq!(set.meta.manifest["spec"]["template"]["spec"]["containers"][0]["image"], "a:2");
        assert!(set.template.hash != first.template.hash && set.meta.hash != first.meta.hash);
        history.record(&set, &[], Timestamp::UNIX_EPOCH);
        set.set_images(&images("*", "a:1"), &history).unwrap();
        assert_eq!(set.template, first.template);
        assert_eq!(set.set_images(&images("b", "x"), &history), Err("unable to find container named \"b\"".to_owned()));
    }

    #[test]
    fn a_restart_is_a_new_template() {
        let mut restarted = plan("a:1", "");
        restarted.restart(Timestamp::UNIX_EPOCH);
        assert_ne!(restarted.template.hash, plan("a:1", "").template.hash);
        assert_eq!(restarted.template.hash.len(), 10);
    }
}
