//! An authority for the traffic between nodes, and a pair for each node, as `latchd certs init` would make them.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes one and writes its certificate to `folder`.
    pub fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("a folder for certificates can be made");
        let mut params = CertificateParams::new(Vec::new()).expect("no name is a valid list of names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("a certificate can be signed");
        std::fs::write(folder.join("ca.pem"), certificate.pem()).expect("a certificate can be written");
        Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) }
    }

    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Makes the pair of one node, for its address: certificate and key.
    pub fn pair(&self, node: u64, address: IpAddr) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("localhost is a name");
        params.subject_alt_names.push(SanType::IpAddress(address));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate can be signed");
        let files = (self.folder.join(format!("node{node}.pem")), self.folder.join(format!("node{node}-key.pem")));
        std::fs::write(&files.0, certificate.pem()).expect("a certificate can be written");
        std::fs::write(&files.1, key.serialize_pem()).expect("a key can be written");
        files
    }
}
