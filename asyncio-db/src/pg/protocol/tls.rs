//! TLS below the protocol: whom to trust, and what binds the authentication to it.

use std::fmt;
use std::io;
use std::sync::Arc;

use asyncio_core::Result as CoreResult;
use ring::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::stream::Channel;
use crate::pg::config::{RootCertificates, TlsParameters, TlsVersion};
use crate::pg::target::SslMode;

/// Whom to trust, who we are, and which versions will do.
#[derive(Clone)]
pub(crate) struct TlsRules {
    config: Arc<ClientConfig>,
}

impl TlsRules {
    /// Reads what the files say that are named.
    ///
    /// # Errors
    ///
    /// Those of the files, and of what is in them.
    pub(crate) fn read(parameters: &TlsParameters) -> CoreResult<Self> {
        Ok(Self {
            config: Arc::new(config(parameters)?),
        })
    }
}

/// Speaks TLS over a stream from here on.
///
/// # Errors
///
/// Of the kind [`InvalidInput`](io::ErrorKind::InvalidInput) when the name of the host cannot be one, of
/// [`InvalidData`](io::ErrorKind::InvalidData) when there is no agreement.
pub(super) async fn connect(
    rules: &TlsRules,
    host: &str,
    stream: TcpStream,
) -> io::Result<Channel> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let stream = TlsConnector::from(Arc::clone(&rules.config)).connect(name, stream);
    Ok(Channel::Tls(Box::new(stream.await?)))
}

fn config(parameters: &TlsParameters) -> CoreResult<ClientConfig> {
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(parameters))
        .map_err(bad)?;
    let roots = match &parameters.roots {
        _ if parameters.mode == SslMode::Disable => None,
        RootCertificates::Unverified => None,
        RootCertificates::File(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(&std::fs::read(path)?)? {
                roots.add(certificate).map_err(bad)?;
            }
            Some(roots)
        }
        RootCertificates::System => {
            let authorities = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
            Some(authorities.collect())
        }
    };
    let inner = match roots {
        None => None,
        Some(roots) => {
            let verifier =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            let verifier = verifier.with_crls(revoked(parameters)?);
            Some(verifier.build().map_err(bad)?)
        }
    };
    let builder = match inner {
        Some(inner) if parameters.mode == SslMode::VerifyFull => {
            builder.with_webpki_verifier(inner)
        }
        inner => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Lenient { inner, provider })),
    };
    let mut config = match (&parameters.certificate, &parameters.key) {
        (Some(chain), Some(key)) if parameters.mode != SslMode::Disable => {
            let chain = certificates(&std::fs::read(chain)?)?;
            let key = PrivateKeyDer::from_pem_slice(&std::fs::read(key)?).map_err(bad)?;
            builder.with_client_auth_cert(chain, key).map_err(bad)?
        }
        _ => builder.with_no_client_auth(),
    };
    config.enable_sni = parameters.server_name_indication;
    if parameters.direct {
        // Without it a server cannot tell who calls.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(config)
}

fn versions(parameters: &TlsParameters) -> Vec<&'static SupportedProtocolVersion> {
    let known = [(TlsVersion::Tls12, &TLS12), (TlsVersion::Tls13, &TLS13)];
    let wanted = known.into_iter().filter(|(version, _)| {
        parameters
            .min_version
            .is_none_or(|oldest| *version >= oldest)
            && parameters
                .max_version
                .is_none_or(|newest| *version <= newest)
    });
    wanted.map(|(_, version)| version).collect()
}

fn revoked(parameters: &TlsParameters) -> CoreResult<Vec<CertificateRevocationListDer<'static>>> {
    let Some(path) = &parameters.revoked else {
        return Ok(Vec::new());
    };
    let lists = CertificateRevocationListDer::pem_file_iter(path).map_err(bad)?;
    Ok(lists.collect::<Result<_, _>>().map_err(bad)?)
}

fn certificates(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(bad)
}

fn bad(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// Trusts anybody, or anybody for whom an authority vouches under whatever name.
#[derive(Debug)]
struct Lenient {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else {
            return Ok(ServerCertVerified::assertion());
        };
        match inner.verify_server_cert(certificate, between, name, ocsp, now) {
            // The name is the last thing that is looked at.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// What stands for the server's certificate in SCRAM (`tls-server-end-point`, RFC 5929): its hash, by the
/// algorithm that it is signed with. `None` where that has none.
pub(super) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let algorithm = hash_of(certificate)?;
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// The end of a signature algorithm's name, in DER, and the hash that stands for it. MD5 and SHA-1 count
/// as SHA-256.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
const SHA2: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];

fn hash_of(certificate: &[u8]) -> Option<&'static digest::Algorithm> {
    let (_, certificate, _) = element(certificate)?;
    let (_, _, rest) = element(certificate)?;
    let (_, algorithm, _) = element(rest)?;
    let (_, name, parameters) = element(algorithm)?;
    if let Some(kind) = name.strip_prefix(RSA) {
        return match kind {
            [4 | 5 | 11] => Some(&digest::SHA256),
            [12] => Some(&digest::SHA384),
            [13] => Some(&digest::SHA512),
            // RSASSA-PSS says in its parameters which hash it is: the first that is named there.
            [10] => {
                let at = parameters
                    .windows(SHA2.len())
                    .position(|window| window == SHA2)?;
                sha2(*parameters.get(at + SHA2.len())?)
            }
            _ => None,
        };
    }
    match name.strip_prefix(ECDSA)? {
        [1] | [3, 2] => Some(&digest::SHA256),
        [3, 3] => Some(&digest::SHA384),
        [3, 4] => Some(&digest::SHA512),
        _ => None,
    }
}

const fn sha2(number: u8) -> Option<&'static digest::Algorithm> {
    match number {
        1 => Some(&digest::SHA256),
        2 => Some(&digest::SHA384),
        3 => Some(&digest::SHA512),
        _ => None,
    }
}

/// The first element of DER: its tag, its content, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut len = usize::from(first);
    if first & 0x80 != 0 {
        let count = usize::from(first & 0x7f);
        if count > 4 {
            return None;
        }
        let (digits, after) = rest.split_at_checked(count)?;
        len = digits
            .iter()
            .fold(0, |len, digit| len << 8 | usize::from(*digit));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(len)?;
    Some((*tag, content, rest))
}

impl fmt::Debug for TlsRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsRules").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_stood_for_by_the_hash_that_it_is_signed_with() {
        for (signed, hash) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, Some(&digest::SHA256)),
            (&rcgen::PKCS_ECDSA_P384_SHA384, Some(&digest::SHA384)),
            // It has no hash of its own.
            (&rcgen::PKCS_ED25519, None),
        ] {
            let key = rcgen::KeyPair::generate_for(signed).expect("a key can be made");
            let parameters = rcgen::CertificateParams::new(["localhost".to_owned()]);
            let certificate = parameters
                .and_then(|parameters| parameters.self_signed(&key))
                .expect("a certificate can be made");
            let der: &[u8] = certificate.der();
            let expected = hash.map(|hash| digest::digest(hash, der).as_ref().to_vec());
            assert_eq!(end_point(der), expected);
        }
    }

    #[test]
    fn what_is_no_certificate_has_none() {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let der = key.expect("a certificate can be made").cert.der().to_vec();
        for len in 0..der.len() {
            assert!(end_point(&der[..len]).is_none(), "{len}");
        }
        assert!(end_point(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).is_none());
        assert!(end_point(&[0x30, 0x89, 1]).is_none());
    }
}
