//! Who belongs to the cluster, and changes of that.

use super::{Cluster, from_fault, operator};
use crate::access::Identity;
use crate::engine::check_address;
use crate::http::auth::identify;
use crate::http::code::Code;
use crate::http::failure::Failure;
use crate::http::hint::hint;
use crate::http::path::{Captured, capture};
use crate::http::problem::answer;
use crate::http::service::{Attempt, Shared};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

const RIGHT: &str = "change the members of the cluster";

/// The largest id that JSON numbers hold exactly in every language.
const NODE_MAX: u64 = (1 << 53) - 1;

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

/// `GET /v1/cluster`
pub async fn show_cluster(State(service): State<Shared>, head: Parts) -> Response {
    answer(show(&service, &head).await)
}

async fn show(service: &Shared, head: &Parts) -> Attempt<Cluster> {
    identify(service, head).await?;
    cluster(service).await
}

/// `POST /v1/cluster/members`
pub async fn add_member(State(service): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    answer(add(&service, &head, body).await)
}

async fn add(service: &Shared, head: &Parts, body: Body) -> Attempt<Cluster> {
    let actor = operator(service, head, RIGHT).await?;
    let body = service.body(head, body).await?;
    let asked = serde_json::from_slice::<AddMemberRequest>(&body);
    let asked = asked.map_err(|error| {
        let error = hint(&body).map_or_else(|| error.to_string(), str::to_owned);
        let detail = format!("the body must be {{\"node\": 4, \"address\": \"https://10.0.0.4:9443\"}}: {error}");
        Failure::new(Code::MalformedBody, detail)
    })?;
    let node = node(asked.node)?;
    let address = asked.address;
    check_address(&address).map_err(|error| from_fault(error.into()))?;
    service.engine.add_member(node, address.clone()).await.map_err(from_fault)?;
    let by = name(&actor);
    tracing::warn!(actor = by, node, ?address, "{by} added node {node} at {address:?} to the cluster");
    cluster(service).await
}

/// `POST /v1/cluster/members/{node}/promote`
pub async fn promote_member(State(service): State<Shared>, captured: Captured, head: Parts) -> Response {
    answer(promote(&service, &captured, &head).await)
}

async fn promote(service: &Shared, captured: &Captured, head: &Parts) -> Attempt<Cluster> {
    let actor = operator(service, head, RIGHT).await?;
    let node = node_in(captured)?;
    service.engine.promote_member(node).await.map_err(from_fault)?;
    let by = name(&actor);
    tracing::warn!(actor = by, node, "{by} gave node {node} a vote");
    cluster(service).await
}

/// `DELETE /v1/cluster/members/{node}`
pub async fn remove_member(State(service): State<Shared>, captured: Captured, head: Parts) -> Response {
    answer(remove(&service, &captured, &head).await)
}

async fn remove(service: &Shared, captured: &Captured, head: &Parts) -> Attempt<Cluster> {
    let actor = operator(service, head, RIGHT).await?;
    let node = node_in(captured)?;
    service.engine.remove_member(node).await.map_err(from_fault)?;
    let by = name(&actor);
    tracing::warn!(actor = by, node, "{by} removed node {node} from the cluster");
    cluster(service).await
}

async fn cluster(service: &Shared) -> Attempt<Cluster> {
    service.engine.cluster().await.map(Cluster::from).map_err(from_fault)
}

fn node_in(captured: &Captured) -> Attempt<u64> {
    capture(captured, "node")?.parse().map_err(|_| no_node()).and_then(node)
}

fn node(id: u64) -> Attempt<u64> {
    if (1..=NODE_MAX).contains(&id) { Ok(id) } else { Err(no_node()) }
}

fn no_node() -> Failure {
    Failure::field("node", format!("node must be a whole number from 1 to {NODE_MAX}"))
}

fn name(actor: &Identity) -> &str {
    &actor.name
}
