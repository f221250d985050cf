//! The same server on HTTP/1.1, for kubectl. Plain HTTP, without authentication: listen on loopback.

use crate::server::ApiServer;
use axum::Router;
use serde_json::json;
use std::future::Future;
use std::io;
use tokio::net::TcpListener;

impl ApiServer {
    /// Serves HTTP on a listener until `shutdown` completes. Watches are ended then, so that connections can close.
    ///
    /// # Errors
    /// What the listener answers.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let router = Router::new().fallback_service(self.service());
        let server = self.clone();
        axum::serve(listener, router)
            .with_graceful_shutdown(async move {
                shutdown.await;
                server.end_watches();
            })
            .await
    }
}

/// A kubeconfig (YAML) for a server at this URL, with one context named as the cluster.
pub fn kubeconfig(name: &str, url: &str) -> String {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{ "name": name, "cluster": { "server": url } }],
        "users": [{ "name": name, "user": {} }],
        "contexts": [{ "name": name, "context": { "cluster": name, "user": name } }],
    });
    // Plain strings and maps always have a YAML form.
    serde_yaml::to_string(&config).unwrap_or_default()
}
