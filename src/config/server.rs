//! `[server]`: bounds on connections and requests, and who is believed about addresses. `[compat]`: ways of older servers.

use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::{ListenUrl, Scheme};
use crate::base::config_value::{bytes, duration, positive, positive_duration};

/// Connection handling.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// `servername` in the GET_LOCK dialect.
    pub name: String,
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    #[serde(deserialize_with = "plain_url")]
    pub probe_listen: Option<ListenUrl>,
    /// Names under which clients reach the service; consulted while no credential is configured.
    pub hosts: Vec<String>,
    /// See [`ServerConfig::worker_threads`].
    #[serde(deserialize_with = "threads")]
    pub threads: usize,
    #[serde(deserialize_with = "positive")]
    pub connections_max: usize,
    #[serde(deserialize_with = "positive")]
    pub connections_per_address_max: u64,
    #[serde(deserialize_with = "unidentified_bytes")]
    pub unidentified_bytes_max: u64,
    #[serde(deserialize_with = "positive")]
    pub public_streams_max: u64,
    #[serde(deserialize_with = "positive_duration")]
    pub public_stream_age_max: Duration,
    #[serde(deserialize_with = "positive")]
    pub listings_max: u64,
    #[serde(deserialize_with = "positive_duration")]
    pub header_timeout: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub body_timeout: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub idle_timeout: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub keepalive_interval: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub keepalive_timeout: Duration,
    #[serde(deserialize_with = "header_bytes")]
    pub header_bytes_max: usize,
    #[serde(deserialize_with = "bytes")]
    pub body_bytes_max: u64,
    #[serde(deserialize_with = "duration")]
    pub drain_delay: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub drain_timeout: Duration,
}

/// Ways of older servers that are off unless they are needed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompatConfig {
    pub ignore_unknown_fields: bool,
    pub release_without_credential: bool,
}

impl ServerConfig {
    /// Threads that serve connections: one for each CPU that this process may use, unless the configuration says how many.
    pub fn worker_threads(&self) -> usize {
        match self.threads {
            // A container's limit of CPUs counts.
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}

const THREADS_MAX: usize = 1024;

fn threads<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let expected = || de::Error::custom("expected a number from 0 to 1024");
    usize::deserialize(from).ok().filter(|threads| *threads <= THREADS_MAX).ok_or_else(expected)
}

/// hyper refuses to run with a smaller buffer.
const HEADER_BYTES_MIN: u64 = 8 << 10;

fn header_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let value = bytes(from)?;
    if !(HEADER_BYTES_MIN..=1 << 20).contains(&value) {
        return Err(de::Error::custom("expected a size from 8KiB to 1MiB"));
    }
    usize::try_from(value).map_err(de::Error::custom)
}

/// What one request may occupy is well within the share of an address.
const UNIDENTIFIED_BYTES_MIN: u64 = 1 << 20;

fn unidentified_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let value = bytes(from)?;
    let fits = value >= UNIDENTIFIED_BYTES_MIN;
    fits.then_some(value).ok_or_else(|| de::Error::custom("expected a size of at least 1MiB"))
}

fn plain_url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ListenUrl>, D::Error> {
    let expected = || de::Error::custom("expected a plain URL like http://127.0.0.1:8081, or nothing");
    let text = String::deserialize(from).map_err(|_| expected())?;
    if text.is_empty() {
        return Ok(None);
    }
    ListenUrl::parse(&text)
        .filter(|url| url.scheme == Scheme::Http && !url.proxy_protocol)
        .map(Some)
        .ok_or_else(expected)
}

fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    let expected = || de::Error::custom("expected networks like 10.0.0.0/8 or fd00::/8, or single addresses");
    let texts = Vec::<String>::deserialize(from).map_err(|_| expected())?;
    let parse = |text: &String| text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
    texts.iter().map(|text| parse(text).map_err(|_| expected())).collect()
}
