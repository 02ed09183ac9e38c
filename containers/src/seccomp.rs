//! Which seccomp filter a container and the processes joining it get.

use oci_spec::runtime::LinuxSeccomp;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::oci;
use crate::spec::{SeccompProfile, Security};

/// `None` is no filter.
pub(crate) fn filter(engine: &Engine, security: &Security) -> Result<Option<LinuxSeccomp>> {
    let file = match &security.seccomp {
        SeccompProfile::Unconfined => return Ok(None),
        SeccompProfile::Default if security.privileged => return Ok(None),
        SeccompProfile::Default => match &engine.settings.seccomp_profile {
            Some(path) if path.as_os_str() == "unconfined" => return Ok(None),
            path => path.as_ref(),
        },
        SeccompProfile::File(path) => Some(path),
    };
    let sets = oci::capabilities(security, 0)?;
    let names: Vec<String> = sets.bounding().iter().flatten().map(|capability| format!("CAP_{capability}")).collect();
    let Some(path) = file else { return Ok(Some(runtime::seccomp::default_profile(&names))) };
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    match runtime::seccomp::parse_profile(&text, &names) {
        Ok(filter) => Ok(Some(filter)),
        Err(runtime::Error::Seccomp { what }) => Err(Error::Invalid(format!(
            "loading seccomp profile ({}) failed: decoding seccomp profile failed: {what}",
            path.display()
        ))),
        Err(error) => Err(error.into()),
    }
}
