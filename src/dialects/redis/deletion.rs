//! DEL, UNLINK, and a SET that replaces a hold: without its value, a hold is released by the connection that took it, and by
//! force for an admin.

use super::client::Client;
use super::error::RedisError;
use super::holds::Holds;
use crate::domain::view::HoldView;
use crate::domain::{HoldKey, Name, Refusal};
use crate::engine::Fault;
use std::collections::{BTreeMap, BTreeSet};

/// The release of one hold, with the names of it that were given.
struct Deletion {
    names: Vec<Name>,
    right: Right,
}

/// Why the client may release it.
enum Right {
    /// The connection took it.
    Own(HoldKey),
    Forced(HoldView),
}

/// Releases the holds of these keys; how many keys that were. If one may not be released, none is.
pub async fn delete(client: &mut Client, command: &str, names: &[Name]) -> Result<i64, RedisError> {
    let holds = client.holds()?;
    let deletions = plan(client, &holds, command, names).await?;
    let mut deleted = 0;
    for deletion in &deletions {
        if carry_out(&holds, command, deletion).await? {
            deleted += deletion.names.len() as i64;
        }
    }
    client.forget_ended(names);
    Ok(deleted)
}

/// What is to be released, each hold once.
async fn plan(client: &Client, holds: &Holds<'_>, command: &str, names: &[Name]) -> Result<Vec<Deletion>, RedisError> {
    let own: BTreeSet<HoldKey> = names.iter().filter_map(|name| client.own.get(name)).copied().collect();
    holds.barrier().await?;
    let mut planned: BTreeMap<HoldKey, Deletion> = BTreeMap::new();
    for name in names.iter().collect::<BTreeSet<_>>() {
        let Some(seen) = holds.seen_here(name).filter(|seen| !seen.holds.is_empty()) else { continue };
        let (key, right) = match seen.holds.iter().find(|hold| own.contains(&hold.key)) {
            Some(hold) => (hold.key, Right::Own(hold.key)),
            None => {
                let hold = holds.forced(command, name, &seen)?;
                (hold.key, Right::Forced(hold.clone()))
            }
        };
        check_whole(&seen.holds, key, names)?;
        planned.entry(key).or_insert_with(|| Deletion { names: Vec::new(), right }).names.push(name.clone());
        tokio::task::consume_budget().await;
    }
    Ok(planned.into_values().collect())
}

/// A hold of several names ends with all of them, so all must have been given.
fn check_whole(holds: &[HoldView], key: HoldKey, given: &[Name]) -> Result<(), RedisError> {
    let hold = holds.iter().find(|hold| hold.key == key);
    let names: Vec<Name> = hold.into_iter().flat_map(HoldView::names).cloned().collect();
    if names.iter().all(|name| given.contains(name)) {
        return Ok(());
    }
    Err(Fault::from(Refusal::OtherNames { names: names.into() }).into())
}

async fn carry_out(holds: &Holds<'_>, command: &str, deletion: &Deletion) -> Result<bool, RedisError> {
    let Some(name) = deletion.names.first() else { return Ok(false) };
    match &deletion.right {
        Right::Own(key) => holds.release_own(&deletion.names, *key).await,
        Right::Forced(hold) => holds.force_release(command, name, hold).await,
    }
}
