//! A certificate with its key, for the hosts that it is shown to.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use serde::{Deserialize, Serialize};

/// As text, so that it can be kept, compared and sent.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// In small letters; `*.example.org` covers one label in place of the star. None at all: shown to whoever asks for a
    /// host that no other certificate has.
    pub hosts: Vec<String>,
    /// PEM: the host's own certificate first, then those that lead to the authority's.
    pub chain: String,
    /// PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key: String,
}

/// A key is in nobody's log.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// Why a certificate cannot be shown: which of its two parts is wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("has no certificate in PEM")]
    NoCertificate,
    #[error("has no private key in PEM")]
    NoKey,
    #[error("has a certificate that cannot be read: {0}")]
    BadCertificate(String),
    #[error("has a private key that cannot be used: {0}")]
    BadKey(String),
    #[error("has a certificate and a private key that do not belong together")]
    Unrelated,
}

impl Certificate {
    /// Whether clients can be served with it. Its dates and its authority are the clients' to judge.
    pub fn check(&self) -> Result<(), CertificateError> {
        self.certified(&ring::default_provider()).map(drop)
    }

    fn certified(&self, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(self.chain.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| CertificateError::BadCertificate(error.to_string()))?;
        if chain.is_empty() {
            return Err(CertificateError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => CertificateError::NoKey,
            error => CertificateError::BadKey(error.to_string()),
        })?;
        let key = provider.key_provider.load_private_key(key).map_err(|error| match error {
            // "failed to parse private key as RSA, ECDSA, or EdDSA" says it better than what is around it.
            rustls::Error::General(reason) => CertificateError::BadKey(reason),
            error => CertificateError::BadKey(error.to_string()),
        })?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
            Err(rustls::Error::InconsistentKeys(_)) => Err(CertificateError::Unrelated),
            Err(error) => Err(CertificateError::BadCertificate(error.to_string())),
        }
    }
}

/// How clients of these hosts are served: TLS 1.2 and 1.3, HTTP/1.1 inside.
pub(crate) fn server_config(certificates: &[Certificate]) -> Result<Arc<ServerConfig>, CertificateError> {
    let provider = Arc::new(ring::default_provider());
    let mut shown = Shown { by_host: Vec::new(), otherwise: None };
    for certificate in certificates {
        let certified = Arc::new(certificate.certified(&provider)?);
        if certificate.hosts.is_empty() {
            shown.otherwise.get_or_insert_with(|| certified.clone());
        }
        shown.by_host.extend(certificate.hosts.iter().map(|host| (host.clone(), certified.clone())));
    }
    if shown.otherwise.is_none() {
        shown.otherwise = shown.by_host.first().map(|(_, first)| first.clone());
    }
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has ciphers of both versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Shown {
    by_host: Vec<(String, Arc<CertifiedKey>)>,
    /// To who asks for another host, or for none: it is told the name of one that is here.
    otherwise: Option<Arc<CertifiedKey>>,
}

impl Shown {
    fn to(&self, asked: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let asked = asked.map(str::to_ascii_lowercase).unwrap_or_default();
        let wildcard = || asked.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        let of = |name: &str| self.by_host.iter().find(|(host, _)| host == name).map(|(_, certified)| certified);
        of(&asked).or_else(|| of(&wildcard()?)).or(self.otherwise.as_ref())
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.to(hello.server_name()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: &str = include_str!("../../tests/lab/tls/first.crt");
    const KEY: &str = include_str!("../../tests/lab/tls/first.key");
    const OTHER_KEY: &str = include_str!("../../tests/lab/tls/renewed.key");

    fn certificate(hosts: &[&str], chain: &str, key: &str) -> Certificate {
        Certificate {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            chain: chain.into(),
            key: key.into(),
        }
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_said() {
        let check = |chain: &str, key: &str| certificate(&[], chain, key).check().map_err(|error| error.to_string());
        assert_eq!(check(CHAIN, KEY), Ok(()));
        let damaged = CHAIN.replacen("MII", "MIJ", 1);
        for (chain, key, why) in [
            ("", KEY, "has no certificate in PEM"),
            (KEY, KEY, "has no certificate in PEM"),
            (CHAIN, "", "has no private key in PEM"),
            (CHAIN, CHAIN, "has no private key in PEM"),
            (CHAIN, OTHER_KEY, "do not belong together"),
            (&damaged, KEY, "has a certificate that cannot be read: "),
            (
                CHAIN,
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "has a private key that cannot be used: ",
            ),
        ] {
            let said = check(chain, key).unwrap_err();
            assert!(said.contains(why), "{said} / {why}");
        }
    }

    #[test]
    fn the_host_that_is_asked_for_chooses() {
        let provider = ring::default_provider();
        let certified = || Arc::new(certificate(&[], CHAIN, KEY).certified(&provider).unwrap());
        let (own, wild, rest) = (certified(), certified(), certified());
        let by_host = vec![("*.a.example".to_owned(), wild.clone()), ("x.a.example".to_owned(), own.clone())];
        let shown = Shown { by_host, otherwise: Some(rest.clone()) };
        for (asked, expected) in [
            (Some("x.a.example"), &own),
            (Some("X.A.example"), &own),
            (Some("y.a.example"), &wild),
            (Some("a.example"), &rest),
            (Some("z.y.a.example"), &rest),
            (None, &rest),
        ] {
            assert!(Arc::ptr_eq(shown.to(asked).unwrap(), expected), "{asked:?}");
        }
    }

    #[test]
    fn a_key_is_not_written_down() {
        assert_eq!(format!("{:?}", certificate(&["a"], CHAIN, KEY)), "Certificate { hosts: [\"a\"], .. }");
    }
}
