//! What a certificate says of itself: whose it is, what it is for, from when on, and when it ends.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName};

use crate::access::CertificateName;

const ANY_USE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
const SERVER_USE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_USE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

/// One certificate of a PEM file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Described {
    pub subject: String,
    /// Seconds since 1970.
    pub not_before: u64,
    pub not_after: u64,
    pub uses: Uses,
    /// Host names and addresses.
    pub names: Vec<String>,
}

/// What a certificate may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uses {
    /// It says that it is an authority's.
    pub authority: bool,
    pub server: bool,
    pub client: bool,
}

/// The certificates of a PEM text, as far as they can be read: rustls reads them too, and is the one that judges.
pub fn described(pem: &[u8]) -> Vec<Described> {
    CertificateDer::pem_slice_iter(pem).filter_map(|der| describe(&der.ok()?)).collect()
}

/// One certificate; `None` if it cannot be read.
pub fn describe(der: &CertificateDer<'_>) -> Option<Described> {
    let certificate = Certificate::from_der(der).ok()?;
    let inner = certificate.tbs_certificate();
    let names = inner.get_extension::<SubjectAltName>().ok().flatten().map(|(_, names)| names.0).unwrap_or_default();
    Some(Described {
        subject: inner.subject().to_string(),
        not_before: inner.validity().not_before.to_unix_duration().as_secs(),
        not_after: inner.validity().not_after.to_unix_duration().as_secs(),
        names: names.iter().filter_map(host).collect(),
        uses: uses(&certificate),
    })
}

/// Without a word about it, a certificate is for servers and clients.
fn uses(certificate: &Certificate) -> Uses {
    let inner = certificate.tbs_certificate();
    let told = inner.get_extension::<ExtendedKeyUsage>().ok().flatten();
    let is_for = |use_: ObjectIdentifier| {
        told.as_ref().is_none_or(|(_, told)| told.0.iter().any(|one| *one == use_ || *one == ANY_USE))
    };
    let constraints = inner.get_extension::<BasicConstraints>().ok().flatten();
    let authority = constraints.is_some_and(|(_, constraints)| constraints.ca);
    Uses { authority, server: is_for(SERVER_USE), client: is_for(CLIENT_USE) }
}

/// The names of a client's certificate, and when it ends, in seconds since 1970.
pub fn client_names(der: &CertificateDer<'_>) -> Option<(Vec<CertificateName>, u64)> {
    let certificate = Certificate::from_der(der).ok()?;
    let inner = certificate.tbs_certificate();
    // One that cannot be read is as good as none, and does not count half.
    let alternative = inner.get_extension::<SubjectAltName>().ok()?.map(|(_, names)| names.0).unwrap_or_default();
    let mut names: Vec<_> = alternative.iter().filter_map(certificate_name).collect();
    names.push(CertificateName::Subject(inner.subject().to_string()));
    Some((names, inner.validity().not_after.to_unix_duration().as_secs()))
}

fn certificate_name(name: &GeneralName) -> Option<CertificateName> {
    match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(CertificateName::Uri(uri.to_string())),
        GeneralName::Rfc822Name(email) => Some(CertificateName::Email(email.to_string())),
        GeneralName::DnsName(name) => Some(CertificateName::Dns(name.to_string().to_ascii_lowercase())),
        GeneralName::IpAddress(_) => host(name)?.parse().ok().map(CertificateName::Ip),
        _ => None,
    }
}

fn host(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let v4 = || <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from);
            v4().or_else(v6).map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_is_described_without_other_pem_blocks() {
        let names = ["node-2.example", "10.0.0.2", "::1"].map(str::to_owned);
        let mut params = rcgen::CertificateParams::new(names.to_vec()).expect("names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "latchd node 2");
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2033, 5, 18);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let key = rcgen::KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        let one = Described {
            subject: "CN=latchd node 2".to_owned(),
            not_before: 1_577_836_800,
            not_after: 1_999_987_200,
            uses: Uses { authority: false, server: true, client: false },
            names: names.into(),
        };
        assert_eq!(described(format!("{pem}{pem}").as_bytes()), [one.clone(), one]);
        assert_eq!(described(key.serialize_pem().as_bytes()), []);
        assert_eq!(described(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), []);
    }
}
