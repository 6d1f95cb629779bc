//! A door in front of a server: while it is shut, connections are refused, and those that stand are cut.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::failure::{Failure, Outcome};

/// A door with an address of its own.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    behind: SocketAddr,
    tasks: JoinSet<()>,
}

impl Gate {
    /// A shut gate on `address`, in front of the server of `url`.
    ///
    /// # Errors
    /// The URL names no address and port.
    pub fn shut_before(url: &str, address: SocketAddr) -> Outcome<Self> {
        let authority = url.split("//").nth(1).unwrap_or_default().trim_end_matches('/');
        let behind = authority
            .parse()
            .map_err(|error| Failure(format!("{url}: {error}")))?;
        Ok(Self {
            address,
            behind,
            tasks: JoinSet::new(),
        })
    }

    /// What leads through the gate.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Lets connections through.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn open(&mut self) -> Outcome {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.address)?;
        let listener = socket.listen(128)?;
        self.tasks.spawn(serve(listener, self.behind));
        Ok(())
    }

    /// Refuses connections from now on and cuts those that stand.
    pub async fn shut(&mut self) {
        self.tasks.shutdown().await;
    }
}

async fn serve(listener: TcpListener, behind: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        connections.spawn(async move {
            let mut server = TcpStream::connect(behind).await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_gate_that_is_shut_cuts_what_stands_and_opens_again() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", server.local_addr().unwrap());
        let free = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let mut gate = Gate::shut_before(&url, free).unwrap();
        assert!(TcpStream::connect(free).await.is_err());
        for _ in 0..2 {
            gate.open().unwrap();
            let mut client = TcpStream::connect(free).await.unwrap();
            let (mut accepted, _) = server.accept().await.unwrap();
            accepted.write_all(b"hi").await.unwrap();
            let mut said = [0; 2];
            client.read_exact(&mut said).await.unwrap();
            gate.shut().await;
            assert_eq!(client.read(&mut said).await.unwrap_or(0), 0);
            assert!(TcpStream::connect(free).await.is_err());
        }
    }
}
