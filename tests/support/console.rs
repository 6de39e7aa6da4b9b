//! The forms of the console, as a browser without a script sends them.

use super::client::Client;
use super::http::Response;

/// The token of the first form on a page.
pub fn form_token(page: &Response) -> Option<String> {
    let text = page.text();
    let (_, rest) = text.split_once("name=\"form\" value=\"")?;
    rest.split_once('"').map(|(token, _)| token.to_owned())
}

/// Sends a form; `body` is urlencoded.
pub fn post_form(client: &mut Client, target: &str, body: &str) -> Response {
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    client.try_send_with("POST", target, &kind, body.as_bytes()).expect("an answer")
}

/// Logs a browser in, and returns the answer.
pub fn log_in(browser: &mut Client, secret: &str) -> Response {
    let token = form_token(&browser.get("/ui/login")).unwrap_or_default();
    post_form(browser, "/ui/login", &format!("form={token}&next=%2F&secret={}", secret.replace(' ', "+")))
}
