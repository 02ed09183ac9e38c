//! The same pod once more, with all its members.

use containers::{Engine, MountKind, PodRole, unused_name};

use crate::create::{CreateRequest, create};
use crate::error::Result;
use crate::member::{create_member, leave};
use crate::pod::{self, Pod};
use crate::spec::PodSpec;

/// Makes a pod by a specification that was made of this one's, and in it members as this one has them. `image` finds what
/// a member was made of by its id.
///
/// # Errors
/// Nothing is left of the new pod.
pub fn clone(
    engine: &Engine,
    of: &Pod,
    spec: PodSpec,
    name: Option<&str>,
    image: &dyn Fn(&str) -> Result<Option<containers::Image>>,
) -> Result<Pod> {
    let free = format!("{}-clone", of.name());
    let name = name.map_or_else(|| unused_name(&free, |name| pod::find(engine, name).is_err()), str::to_owned);
    let made = create(engine, CreateRequest { spec, name: Some(&name), replace: false, infra_image: None })?;
    // Who looks into this pod has nothing to look at in the new one.
    let mut lasting = of.members().filter(|member| pod::role(member) != PodRole::Ephemeral);
    let filled = lasting.try_for_each(|member| {
        let image = match &member.record.image {
            Some(of) => image(&of.id)?,
            None => None,
        };
        let mut spec = member.spec().clone();
        let own = leave(of, &mut spec);
        spec.cidfile = None;
        for mount in &mut spec.mounts {
            if let MountKind::Volume { name, anonymous: true, .. } = &mut mount.kind {
                *name = None;
            }
        }
        let free = format!("{}-clone", member.name());
        let name = unused_name(&free, |name| containers::find(engine, name).is_err());
        let request = containers::CreateRequest { spec, name: Some(&name), image: image.as_ref(), replace: false };
        create_member(engine, &made, request, own).map(drop)
    });
    filled.inspect_err(|_| {
        // The error that matters is the first.
        let _ = crate::remove(engine, &made, true, Some(0));
    })?;
    pod::again(engine, &made)
}
