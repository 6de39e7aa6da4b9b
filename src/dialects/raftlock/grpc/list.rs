//! GetLockInfo and GetLocks: reading.

use super::answer::{self, Calendar, error, permission_denied};
use super::check;
use super::state::Call;
use super::wildcard::{matches, prefix};
use crate::access::Identity;
use crate::dialects::raftlock::proto::{
    ErrorCode, GetLockInfoRequest, GetLockInfoResponse, GetLocksRequest, GetLocksResponse, LockFilter, LockInfo,
    WaiterInfo,
};
use crate::domain::Name;
use crate::domain::view::{LockFilter as TableFilter, LockView};
use crate::engine::{EndedHold, Engine};
use crate::http::auth::may_read;
use crate::http::grpc::unary::Reply;
use prost_types::Timestamp as Moment;
use std::sync::Arc;
use tokio::runtime::Handle;
use tonic::Status;

const LIMIT_DEFAULT: usize = 100;
/// Locks that are looked at in one turn.
const TURN: usize = 2_000;
/// About as many bytes as one answer has, and what a lock or a waiter has besides its name: clients read no message of more
/// than 4 MiB by default. A truncated page has `has_more`.
const ANSWER_BYTES: usize = 1 << 20;
const ROW_BYTES: usize = 100;

pub async fn show_lock(call: &Call<'_>, asked: GetLockInfoRequest) -> Result<Reply<GetLockInfoResponse>, Status> {
    check::lock_id(&asked.lock_id)?;
    may_read(&call.identity, &asked.lock_id).map_err(permission_denied)?;
    let read = call.app.engine.lock(&Name::from(&*asked.lock_id)).await;
    let (lock, _) = read.map_err(|fault| answer::status(&fault))?;
    let calendar = Calendar::of(call.app);
    let last = call.app.engine.last_ended_hold(&Name::from(&*asked.lock_id));
    let mut room = ANSWER_BYTES;
    let lock_info = match lock {
        Some(lock) => Some(info(call, &lock, asked.include_waiters, calendar, &mut room)),
        // RaftLock shows a lock that was held without its owner; only one that it never heard of is not found.
        None => last.map(|last| without_owner(asked.lock_id, last, calendar)),
    };
    let not_found = || error(ErrorCode::LockNotFound, "lockmanager: lock not found");
    let error = lock_info.is_none().then(not_found);
    Ok(GetLockInfoResponse { lock_info, error }.into())
}

/// In the order of their names, so that pages fit together.
pub async fn list_locks(call: &Call<'_>, asked: GetLocksRequest) -> Result<Reply<GetLocksResponse>, Status> {
    check::list(&asked)?;
    let wanted = asked.filter.unwrap_or_default();
    let calendar = Calendar::of(call.app);
    let limit = usize::try_from(asked.limit).ok().filter(|limit| *limit > 0).unwrap_or(LIMIT_DEFAULT);
    let offset = usize::try_from(asked.offset).unwrap_or(0);
    let table_filter = TableFilter {
        prefixes: vec![prefix(&wanted.lock_id_pattern).to_owned()],
        held: wanted.only_held.then_some(true),
        contended: wanted.only_contested.then_some(true),
        ..TableFilter::default()
    };
    let search = Search { wanted, engine: call.app.engine.clone(), identity: call.identity.clone(), calendar };
    let search = Arc::new(search);
    // The semaphore is never closed, so there is no error.
    let _turn = call.state.searches.acquire().await;
    let (mut found, mut bytes, mut total, mut after) = (Vec::new(), 0, 0_usize, None);
    loop {
        let turn = call.app.engine.locks(table_filter.clone(), after, TURN).await;
        let turn = turn.map_err(|fault| answer::status(&fault))?;
        after = turn.next;
        for lock in Arc::clone(&search).among(turn.locks, &call.app.blocking).await? {
            if total >= offset && found.len() < limit && bytes < ANSWER_BYTES {
                bytes += shown_bytes(&lock);
                found.push(lock);
            }
            total += 1;
        }
        if after.is_none() {
            break;
        }
    }
    let has_more = offset.saturating_add(found.len()) < total;
    let mut room = ANSWER_BYTES.saturating_sub(bytes);
    let locks = found.iter().map(|lock| info(call, lock, asked.include_waiters, calendar, &mut room)).collect();
    let total_matching_filter = i32::try_from(total).unwrap_or(i32::MAX);
    Ok(GetLocksResponse { locks, total_matching_filter, has_more }.into())
}

/// Its oldest hold is shown.
fn shown_bytes(lock: &LockView) -> usize {
    let metadata =
        lock.holds.first().map_or(0, |hold| hold.metadata.iter().map(|(key, value)| key.len() + value.len()).sum());
    lock.name.len() + ROW_BYTES + metadata
}

