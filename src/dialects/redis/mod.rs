//! The Redis protocol: the commands and scripts that lock libraries send, on the one lock table.
//!
//! A key is a lock's name, a value is the proof of the hold, a time to live is its lease. No Lua runs here: the scripts of the
//! libraries are recognised by their text, and each stands for calls of the engine. Sockets are the server's: it hands
//! complete commands to a [`Client`] and sends its answers.

mod client;
mod commands;
mod connection;
mod deletion;
mod dispatch;
mod error;
mod holds;
mod info;
mod keys;
mod reply;
mod request;
mod scripts;
mod set;
mod value;

pub use client::Client;
pub use commands::{LABELS, table_command};
pub use dispatch::Answer;
pub use error::RedisError;
pub use reply::{Protocol, Reply};
pub use request::{Bounds, Request, Scanner, Violation};
pub use scripts::canonical;

use crate::config::{Config, RedisConfig};
use crate::domain::Dialect;
use crate::http::{AppState, Declaration, HoldDialect, Routes};
use scripts::KnownScripts;
use std::sync::Arc;

/// It has no routes: its clients have a listener of their own.
pub static DECLARATION: Declaration = Declaration {
    label: "redis",
    dialect: Some(HoldDialect { id: Dialect::Redis, title: "Redis", write_key: |key, _| key.to_string() }),
    services: &[],
    routes: |_, _| Routes::new(),
    documentation: None,
};

/// What all clients of this process share.
pub struct Shared {
    app: AppState,
    pub config: RedisConfig,
    scripts: KnownScripts,
}

impl Shared {
    pub fn new(app: &AppState, config: &Config) -> Arc<Shared> {
        let scripts = KnownScripts::new(config.redis.scripts_max);
        Arc::new(Shared { app: AppState::clone(app), config: config.redis.clone(), scripts })
    }
}
