//! The members of the cluster, and changes of them.

use crate::access::Identity;
use crate::api::answer::{Answer, answer};
use crate::audit::{Act, Action, By};
use crate::engine::cluster_options::NODE_ID_MAX;
use crate::engine::{ClusterView, Fault, MemberView, NodeState, check_address};
use crate::http::auth::{identify, may_operate};
use crate::http::endpoint::{ACT, BODY, CREDENTIAL, WRITE, errors};
use crate::http::json_object::describe_non_json;
use crate::http::query::{Captured, capture};
use crate::http::{AppState, Code, Failure, Problem, administration};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

const RIGHT: &str = "change the members of the cluster";

/// The node to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddMemberRequest {
    /// The id that the node was started with.
    #[schema(example = 4, minimum = 1)]
    node: u64,
    /// Where its peers reach it.
    #[schema(example = "https://10.0.0.4:9443")]
    address: String,
}

/// The errors of every change, besides those of every command.
const CHANGE: [Code; 5] =
    [Code::InvalidField, Code::RunsAlone, Code::MembershipBusy, Code::NoSuchMember, Code::MemberUnreachable];
errors!(ShowErrors: Problem<'_>, CREDENTIAL);
errors!(AddErrors: Problem<'_>, CHANGE, ACT, WRITE, BODY, [Code::MemberExists], CREDENTIAL);
errors!(PromoteErrors: Problem<'_>, CHANGE, ACT, WRITE, [Code::MemberExists, Code::MemberBehind], CREDENTIAL);
errors!(RemoveErrors: Problem<'_>, CHANGE, ACT, WRITE, [Code::WouldLoseQuorum], CREDENTIAL);

/// Show the cluster
///
/// Answered by every node from what it knows itself, also without a leader.
#[utoipa::path(
    get,
    path = "/v1/cluster",
    responses((status = 200, description = "The cluster, as this node sees it.", body = Cluster), ShowErrors),
)]
pub async fn show_cluster(State(app): State<AppState>, head: Parts) -> Answer {
    identify(&app, &head).await?;
    cluster(&app).await
}

/// Add a node without a vote
///
/// The node must run with an empty data directory. It gets the log and serves clients; the answer leaves when it has caught
/// up enough. Promote it afterwards.
#[utoipa::path(
    post,
    path = "/v1/cluster/members",
    request_body(content = AddMemberRequest, example = json!({"node": 4, "address": "https://10.0.0.4:9443"})),
    responses((status = 200, description = "The node is a learner.", body = Cluster), AddErrors),
)]
pub async fn add_member(State(app): State<AppState>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let actor = operator(&app, &head, RIGHT).await?;
    let body = app.body(&head, body).await?;
    let asked = serde_json::from_slice::<AddMemberRequest>(&body);
    let asked = asked.map_err(|error| {
        let error = describe_non_json(&body).map_or_else(|| error.to_string(), str::to_owned);
        let detail = format!("the body must be {{\"node\": 4, \"address\": \"https://10.0.0.4:9443\"}}: {error}");
        Failure::new(Code::MalformedBody, detail)
    })?;
    let node = node(Some(asked.node))?;
    let address = asked.address;
    check_address(&address).map_err(|error| Failure::of(error.into()))?;
    let act = Act::new(Action::AddMember).on("node", node).on("address", &*address);
    let (engine, by) = (app.engine.clone(), Arc::clone(&actor.name));
    change(&app, administration::by(&actor, &head), act, async move {
        engine.add_member(node, address.clone()).await?;
        tracing::warn!(actor = &*by, node, ?address, "{by} added node {node} at {address:?} to the cluster");
        Ok(())
    })
    .await
}

/// Give a node a vote
///
/// Refused while the node lacks much of the log, because commits would wait for it.
#[utoipa::path(
    post,
    path = "/v1/cluster/members/{node}/promote",
    params(("node" = u64, Path, description = "The id of the node.", minimum = 1, example = 4)),
    responses((status = 200, description = "The node has a vote.", body = Cluster), PromoteErrors),
)]
pub async fn promote_member(State(app): State<AppState>, captured: Captured, head: Parts) -> Answer {
    let actor = operator(&app, &head, RIGHT).await?;
    let node = node(capture(&captured, "node")?.parse().ok())?;
    let act = Act::new(Action::PromoteMember).on("node", node);
    let (engine, by) = (app.engine.clone(), Arc::clone(&actor.name));
    change(&app, administration::by(&actor, &head), act, async move {
        engine.promote_member(node).await?;
        tracing::warn!(actor = &*by, node, "{by} gave node {node} a vote");
        Ok(())
    })
    .await
}

