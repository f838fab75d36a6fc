//! Proof that a listener can be reached from this computer only.
//!
//! The demo's passwords are printed on its own login page, so the servers of the
//! demo take a [`LoopbackListener`] and nothing else.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// An address that leads to this computer alone; made by [`require_loopback`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopbackAddress(SocketAddr);

/// A listening socket bound to a [`LoopbackAddress`].
#[derive(Debug)]
pub struct LoopbackListener(TcpListener);

/// The address can be reached from other computers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a loopback address, and the demo must not be reachable from other computers")]
pub struct NotLoopback(pub SocketAddr);

/// Accepts `127.0.0.0/8`, `::1` and the mapped form `::ffff:127.0.0.0/104`.
///
/// # Errors
/// [`NotLoopback`] for every other address, `0.0.0.0` and `::` among them.
pub fn require_loopback(address: SocketAddr) -> Result<LoopbackAddress, NotLoopback> {
    if address.ip().to_canonical().is_loopback() {
        Ok(LoopbackAddress(address))
    } else {
        Err(NotLoopback(address))
    }
}

impl LoopbackAddress {
    /// Binds the address; port 0 lets the system choose one.
    ///
    /// # Errors
    /// What the system answered, for example that the port is taken.
    pub async fn listen(self) -> io::Result<LoopbackListener> {
        TcpListener::bind(self.0).await.map(LoopbackListener)
    }
}

impl LoopbackListener {
    /// The bound address, with the port that the system chose.
    ///
    /// # Errors
    /// What the system answered.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// The socket, for a server that accepts connections by itself.
    pub fn into_inner(self) -> TcpListener {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_computer_are_accepted() {
        let table = [
            ("127.0.0.1:0", true),
            ("127.9.8.7:8081", true),
            ("[::1]:8081", true),
            ("[::ffff:127.0.0.1]:8081", true),
            ("0.0.0.0:8081", false),
            ("[::]:8081", false),
            ("192.168.1.2:8081", false),
            ("[::ffff:192.168.1.2]:8081", false),
            ("[fe80::1]:8081", false),
        ];
        for (address, accepted) in table {
            let address: SocketAddr = address.parse().expect("the table holds addresses");
            assert_eq!(require_loopback(address).is_ok(), accepted, "{address}");
        }
    }

    #[tokio::test]
    async fn a_listener_tells_the_chosen_port() {
        let address = require_loopback("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = address.listen().await.unwrap();
        assert_ne!(listener.local_addr().unwrap().port(), 0);
    }
}
