//! A proxy whose server is replaced by another process in mid-run, with a while between the two in which
//! nobody answers.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the threads of the proxy share.
struct Shared {
    backends: [SocketAddr; 2],
    /// Completions asked for so far.
    asked: AtomicUsize,
    /// How many the first server gets.
    first: usize,
    /// 0: the first server, 1: nobody, 2: the second.
    phase: AtomicUsize,
    /// Open connections, to be broken when their server goes.
    open: Mutex<Vec<TcpStream>>,
    outage: Duration,
}

/// Starts a proxy that gives `first` completions to the first backend and, after `outage`, all others to
/// the second. It ends with the test's process.
pub(crate) fn start(backends: [SocketAddr; 2], first: usize, outage: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::new(Shared {
        backends,
        asked: AtomicUsize::new(0),
        first,
        phase: AtomicUsize::new(0),
        open: Mutex::new(Vec::new()),
        outage,
    });
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || serve(&shared, client));
        }
    });
    address
}

/// One connection. Errors end it, as they would at a server that dies.
fn serve(shared: &Arc<Shared>, mut client: TcpStream) {
    let backend = match shared.phase.load(Ordering::SeqCst) {
        0 => shared.backends[0],
        1 => return,
        _ => shared.backends[1],
    };
    let Ok(mut server) = TcpStream::connect(backend) else { return };
    let both = || Some((client.try_clone().ok()?, server.try_clone().ok()?));
    let (Some((mut to_client, mut from_server)), Some((kept, other))) = (both(), both()) else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    shared.open.lock().unwrap().extend([kept, other]);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let mut bytes = [0; 64 << 10];
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        let asked = bytes[..count].windows(9).filter(|it| it == b"POST /v1/").count();
        if shared.asked.fetch_add(asked, Ordering::SeqCst) + asked >= shared.first {
            replace(shared);
        }
        if server.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}

/// Breaks what is open, once, and lets the second server in after the outage.
fn replace(shared: &Arc<Shared>) {
    if shared.phase.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).is_err() {
        return;
    }
    for socket in shared.open.lock().unwrap().drain(..) {
        let _ = socket.shutdown(Shutdown::Both);
    }
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        std::thread::sleep(shared.outage);
        shared.phase.store(2, Ordering::SeqCst);
    });
}
