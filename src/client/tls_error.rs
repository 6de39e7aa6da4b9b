//! What went wrong in a handshake, and whether it can go better the next time.

use std::error::Error as _;

use rustls::{AlertDescription, CertificateError, Error};

/// Whether no further attempt can end otherwise while neither side is set up otherwise.
pub(super) fn is_permanent(error: &reqwest::Error) -> bool {
    use AlertDescription as Alert;
    match of(error) {
        Some(
            Error::InvalidCertificate(_)
            | Error::NoCertificatesPresented
            | Error::UnsupportedNameType
            | Error::PeerIncompatible(_)
            | Error::InvalidMessage(_),
        ) => true,
        Some(Error::AlertReceived(alert)) => matches!(
            alert,
            Alert::HandshakeFailure
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::CertificateRequired
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::ProtocolVersion
                | Alert::InsufficientSecurity
                | Alert::UnrecognisedName
                | Alert::NoApplicationProtocol
        ),
        _ => false,
    }
}

/// What to do about it, to stand behind the error's own words.
pub(super) fn advice(error: &reqwest::Error) -> &'static str {
    match of(error) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_))) => {
            "; name its authority, or the very certificate, with --ca or LATCHD_CA"
        }
        Some(Error::InvalidMessage(_)) => "; does it listen with https?",
        Some(Error::AlertReceived(AlertDescription::CertificateRequired)) => "; it asks for a client certificate",
        _ => "",
    }
}

fn of(error: &reqwest::Error) -> Option<&Error> {
    let mut cause = error.source()?;
    loop {
        if let Some(tls) = cause.downcast_ref::<Error>() {
            return Some(tls);
        }
        // What an I/O error carries is not its source.
        let carried = cause.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref());
        cause = match carried {
            Some(carried) => carried,
            None => cause.source()?,
        };
    }
}
