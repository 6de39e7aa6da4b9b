//! What an attacker tries, room by room of the threat model: pages of others, proxies, credentials, peers, memory.

mod browsers;
mod heads;
mod passwords;
mod proxies;
mod rights;
mod sessions;
