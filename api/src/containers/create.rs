//! `/containers/create`

use serde_json::json;

use crate::call::{Call, Reply};
use crate::creel::{Error, Result, Words};
use crate::images::local_name;
use crate::json::{some_text, texts};

pub(crate) fn create(call: &mut Call<'_>) -> Result<Reply> {
    let wanted = call.body()?;
    let image = some_text(&wanted, "Image").ok_or_else(|| Error::bad("no image is named: Image is empty"))?;
    let image = local_name(call.creel, image)?;
    let (flags, warnings) = super::flags::of(&wanted)?;
    let mut words = Words::new(&["create", "--pull=never"]);
    words.flag("name", call.query("name").map(|name| name.trim_start_matches('/')));
    if let Some(platform) = call.query("platform") {
        words.flag("platform", Some(platform));
    }
    words.0.extend(flags.0);
    words.names([image.as_str()]);
    words.0.extend(texts(&wanted, "Cmd").into_iter().map(str::to_owned));
    let id = call.creel.run(&words)?;
    Reply::created(&json!({ "Id": id.trim(), "Warnings": warnings }))
}
