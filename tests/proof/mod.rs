//! The proof from outside: the built binary under crashes, real clients, a fuzzed API and a browser.

mod browser;
pub mod crash;
mod curl;
mod dependencies;
mod deploy;
mod fault_table;
mod first_start;
mod generated;
mod github_action;
mod go_client;
mod identity_tokens;
mod openapi_clients;
mod package;
mod py_ldlm;
mod python;
mod python_client;
pub mod random;
mod redis_clients;
mod schema;
mod systemd;
pub mod tools;
mod typescript_client;
mod wall_clock;
mod webdriver;
