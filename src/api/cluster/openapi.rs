//! Operating the cluster, as the OpenAPI document describes it.

use super::members::AddMemberRequest;
use super::schema::{Cluster, Member};
use crate::http::code::Code;
use crate::http::code_groups::{BODY, CREDENTIAL, WRITE};
use crate::http::endpoint::{
    Bounds, Chapter, Documentation, Endpoint, PROBLEM, bytes, delete, get, integer, json, path, post,
};
use serde_json::json as value;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::{ComponentsBuilder, Required};

pub const DOCUMENTATION: Documentation =
    Documentation { chapter: Chapter::Own, tag: TAG, about: ABOUT, endpoints, schemas };

const TAG: &str = "Operating the cluster";
const ABOUT: &str = "Who belongs to the cluster, changes of that, and the backup. Any credential may read; the \
    rest needs the admin role without a limit to name prefixes. `latchd members`, `latchd backup` and \
    `latchd restore` are the same on the command line.";

/// The errors of every change, besides those of every command.
const CHANGE: [Code; 6] = [
    Code::InvalidField,
    Code::Forbidden,
    Code::RunsAlone,
    Code::MembershipBusy,
    Code::NoSuchMember,
    Code::MemberUnreachable,
];

fn endpoints(_: Bounds) -> Vec<Endpoint> {
    vec![show_cluster(), add_member(), promote_member(), remove_member(), backup()]
}

fn schemas(components: ComponentsBuilder, _: Bounds) -> ComponentsBuilder {
    components.schema_from::<Cluster>().schema_from::<Member>().schema_from::<AddMemberRequest>()
}

fn show_cluster() -> Endpoint {
    get("/v1/cluster", "show_cluster", TAG, "Show the cluster")
        .about("Answered by every node from what it knows itself, also without a leader.")
        .answer(200, json("The cluster, as this node sees it.", "Cluster"))
        .errors(PROBLEM, &[&CREDENTIAL])
}

fn add_member() -> Endpoint {
    post("/v1/cluster/members", "add_member", TAG, "Add a node without a vote")
        .about(
            "The node must run with an empty data directory. It gets the log and serves clients; the answer leaves \
             when it has caught up enough. Promote it afterwards.",
        )
        .body("AddMemberRequest", Required::True, value!({"node": 4, "address": "https://10.0.0.4:9443"}))
        .answer(200, json("The node is a learner.", "Cluster"))
        .errors(PROBLEM, &[&CHANGE, &WRITE, &BODY, &[Code::MemberExists], &CREDENTIAL])
}

fn promote_member() -> Endpoint {
    post("/v1/cluster/members/{node}/promote", "promote_member", TAG, "Give a node a vote")
        .about("Refused while the node lacks much of the log, because the cluster would wait for it.")
        .parameter(node())
        .answer(200, json("The node has a vote.", "Cluster"))
        .errors(PROBLEM, &[&CHANGE, &WRITE, &[Code::MemberExists, Code::MemberBehind], &CREDENTIAL])
}

fn remove_member() -> Endpoint {
    delete("/v1/cluster/members/{node}", "remove_member", TAG, "Take a node out of the cluster")
        .about(
            "The requests that wait on that node end. Its id may come back with an empty data directory, as a node \
             must whose disk was lost.",
        )
        .parameter(node())
        .answer(200, json("The node is no member any more.", "Cluster"))
        .errors(PROBLEM, &[&CHANGE, &WRITE, &[Code::WouldLoseQuorum], &CREDENTIAL])
}

fn backup() -> Endpoint {
    get("/v1/backup", "backup", TAG, "Take a backup")
        .about(
            "The whole state of one moment, keys and session ids included, while the service goes on. The bytes have \
             checksums and an end of their own; `latchd backup` checks them, `latchd restore` reads them.",
        )
        .answer(200, bytes("The backup."))
        .errors(PROBLEM, &[&[Code::Forbidden, Code::NotLeader, Code::NoQuorum, Code::ShuttingDown], &CREDENTIAL])
}

fn node() -> Parameter {
    path("node", "The id of the node.", integer("").minimum(Some(1)).examples([value!(4)]))
}
