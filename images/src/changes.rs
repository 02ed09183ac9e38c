//! `--change` of commit and import: one Dockerfile instruction that alters the settings.

use crate::error::Result;
use crate::settings::Settings;

pub fn apply_change(settings: &mut Settings, instruction: &str) -> Result<()> {
    let _ = (settings, instruction);
    unimplemented!()
}
