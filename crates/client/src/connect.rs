//! Opening a connection: name, TCP, TLS, HTTP.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use plimsoll_units::Clock;
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};

use crate::link::Link;
use crate::stamped::{Stamped, Wire, quickack};
use crate::stamps::Stamps;
use crate::tls::Tls;
use crate::{ClientConfig, SseDecoder, TlsError};

/// Why there is no connection. Its words go into the row.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    #[error("the host `{host}` has no address")]
    Resolve { host: String, source: io::Error },
    #[error("no address is known for the host `{host}`")]
    NoAddress { host: String },
    #[error("connecting to {address} failed")]
    Tcp { address: SocketAddr, source: io::Error },
    #[error("the TLS handshake with `{host}` failed")]
    Tls { host: String, source: io::Error },
    #[error("HTTP could not begin")]
    Http(#[from] hyper::Error),
}

/// Opens connections to one endpoint.
pub(crate) struct Connector {
    host: String,
    port: u16,
    tls: Option<Tls>,
    quickack: bool,
    max_line: usize,
    clock: Rc<dyn Clock>,
    /// The name is looked up once, when the first connection is made, and again after every address
    /// has failed: a lookup per connection would measure the name server.
    addresses: RefCell<Option<Rc<[SocketAddr]>>>,
}

impl Connector {
    pub(crate) fn new(config: &ClientConfig, clock: Rc<dyn Clock>) -> Result<Self, TlsError> {
        let endpoint = &config.endpoint;
        let tls = if endpoint.is_tls() {
            Some(Tls::new(endpoint.host(), &config.tls_roots)?)
        } else {
            None
        };
        Ok(Self {
            host: endpoint.host().to_owned(),
            port: endpoint.port(),
            tls,
            quickack: config.quickack,
            max_line: config.max_line_bytes,
            clock,
            addresses: RefCell::new(None),
        })
    }

    /// A new connection, ready for a request.
    pub(crate) async fn open(&self) -> Result<Link<TcpStream>, ConnectError> {
        let tcp = self.tcp().await?;
        let fd = tcp.as_raw_fd();
        let acknowledge = self.quickack.then_some(quickack as fn(&TcpStream));
        if let Some(acknowledge) = acknowledge {
            acknowledge(&tcp);
        }
        let stamps = Stamps::new(Rc::clone(&self.clock));
        let stamped = Stamped::new(tcp, Rc::clone(&stamps), acknowledge);
        let wire = match &self.tls {
            None => Wire::Plain(stamped),
            Some(tls) => {
                let handshake = tls.connector.connect(tls.name.clone(), stamped);
                let host = || self.host.clone();
                let stream =
                    handshake.await.map_err(|source| ConnectError::Tls { host: host(), source })?;
                Wire::Tls(Box::new(stream))
            }
        };
        Ok(Link::new(wire, Some(fd), stamps, SseDecoder::new(self.max_line)).await?)
    }

    /// A TCP connection to the first address that takes one. Never with Nagle's delay.
    async fn tcp(&self) -> Result<TcpStream, ConnectError> {
        let mut failure = ConnectError::NoAddress { host: self.host.clone() };
        for &address in self.addresses().await?.iter() {
            let connected = TcpStream::connect(address).await;
            match connected.and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp)) {
                Ok(tcp) => return Ok(tcp),
                Err(source) => failure = ConnectError::Tcp { address, source },
            }
        }
        self.addresses.replace(None);
        Err(failure)
    }

    async fn addresses(&self) -> Result<Rc<[SocketAddr]>, ConnectError> {
        if let Some(known) = &*self.addresses.borrow() {
            return Ok(Rc::clone(known));
        }
        let found: Rc<[SocketAddr]> = lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|source| ConnectError::Resolve { host: self.host.clone(), source })?
            .collect();
        self.addresses.replace(Some(Rc::clone(&found)));
        Ok(found)
    }
}
