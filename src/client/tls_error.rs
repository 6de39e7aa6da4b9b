//! Errors of TLS handshakes: whether they are permanent, and what to do about them.

use std::error::Error as _;

use rustls::{AlertDescription, CertificateError, Error};

/// Whether the error lasts until one side is configured differently.
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

/// What to do about it; appended to the error.
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
        // The error inside an I/O error is not its source.
        let carried = cause.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref());
        cause = match carried {
            Some(carried) => carried,
            None => cause.source()?,
        };
    }
}
