//! Keeps another site's page from using a visitor's browser against the service.
//!
//! A browser says where a request comes from: `Sec-Fetch-Site` and `Sec-Fetch-Mode` (Fetch Metadata), `Origin`, and on
//! plain HTTP at least `Referer` and `Upgrade-Insecure-Requests`. Programs send none of them. While nobody needs a
//! credential, a name that is not this service's own is refused as well, because a page may have its own name point
//! here (DNS rebinding).

use std::net::IpAddr;
use std::sync::OnceLock;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};

use super::fields::{Fields, SEC_FETCH_MODE, SEC_FETCH_SITE};
use crate::config::Config;
use crate::http::{Code, Failure};

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The only path that changes something for a GET: DoubleDutch's, whose clients cannot ask otherwise.
const TAKES_ON_GET: &str = "/getlock";

/// Below it are the console's pages, whose forms browsers post as pages. The forms carry tokens, too.
const CONSOLE: &str = "/ui/";

/// Longer ones are checked at each request.
const HOST_BYTES_MAX: usize = 255;

/// What every answer tells a browser: not to guess types, and to show the answer to no other site.
pub const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");
pub const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
const ONE_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// The rules of one listener. By default any name of the service will do.
#[derive(Default)]
pub struct BrowserGuard {
    /// Names by which clients may reach the service; `None` where a credential is needed anyway.
    hosts: Option<Vec<String>>,
    /// TLS is ours, with a certificate that browsers may come to insist on.
    strict_transport: bool,
}

impl BrowserGuard {
    pub fn new(config: &Config) -> BrowserGuard {
        let hosts = || config.server.hosts.iter().chain(config.listen.iter().map(|url| &url.host));
        BrowserGuard {
            hosts: (!config.has_credentials()).then(|| hosts().map(|host| host.to_ascii_lowercase()).collect()),
            strict_transport: config.tls.pair().is_some(),
        }
    }

    /// Whether the request may go on. `proxied`: what it says of the host that a proxy was asked for is believed.
    /// `checked`: a host that passed before, on the same connection.
    pub fn check<B>(
        &self,
        request: &Request<B>,
        fields: &Fields<'_>,
        proxied: bool,
        checked: &OnceLock<HeaderValue>,
    ) -> Result<(), Failure> {
        let from_browser = fields.browser && changes_something(request.method(), request.uri().path());
        let in_header = fields.only_host().filter(|_| request.uri().authority().is_none());
        if !from_browser && in_header.is_some() && in_header == checked.get() {
            return Ok(());
        }
        let host = host_of(request.uri(), fields, request.version())?;
        if let (Some(host), Some(hosts)) = (&host, &self.hosts) {
            knows(hosts, host)?;
        }
        // Later requests of the connection name the same host, as a rule. A copy: the field itself keeps the whole head.
        let copy =
            in_header.filter(|host| host.len() <= HOST_BYTES_MAX).map(|host| HeaderValue::from_bytes(host.as_bytes()));
        if let Some(Ok(copy)) = copy {
            checked.get_or_init(|| copy);
        }
        if !from_browser {
            return Ok(());
        }
        let asked = request.headers().get(FORWARDED_HOST).filter(|_| proxied).and_then(authority).or(host);
        from_own_page(request.headers(), asked.as_ref(), request.uri().path().starts_with(CONSOLE))
    }

    /// What browsers are asked to do on later connections. `https`: the connection is TLS that ends here.
    pub fn strict_transport(&self, https: bool) -> Option<HeaderValue> {
        (https && self.strict_transport).then_some(ONE_YEAR)
    }
}

