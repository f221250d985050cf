//! The way of a managed cluster's agents to the hub, which can be cut and mended: a port of its own that leads to the
//! hub's API server.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::error::RealError;
use super::ports::Port;

/// One way. It is up at first, and gone when this is dropped.
pub(super) struct Gate {
    up: watch::Sender<bool>,
    port: Port,
    _task: AbortOnDropHandle<()>,
}

impl Gate {
    /// A way from `port` to another port of loopback.
    pub(super) async fn open(port: Port, to: u16) -> Result<Self, RealError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
        let listener = TcpListener::bind(address).await.map_err(RealError::io(format!("listen on {address}")))?;
        let up = watch::Sender::new(true);
        let state = up.subscribe();
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                // An error is of one connection, or passes.
                let Ok((near, _)) = listener.accept().await else { continue };
                let state = state.clone();
                tokio::spawn(async move { carry(near, to, state).await });
            }
        }));
        Ok(Self { up, port, _task: task })
    }

    /// Where it begins.
    pub(super) fn port(&self) -> u16 {
        self.port.number()
    }

    /// Cuts it, connections that are open included, or mends it.
    pub(super) fn set_up(&self, up: bool) {
        self.up.send_replace(up);
    }
}

/// One connection, until one of its ends or the way is closed.
async fn carry(mut near: TcpStream, to: u16, mut state: watch::Receiver<bool>) {
    let through = async {
        let mut far = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await?;
        tokio::io::copy_bidirectional(&mut near, &mut far).await
    };
    tokio::select! {
        // An error is that of a broken connection: its ends learn of it by themselves.
        _ = through => {}
        _ = state.wait_for(|up| !*up) => {}
    }
}
