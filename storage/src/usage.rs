use crate::error::Result;
use crate::store::Store;

/// Bytes on disk as du(1) counts them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub total: u64,
}

impl Store {
    /// Measures the store.
    pub fn usage(&self) -> Result<Usage> {
        unimplemented!()
    }
}
