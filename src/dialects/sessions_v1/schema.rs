//! Sessions v1's part of the OpenAPI document.

/// Sessions v1's part of the OpenAPI document.
#[derive(utoipa::OpenApi)]
#[openapi()]
pub struct Doc;
