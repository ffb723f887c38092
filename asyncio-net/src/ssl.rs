//! What a side brings along for TLS (`ssl.SSLContext`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use asyncio_core::{Result, ValueError};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    CertificateError, ClientConfig, CommonState, DigitallySignedStruct, Error, RootCertStore,
    ServerConfig, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::streams::SHUTDOWN_TIMEOUT;

/// What a client brings along for TLS: whom it trusts, and who it is (`ssl.create_default_context`).
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::{TlsClient, TlsServer, open_connection, start_server};
///
/// # fn main() -> Result<()> {
/// # let key = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
/// # let (certificate, key) = (key.cert.pem(), key.signing_key.serialize_pem());
/// run(async move {
///     let server = start_server(async |_, writer| {
///         writer.write(b"in private");
///         writer.drain().await
///     }, "127.0.0.1", 0)
///     .ssl(TlsServer::from_pem(&certificate, &key)?)
///     .await?;
///
///     let tls = TlsClient::builder().root_pem(&certificate).build()?;
///     let (reader, writer) = open_connection("localhost", server.port()).ssl(tls).await?;
///     assert_eq!(reader.read(-1).await?, b"in private");
///     assert_eq!(writer.get_extra_info().tls().map(|tls| tls.version()), Some("TLSv1.3"));
///
///     // Whom it does not trust it does not speak to.
///     let refused = open_connection("localhost", server.port()).ssl(TlsClient::new()?).await;
///     assert!(refused.is_err());
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    settings: TlsSettings,
}

/// What a server brings along for TLS: its certificate and its key.
///
/// See [`TlsClient`] for an example.
#[derive(Clone)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
    settings: TlsSettings,
}

/// Makes a [`TlsClient`].
#[derive(Clone)]
#[must_use]
pub struct TlsClientBuilder {
    roots: RootCertStore,
    own_roots: bool,
    certificates: Vec<Vec<u8>>,
    pins: Vec<[u8; 32]>,
    verify: bool,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    alpn: Vec<Vec<u8>>,
    settings: TlsSettings,
}

/// What both sides may set.
#[derive(Clone, Debug)]
pub(crate) struct TlsSettings {
    pub(crate) handshake_timeout: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) truncation_is_end: bool,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            handshake_timeout: HANDSHAKE_TIMEOUT,
            shutdown_timeout: SHUTDOWN_TIMEOUT,
            truncation_is_end: false,
        }
    }
}

impl TlsSettings {
    pub(crate) fn check(&self) -> Result<(), ValueError> {
        if self.handshake_timeout.is_zero() || self.shutdown_timeout.is_zero() {
            return Err(ValueError::new(
                "a timeout of TLS has to be more than nothing",
            ));
        }
        Ok(())
    }
}

/// As in Python.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);

impl TlsClient {
    /// A client that trusts the authorities that Mozilla trusts.
    ///
    /// # Errors
    ///
    /// None with these settings.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// A client with other settings.
    pub fn builder() -> TlsClientBuilder {
        TlsClientBuilder {
            roots: RootCertStore::empty(),
            own_roots: false,
            certificates: Vec::new(),
            pins: Vec::new(),
            verify: true,
            identity: None,
            alpn: Vec::new(),
            settings: TlsSettings::default(),
        }
    }

    pub(crate) const fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    pub(crate) const fn settings(&self) -> &TlsSettings {
        &self.settings
    }
}

impl TlsClientBuilder {
    /// Trusts these authorities (or this very certificate), in PEM, and no others
    /// (`SSLContext.load_verify_locations`).
    pub fn root_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.certificates.push(pem.as_ref().to_vec());
        self.own_roots = true;
        self
    }

    /// Trusts a server by the SHA-256 of its certificate, and by nothing else (`aiohttp.Fingerprint`);
    /// one of several when called several times.
    pub fn pin_sha256(mut self, fingerprint: [u8; 32]) -> Self {
        self.pins.push(fingerprint);
        self
    }

    /// Whether the server has to prove who it is; true by default. Without it anybody on the way may
    /// read and change everything.
    pub const fn verify(mut self, on: bool) -> Self {
        self.verify = on;
        self
    }

    /// The client's own certificate and key, in PEM, for servers that ask for it
    /// (`SSLContext.load_cert_chain`).
    pub fn cert_chain(mut self, certificates: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.identity = Some((certificates.as_ref().to_vec(), key.as_ref().to_vec()));
        self
    }

    /// The protocols to choose from, the preferred one first (`SSLContext.set_alpn_protocols`).
    pub fn alpn_protocols<I>(mut self, protocols: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        self.alpn = protocols
            .into_iter()
            .map(|it| it.as_ref().to_vec())
            .collect();
        self
    }

    /// How long the handshake may take, 60 seconds by default (`ssl_handshake_timeout`).
    pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.settings.handshake_timeout = timeout;
        self
    }

    /// How long closing may take, 30 seconds by default (`ssl_shutdown_timeout`).
    pub const fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.settings.shutdown_timeout = timeout;
        self
    }

    /// Whether a connection that is cut is read as one that has ended, for protocols that tell the end
    /// themselves; false by default, so that it is [`TlsTruncated`](crate::TlsTruncated).
    pub const fn allow_truncation(mut self, on: bool) -> Self {
        self.settings.truncation_is_end = on;
        self
    }

    /// Makes the client.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when a certificate or the key cannot be read, or a timeout is zero.
    pub fn build(mut self) -> Result<TlsClient> {
        self.settings.check()?;
        let provider = Arc::new(ring::default_provider());
        for pem in &self.certificates {
            for certificate in certificates(pem)? {
                self.roots.add(certificate).map_err(|error| bad(&error))?;
            }
        }
        if !self.own_roots {
            let authorities = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
            self.roots.extend(authorities);
        }
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(&error))?;
        let builder = if self.verify && self.pins.is_empty() {
            builder.with_root_certificates(self.roots)
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Pinned {
                    pins: self.pins,
                    provider,
                }))
        };
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(certificates(&chain)?, private_key(&key)?)
                .map_err(|error| bad(&error))?,
        };
        config.alpn_protocols = self.alpn;
        Ok(TlsClient {
            config: Arc::new(config),
            settings: self.settings,
        })
    }
}

