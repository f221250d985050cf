//! Serves an empty API server on loopback and prints a kubeconfig for it:
//! `cargo run -p kaedama-apiserver --example serve -- 8001 > kubeconfig`.

use kaedama_apiserver::{ApiServer, kubeconfig};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|p| p.parse::<u16>().ok()).unwrap_or(0);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    print!("{}", kubeconfig("embedded", &url));
    ApiServer::builder("embedded")
        .build()
        .serve(listener, async {
            // Without a signal handler there is nothing to do but wait for it.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await
}
