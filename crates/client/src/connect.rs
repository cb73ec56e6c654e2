//! Opening a connection: name, TCP, TLS, HTTP.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use plimsoll_units::RunNanos;
use thiserror::Error;
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use crate::buffers::Buffers;
use crate::gauge::Gauge;
use crate::link::{Ends, Link};
use crate::pieces::Pieces;
use crate::receive::ask_for_stamps;
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
    #[error("the connection was not there in time")]
    Late,
}

/// Opens connections to one endpoint.
pub(crate) struct Connector {
    host: String,
    port: u16,
    tls: Option<Tls>,
    quickack: bool,
    max_line: usize,
    gauge: Rc<Gauge>,
    buffers: Rc<Buffers>,
    /// The name is looked up once, when the first connection is made, and again after every address
    /// has failed: a lookup per connection would measure the name server.
    addresses: RefCell<Option<Rc<[SocketAddr]>>>,
}

impl Connector {
    pub(crate) fn new(config: &ClientConfig, gauge: Rc<Gauge>) -> Result<Self, TlsError> {
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
            gauge,
            buffers: Buffers::new(),
            addresses: RefCell::new(None),
        })
    }

    /// A new connection, ready for a request.
    pub(crate) async fn open(&self) -> Result<Box<Link<TcpStream>>, ConnectError> {
        let begun = self.gauge.now();
        let tcp = self.tcp().await?;
        let link = self.link(tcp, begun).await?;
        self.gauge.opened();
        Ok(Box::new(link))
    }

    /// The connection over `tcp`, which acknowledges at once if that was asked for.
    async fn link(&self, tcp: TcpStream, begun: RunNanos) -> Result<Link<TcpStream>, ConnectError> {
        let fd = tcp.as_raw_fd();
        let acknowledge = self.quickack.then_some(quickack as fn(&TcpStream));
        if let Some(acknowledge) = acknowledge {
            acknowledge(&tcp);
        }
        let ends = Ends { local: tcp.local_addr().ok(), remote: tcp.peer_addr().ok(), begun };
        let stamps = Stamps::new(Rc::clone(&self.gauge));
        let pieces = if self.tls.is_some() { Pieces::tls() } else { Pieces::plain() };
        let stamped = Stamped::new(tcp, Rc::clone(&stamps), Rc::clone(&self.buffers), pieces)
            .with_quickack(acknowledge);
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
        let (buffers, decoder) = (Rc::clone(&self.buffers), SseDecoder::new(self.max_line));
        Ok(Link::new(wire, Some(fd), stamps, buffers, decoder, ends))
    }

    /// A TCP connection to the first address that takes one. Never with Nagle's delay.
    async fn tcp(&self) -> Result<TcpStream, ConnectError> {
        let mut failure = ConnectError::NoAddress { host: self.host.clone() };
        for &address in self.addresses().await?.iter() {
            let connected = self.connect(address).await;
            match connected.and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp)) {
                Ok(tcp) => return Ok(tcp),
                Err(source) => failure = ConnectError::Tcp { address, source },
            }
        }
        self.addresses.replace(None);
        Err(failure)
    }

    /// A connection to `address` whose reads carry kernel stamps from the first on, if they are asked
    /// for. Where the system has none, the clock has to do.
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if self.gauge.asks_kernel()
            && let Err(error) = ask_for_stamps(&socket)
        {
            tracing::debug!(%error, "SO_TIMESTAMPING was refused");
        }
        socket.connect(address).await
    }

    /// Looks the name up, if that has not been done.
    pub(crate) async fn resolve(&self) -> Result<(), ConnectError> {
        self.addresses().await.map(drop)
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

#[cfg(test)]
mod tests {
    //! The socket's options, read back from a second descriptor of the same socket.
    //!
    //! `TCP_QUICKACK` is no lasting setting: Linux has it on for a new connection, and turns it off
    //! and on again as it sees fit. So each step is tested from the other state: the test turns it
    //! off, and the client must have it on again afterwards, or leave it alone if it was not asked
    //! to. Linux turns it on by itself only once data came in, so until the request is sent nothing
    //! but the client can. After a read there is no telling who did; that the client leaves it alone
    //! then is not tested.

    use std::future::poll_fn;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::ops::ControlFlow;
    use std::os::fd::AsFd;
    use std::task::Poll;
    use std::time::Duration;

    use bytes::Bytes;
    use plimsoll_units::RunClock;
    use socket2::Socket;
    use tokio::time::timeout;

    use super::*;
    use crate::Api;
    use crate::http::{Part, RequestHead};

    /// A connector to a listener of this machine.
    fn connector(quickack: bool) -> (TcpListener, Connector) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let clock = RunClock::start();
        let config = ClientConfig { quickack, ..ClientConfig::new(endpoint, Api::Chat, clock) };
        (listener, Connector::new(&config, Gauge::new(clock, true)).unwrap())
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            timeout(Duration::from_secs(60), work).await.expect("the connection hangs")
        })
    }

    /// A connection of the connector with a second descriptor of its socket.
    async fn opened(connector: &Connector) -> (Socket, Link<TcpStream>) {
        let tcp = connector.tcp().await.unwrap();
        let socket = Socket::from(tcp.as_fd().try_clone_to_owned().unwrap());
        socket.set_tcp_quickack(false).unwrap();
        assert!(!socket.tcp_quickack().unwrap(), "the state to begin with");
        let link = connector.link(tcp, RunNanos::ZERO).await.unwrap();
        (socket, link)
    }

    #[test]
    fn nagles_delay_is_always_off() {
        for quickack in [false, true] {
            let (listener, connector) = connector(quickack);
            let usual = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            assert!(!usual.nodelay().unwrap(), "what the system does unasked");
            run(async {
                let (socket, _link) = opened(&connector).await;
                assert!(socket.tcp_nodelay().unwrap());
            });
        }
    }

    #[test]
    fn acknowledging_at_once_is_asked_for_at_every_step_or_never() {
        for quickack in [false, true] {
            let (listener, connector) = connector(quickack);
            run(async {
                let (socket, mut link) = opened(&connector).await;
                assert_eq!(socket.tcp_quickack().unwrap(), quickack, "connected");

                socket.set_tcp_quickack(false).unwrap();
                let head = RequestHead::new("/", std::iter::empty());
                link.begin(&head, Bytes::from_static(b"{}"), 1);
                poll_fn(|cx| {
                    let polled = link.poll(cx, |_, _, _| ControlFlow::Continue(()));
                    assert!(polled.is_pending());
                    match link.stamps.sent() {
                        Some(_) => Poll::Ready(()),
                        None => Poll::Pending,
                    }
                })
                .await;
                assert_eq!(socket.tcp_quickack().unwrap(), quickack, "sent");

                if quickack {
                    let (mut peer, _) = listener.accept().unwrap();
                    let got = peer.read(&mut [0; 4096]).unwrap();
                    assert!(got > 0);
                    socket.set_tcp_quickack(false).unwrap();
                    peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
                    let mut status = 0;
                    poll_fn(|cx| {
                        link.poll(cx, |_, _, part| {
                            let Part::Head(head) = part else { panic!("{part:?}") };
                            status = head.status;
                            ControlFlow::Break(())
                        })
                    })
                    .await;
                    assert_eq!(status, 200);
                    assert!(socket.tcp_quickack().unwrap(), "read");
                }
            });
        }
    }
}
