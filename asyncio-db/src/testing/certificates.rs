//! Certificates for servers that speak TLS, and for clients that are known by one.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

use super::ClusterError;
use super::folder::Folder;

/// The files of a server with TLS.
///
/// The server's certificate is good for `localhost` and 127.0.0.1 and signed by an authority of its
/// own. The client's is signed by the same authority and made out to the role `certified`.
#[derive(Clone, Debug)]
pub struct Certificates {
    authority: PathBuf,
    client: PathBuf,
    client_key: PathBuf,
    pub(super) server: PathBuf,
    pub(super) server_key: PathBuf,
}

impl Certificates {
    /// The authority's certificate, as PEM: what `sslrootcert` names.
    #[must_use]
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// The client's certificate, as PEM: what `sslcert` names.
    #[must_use]
    pub fn client(&self) -> &Path {
        &self.client
    }

    /// The key of the client's certificate, as PEM: what `sslkey` names.
    #[must_use]
    pub fn client_key(&self) -> &Path {
        &self.client_key
    }

    /// Makes them all in a folder.
    pub(super) fn create(folder: &Folder) -> Result<Self, ClusterError> {
        let failed = |error: rcgen::Error| ClusterError::Certificate(error.to_string());
        let authority_key = KeyPair::generate().map_err(failed)?;
        let mut params = named("authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).map_err(failed)?;
        let issuer = Issuer::new(params, authority_key);

        let signed = |params: CertificateParams| -> Result<(String, String), rcgen::Error> {
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &issuer)?;
            Ok((certificate.pem(), key.serialize_pem()))
        };
        let mut params = named("localhost");
        params.subject_alt_names = vec![
            SanType::DnsName("localhost".try_into().map_err(failed)?),
            SanType::IpAddress([127, 0, 0, 1].into()),
        ];
        let (server, server_key) = signed(params).map_err(failed)?;
        let (client, client_key) = signed(named(super::cluster::CERTIFIED)).map_err(failed)?;
        Ok(Self {
            authority: folder.write("authority.pem", &authority.pem())?,
            client: folder.write("client.pem", &client)?,
            client_key: folder.write("client.key", &client_key)?,
            server: folder.write("server.pem", &server)?,
            server_key: folder.write("server.key", &server_key)?,
        })
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
