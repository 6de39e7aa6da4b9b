//! A small dialect, added as CONTRIBUTING says: everything that iterates over the declarations finds it.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::Request;
use axum::routing::post;
use latchd::config::{Config, Inputs};
use latchd::domain::{Acquire, Dialect, Name};
use latchd::engine::Engine;
use latchd::http::catalog::{Catalog, GrpcService, HoldDialect};
use latchd::http::declaration::Routes;
use latchd::http::endpoint::{Chapter, Documentation};
use latchd::http::{App, AppState, Declaration};
use latchd::server::{compose, openapi_json, router};
use latchd::telemetry::Metrics;
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet, ServiceDescriptorProto};
use std::sync::LazyLock;
use tower::ServiceExt as _;

static DOCUMENTATION: Documentation = Documentation {
    chapter: Chapter::Predecessor,
    tag: "Tiny",
    about: "A dialect of one word.",
    endpoints: || routes().into_endpoints(),
    schemas: |_| (),
};

static DESCRIPTORS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let service = ServiceDescriptorProto { name: Some("Tiny".to_owned()), ..ServiceDescriptorProto::default() };
    let file = FileDescriptorProto {
        name: Some("tiny.proto".to_owned()),
        package: Some("tiny".to_owned()),
        service: vec![service],
        ..FileDescriptorProto::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec()
});

/// The declaration of the dialect, under the number of one that this server then lacks.
fn tiny() -> &'static Declaration {
    let services = Box::leak(Box::new([GrpcService { name: "tiny.Tiny", descriptors: &DESCRIPTORS }]));
    Box::leak(Box::new(Declaration {
        label: "tiny",
        dialect: Some(HoldDialect {
            id: Dialect::Kufuli,
            title: "tiny dialect",
            write_key: |key, _| format!("tiny-{key}"),
        }),
        services,
        routes: |app, _| routes().with_state(AppState::clone(app)),
        documentation: Some(&DOCUMENTATION),
    }))
}

fn routes() -> Routes<AppState> {
    Routes::new().described::<__path_take>(post(take))
}

/// Take the lock
#[utoipa::path(post, path = "/tiny", responses((status = 200, description = "Taken.", body = String)))]
async fn take(State(app): State<AppState>) -> String {
    let acquire =
        Acquire { lease_ms: Some(60_000), ..Acquire::new(Name::from("tiny-lock"), Engine::new_key(), Dialect::Kufuli) };
    let granted = app.engine.acquire(acquire).await.expect("the lock is free");
    granted.delivery.delivered();
    "taken".to_owned()
}

/// The text of an answer.
async fn ask(router: &Router, method: &str, target: &str, body: impl Into<Body>) -> String {
    let request = Request::builder().method(method).uri(target).header("accept", "text/html");
    let is_grpc = target.starts_with("/grpc.");
    let request = request.header("content-type", if is_grpc { "application/grpc" } else { "text/plain" });
    let answer = router.clone().oneshot(request.body(body.into()).expect("sound")).await.expect("never fails");
    let body = to_bytes(answer.into_body(), 16 << 20).await.expect("a body");
    String::from_utf8_lossy(&body).into_owned()
}

#[tokio::test]
async fn declared_dialect_is_found_everywhere() {
    let env = vec![("LATCHD_IN_MEMORY".to_owned(), "true".to_owned())];
    let config = Config::load(Inputs { env, ..Inputs::default() }).expect("valid settings");
    let engine = Engine::start(compose::engine_options(&config, Default::default())).await.expect("started");
    let access = compose::access(&config).expect("no credentials");
    let mut declarations = router::declarations();
    declarations.retain(|declaration| declaration.label != "kufuli");
    declarations.push(tiny());
    let audit = compose::audit(&config).expect("no file");
    let app = App::new(engine.clone(), access, audit, compose::rates(&config), Catalog::of(&declarations), &config);
    let (router, labels) = router::compose(&declarations, &app, &config);
    // Router
    assert_eq!(ask(&router, "POST", "/tiny", "").await, "taken");
    // Metric labels
    let metrics = Metrics::new(labels);
    for path in ["/tiny", "/tiny.Tiny/Anything"] {
        metrics.requests.count(metrics.requests.labels.of(path), "POST", 200);
    }
    let line = r#"latchd_http_requests_total{dialect="tiny",method="POST",status_class="2xx"} 2"#;
    assert!(metrics.encode(latchd::telemetry::metrics::registry()).contains(line));
    // Status page, and the key in listings
    let page = ask(&router, "GET", "/status", "").await;
    assert!(page.contains("tiny-lock") && page.contains("tiny dialect"), "{page}");
    assert!(ask(&router, "GET", "/v1/locks?name=tiny-lock", "").await.contains(r#""key":"tiny-"#));
    // Reflection and health
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let list_services = b"\0\0\0\0\x02\x3a\0".to_vec();
    let services = ask(&router, "POST", reflection, list_services).await;
    assert!(services.contains("tiny.Tiny") && !services.contains("api.Api"), "{services}");
    let check = b"\0\0\0\0\x0b\x0a\x09tiny.Tiny".to_vec();
    assert!(!ask(&router, "POST", "/grpc.health.v1.Health/Check", check).await.is_empty(), "it is not checked");
    // OpenAPI, and the page made from it
    assert!(openapi_json(&declarations, &config).contains("\"/tiny\""));
    assert!(ask(&router, "GET", "/docs", "").await.contains("A dialect of one word."));
    engine.stop().await;
}