/// The one host that the request is for. HTTP/1.0 may leave it out.
fn host_of(uri: &Uri, fields: &Fields<'_>, version: Version) -> Result<Option<Authority>, Failure> {
    let bad = |detail: &'static str| Err(Failure::new(Code::BadHost, detail));
    if !matches!(uri.scheme_str(), None | Some("http" | "https")) {
        return bad("the request is for another scheme: send it to http:// or https://");
    }
    let in_header = match fields.hosts {
        [Some(line), None] => match authority(line) {
            Some(host) => Some(host),
            None => return bad("the Host header must be a name or an address, with a port if it is not the usual one"),
        },
        [None, _] => None,
        [Some(_), Some(_)] => return bad("the request has more than one Host header"),
    };
    match (uri.authority(), in_header) {
        (Some(target), Some(host)) if version == Version::HTTP_2 && *target != host => {
            bad(":authority and Host differ")
        }
        (Some(target), _) if target.as_str().contains('@') => bad("the target must not name a user"),
        (Some(target), _) => Ok(Some(target.clone())),
        (None, Some(host)) => Ok(Some(host)),
        (None, None) if version <= Version::HTTP_10 => Ok(None),
        (None, None) => bad("the request has no Host header"),
    }
}

fn authority(line: &HeaderValue) -> Option<Authority> {
    let text = line.to_str().ok()?;
    let host: Authority = text.trim().parse().ok()?;
    (!host.as_str().contains('@') && !host.host().is_empty()).then_some(host)
}

/// No attacker can point addresses, `localhost` and names without a dot elsewhere.
fn knows(hosts: &[String], host: &Authority) -> Result<(), Failure> {
    let name = host.host().trim_end_matches('.').to_ascii_lowercase();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let is_ours =
        bare.parse::<IpAddr>().is_ok() || !name.contains('.') || name.ends_with(".localhost") || hosts.contains(&name);
    if is_ours {
        return Ok(());
    }
    let detail = format!(
        "{name:?} is not known as a name of this service, which anybody may use: add it to server.hosts, or configure \
         a credential"
    );
    Err(Failure { field: Some("host"), ..Failure::new(Code::UnknownHost, detail) })
}

fn changes_something(method: &Method, path: &str) -> bool {
    let only_reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    !only_reads || (*method == Method::GET && path == TAKES_ON_GET)
}

/// Whether no page but the service's own can have sent this. `is_form`: its forms may.
fn from_own_page(headers: &HeaderMap, host: Option<&Authority>, is_form: bool) -> Result<(), Failure> {
    let says =
        |name: HeaderName, value: &str| headers.get(name).is_some_and(|line| line.as_bytes() == value.as_bytes());
    let refused = |why: &str| {
        let detail = format!("a browser sent this {why}, and only this service's own pages may change anything");
        Err(Failure::new(Code::CrossSite, detail))
    };
    if says(SEC_FETCH_SITE, "cross-site") || says(SEC_FETCH_SITE, "same-site") {
        return refused("for a page of another site");
    }
    let as_page = says(SEC_FETCH_MODE, "navigate") || headers.contains_key(header::UPGRADE_INSECURE_REQUESTS);
    if as_page && !is_form {
        return refused("to show it as a page");
    }
    let foreign = |name| headers.get_all(name).iter().any(|line| !is_of(line, host));
    if foreign(header::ORIGIN) || foreign(header::REFERER) {
        return refused("for a page of another origin");
    }
    // Every browser names the origin of a form that it posts.
    if as_page && !headers.contains_key(header::ORIGIN) {
        return refused("without saying for which page");
    }
    Ok(())
}

/// Whether an origin (or the address of a page) is at this host and port.
fn is_of(origin: &HeaderValue, host: Option<&Authority>) -> bool {
    let parsed = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
    let (Some(origin), Some(host)) = (parsed, host) else { return false };
    let usual = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let named = origin.host().unwrap_or_default().eq_ignore_ascii_case(host.host());
    named && origin.port_u16().unwrap_or(usual) == host.port_u16().unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;

    #[test]
    fn checked_host_does_not_keep_the_head() {
        let head = Bytes::from("locks.example".repeat(1_000));
        let host = HeaderValue::from_maybe_shared(head.slice(..13)).expect("a host");
        let request = Request::builder().uri("/livez").header(header::HOST, &host).body(()).expect("a request");
        let checked = OnceLock::new();
        let fields = Fields::of(request.headers());
        assert!(BrowserGuard::default().check(&request, &fields, false, &checked).is_ok());
        assert_eq!(checked.get(), Some(&host));
        drop((fields.hosts, host));
        drop(request);
        assert!(head.try_into_mut().is_ok(), "nothing else holds the head");
    }
}
