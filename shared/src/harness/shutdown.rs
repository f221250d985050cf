//! The token that ends the process in an orderly way.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first SIGTERM or SIGINT cancels. A second one ends the process at once, for a person who does not
/// want to wait for running passes.
///
/// # Errors
///
/// When the process may not install signal handlers.
pub fn on_signals() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let name = next().await;
        tracing::info!(signal = name, "shutting down");
        cancel.cancel();
        let name = next().await;
        tracing::warn!(signal = name, "second signal: ending at once, running passes are cut off");
        std::process::exit(130);
    });
    Ok(token)
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn sigterm_cancels_the_token() {
        let token = super::on_signals().unwrap();
        assert!(!token.is_cancelled());
        let own = std::process::id().to_string();
        let status = tokio::process::Command::new("kill").args(["-TERM", &own]).status().await.unwrap();
        assert!(status.success());
        token.cancelled().await;
    }
}
