//! HTTPS: the profile's `caCertificates` decide whom to trust.

use std::sync::Arc;

use base64::Engine as _;
use kaedama_sandbox::s3::{S3Server, S3ServerOptions};
use kaedama_shared::clock::Clock;
use kaedama_shared::s3::{S3ErrorKind, S3Options, S3Store};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::world::*;

const CA: &[u8] = include_bytes!("tls/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("tls/server.pem");
const KEY: &[u8] = include_bytes!("tls/server-test-only.key");

/// Ends TLS in front of a plain server, and returns the port.
async fn tls_in_front_of(plain: std::net::SocketAddr) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::from_pem_slice(KEY).unwrap())
        .unwrap();
    let (listener, acceptor) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), TlsAcceptor::from(Arc::new(config)));
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate breaks the handshake off.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut plain = TcpStream::connect(plain).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn a_private_authority_is_trusted_if_the_profile_or_the_process_names_it() {
    let clock = Clock::system();
    let server = S3Server::new(S3ServerOptions::new(BUCKET, clock));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = listener.local_addr().unwrap();
    tokio::spawn(async move { server.serve(listener, CancellationToken::new()).await });
    let mut profile = profile("dr1");
    profile.s3_compatible_endpoint = format!("https://127.0.0.1:{}", tls_in_front_of(plain).await);
    let with_bundle = S3Options { ca_bundle: CA.to_vec(), ..S3Options::new(clock) };

    let trusted_by_process = S3Store::connect(&profile, &credentials(), &with_bundle).unwrap();
    trusted_by_process.head_bucket().await.unwrap();
    let untrusted = S3Store::connect(&profile, &credentials(), &S3Options::new(clock)).unwrap();
    let error = untrusted.head_bucket().await.unwrap_err();
    assert_eq!(error.kind, S3ErrorKind::Unreachable);
    assert!(error.detail.contains("certificate"), "{error}");

    profile.ca_certificates = base64::engine::general_purpose::STANDARD.encode(CA);
    let trusted_by_profile = S3Store::connect(&profile, &credentials(), &S3Options::new(clock)).unwrap();
    trusted_by_profile.put("k", b"x".to_vec()).await.unwrap();
    assert_eq!(trusted_by_profile.get("k").await.unwrap().body, b"x");
}
