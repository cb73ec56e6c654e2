//! Whose certificates are believed, and the connector made from that.

use std::sync::Arc;

use thiserror::Error;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use tokio_rustls::rustls::{self, RootCertStore};

/// Whose certificates are believed. There is no way to believe all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsRoots {
    /// The system's own store; the bundled roots if the system has none.
    #[default]
    System,
    /// Mozilla's roots as bundled with this build.
    Bundled,
    /// Only the certificates in this PEM text: for a server with its own authority.
    Pem(Vec<u8>),
}

/// Why no TLS connector could be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The PEM text holds no usable certificate.
    #[error("the PEM text of the TLS roots holds no usable certificate: {0}")]
    Pem(String),
    /// The host can be no name in a certificate.
    #[error("`{host}` can be no name in a certificate")]
    Host {
        /// The host of the endpoint.
        host: String,
        /// Why not.
        source: InvalidDnsNameError,
    },
    /// The TLS library refused the settings.
    #[error("the TLS library refused its settings")]
    Settings(#[from] rustls::Error),
}

/// Makes encrypted connections to one host.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) connector: TlsConnector,
    pub(crate) name: ServerName<'static>,
}

impl Tls {
    /// The connector to `host` that believes `roots`.
    pub(crate) fn new(host: &str, roots: &TlsRoots) -> Result<Self, TlsError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|source| TlsError::Host { host: host.to_owned(), source })?;
        let store = match roots {
            TlsRoots::System => system_roots(),
            TlsRoots::Bundled => bundled_roots(),
            TlsRoots::Pem(text) => pem_roots(text)?,
        };
        let mut config =
            rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(store)
                .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }
}

fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a certificate of the system's store was not readable");
    }
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        tracing::warn!("the system has no root certificates; the bundled ones are used");
        return bundled_roots();
    }
    store
}

fn bundled_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

fn pem_roots(text: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text) {
        let certificate = certificate.map_err(|error| TlsError::Pem(error.to_string()))?;
        store.add(certificate).map_err(|error| TlsError::Pem(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(TlsError::Pem("no certificate found".to_owned()));
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_come_from_each_source() {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let pem = TlsRoots::Pem(own.cert.pem().into_bytes());
        for roots in [TlsRoots::System, TlsRoots::Bundled, pem] {
            assert!(Tls::new("localhost", &roots).is_ok(), "{roots:?}");
        }
    }

    #[test]
    fn unusable_roots_and_names_are_refused() {
        let nonsense = TlsRoots::Pem(b"not a certificate".to_vec());
        assert!(matches!(Tls::new("localhost", &nonsense), Err(TlsError::Pem(_))));
        let error = Tls::new("a..b", &TlsRoots::Bundled).err().expect("no such name");
        assert!(error.to_string().contains("`a..b`"));
    }
}
