//! Serves an empty API server on loopback and prints a kubeconfig for it:
//! `cargo run -p kaedama-apiserver --example serve -- 8001 > kubeconfig`.

use kaedama_apiserver::{ApiServer, kubeconfig};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "people look at this server: its clock is that on their wall")]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|p| p.parse::<u16>().ok()).unwrap_or(0);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    print!("{}", kubeconfig("embedded", &url));
    let server = ApiServer::builder("embedded").clock(jiff::Timestamp::now).build();
    server
        .serve(listener, async {
            // Without a signal handler there is nothing to do but wait to be killed.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await
}
