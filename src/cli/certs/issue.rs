//! Makes the certificates of an authority and of nodes.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::UnixTime;

const YEAR: Duration = Duration::from_secs(365 * 86_400);
pub const CA_YEARS: u32 = 10;
pub const NODE_YEARS: u32 = 2;
/// The clock of a peer may be slow.
const DAY: Duration = Duration::from_secs(86_400);

pub type Authority = Issuer<'static, KeyPair>;

/// A certificate and its key, as PEM.
pub struct Pair {
    pub cert: String,
    pub key: String,
}

pub fn new_authority() -> Result<(Authority, Pair), rcgen::Error> {
    let key = KeyPair::generate()?;
    let params = authority_params();
    let pair = Pair { cert: params.self_signed(&key)?.pem(), key: key.serialize_pem() };
    Ok((Issuer::new(params, key), pair))
}

/// An issuer needs only its name and its key, not its certificate.
pub fn authority_of(key: KeyPair) -> Authority {
    Issuer::new(authority_params(), key)
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "latchd peer authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, CA_YEARS);
    params
}

/// A pair for both directions of the traffic between nodes.
pub fn node_pair(authority: &Authority, id: u64, hosts: &[String]) -> Result<Pair, rcgen::Error> {
    let mut names = hosts.to_vec();
    names.extend(HERE.map(str::to_owned).into_iter().filter(|name| !hosts.contains(name)));
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, format!("latchd node {id}"));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, NODE_YEARS);
    let key = KeyPair::generate()?;
    Ok(Pair { cert: params.signed_by(&key, authority)?.pem(), key: key.serialize_pem() })
}

/// The names of this machine, which are in every pair.
pub const HERE: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

fn set_validity(params: &mut CertificateParams, years: u32) {
    // The wall clock is used for certificates only, never for locks.
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(UnixTime::now().as_secs());
    params.not_before = now - DAY;
    params.not_after = now + YEAR * years;
}
