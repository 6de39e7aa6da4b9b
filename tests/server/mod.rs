//! The server's edge over real sockets: what a client meets before and around any dialect.

mod bodies;
mod certificates;
mod collector;
mod connections;
mod delivery;
mod drain;
mod forwarded;
mod probe_listen;
mod proxy_header;
mod raw;
mod request_ids;
mod rig;
mod streams;
mod tls;
mod traces;
mod traces_tls;
