//! What the header fields of a request show at first sight, in one pass: a lookup of each would hash each name.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

pub const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
pub const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
pub const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// By which a browser says where a request comes from.
static OF_BROWSERS: [HeaderName; 5] =
    [SEC_FETCH_SITE, SEC_FETCH_MODE, header::UPGRADE_INSECURE_REQUESTS, header::ORIGIN, header::REFERER];

/// By which a proxy, trusted or not, leaves its mark.
static OF_PROXIES: [HeaderName; 5] = [FORWARDED_FOR, FORWARDED, FORWARDED_PROTO, REAL_IP, header::VIA];

/// The first look at a request's header fields.
#[derive(Default)]
pub struct Fields<'a> {
    /// The first two `Host` fields; more than one is an error.
    pub hosts: [Option<&'a HeaderValue>; 2],
    /// A field that browsers send is there.
    pub browser: bool,
    /// A field that proxies add is there.
    pub proxy: bool,
    /// Of all names and values.
    pub bytes: usize,
}

impl<'a> Fields<'a> {
    pub fn of(headers: &'a HeaderMap) -> Fields<'a> {
        static HOST: HeaderName = header::HOST;
        let mut fields = Fields::default();
        for (name, value) in headers {
            fields.bytes += name.as_str().len() + value.len();
            if *name == HOST
                && let Some(free) = fields.hosts.iter_mut().find(|host| host.is_none())
            {
                *free = Some(value);
            }
            fields.browser |= OF_BROWSERS.contains(name);
            fields.proxy |= OF_PROXIES.contains(name);
        }
        fields
    }

    /// The `Host` field, if there is exactly one.
    pub fn only_host(&self) -> Option<&'a HeaderValue> {
        self.hosts[0].filter(|_| self.hosts[1].is_none())
    }
}
