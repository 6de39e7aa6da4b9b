//! Which locks are waited for: the statistics of the node that answers.

use super::query::{self, page_of};
use crate::api::answer::{Answer, answer};
use crate::engine::{ContentionOrder, ContentionRow, WINDOW};
use crate::http::auth::identify_and_touch;
use crate::http::endpoint::{CREDENTIAL, errors};
use crate::http::respond::seconds;
use crate::http::{AppState, Code, Failure, Problem, Query};
use axum::extract::State;
use axum::http::request::Parts;
use serde::Serialize;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

const LIMIT_DEFAULT: usize = 20;

/// The locks that were waited for lately, as one node has seen it.
#[derive(Serialize, ToSchema)]
#[schema(as = Contention)]
pub struct ContentionList {
    /// The node that answers. Each node counts what it applies, so two nodes may differ a little.
    node: u64,
    /// How much time the numbers cover: five to ten minutes, less after a start.
    covers_seconds: f64,
    locks: Vec<ContendedLock>,
}

/// How one lock was waited for and held.
#[derive(Serialize, ToSchema)]
#[schema(as = ContendedLock)]
pub struct ContendedLock {
    #[schema(example = "deploy/production")]
    name: String,
    /// How many wait now.
    waiting: u32,
    /// Waits that began.
    waits: u64,
    /// Waits that ended with a grant.
    granted: u64,
    /// Waits that ended by their timeout.
    timeouts: u64,
    /// All waits together: those that ended, and those that still last, so far.
    wait_seconds: f64,
    longest_wait_seconds: f64,
    /// Holds that ended.
    holds: u64,
    /// The holds that ended, all together.
    hold_seconds: f64,
    longest_hold_seconds: f64,
}

const _: () = assert!(WINDOW.as_secs() == 300, "five to ten minutes in the document");
const _: () = assert!(LIMIT_DEFAULT == 20, "the default in the document");

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`show_contention` reads the query itself")]
struct ContentionQuery {
    /// What comes first: the locks with the most `wait_seconds` (`wait`, the default), with the `longest-wait`, the most `waits` or
    /// `timeouts`, or the most `hold_seconds` (`hold`).
    #[param(inline)]
    by: Option<OrderName>,
    /// Only names that start with this.
    prefix: Option<String>,
    /// How many locks are shown at most.
    #[param(minimum = 1, maximum = 1000, default = 20)]
    limit: Option<u32>,
}

#[derive(ToSchema)]
#[schema(rename_all = "kebab-case", default = "wait")]
#[expect(dead_code, reason = "`ContentionOrder` has the names")]
enum OrderName {
    Wait,
    LongestWait,
    Waits,
    Timeouts,
    Hold,
}

errors!(ContentionErrors: Problem<'_>, [Code::InvalidField, Code::LimitExceeded], CREDENTIAL);

/// Show which locks are waited for
///
/// Locks that somebody waited for in the last five to ten minutes, as the node that answers has seen it; it asks no other node.
/// It counts a few thousand names; where there are more, those that were waited for least are left out. Holds are counted
/// from the first wait for their lock on.
#[utoipa::path(
    get,
    path = "/v1/contention",
    params(ContentionQuery),
    responses((status = 200, description = "The first locks in this order.", body = ContentionList), ContentionErrors),
)]
pub async fn show_contention(State(app): State<AppState>, head: Parts) -> Answer {
    let viewer = identify_and_touch(&app, &head, None).await?;
    let asked = Query::of(&head.uri);
    let prefix = query::prefix(asked, app.engine.limits().name_bytes_max)?;
    let (order, limit) = (order(asked)?, page_of(asked, LIMIT_DEFAULT)?);
    let seen = app.engine.contention(&viewer.prefixes_under(&prefix), order, limit);
    let locks = seen.rows.iter().map(ContendedLock::of).collect();
    answer(&ContentionList { node: app.engine.local_cluster().node, covers_seconds: seconds(seen.covers), locks })
}

fn order(asked: Query<'_>) -> Result<ContentionOrder, Failure> {
    let Some(text) = asked.text("by")? else { return Ok(ContentionOrder::Wait) };
    ContentionOrder::ALL.into_iter().find(|order| order.as_str() == text).ok_or_else(|| {
        let names = ContentionOrder::ALL.map(ContentionOrder::as_str).join(", ");
        Failure::field("by", format!("by must be one of {names}"))
    })
}

impl ContendedLock {
    fn of(row: &ContentionRow) -> ContendedLock {
        let ContentionRow { name, waiting, counts } = row;
        let seconds = |ms| seconds(Duration::from_millis(ms));
        ContendedLock {
            name: name.to_string(),
            waiting: *waiting,
            waits: counts.waits,
            granted: counts.granted,
            timeouts: counts.timeouts,
            wait_seconds: seconds(counts.wait_ms),
            longest_wait_seconds: seconds(counts.wait_max_ms),
            holds: counts.holds,
            hold_seconds: seconds(counts.hold_ms),
            longest_hold_seconds: seconds(counts.hold_max_ms),
        }
    }
}
