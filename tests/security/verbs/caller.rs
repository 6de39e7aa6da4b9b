//! Those who ask for the verbs.

use crate::security::client_certificates::{Authority, shows};
use crate::security::rights::with;
use crate::support::client::Client;
use crate::support::grpc::{GrpcClient, refusal};
use crate::support::http::Response;
use crate::support::process::Server;
use latchd::dialects::lockd::proto::{LockName, LockState};
use serde_json::Value;
use tonic::Code;

/// Somebody with a secret, over HTTP and gRPC.
pub struct Caller {
    pub http: Client,
    pub grpc: GrpcClient,
}

impl Caller {
    pub fn new(server: &Server, secret: Option<&str>) -> Caller {
        match secret {
            Some(secret) => Caller {
                http: with(server, secret),
                grpc: GrpcClient::plain(server).with_metadata("x-api-key", secret),
            },
            None => Caller { http: Client::plain(server), grpc: GrpcClient::plain(server) },
        }
    }

    /// Somebody whose certificate is of the right authority, and is mapped to nobody.
    pub fn unmapped(server: &Server, authority: &Authority) -> Caller {
        let (cert, key) = authority.pair("nobody", &["URI:spiffe://prod/nobody"]);
        let http = Client::with_certificate(server, shows(&cert, &key));
        let grpc = GrpcClient::with_certificate(server, &cert.pem(), &key.serialize_pem());
        let asked = LockName { name: "part/any".into() };
        let (code, _) = refusal(grpc.call::<_, LockState>("/lockapi.Locking/IsLocked", asked));
        assert_eq!(code, Code::Unauthenticated, "the connection is good, and its certificate says nothing");
        Caller { http, grpc }
    }

    /// Whether a request was served.
    pub fn asks(&mut self, method: &str, target: &str, body: &Value) -> bool {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        is_done(&self.http.send(method, target, body.as_bytes()))
    }

    pub fn in_session(&mut self, cookie: &str) -> &mut Caller {
        self.http.set_cookie("ldlm-session", cookie);
        self
    }
}

/// A status below 400, and no word of a failure in the answer.
fn is_done(answer: &Response) -> bool {
    let text = answer.text();
    let says_no = [r#""locked":false"#, r#""unlocked":false"#, r#""lockacquired":false"#, r#""lockreleased":false"#];
    answer.status < 400 && !says_no.iter().any(|no| text.replace(' ', "").contains(no))
}