struct Search {
    wanted: LockFilter,
    engine: Engine,
    identity: Identity,
    calendar: Calendar,
}

impl Search {
    /// Those of these locks that are asked for. A pattern can cost far more than a lock, so it is compared beside the
    /// threads that serve.
    async fn among(self: Arc<Search>, locks: Vec<LockView>, blocking: &Handle) -> Result<Vec<LockView>, Status> {
        let compared = blocking.spawn_blocking(move || locks.into_iter().filter(|lock| self.accepts(lock)).collect());
        compared.await.map_err(|_| Status::unavailable("the server is shutting down"))
    }

    fn accepts(&self, lock: &LockView) -> bool {
        // The table counts places that are kept for lost requests, too.
        let waits = || self.engine.local_waiters(&lock.name).iter().any(|waiter| !waiter.orphaned);
        self.identity.may_read(&lock.name)
            && matches(&self.wanted.lock_id_pattern, &lock.name)
            && (asks_nothing_of_holds(&self.wanted) || any_hold(&self.wanted, lock, self.calendar))
            && (!self.wanted.only_contested || waits())
    }
}

/// A lock with room for several is shown by its oldest hold; of its waiters, as many as there is room for.
fn info(call: &Call<'_>, lock: &LockView, include_waiters: bool, calendar: Calendar, room: &mut usize) -> LockInfo {
    let mut waiters = if lock.waiters > 0 { waiters(call, &lock.name, calendar) } else { Vec::new() };
    let waiter_count = i32::try_from(waiters.len()).unwrap_or(i32::MAX);
    let fitting = waiters.iter().take_while(|waiter| {
        let bytes = waiter.client_id.len() + ROW_BYTES;
        let fits = bytes <= *room;
        *room = room.saturating_sub(bytes);
        fits
    });
    let fitting = if include_waiters { fitting.count() } else { 0 };
    waiters.truncate(fitting);
    let shown = lock.holds.first().map(|hold| answer::lock(&lock.name, hold, calendar)).unwrap_or_default();
    LockInfo {
        lock_id: lock.name.to_string(),
        owner_id: shown.owner_id,
        version: shown.version,
        acquired_at: shown.acquired_at,
        expires_at: shown.expires_at,
        waiter_count,
        waiters_info: waiters,
        metadata: shown.metadata,
        last_modified_at: shown.acquired_at,
    }
}

fn without_owner(lock_id: String, last: EndedHold, calendar: Calendar) -> LockInfo {
    LockInfo {
        lock_id,
        version: answer::version(last.token.0),
        acquired_at: Some(calendar.moment(last.since)),
        expires_at: last.deadline.map(|deadline| calendar.moment(deadline)),
        last_modified_at: Some(calendar.moment(last.ended)),
        ..LockInfo::default()
    }
}

fn waiters(call: &Call<'_>, name: &Name, calendar: Calendar) -> Vec<WaiterInfo> {
    // A place that is kept for a lost request does not wait now.
    let waiters = call.app.engine.local_waiters(name).into_iter().filter(|waiter| !waiter.orphaned);
    let shown = waiters.map(|waiter| WaiterInfo {
        client_id: answer::owner_id(waiter.label.as_deref(), waiter.dialect),
        enqueued_at: Some(calendar.moment(waiter.since)),
        timeout_at: Some(calendar.moment(waiter.deadline)),
        priority: waiter.priority,
        position: i32::try_from(waiter.position).unwrap_or(i32::MAX),
    });
    shown.collect()
}

fn asks_nothing_of_holds(filter: &LockFilter) -> bool {
    filter.owner_id_pattern.is_empty()
        && filter.expires_before.is_none()
        && filter.expires_after.is_none()
        && filter.metadata_filter.is_empty()
}

fn any_hold(filter: &LockFilter, lock: &LockView, calendar: Calendar) -> bool {
    lock.holds.iter().any(|hold| {
        let hold = answer::lock(&lock.name, hold, calendar);
        let expires = hold.expires_at.as_ref().map(order);
        // A hold without an end never expires before anything.
        let before = filter.expires_before.as_ref().is_none_or(|bound| expires.is_some_and(|at| at <= order(bound)));
        let after = filter.expires_after.as_ref().is_none_or(|bound| expires.is_none_or(|at| at >= order(bound)));
        let metadata = filter.metadata_filter.iter().all(|(key, value)| hold.metadata.get(key) == Some(value));
        matches(&filter.owner_id_pattern, &hold.owner_id) && before && after && metadata
    })
}

fn order(moment: &Moment) -> (i64, i32) {
    (moment.seconds, moment.nanos)
}
