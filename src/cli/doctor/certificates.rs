//! The files with certificates and keys: whether they go together, when they end, and who can read them.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::finding::{Finding, Level};
use crate::config::tls::ClientAuth;
use crate::config::{Config, Warning};
use crate::server::inspection::{self, Described, Files, Tls, TlsError};

const PEER_CERT: &str = "cluster.peer_cert";

/// What was read of a file with certificates, by its configuration key.
pub type Pem = (&'static str, Vec<u8>);

/// The certificates of the listeners and of the other nodes, at this time and for this user.
pub fn check(config: &Config, now: u64, user: u32) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    match listeners(config) {
        Some(Ok(files)) => findings.extend(files.into_iter().flat_map(|file| of_file(file, now))),
        Some(Err(finding)) => findings.push(finding),
        None => {}
    }
    findings.extend(of_nodes(config, now));
    findings.extend(inspection::key_file_warnings(config, user).into_iter().map(|warning| {
        let (check, what) = warning.what.split_once(": ").unwrap_or(("tls.key", &warning.what));
        Finding::warn(check, what, warning.advice.clone())
    }));
    findings
}

/// The files behind the listeners with TLS; `None` if there are none.
fn listeners(config: &Config) -> Option<Result<Vec<Pem>, Finding>> {
    if !config.listen.iter().any(|url| url.scheme.is_tls()) {
        return None;
    }
    let is_made_here = config.tls.pair().is_none();
    Some(match Tls::check(&config.tls) {
        Err(TlsError::Unreadable { reason, .. }) if is_made_here && reason.kind() == std::io::ErrorKind::NotFound => {
            Err(Finding::ok("tls.dev_dir", "there is no certificate yet: a start makes a development pair"))
        }
        checked => checked.map_err(|error| {
            let key = config.tls.pair().map(|(_, key)| ("tls.key", key));
            let authorities = config.tls.client_ca().map(|path| ("tls.client_ca", path));
            let others = [key, authorities].into_iter().flatten();
            unusable(if is_made_here { "tls.dev_dir" } else { "tls.cert" }, others, error)
        }),
    })
}

/// The first certificate that the configured files would serve.
pub fn configured(config: &Config) -> Option<CertificateDer<'static>> {
    let files = Tls::check(&config.tls).ok()?;
    CertificateDer::from_pem_slice(&files.first()?.1).ok()
}

/// The file that clients of this machine may trust: that of the listeners.
pub fn trusted_file(config: &Config) -> Option<std::path::PathBuf> {
    match config.tls.pair() {
        Some((cert, _)) => Some(cert.to_owned()),
        None => Some(config.tls.dev_dir.join("dev-cert.pem")).filter(|path| path.exists()),
    }
}

fn of_nodes(config: &Config, now: u64) -> Vec<Finding> {
    let Some(files) = config.cluster.tls().filter(|_| config.cluster.peer_listen.is_some()) else { return Vec::new() };
    let (authority, key) = (files.ca.clone(), files.key.clone());
    let files = Files {
        cert: files.cert,
        key: files.key,
        client_ca: Some(authority.clone()),
        client_auth: ClientAuth::Required,
    };
    let refusal = inspection::refusal_of_own(&files);
    match (inspection::check_files(PEER_CERT, files), refusal) {
        (Err(error), _) | (_, Err(error)) => {
            let others = [("cluster.peer_key", &*key), ("cluster.peer_ca", &*authority)];
            vec![unusable(PEER_CERT, others, error)]
        }
        (Ok(found), Ok(refusal)) => {
            let renamed =
                found.into_iter().map(|(key, pem)| (if key == "tls.client_ca" { "cluster.peer_ca" } else { key }, pem));
            renamed.flat_map(|file| of_file(file, now)).chain(refusal.map(not_of_the_cluster)).collect()
        }
    }
}

fn not_of_the_cluster(why: String) -> Finding {
    let what = format!("the authorities in cluster.peer_ca do not accept it ({why}): other nodes refuse this one");
    Finding::error(PEER_CERT, what, "`latchd certs renew` makes one of their authority; see docs/certificates.md")
}

fn of_file((key, pem): Pem, now: u64) -> Vec<Finding> {
    judge(key, key, inspection::described(&pem), now)
}

