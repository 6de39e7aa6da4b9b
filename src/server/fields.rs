//! What the header fields of a request show at first sight, in one pass: a lookup of each would hash each name.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

pub const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
pub const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
pub const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The first look at a request's header fields.
#[derive(Default)]
pub struct Fields<'a> {
    /// The first two `Host` fields; more than one is an error.
    pub hosts: [Option<&'a HeaderValue>; 2],
    /// A field is there by which a browser says where a request comes from.
    pub browser: bool,
    /// A field is there by which a proxy, trusted or not, leaves its mark.
    pub proxy: bool,
    /// Of all names and values.
    pub bytes: usize,
}

impl<'a> Fields<'a> {
    pub fn of(headers: &'a HeaderMap) -> Fields<'a> {
        let mut fields = Fields::default();
        for (name, value) in headers {
            fields.bytes += name.as_str().len() + value.len();
            match name.as_str() {
                "host" => {
                    let free = fields.hosts.iter_mut().find(|host| host.is_none());
                    free.into_iter().for_each(|host| *host = Some(value));
                }
                "sec-fetch-site" | "sec-fetch-mode" | "upgrade-insecure-requests" | "origin" | "referer" => {
                    fields.browser = true;
                }
                "x-forwarded-for" | "forwarded" | "x-forwarded-proto" | "x-real-ip" | "via" => fields.proxy = true,
                _ => {}
            }
        }
        fields
    }

    /// The `Host` field, if there is exactly one.
    pub fn only_host(&self) -> Option<&'a HeaderValue> {
        self.hosts[0].filter(|_| self.hosts[1].is_none())
    }
}
