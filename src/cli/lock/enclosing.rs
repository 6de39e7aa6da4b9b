//! What a command learns of the hold that it runs under, and how a `latchd lock` below another one knows of it.

use crate::client::Hold;

const NAME: &str = "LATCHD_LOCK_NAME";
const KEY: &str = "LATCHD_LOCK_KEY";
const TOKEN: &str = "LATCHD_FENCING_TOKEN";
/// The fencing tokens of all holds around the command, the outermost first.
const TOKENS: &str = "LATCHD_FENCING_TOKENS";

/// The environment of a command that runs under this hold.
pub(super) fn variables(hold: &Hold) -> [(&'static str, String); 4] {
    let token = hold.fencing_token.to_string();
    let around: Vec<String> = tokens().iter().map(u64::to_string).chain([token.clone()]).collect();
    [(NAME, hold.name.clone()), (KEY, hold.key.clone()), (TOKEN, token), (TOKENS, around.join(","))]
}

/// The tokens of the holds that this process runs under.
pub(super) fn tokens() -> Vec<u64> {
    let texts = [TOKENS, TOKEN].map(|variable| std::env::var(variable).unwrap_or_default());
    parsed(&texts)
}

fn parsed(texts: &[String]) -> Vec<u64> {
    let mut tokens: Vec<u64> = Vec::new();
    for token in texts.iter().flat_map(|text| text.split(',')).filter_map(|token| token.trim().parse().ok()) {
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enclosing_tokens_are_parsed_without_duplicates() {
        assert_eq!(parsed(&["3,9".to_owned(), "9".to_owned()]), [3, 9]);
        assert_eq!(parsed(&[String::new(), "9".to_owned()]), [9]);
        assert_eq!(parsed(&["x,,".to_owned(), String::new()]), Vec::<u64>::new());
    }
}
