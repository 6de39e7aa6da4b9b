//! What the pages are made of.

use super::documents::Documents;
use crate::access::Logins;
use crate::engine::events::EventOptions;
use crate::http::AppState;
use axum::extract::FromRef;
use std::sync::Arc;

/// The state of the pages.
#[derive(Clone)]
pub struct Pages {
    pub app: AppState,
    pub documents: Arc<Documents>,
    pub events: EventOptions,
    pub logins: Arc<Logins>,
}

impl FromRef<Pages> for AppState {
    fn from_ref(pages: &Pages) -> AppState {
        AppState::clone(&pages.app)
    }
}