/// Take a node out of the cluster
///
/// The requests that wait on that node end. Its id may come back with an empty data directory, as a node must whose disk was
/// lost.
#[utoipa::path(
    delete,
    path = "/v1/cluster/members/{node}",
    params(("node" = u64, Path, description = "The id of the node.", minimum = 1, example = 4)),
    responses((status = 200, description = "The node is no member any more.", body = Cluster), RemoveErrors),
)]
pub async fn remove_member(State(app): State<AppState>, captured: Captured, head: Parts) -> Answer {
    let actor = operator(&app, &head, RIGHT).await?;
    let node = node(capture(&captured, "node")?.parse().ok())?;
    let act = Act::new(Action::RemoveMember).on("node", node);
    let (engine, by) = (app.engine.clone(), Arc::clone(&actor.name));
    change(&app, administration::by(&actor, &head), act, async move {
        engine.remove_member(node).await?;
        tracing::warn!(actor = &*by, node, "{by} removed node {node} from the cluster");
        Ok(())
    })
    .await
}

/// Carries a change out, and shows the cluster after it. The leader alone knows whether it can be made, so it is recorded in
/// any case.
async fn change(
    app: &AppState,
    by: By,
    act: Act,
    work: impl Future<Output = Result<(), Fault>> + Send + 'static,
) -> Answer {
    administration::carry_out(app, by, act, None, work).await?.map_err(Failure::of)?;
    cluster(app).await
}

/// The caller, who must be an admin of every name: the right to change the cluster and to see its whole state.
pub async fn operator(app: &AppState, head: &Parts, right: &'static str) -> Result<Identity, Failure> {
    let actor = identify(app, head).await?;
    may_operate(&actor, right).map(|()| actor)
}

async fn cluster(app: &AppState) -> Answer {
    answer(&Cluster::from(app.engine.cluster().await))
}

/// The id of a node; `None` is no number.
fn node(id: Option<u64>) -> Result<u64, Failure> {
    let refused = || Failure::field("node", format!("node must be a whole number from 1 to {NODE_ID_MAX}"));
    id.filter(|id| (1..=NODE_ID_MAX).contains(id)).ok_or_else(refused)
}

/// The cluster, as the node that answers sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = Cluster)]
pub struct Cluster {
    /// The node that answers.
    #[schema(example = 1)]
    node: u64,
    /// Null while no leader is known.
    #[schema(example = 1)]
    leader: Option<u64>,
    term: u64,
    /// How the node that answers stands to it: `member`, `lost-end` (its log has lost its end, and waits for a leader to send
    /// it), `forming` or `waiting` (it is none yet), `removed` (it is none any more), `wiped` (it has lost its disk) or
    /// `differs` (its table is not that of the others); the last three serve no requests.
    #[schema(example = "member")]
    standing: &'static str,
    /// What is to be done about that; null for a member.
    standing_detail: Option<String>,
    /// Whether a leader with a quorum behind it is known. Without one nothing is granted.
    has_quorum: bool,
    /// What all members can do; rises by itself when the last of them runs a newer release.
    feature_level: u32,
    /// The last log entry that the node which answers has applied.
    applied_index: u64,
    /// In the order of their ids.
    members: Vec<Member>,
}

/// One node of the cluster.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub struct Member {
    #[schema(example = 1)]
    node: u64,
    /// Where its peers reach it; empty for a node that runs alone.
    #[schema(example = "https://10.0.0.1:9443")]
    address: String,
    /// `leader`, `follower` (has a vote) or `learner` (has none yet).
    #[schema(example = "leader")]
    role: &'static str,
    /// False when the leader has not heard of it for `cluster.node_down_after`.
    up: bool,
    /// Log entries that it lacks; null where the node that answers cannot know.
    lag_entries: Option<u64>,
}

impl From<ClusterView> for Cluster {
    fn from(view: ClusterView) -> Cluster {
        Cluster {
            node: view.node,
            leader: view.leader,
            term: view.term,
            standing: view.state.as_str(),
            standing_detail: (view.state != NodeState::Member).then(|| view.state.to_string()),
            has_quorum: view.has_quorum,
            feature_level: view.level,
            applied_index: view.applied_index,
            members: view.members.into_iter().map(member).collect(),
        }
    }
}

fn member(view: MemberView) -> Member {
    let MemberView { node, address, role, up, lag_entries } = view;
    Member { node, address, role: role.as_str(), up, lag_entries }
}
