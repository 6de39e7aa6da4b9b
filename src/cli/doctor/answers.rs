//! Why a node did not answer a question, and what to do about it.

use super::finding::Finding;
use crate::cli::connect::explain;
use crate::client::ClientError;

/// No answer, or a refusal.
pub struct Unanswered {
    /// A sentence.
    why: String,
    fault: Fault,
}

/// On whose side it lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Service,
    /// The credential that was shown opens nothing.
    Credential,
    /// What is set about the connection.
    Settings,
}

impl From<ClientError> for Unanswered {
    fn from(error: ClientError) -> Unanswered {
        let fault = match error.code().as_deref() {
            Some("credential-wrong" | "credential-expired" | "identity-token-refused") => Fault::Credential,
            _ if error.is_misconfigured() => Fault::Settings,
            _ => Fault::Service,
        };
        Unanswered { why: explain(error).message, fault }
    }
}

impl Unanswered {
    #[cfg(test)]
    pub fn of_service(why: &str) -> Unanswered {
        Unanswered { why: why.to_owned(), fault: Fault::Service }
    }

    pub fn refuses_credential(&self) -> bool {
        self.fault == Fault::Credential
    }

    /// About the question whether the node is ready, for which no credential is needed.
    pub fn of_ready(&self, url: &str) -> Finding {
        let (check, why) = (format!("{url} ready"), &self.why);
        match self.fault {
            Fault::Settings => Finding::error(check, format!("it cannot be asked: {why}"), SETTINGS),
            Fault::Service | Fault::Credential => Finding::error(
                check,
                format!("it is not ready: {why}"),
                "look at its log; without any answer, start it or correct the URL (--url, LATCHD_URL)",
            ),
        }
    }

    /// About another question; `advice` is for a credential with too few rights, or for none.
    pub fn finding(&self, url: &str, what: &str, advice: &str) -> Finding {
        let why = self.why.as_str();
        match self.fault {
            Fault::Service => Finding::unknown(format!("{url} {what}"), why, advice),
            Fault::Credential => Finding::error(format!("{url} credential"), why, CREDENTIAL),
            Fault::Settings => Finding::unknown(format!("{url} {what}"), why, SETTINGS),
        }
    }
}

const CREDENTIAL: &str = "give one that the service knows (--api-key-file or LATCHD_API_KEY, --password-file or LATCHD_PASSWORD, or \
    the same in ~/.config/latchd.toml); `latchd keys list` shows the keys of a keys file and their ends";
const SETTINGS: &str = "correct the settings of the connection: the URL (--url, LATCHD_URL), the authority of its certificate (--ca, \
    LATCHD_CA, or `ca` in ~/.config/latchd.toml), and what it is shown (--client-cert, --client-key)";

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;
    use reqwest::StatusCode;

    fn refused(code: &str) -> Unanswered {
        let body = serde_json::json!({"type": format!("/docs/errors#{code}"), "code": code, "detail": "it is so"});
        let (url, status) = ("http://n1/v1/cluster".to_owned(), StatusCode::UNAUTHORIZED);
        ClientError::Refused { url, status, body: body.to_string(), retry_after: None }.into()
    }

    #[test]
    fn wrong_credential_is_an_error_and_a_missing_one_leaves_the_question_open() {
        for code in ["credential-wrong", "credential-expired", "identity-token-refused"] {
            let found = refused(code).finding("http://n1", "metrics", "another");
            assert_eq!((found.level, &*found.check), (Level::Error, "http://n1 credential"), "{code}");
            assert!(
                found.finding.contains("it is so (401)") && found.advice.is_some_and(|do_it| do_it.contains("KEY"))
            );
        }
        let found = refused("credential-missing").finding("http://n1", "metrics", "another");
        assert_eq!((found.level, &*found.check), (Level::Unknown, "http://n1 metrics"));
        assert_eq!(found.advice.as_deref(), Some("another"));
    }

    #[test]
    fn settings_at_fault_are_told_where_to_correct() {
        let bad = || Unanswered::from(ClientError::BadUrl("x".to_owned()));
        let found = [bad().of_ready("x"), bad().finding("x", "cluster", "another")];
        assert_eq!(found.each_ref().map(|one| one.level), [Level::Error, Level::Unknown]);
        assert!(found.iter().all(|one| one.advice.as_deref() == Some(SETTINGS)) && SETTINGS.contains("--ca"));
    }
}
