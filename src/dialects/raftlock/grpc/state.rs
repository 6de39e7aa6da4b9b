//! The state of this service.

use super::rates::Rates;
use crate::http::AppState;
use crate::http::grpc::unary;
use tokio::sync::{Semaphore, watch};

/// Searches of GetLocks that run at once: one may cost far more than it answers.
const SEARCHES_AT_ONCE: usize = 2;

pub struct RaftLock {
    pub app: AppState,
    pub searches: Semaphore,
    /// How fast locks come and go.
    pub rates: watch::Receiver<Rates>,
}

pub type Call<'a> = unary::Call<'a, RaftLock>;

impl RaftLock {
    /// Needs a runtime: it follows the engine.
    pub fn new(app: &AppState) -> RaftLock {
        RaftLock {
            app: AppState::clone(app),
            searches: Semaphore::new(SEARCHES_AT_ONCE),
            rates: Rates::follow(app.engine.clone()),
        }
    }
}
