//! The self-signed development pair: made on the first start, kept while it is valid.

use std::fs::File;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustix::fs::{FlockOperation, flock};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::pair::TlsError;
use crate::base::named_file::{self, PEM_BYTES_MAX};
use crate::config::ListenUrl;

const CERT: &str = "dev-cert.pem";
const KEY: &str = "dev-key.pem";
const DAY: Duration = Duration::from_secs(86_400);
/// Browsers refuse certificates that live longer.
const LIFETIME: Duration = Duration::from_secs(397 * 86_400);
/// A pair with less than this left is made anew at the next start.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 86_400);

/// Where the pair of `directory` lies.
pub fn files(directory: &Path) -> (PathBuf, PathBuf) {
    (directory.join(CERT), directory.join(KEY))
}

/// The pair in `directory`, made anew when it is missing, damaged, about to expire or without a name listened on.
pub fn ensure(directory: &Path, listen: &[ListenUrl]) -> Result<(PathBuf, PathBuf), TlsError> {
    let (cert, key) = files(directory);
    let names = names(listen);
    // The wall clock judges certificates only, never a lock.
    let now = UnixTime::now();
    if !is_good(&cert, &key, &names, now) {
        let unwritable = |reason| TlsError::Unwritable { path: directory.to_owned(), reason };
        std::fs::create_dir_all(directory).map_err(unwritable)?;
        // Several processes may start in one directory at once: one of them makes the pair, the others wait for it.
        let turn = File::open(directory).map_err(unwritable)?;
        flock(&turn, FlockOperation::LockExclusive).map_err(|error| unwritable(error.into()))?;
        if !is_good(&cert, &key, &names, now) {
            renew(directory, &cert, &key, &names, now)?;
        }
    }
    Ok((cert, key))
}

fn renew(directory: &Path, cert: &Path, key: &Path, names: &[String], now: UnixTime) -> Result<(), TlsError> {
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |reason| TlsError::Unwritable { path, reason }
    };
    let made = make(names, now).map_err(|error| unwritable(cert)(io::Error::other(error.to_string())));
    let (cert_pem, key_pem) = made?;
    write(key, &key_pem, 0o600).map_err(unwritable(key))?;
    write(cert, &cert_pem, 0o644).map_err(unwritable(cert))?;
    let place = directory.display();
    tracing::warn!(
        %place,
        "no certificate is configured: made a self-signed development pair in {place}; set tls.cert and tls.key in \
         production"
    );
    Ok(())
}

/// Every name a client on this machine may use, and the addresses listened on.
fn names(listen: &[ListenUrl]) -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    for url in listen {
        let unspecified = url.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
        if !unspecified && !names.contains(&url.host) {
            names.push(url.host.clone());
        }
    }
    names
}

fn make(names: &[String], now: UnixTime) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name.push(DnType::CommonName, "latchd development certificate");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now.as_secs());
    params.not_before = now - DAY;
    params.not_after = now + LIFETIME;
    let key = KeyPair::generate()?;
    let cert = params.self_signed(&key)?;
    Ok((cert.pem(), key.serialize_pem()))
}

/// Asks the verifier that clients use, with the certificate as its own authority.
fn is_good(cert: &Path, key: &Path, names: &[String], now: UnixTime) -> bool {
    let read = |path: &Path| named_file::read(path, PEM_BYTES_MAX);
    let (Ok(cert), Ok(key)) = (read(cert), read(key)) else { return false };
    let (Ok(cert), Ok(key)) = (CertificateDer::from_pem_slice(&cert), PrivateKeyDer::from_pem_slice(&key)) else {
        return false;
    };
    let provider = Arc::new(ring::default_provider());
    let Ok(signing) = provider.key_provider.load_private_key(key) else { return false };
    let pair = rustls::sign::CertifiedKey::new(vec![cert.clone()], signing);
    let mut roots = RootCertStore::empty();
    if pair.keys_match().is_err() || roots.add(cert.clone()).is_err() {
        return false;
    }
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() else {
        return false;
    };
    let later = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + RENEW_BEFORE);
    let accepts = |name: &String, at: UnixTime| {
        ServerName::try_from(name.as_str())
            .is_ok_and(|name| verifier.verify_server_cert(&cert, &[], &name, &[], at).is_ok())
    };
    names.iter().all(|name| accepts(name, now) && accepts(name, later))
}

/// Writes beside the target and renames, so that no process reads half a file, and the key is never open to others.
fn write(path: &Path, pem: &str, mode: u32) -> io::Result<()> {
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&draft)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn listen(url: &str) -> Vec<ListenUrl> {
        vec![ListenUrl::parse(url).expect("a URL")]
    }

    #[test]
    fn development_pair_is_made_once_with_private_key() {
        let directory = tempfile::tempdir().expect("a directory");
        let home = directory.path().join("certs");
        let (cert, key) = ensure(&home, &listen("https://127.0.0.1:1")).expect("made");
        let first = std::fs::read(&cert).expect("the certificate");
        assert_eq!(std::fs::metadata(&key).expect("the key").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&home).expect("listed").count(), 2, "no draft stays");
        ensure(&home, &listen("https://0.0.0.0:2")).expect("kept");
        assert_eq!(std::fs::read(&cert).expect("the certificate"), first);
        ensure(&home, &listen("https://192.0.2.1:2")).expect("made anew for another address");
        assert_ne!(std::fs::read(&cert).expect("the certificate"), first);
    }

    #[test]
    fn concurrent_starts_share_one_pair() {
        let directory = tempfile::tempdir().expect("a directory");
        let home = directory.path().join("certs");
        let start = std::sync::Barrier::new(8);
        let begin = || {
            start.wait();
            let (cert, key) = ensure(&home, &listen("https://127.0.0.1:1")).expect("made or found");
            (std::fs::read(cert).expect("the certificate"), std::fs::read(key).expect("the key"))
        };
        let found: Vec<_> = std::thread::scope(|scope| {
            let begun: Vec<_> = (0..8).map(|_| scope.spawn(begin)).collect();
            begun.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(found.iter().all(|pair| *pair == found[0]), "some found another one");
    }

    #[test]
    fn damaged_or_mismatched_pair_is_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let home = directory.path();
        let listen = listen("https://localhost:1");
        let (cert, key) = ensure(home, &listen).expect("made");
        let good = |now| is_good(&cert, &key, &names(&listen), now);
        assert!(good(UnixTime::now()));
        let next_year = UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs()) + LIFETIME - DAY);
        assert!(!good(next_year), "about to expire");
        std::fs::write(&key, KeyPair::generate().expect("a key").serialize_pem()).expect("written");
        assert!(!good(UnixTime::now()), "another key");
        std::fs::write(&key, "junk").expect("written");
        assert!(!good(UnixTime::now()), "no key");
        ensure(home, &listen).expect("made anew");
        assert!(good(UnixTime::now()));
    }
}
