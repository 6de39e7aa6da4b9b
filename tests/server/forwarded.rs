//! Whom a handler sees: the peer, or what a trusted proxy says.

use std::net::IpAddr;

use axum::routing::get;
use axum::{Extension, Router};
use latchd::http::connection::ClientInfo;

use super::rig::Rig;

async fn seen(settings: &[(&str, &str)], headers: &str) -> String {
    let tell =
        |Extension(peer): Extension<ClientInfo>| async move { format!("{} {}", peer.client.ip, peer.client.https) };
    let rig = Rig::start(Router::new().route("/", get(tell)), settings);
    let mut plain = rig.plain().await;
    plain.send(format!("GET / HTTP/1.1\r\nhost: t\r\n{headers}\r\n")).await;
    let mut tls = rig.tls().await;
    tls.send(format!("GET / HTTP/1.1\r\nhost: t\r\n{headers}\r\n")).await;
    format!("{} | {}", plain.answer().await.body, tls.answer().await.body)
}

const HEADERS: &str = "x-forwarded-for: 6.6.6.6, 192.0.2.7\r\nx-forwarded-proto: https\r\n";

#[tokio::test]
async fn headers_of_strangers_are_ignored() {
    assert_eq!(seen(&[], HEADERS).await, "127.0.0.1 false | 127.0.0.1 true");
    let others = [("server.trusted_proxies", "10.0.0.0/8"), ("access.allow_anonymous", "true")];
    assert_eq!(seen(&others, HEADERS).await, "127.0.0.1 false | 127.0.0.1 true");
}

#[tokio::test]
async fn trusted_proxy_names_the_client() {
    let trusted = [("server.trusted_proxies", "10.0.0.0/8, 127.0.0.1"), ("access.allow_anonymous", "true")];
    assert_eq!(seen(&trusted, HEADERS).await, "192.0.2.7 true | 192.0.2.7 true");
    assert_eq!(seen(&trusted, "").await, "127.0.0.1 false | 127.0.0.1 true");
    let malformed = "x-forwarded-for: 192.0.2.7, banana\r\n";
    let ip: IpAddr = [127, 0, 0, 1].into();
    assert_eq!(seen(&trusted, malformed).await, format!("{ip} false | {ip} true"));
}
