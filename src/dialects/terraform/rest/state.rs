//! The settings of the dialect.

use crate::config::Config;
use crate::domain::time::round_up_ms;
use crate::http::{AppState, FieldNames};

pub const NAMES: FieldNames = FieldNames { name: "name", size: "size", lease: "max_hold", wait: "wait" };

#[derive(Clone)]
pub struct Terraform {
    pub app: AppState,
    /// The lease of a hold; `None`: it has no end of its own.
    pub max_hold_ms: Option<u64>,
    /// Whether an UNLOCK that names no hold ends the one that there is.
    pub force_unlock: bool,
}

impl Terraform {
    pub fn new(app: &AppState, config: &Config) -> Terraform {
        let config = &config.terraform;
        let max_hold_ms = config.max_hold().map(round_up_ms);
        Terraform { app: AppState::clone(app), max_hold_ms, force_unlock: config.force_unlock }
    }
}
