//! Faults of the engine with the field names of our own API.

use crate::engine::Fault;
use crate::http::code::FieldNames;
use crate::http::failure::Failure;

const NAMES: FieldNames = FieldNames { name: "name", size: "size", lease: "lease", wait: "wait" };

pub fn from_fault(fault: Fault) -> Failure {
    Failure::from_fault(&fault, &NAMES)
}
