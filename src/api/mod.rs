//! Our own API beside the dialects: reading and repairing, events, the cluster, health and reflection, the document.
//!
//! Errors over HTTP are problem documents. Keys are shown to admins only, session ids never.

mod answer;
pub mod cluster;
pub mod elections;
pub mod events;
pub mod fencing;
mod freezes;
pub mod grpc;
pub mod inspect;
mod known_parameters;
pub mod openapi;
mod reason;

use crate::http::Declaration;

pub static ALL: [&Declaration; 7] = [
    &elections::DECLARATION,
    &fencing::DECLARATION,
    &inspect::DECLARATION,
    &freezes::DECLARATION,
    &cluster::DECLARATION,
    &grpc::health::DECLARATION,
    &grpc::reflection::DECLARATION,
];
