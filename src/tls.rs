//! TLS of requests to registries, token servers and buckets: which certificates are trusted.
//!
//! A certificate must be of a trusted authority, for the name that was asked for, and valid now. One
//! thing more is taken than rustls takes by itself: a server's certificate that is itself, byte for
//! byte, among the trusted ones may say that it is an authority. `openssl req -x509` makes such
//! certificates, the registry's documentation calls for it, and clients written in Go take them.

use std::sync::Arc;
use std::{fmt, io};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme, StreamOwned,
};
use ureq::config::Config;
use ureq::tls::Certificate;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    TcpConnector, Transport, TransportAdapter,
};
use ureq::{Agent, Error};

/// Which servers are believed to be who they say.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trust<'a> {
    /// Those with a certificate of one of these authorities, or with one of these certificates.
    Certificates(&'a [Certificate<'static>]),
    /// All: the connection is encrypted, and the server may be anybody.
    #[cfg_attr(not(feature = "object-storage"), expect(dead_code, reason = "a bucket's option"))]
    Anybody,
}

/// An agent that makes connections by this configuration, to servers that may be trusted.
pub(crate) fn agent(config: Config, trust: Trust<'_>) -> Agent {
    let connector =
        ().chain(ConnectProxyConnector::default())
            .chain(TcpConnector::default())
            .chain(TlsConnector { config: Arc::new(client_config(trust)) });
    Agent::with_parts(config, connector, DefaultResolver::default())
}

fn client_config(trust: Trust<'_>) -> ClientConfig {
    let provider = Arc::new(crypto::ring::default_provider());
    let known = match trust {
        Trust::Certificates(certificates) => Some(Known::new(certificates)),
        Trust::Anybody => None,
    };
    ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring speaks every version of TLS that rustls does")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { provider, known }))
        .with_no_client_auth()
}

/// The trusted certificates.
#[derive(Debug)]
struct Known {
    certificates: Vec<CertificateDer<'static>>,
    authorities: RootCertStore,
}

impl Known {
    fn new(certificates: &[Certificate<'_>]) -> Self {
        let certificates: Vec<_> = certificates
            .iter()
            .map(|certificate| CertificateDer::from(certificate.der().to_vec()))
            .collect();
        let mut authorities = RootCertStore::empty();
        // A system's store may hold one that no library can read: the others are of use.
        authorities.add_parsable_certificates(certificates.iter().cloned());
        Self { certificates, authorities }
    }
}

/// See the module's comment.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Without it every certificate is taken.
    known: Option<Known>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(known) = &self.known {
            let parsed = ParsedCertificate::try_from(certificate)?;
            let chain = verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &known.authorities,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            );
            match chain {
                // That it is valid now was looked at before: a test holds webpki to this order.
                Err(error) if is_of_an_authority(&error) => {
                    if !known.certificates.contains(certificate) {
                        return Err(CertificateError::UnknownIssuer.into());
                    }
                }
                other => other?,
            }
            verify_server_name(&parsed, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if self.known.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if self.known.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a certificate was refused because it may sign others. rustls has no name for it, so it is
/// webpki's word that says so; with another word the certificate is refused.
fn is_of_an_authority(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(CertificateError::Other(other))
        if other.to_string() == "CaUsedAsEndEntity")
}

/// Encrypts what the connector before it has connected, where an address is `https:`.
struct TlsConnector {
    config: Arc<ClientConfig>,
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, Encrypted>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(plain) = chained else { return Err(Error::ConnectionFailed) };
        if !details.needs_tls() || plain.is_tls() {
            return Ok(Some(Either::A(plain)));
        }
        let host = details.uri.host().unwrap_or_default();
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(|_| Error::Tls("the address has no name that a certificate can be for"))?;
        let mut connection = ClientConnection::new(Arc::clone(&self.config), name)?;
        let mut socket = TransportAdapter::new(plain.boxed(), Arc::clone(&details.current_time));
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket)?;
        let buffers = LazyBuffers::new(
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        let stream = StreamOwned::new(connection, socket);
        Ok(Some(Either::B(Encrypted { buffers, stream })))
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsConnector").finish_non_exhaustive()
    }
}

