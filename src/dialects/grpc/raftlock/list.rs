//! GetLockInfo and GetLocks: reading.

use super::super::super::auth::may_read;
use super::super::proto::raftlock::{
    ErrorCode, GetLockInfoRequest, GetLockInfoResponse, GetLocksRequest, GetLocksResponse, LockFilter, LockInfo,
    WaiterInfo,
};
use super::super::unary::{Call, Reply};
use super::answer::{self, Calendar, denied, error};
use super::check;
use super::wildcard::{matches, prefix};
use crate::domain::Name;
use crate::domain::view::{LockFilter as TableFilter, LockView};
use crate::engine::LastHold;
use prost_types::Timestamp as Moment;
use tonic::Status;

const LIMIT_DEFAULT: usize = 100;
/// Locks that are looked at in one turn.
const TURN: usize = 10_000;

pub async fn one(call: &Call<'_>, asked: GetLockInfoRequest) -> Result<Reply<GetLockInfoResponse>, Status> {
    check::lock_id(&asked.lock_id)?;
    may_read(&call.identity, &asked.lock_id).map_err(denied)?;
    let read = call.service.engine.lock(&Name::from(&*asked.lock_id)).await;
    let (lock, _) = read.map_err(|fault| answer::status(&fault))?;
    let calendar = Calendar::of(call.service);
    let last = call.service.engine.last_hold(&Name::from(&*asked.lock_id));
    let answer = match (lock, last) {
        (Some(lock), _) => {
            let lock_info = Some(info(call, &lock, asked.include_waiters, calendar));
            GetLockInfoResponse { lock_info, error: None }
        }
        // RaftLock shows a lock that was held without its owner; only one that it never heard of is not found.
        (None, Some(last)) => {
            let lock_info = Some(without_owner(asked.lock_id, last, calendar));
            GetLockInfoResponse { lock_info, error: None }
        }
        (None, None) => {
            let error = Some(error(ErrorCode::LockNotFound, "lockmanager: lock not found"));
            GetLockInfoResponse { lock_info: None, error }
        }
    };
    Ok(answer.into())
}

/// In the order of their names, so that pages fit together.
pub async fn page(call: &Call<'_>, asked: GetLocksRequest) -> Result<Reply<GetLocksResponse>, Status> {
    check::list(&asked)?;
    let wanted = asked.filter.unwrap_or_default();
    let calendar = Calendar::of(call.service);
    let limit = usize::try_from(asked.limit).ok().filter(|limit| *limit > 0).unwrap_or(LIMIT_DEFAULT);
    let offset = usize::try_from(asked.offset).unwrap_or(0);
    let table_filter = TableFilter {
        prefix: prefix(&wanted.lock_id_pattern).to_owned(),
        held: wanted.only_held.then_some(true),
        contended: wanted.only_contested.then_some(true),
    };
    let (mut found, mut total, mut after) = (Vec::new(), 0_usize, None);
    loop {
        let turn = call.service.engine.locks(table_filter.clone(), after, TURN).await;
        let turn = turn.map_err(|fault| answer::status(&fault))?;
        for lock in turn.locks {
            // The table counts places that are kept for lost requests, too.
            let in_question = !wanted.only_contested || !waiters(call, &lock.name, calendar).is_empty();
            if in_question && call.identity.may_read(&lock.name) && describes(&wanted, &lock, calendar) {
                if total >= offset && found.len() < limit {
                    found.push(lock);
                }
                total += 1;
            }
        }
        after = turn.next;
        if after.is_none() {
            break;
        }
    }
    let has_more = offset.saturating_add(found.len()) < total;
    let locks = found.iter().map(|lock| info(call, lock, asked.include_waiters, calendar)).collect();
    let total_matching_filter = i32::try_from(total).unwrap_or(i32::MAX);
    Ok(GetLocksResponse { locks, total_matching_filter, has_more }.into())
}

/// A lock with room for several is shown by its oldest hold.
fn info(call: &Call<'_>, lock: &LockView, include_waiters: bool, calendar: Calendar) -> LockInfo {
    let waiters = if lock.waiters > 0 { waiters(call, &lock.name, calendar) } else { Vec::new() };
    let waiter_count = i32::try_from(waiters.len()).unwrap_or(i32::MAX);
    let waiters_info = if include_waiters { waiters } else { Vec::new() };
    let shown = lock.holds.first().map(|hold| answer::lock(&lock.name, hold, calendar)).unwrap_or_default();
    LockInfo {
        lock_id: lock.name.to_string(),
        owner_id: shown.owner_id,
        version: shown.version,
        acquired_at: shown.acquired_at,
        expires_at: shown.expires_at,
        waiter_count,
        waiters_info,
        metadata: shown.metadata,
        last_modified_at: shown.acquired_at,
    }
}

fn without_owner(lock_id: String, last: LastHold, calendar: Calendar) -> LockInfo {
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
    // Whoever may yet ask again does not wait now.
    let waiters = call.service.engine.waiters(name).into_iter().filter(|waiter| !waiter.orphaned);
    let shown = waiters.map(|waiter| WaiterInfo {
        client_id: answer::owner_id(waiter.label.as_deref(), waiter.dialect),
        enqueued_at: Some(calendar.moment(waiter.since)),
        timeout_at: Some(calendar.moment(waiter.deadline)),
        priority: waiter.priority,
        position: i32::try_from(waiter.position).unwrap_or(i32::MAX),
    });
    shown.collect()
}

fn describes(filter: &LockFilter, lock: &LockView, calendar: Calendar) -> bool {
    matches(&filter.lock_id_pattern, &lock.name) && (asks_nothing_of_holds(filter) || any_hold(filter, lock, calendar))
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
