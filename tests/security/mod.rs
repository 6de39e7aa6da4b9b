//! What an attacker tries, room by room of the threat model: pages of others, proxies, credentials, peers, memory.

mod audit;
mod browsers;
mod client_certificates;
mod connections;
mod files;
mod freezes;
mod heads;
mod http2;
mod keys;
mod listings;
mod passwords;
mod pools;
mod proxies;
mod public_streams;
mod quotas;
mod rates;
pub mod rights;
mod sessions;
mod verbs;
