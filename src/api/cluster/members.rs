//! The members of the cluster, and changes of them.

use super::operator::operator;
use super::schema::Cluster;
use crate::access::Identity;
use crate::api::failure::from_fault;
use crate::engine::check_address;
use crate::http::app::AppState;
use crate::http::auth::identify;
use crate::http::code::Code;
use crate::http::failure::Failure;
use crate::http::non_json::describe_non_json;
use crate::http::path::{Captured, capture};
use crate::http::problem::answer;
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
pub async fn show_cluster(State(app): State<AppState>, head: Parts) -> Response {
    answer(show(&app, &head).await)
}

async fn show(app: &AppState, head: &Parts) -> Result<Cluster, Failure> {
    identify(app, head).await?;
    cluster(app).await
}

/// `POST /v1/cluster/members`
pub async fn add_member(State(app): State<AppState>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    answer(add(&app, &head, body).await)
}

async fn add(app: &AppState, head: &Parts, body: Body) -> Result<Cluster, Failure> {
    let actor = operator(app, head, RIGHT).await?;
    let body = app.body(head, body).await?;
    let asked = serde_json::from_slice::<AddMemberRequest>(&body);
    let asked = asked.map_err(|error| {
        let error = describe_non_json(&body).map_or_else(|| error.to_string(), str::to_owned);
        let detail = format!("the body must be {{\"node\": 4, \"address\": \"https://10.0.0.4:9443\"}}: {error}");
        Failure::new(Code::MalformedBody, detail)
    })?;
    let node = node(asked.node)?;
    let address = asked.address;
    check_address(&address).map_err(|error| from_fault(error.into()))?;
    app.engine.add_member(node, address.clone()).await.map_err(from_fault)?;
    let by = name(&actor);
    tracing::warn!(actor = by, node, ?address, "{by} added node {node} at {address:?} to the cluster");
    cluster(app).await
}

/// `POST /v1/cluster/members/{node}/promote`
pub async fn promote_member(State(app): State<AppState>, captured: Captured, head: Parts) -> Response {
    answer(promote(&app, &captured, &head).await)
}

async fn promote(app: &AppState, captured: &Captured, head: &Parts) -> Result<Cluster, Failure> {
    let actor = operator(app, head, RIGHT).await?;
    let node = node_in(captured)?;
    app.engine.promote_member(node).await.map_err(from_fault)?;
    let by = name(&actor);
    tracing::warn!(actor = by, node, "{by} gave node {node} a vote");
    cluster(app).await
}

/// `DELETE /v1/cluster/members/{node}`
pub async fn remove_member(State(app): State<AppState>, captured: Captured, head: Parts) -> Response {
    answer(remove(&app, &captured, &head).await)
}

async fn remove(app: &AppState, captured: &Captured, head: &Parts) -> Result<Cluster, Failure> {
    let actor = operator(app, head, RIGHT).await?;
    let node = node_in(captured)?;
    app.engine.remove_member(node).await.map_err(from_fault)?;
    let by = name(&actor);
    tracing::warn!(actor = by, node, "{by} removed node {node} from the cluster");
    cluster(app).await
}

async fn cluster(app: &AppState) -> Result<Cluster, Failure> {
    Ok(Cluster::from(app.engine.cluster().await))
}

fn node_in(captured: &Captured) -> Result<u64, Failure> {
    capture(captured, "node")?.parse().map_err(|_| no_node()).and_then(node)
}

fn node(id: u64) -> Result<u64, Failure> {
    if (1..=NODE_MAX).contains(&id) { Ok(id) } else { Err(no_node()) }
}

fn no_node() -> Failure {
    Failure::field("node", format!("node must be a whole number from 1 to {NODE_MAX}"))
}

fn name(actor: &Identity) -> &str {
    &actor.name
}