/// What is wrong with a chain, or when it ends.
pub fn judge(check: &str, key: &'static str, chain: Vec<Described>, now: u64) -> Vec<Finding> {
    let is_over = |one: &Described| one.not_after <= now || one.not_before > now;
    let level = if chain.iter().any(is_over) { Level::Error } else { Level::Warn };
    let first_end = chain.iter().map(|one| one.not_after).min();
    let warnings = inspection::warnings(key, chain, now);
    match (warnings.is_empty(), first_end) {
        (false, _) => {
            let finding = |Warning { what, advice }: Warning| Finding::new(level, check, what, advice);
            warnings.into_iter().map(finding).collect()
        }
        (true, Some(end)) => vec![Finding::ok(check, format!("valid until {}", inspection::rfc3339(end)))],
        (true, None) => {
            vec![Finding::unknown(check, "the certificate cannot be read", "look at it with `openssl x509`")]
        }
    }
}

/// `others` are the files besides that of `check`, by their configuration keys.
fn unusable<'a>(check: &'a str, others: impl IntoIterator<Item = (&'a str, &'a Path)>, error: TlsError) -> Finding {
    let (TlsError::Unreadable { path, .. } | TlsError::Unusable { path, .. } | TlsError::Unwritable { path, .. }) =
        &error;
    let check = others.into_iter().find(|(_, other)| other == path).map_or(check, |(key, _)| key);
    let text = error.to_string();
    let text = text.strip_prefix("tls: ").unwrap_or(&text);
    match &error {
        TlsError::Unreadable { path, reason } => unreadable(check, path, reason),
        _ => Finding::error(check, text, "replace the file: certificate and key are PEM and belong together"),
    }
}

/// A file that is missing, or that this user may not read.
pub fn unreadable(check: &str, path: &Path, reason: &std::io::Error) -> Finding {
    let path = path.display();
    match reason.kind() {
        std::io::ErrorKind::PermissionDenied => Finding::unknown(
            check,
            format!("{path} cannot be read by this user ({reason})"),
            "run this as the user of the service, or as root",
        ),
        _ => Finding::error(
            check,
            format!("{path} cannot be read ({reason})"),
            format!("set {check} to a file that exists"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn chain(now: u64, from: i64, days: i64) -> Vec<Described> {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
        let at = |offset: i64| {
            let seconds = u64::try_from(i64::try_from(now).expect("small") + offset * 86_400).expect("after 1970");
            rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds)
        };
        (params.not_before, params.not_after) = (at(from), at(days));
        let key = rcgen::KeyPair::generate().expect("a key");
        inspection::described(params.self_signed(&key).expect("signed").pem().as_bytes())
    }

    #[test]
    fn certificates_end_decides_the_level() {
        let now = 1_900_000_000 / DAY * DAY;
        for (from, days, level) in
            [(-9, 400, Level::Ok), (-9, 10, Level::Warn), (-9, -1, Level::Error), (1, 400, Level::Error)]
        {
            let found = judge("tls.cert", "tls.cert", chain(now, from, days), now);
            assert_eq!(found.iter().map(|finding| finding.level).max(), Some(level), "{found:?}");
        }
        assert_eq!(judge("tls.cert", "tls.cert", Vec::new(), now)[0].level, Level::Unknown);
    }

    fn authority() -> rcgen::CertifiedIssuer<'static, rcgen::KeyPair> {
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().expect("a key")).expect("signed")
    }

    #[test]
    fn certificate_of_another_authority_is_told_before_the_nodes_refuse_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        let (ours, foreign) = (authority(), authority());
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("names");
        write("node.pem", &params.signed_by(&key, &ours).expect("signed").pem());
        write("node.key", &key.serialize_pem());
        let variable = |name: &str, value: &str| (format!("LATCHD_CLUSTER_PEER_{name}"), value.to_owned());
        let file = |name: &str| folder.path().join(name).display().to_string();
        let env = vec![
            variable("LISTEN", "https://127.0.0.1:9443"),
            variable("CA", &file("ca.pem")),
            variable("CERT", &file("node.pem")),
            variable("KEY", &file("node.key")),
        ];
        let found = |authority: &str| {
            write("ca.pem", authority);
            let config = Config::read(crate::config::Inputs { env: env.clone(), ..Default::default() });
            of_nodes(&config.expect("a configuration"), inspection::unix_time().as_secs())
        };
        let good = found(&ours.pem());
        assert!(good.iter().all(|one| one.level == Level::Ok), "{good:?}");
        assert_eq!(good.iter().map(|one| &*one.check).collect::<Vec<_>>(), [PEER_CERT, "cluster.peer_ca"]);
        let bad = found(&foreign.pem());
        let last = bad.last().expect("a finding");
        assert!(last.level == Level::Error && last.finding.contains("other nodes refuse this one"), "{bad:?}");
        assert!(found("no PEM")[0].finding.contains("ca.pem"));
    }
}