/// A connection through TLS.
struct Encrypted {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl Transport for Encrypted {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.sock.set_timeout(timeout);
        io::Write::write_all(&mut self.stream, &self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.set_timeout(timeout);
        let count = io::Read::read(&mut self.stream, self.buffers.input_append_buf())?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Encrypted").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig, ServerConnection};
    use rustls::sign::CertifiedKey;

    use super::*;

    /// What a server shows, and the key that it has.
    struct Shown {
        certificate: CertificateDer<'static>,
        key: KeyPair,
    }

    /// A certificate that signs itself and says that it is an authority, for this name and until this year.
    fn shown(name: &str, from: i32, until: i32) -> Shown {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        Shown { certificate: params.self_signed(&key).unwrap().der().clone(), key }
    }

    /// Shows its certificate whether or not the key is that of it.
    #[derive(Debug)]
    struct Shows(Arc<CertifiedKey>);

    impl ResolvesServerCert for Shows {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }

    /// What the client says of a server that shows `shown`, asked for as `registry.example`.
    fn handshake(
        shown: &Shown,
        trust: Trust<'_>,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> Result<(), String> {
        let provider = Arc::new(crypto::ring::default_provider());
        let key = PrivatePkcs8KeyDer::from(shown.key.serialize_der());
        let key = provider.key_provider.load_private_key(key.into()).unwrap();
        let resolver = Shows(Arc::new(CertifiedKey::new(vec![shown.certificate.clone()], key)));
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        let mut server = ServerConnection::new(Arc::new(config)).unwrap();
        let name = ServerName::try_from("registry.example").unwrap();
        let mut client = ClientConnection::new(Arc::new(client_config(trust)), name).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut sent = Vec::new();
            client.write_tls(&mut sent).unwrap();
            server.read_tls(&mut &sent[..]).unwrap();
            server.process_new_packets().unwrap();
            let mut answer = Vec::new();
            server.write_tls(&mut answer).unwrap();
            client.read_tls(&mut &answer[..]).unwrap();
            client.process_new_packets().map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    #[test]
    fn an_authoritys_certificate_is_a_servers_own_only_where_just_that_one_is_trusted() {
        let named = |shown: &Shown| [Certificate::from_der(&shown.certificate).to_owned()];
        for version in rustls::ALL_VERSIONS {
            let said = |shown: &Shown, trusted: &Shown| {
                handshake(shown, Trust::Certificates(&named(trusted)), version)
            };
            let own = shown("registry.example", 2020, 4000);
            assert_eq!(said(&own, &own), Ok(()));
            let refused = |shown: &Shown, trusted: &Shown, reason: &str| {
                let error = said(shown, trusted).unwrap_err();
                assert!(error.contains(reason), "{error}");
            };
            refused(&own, &shown("registry.example", 2020, 4000), "UnknownIssuer");
            // The same name and key, and another certificate.
            let mut params = CertificateParams::new(vec!["registry.example".to_owned()]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let again = params.self_signed(&own.key).unwrap().der().clone();
            let key = KeyPair::try_from(own.key.serialize_der()).unwrap();
            refused(&Shown { certificate: again, key }, &own, "UnknownIssuer");
            // A copy of the certificate, without the key of it.
            let stolen =
                Shown { certificate: own.certificate.clone(), key: KeyPair::generate().unwrap() };
            refused(&stolen, &own, "BadSignature");
            for (other, reason) in [
                (shown("elsewhere.example", 2020, 4000), "not valid for name"),
                (shown("registry.example", 2020, 2021), "expired"),
                (shown("registry.example", 3999, 4000), "not valid yet"),
            ] {
                refused(&other, &other, reason);
                assert_eq!(handshake(&other, Trust::Anybody, version), Ok(()));
            }
            assert!(handshake(&own, Trust::Certificates(&[]), version).is_err());
        }
    }
}
