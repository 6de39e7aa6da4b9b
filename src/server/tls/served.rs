//! The certificates that the https listeners serve now.

use std::sync::Arc;

use parking_lot::Mutex;

use super::pair::PemContents;

/// What the live configuration was made from.
#[derive(Clone)]
pub struct Served {
    contents: Arc<Mutex<Arc<PemContents>>>,
    is_made_here: bool,
}

impl Served {
    pub(super) fn new(contents: PemContents, is_made_here: bool) -> Self {
        Self { contents: Arc::new(Mutex::new(Arc::new(contents))), is_made_here }
    }

    pub(super) fn now(&self) -> Arc<PemContents> {
        Arc::clone(&self.contents.lock())
    }

    pub(super) fn set(&self, contents: Arc<PemContents>) {
        *self.contents.lock() = contents;
    }

    /// The PEM text of each file with certificates, by its configuration key.
    pub fn certificates(&self) -> Vec<(&'static str, Vec<u8>)> {
        self.now().certificates(if self.is_made_here { "tls.dev_dir" } else { "tls.cert" })
    }
}
