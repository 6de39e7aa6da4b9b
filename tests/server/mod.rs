//! The server's edge over real sockets: what a client meets before and around any dialect.

mod bodies;
mod connections;
mod delivery;
mod drain;
mod forwarded;
mod raw;
mod rig;
mod streams;
mod tls;
