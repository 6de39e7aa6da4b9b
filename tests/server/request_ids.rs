//! `x-request-id`: in every answer, in problems, and the client's own where it is fit.

use axum::Router;
use axum::routing::get;
use latchd::http::code::Code;
use latchd::http::failure::Failure;
use latchd::http::problem::problem;

use super::raw::Answer;
use super::rig::Rig;

fn router() -> Router {
    let fails = || async { problem(&Failure::new(Code::Overloaded, "busy")) };
    Router::new().route("/", get(|| async {})).route("/fails", get(fails)).route("/panics", get(panics))
}

async fn panics() -> &'static str {
    panic!("planted")
}

async fn asked(rig: &Rig, path: &str, header: &str) -> Answer {
    let mut connection = rig.plain().await;
    connection.send(format!("GET {path} HTTP/1.1\r\nhost: t\r\n{header}\r\n")).await;
    connection.answer().await
}

fn id(answer: &Answer) -> String {
    let mut ids = answer.head.lines().filter_map(|line| line.strip_prefix("x-request-id: "));
    let id = ids.next().unwrap_or_else(|| panic!("no id in {}", answer.head)).to_owned();
    assert_eq!(ids.next(), None);
    id
}

#[tokio::test]
async fn fit_request_id_comes_back_and_others_are_replaced() {
    let rig = Rig::start(router(), &[]);
    assert_eq!(id(&asked(&rig, "/", "x-request-id: client-7\r\n").await), "client-7");
    let (made, other) = (id(&asked(&rig, "/", "").await), id(&asked(&rig, "/", "").await));
    assert_eq!(made.len(), 32);
    assert_ne!(made, other);
    for unfit in [format!("x-request-id: {}\r\n", "x".repeat(129)), "x-request-id: {\"a\"}\r\n".to_owned()] {
        assert_eq!(id(&asked(&rig, "/", &unfit).await).len(), 32, "{unfit}");
    }
}

#[tokio::test]
async fn problems_panics_and_refusals_name_their_request_id() {
    let rig = Rig::start(router(), &[("server.hosts", "t")]);
    for (path, header, status) in [
        ("/fails", "x-request-id: client-7\r\n", 503),
        ("/panics", "x-request-id: client-7\r\n", 500),
        ("/", "x-request-id: client-7\r\nhost: twice\r\n", 400),
    ] {
        let answer = asked(&rig, path, header).await;
        assert_eq!((answer.status, id(&answer).as_str()), (status, "client-7"), "{path}");
        let problem: serde_json::Value = serde_json::from_str(&answer.body).expect("a problem");
        assert_eq!(problem["request_id"], "client-7", "{path}");
    }
}
