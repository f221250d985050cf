//! The API servers on loopback, for kubectl, and the kubeconfigs that lead to them.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kaedama_apiserver::{ApiServer, kubeconfig};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long connections get to end when a server goes down.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why it cannot be reached from outside.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// No port.
    #[error("cannot listen for {name} on {address}: {source}")]
    Listen {
        /// Which API server.
        name: String,
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// No kubeconfig.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// One API server, and the address at which it answers while it is up.
struct Door {
    server: ApiServer,
    address: SocketAddr,
    open: Option<(oneshot::Sender<()>, JoinHandle<io::Result<()>>)>,
}

/// Everything that is served.
pub struct Front {
    doors: BTreeMap<String, Door>,
    directory: PathBuf,
}

impl Front {
    /// Serves these on free ports of loopback, and writes a kubeconfig for each to the directory.
    pub async fn open(servers: Vec<(String, ApiServer)>, directory: &Path) -> Result<Self, FrontError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| FrontError::Write { path, source }
        };
        tokio::fs::create_dir_all(directory).await.map_err(failed(directory))?;
        let mut front = Front { doors: BTreeMap::new(), directory: directory.to_owned() };
        for (name, server) in servers {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            front.doors.insert(name.clone(), Door { server, address, open: None });
            front.up(&name).await?;
            let path = front.kubeconfig(&name);
            let url = format!("http://{}", front.doors[&name].address);
            tokio::fs::write(&path, kubeconfig(&name, &url)).await.map_err(failed(&path))?;
        }
        Ok(front)
    }

    /// Where the kubeconfig of a server is.
    pub fn kubeconfig(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Serves again, at the address where it was before.
    pub async fn up(&mut self, name: &str) -> Result<(), FrontError> {
        let Some(door) = self.doors.get_mut(name).filter(|door| door.open.is_none()) else { return Ok(()) };
        let failed = |source| FrontError::Listen { name: name.to_owned(), address: door.address, source };
        let listener = TcpListener::bind(door.address).await.map_err(failed)?;
        door.address = listener.local_addr().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let server = door.server.clone();
        let task = tokio::spawn(async move {
            // A sender that is gone is a wish to stop as well.
            server.serve(listener, async move { drop(stopped.await) }).await
        });
        door.open = Some((stop, task));
        Ok(())
    }

    /// Stops serving: connections are refused, and those that are open end.
    pub async fn down(&mut self, name: &str) {
        let Some((stop, mut task)) = self.doors.get_mut(name).and_then(|door| door.open.take()) else { return };
        let _ = stop.send(());
        if tokio::time::timeout(GOODBYE, &mut task).await.is_err() {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn version(address: SocketAddr) -> io::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn a_server_that_goes_down_refuses_and_comes_back_at_its_address() {
        let directory = tempfile::tempdir().unwrap();
        let server = ApiServer::builder("dr1").build();
        let mut front = Front::open(vec![("dr1".to_owned(), server)], directory.path()).await.unwrap();
        let address = front.doors["dr1"].address;
        let config = std::fs::read_to_string(front.kubeconfig("dr1")).unwrap();
        assert!(config.contains(&format!("server: http://{address}")), "{config}");
        assert!(version(address).await.unwrap().starts_with("HTTP/1.1 200"));

        front.down("dr1").await;
        assert_eq!(version(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);

        front.up("dr1").await.unwrap();
        assert_eq!(front.doors["dr1"].address, address);
        assert!(version(address).await.unwrap().starts_with("HTTP/1.1 200"));
    }
}
