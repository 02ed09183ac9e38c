//! Tar streams made by hand, well-formed or hostile.

use tar::{Builder, EntryType, Header};

/// A tar stream under construction.
pub(crate) struct Archive {
    builder: Builder<Vec<u8>>,
}

impl Archive {
    pub(crate) fn new() -> Archive {
        Archive { builder: Builder::new(Vec::new()) }
    }

    pub(crate) fn directory(self, path: &str, mode: u32) -> Archive {
        self.entry(path, EntryType::Directory, mode, None, &[])
    }

    pub(crate) fn file(self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Archive {
        self.entry(path, EntryType::Regular, mode, None, content.as_ref())
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Archive {
        self.entry(path, EntryType::Symlink, 0o777, Some(target), &[])
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Archive {
        self.entry(path, EntryType::Link, 0o644, Some(target), &[])
    }

    /// Any entry; names are written as they are, however bad.
    pub(crate) fn entry(self, path: &str, kind: EntryType, mode: u32, link: Option<&str>, content: &[u8]) -> Archive {
        self.owned(path, kind, mode, (0, 0), link, content)
    }

    pub(crate) fn owned(
        mut self,
        path: &str,
        kind: EntryType,
        mode: u32,
        (uid, gid): (u64, u64),
        link: Option<&str>,
        content: &[u8],
    ) -> Archive {
        let mut header = Header::new_gnu();
        let raw = header.as_old_mut();
        raw.name[..path.len()].copy_from_slice(path.as_bytes());
        if let Some(link) = link {
            raw.linkname[..link.len()].copy_from_slice(link.as_bytes());
        }
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_mtime(1_767_323_045);
        header.set_size(content.len() as u64);
        if matches!(kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }
        header.set_cksum();
        self.builder.append(&header, content).unwrap();
        self
    }

    /// An extended header (pax) for the entry that follows.
    pub(crate) fn extended(mut self, records: &[(&str, &[u8])]) -> Archive {
        self.builder.append_pax_extensions(records.iter().copied()).unwrap();
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.builder.into_inner().unwrap()
    }
}
