//! unshare
