//! The forms of the console: how they are read, and what shows that this visitor's own page has sent them.

use super::state::Pages;
use crate::http::{Code, Failure, header_fields};
use crate::status::Asked;
use axum::body::Body;
use axum::http::header;
use axum::http::request::Parts;

const FORM: &str = "application/x-www-form-urlencoded";
const BYTES_MAX: u64 = 16 << 10;

/// What a browser sent.
pub struct Form(String);

impl Form {
    pub fn asked(&self) -> Asked<'_> {
        Asked::of(Some(&self.0))
    }
}

/// Reads a form that was made for `whom`. No page of another site can read such a form, and none can send one in the name of
/// a visitor: `server/browser.rs` refuses it, and the cookie stays away from it.
pub async fn read(pages: &Pages, head: &Parts, body: Body, whom: &[u8]) -> Result<Form, Failure> {
    let sent = header_fields::values(&head.headers, header::CONTENT_TYPE).next().and_then(|value| value.to_str().ok());
    let kind = sent.and_then(|value| value.split(';').next()).unwrap_or_default();
    if !kind.trim().eq_ignore_ascii_case(FORM) {
        return Err(Failure::new(Code::UnsupportedMediaType, format!("the body must be {FORM}")));
    }
    let body = pages.app.message_up_to(head, body, BYTES_MAX).await?;
    let form = Form(String::from_utf8_lossy(&body).into_owned());
    if pages.logins.is_form_token(whom, &form.asked().text("form")) {
        return Ok(form);
    }
    let why = "nothing was done: this form was made for a login that has ended, because of another login in this browser or a \
               restart, or the browser keeps no cookies. Go back, load the page again, and fill it in once more";
    Err(Failure::new(Code::CrossSite, why).titled("The login of this form has ended"))
}
