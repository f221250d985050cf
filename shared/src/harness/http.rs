//! Binding of the operator's own small HTTP endpoints.
//!
//! They are plain HTTP. The reference product's metrics port speaks HTTPS and asks the API server whether the caller
//! may read it (token review and subject access review); this module does neither, so a deployment that needs them puts
//! an authenticating proxy in front and binds the port to loopback.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Why an address of the configuration cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It is not `host:port`.
    #[error("{0:?} is not an address of the form host:port or :port")]
    Invalid(String),
    /// The system refused.
    #[error("cannot listen on {address}")]
    Refused {
        /// What was to be listened on.
        address: String,
        /// The system's answer.
        source: io::Error,
    },
}

/// Listens on an address in the notation of Go programs: `host:port`, or `:port` for all addresses of the machine
/// (both families where it has both). Empty and `0` mean that the endpoint is switched off: `None`.
///
/// # Errors
///
/// [`BindError`] for a malformed address, and when the system refuses it.
pub async fn bind(address: &str) -> Result<Option<TcpListener>, BindError> {
    if address.is_empty() || address == "0" {
        return Ok(None);
    }
    let invalid = || BindError::Invalid(address.to_owned());
    let refused = |source| BindError::Refused { address: address.to_owned(), source };
    let (host, port) = address.rsplit_once(':').ok_or_else(invalid)?;
    let port: u16 = port.parse().map_err(|_| invalid())?;
    if host.is_empty() {
        // Listening on the unspecified IPv6 address takes IPv4 as well, on systems that have IPv6.
        return match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
            Ok(listener) => Ok(Some(listener)),
            Err(_) => {
                TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await.map(Some).map_err(refused)
            }
        };
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    TcpListener::bind((host, port)).await.map(Some).map_err(refused)
}

/// Serves `router` until `stop` is cancelled and the open requests are answered.
///
/// # Errors
///
/// When accepting connections fails for good.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn go_notation_is_understood() {
        assert!(bind("0").await.unwrap().is_none());
        assert!(bind("").await.unwrap().is_none());
        assert!(bind("127.0.0.1:0").await.unwrap().is_some());
        for wrong in ["8081", "localhost", "127.0.0.1:http", "127.0.0.1:70000"] {
            assert!(matches!(bind(wrong).await, Err(BindError::Invalid(_))), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_refused_by_name() {
        let first = bind("127.0.0.1:0").await.unwrap().unwrap();
        let address = first.local_addr().unwrap().to_string();
        let error = bind(&address).await.unwrap_err();
        assert!(error.to_string().contains(&address), "{error}");
    }
}
