//! What an attacker tries, room by room of the threat model: pages of others, proxies, credentials, peers, memory.

mod browsers;
mod connections;
mod heads;
mod http2;
mod passwords;
mod pools;
mod proxies;
mod rights;
mod sessions;
mod verbs;