impl TlsServer {
    /// A server with this certificate, those that vouch for it behind it, and this key, in PEM.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when they cannot be read, or do not belong together.
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self> {
        Self::make(chain.as_ref(), key.as_ref(), None)
    }

    /// As [`from_pem`](Self::from_pem), and clients have to prove who they are by certificates of these
    /// authorities.
    ///
    /// # Errors
    ///
    /// As of [`from_pem`](Self::from_pem).
    pub fn with_client_auth(
        chain: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
        authorities: impl AsRef<[u8]>,
    ) -> Result<Self> {
        Self::make(chain.as_ref(), key.as_ref(), Some(authorities.as_ref()))
    }

    fn make(chain: &[u8], key: &[u8], authorities: Option<&[u8]>) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(&error))?;
        let builder = match authorities {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(pem)? {
                    roots.add(certificate).map_err(|error| bad(&error))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .map_err(|error| ValueError::new(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder
            .with_single_cert(certificates(chain)?, private_key(key)?)
            .map_err(|error| bad(&error))?;
        Ok(Self {
            config: Arc::new(config),
            settings: TlsSettings::default(),
        })
    }

    /// The protocols to choose from, the preferred one first (`SSLContext.set_alpn_protocols`).
    #[must_use]
    pub fn alpn_protocols<I>(mut self, protocols: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let protocols = protocols.into_iter().map(|it| it.as_ref().to_vec());
        Arc::make_mut(&mut self.config).alpn_protocols = protocols.collect();
        self
    }

    /// How long the handshake may take, 60 seconds by default (`ssl_handshake_timeout`). Where it is zero,
    /// and where the time to close is, the server does not start.
    #[must_use]
    pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.settings.handshake_timeout = timeout;
        self
    }

    /// How long closing may take, 30 seconds by default (`ssl_shutdown_timeout`).
    #[must_use]
    pub const fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.settings.shutdown_timeout = timeout;
        self
    }

    /// As [`TlsClientBuilder::allow_truncation`].
    #[must_use]
    pub const fn allow_truncation(mut self, on: bool) -> Self {
        self.settings.truncation_is_end = on;
        self
    }

    pub(crate) const fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    pub(crate) const fn settings(&self) -> &TlsSettings {
        &self.settings
    }
}

/// What two sides have agreed on.
#[derive(Clone, Debug)]
pub struct TlsInfo {
    version: &'static str,
    cipher: &'static str,
    alpn_protocol: Option<Vec<u8>>,
    peer_certificates: Vec<Vec<u8>>,
}

impl TlsInfo {
    pub(crate) fn of(session: &CommonState) -> Self {
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "unknown",
        };
        let suite = session.negotiated_cipher_suite();
        let certificates = session.peer_certificates().unwrap_or_default();
        Self {
            version,
            cipher: suite
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or("unknown"),
            alpn_protocol: session.alpn_protocol().map(<[u8]>::to_vec),
            peer_certificates: certificates.iter().map(|it| it.to_vec()).collect(),
        }
    }

    /// The version, such as `TLSv1.3` (`SSLObject.version`).
    #[must_use]
    pub const fn version(&self) -> &'static str {
        self.version
    }

    /// The name of the cipher suite (`SSLObject.cipher`).
    #[must_use]
    pub const fn cipher(&self) -> &'static str {
        self.cipher
    }

    /// The protocol that was chosen (`SSLObject.selected_alpn_protocol`).
    #[must_use]
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.alpn_protocol.as_deref()
    }

    /// The other side's certificate in DER, and then those that vouch for it
    /// (`SSLObject.getpeercert`).
    #[must_use]
    pub fn peer_certificates(&self) -> &[Vec<u8>] {
        &self.peer_certificates
    }
}

/// Trusts certificates by their fingerprints, or all where there is none.
#[derive(Debug)]
struct Pinned {
    pins: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.pins.is_empty() {
            return Ok(ServerCertVerified::assertion());
        }
        let hash = ring::cipher_suite::TLS13_AES_128_GCM_SHA256
            .tls13()
            .map(|suite| suite.common.hash_provider.hash(certificate));
        let known = hash.is_some_and(|hash| self.pins.iter().any(|pin| *pin == *hash.as_ref()));
        if known {
            Ok(ServerCertVerified::assertion())
        } else {
            let refused = CertificateError::ApplicationVerificationFailure;
            Err(Error::InvalidCertificate(refused))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ValueError> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| ValueError::new(format!("no certificate in PEM: {error}")))?;
    if all.is_empty() {
        return Err(ValueError::new("there is no certificate in the PEM"));
    }
    Ok(all)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, ValueError> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|error| ValueError::new(format!("no private key in PEM: {error}")))
}

fn bad(error: &Error) -> ValueError {
    ValueError::new(error.to_string())
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsClientBuilder {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClientBuilder")
            .field("verify", &self.verify)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
