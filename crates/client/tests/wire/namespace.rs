//! A network namespace with one Ethernet device, whose cable is a file.
//!
//! The device is a TAP: what the namespace sends is read from the file as finished frames (no
//! segmentation or checksum is left to hardware, since the file has none), and a frame written to
//! the file goes through the kernel's receive path, time stamp and TCP included, before `write`
//! returns. So the moments before and after a `write` bracket the arrival of a frame, which no pair
//! of connected devices (veth) promises.
//!
//! Only threads that [`Host::enter`] see the namespace, and it goes with the last of them and the
//! last open file: nothing is left behind, however the process ends.

use std::ffi::{CString, c_ulong, c_void};
use std::fs::{File, OpenOptions};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::thread;

use nix::libc;
use nix::sched::{CloneFlags, setns, unshare};
use plimsoll_client::Capture;
use socket2::{Domain, Socket, Type};

/// The device's name in its namespace.
const DEVICE: &str = "cable";

/// A namespace with an address and the file at the other end of its device.
#[derive(Debug)]
pub(crate) struct Host {
    namespace: File,
    /// Yields the frames that the host sends, takes those that it is to receive. Never blocks.
    pub(crate) cable: File,
    pub(crate) address: Ipv4Addr,
}

impl Host {
    /// A host with `address` in a network of 256. An error says what this process may not do.
    pub(crate) fn new(address: Ipv4Addr) -> Result<Self, String> {
        // A thread of its own, for it is the calling thread that changes its namespace.
        let made = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|error| format!("no network namespace may be made: {error}"))?;
            let namespace = File::open("/proc/thread-self/ns/net")
                .map_err(|error| format!("/proc has no namespaces: {error}"))?;
            let cable = plug().map_err(|error| format!("no TAP device may be made: {error}"))?;
            configure("lo", Ipv4Addr::LOCALHOST)
                .and_then(|()| configure(DEVICE, address))
                .map_err(|error| format!("a device takes no address: {error}"))?;
            Capture::probe().map_err(|error| error.to_string())?;
            Ok(Self { namespace, cable, address })
        });
        made.join().unwrap()
    }

    /// Moves the calling thread, and the threads that it starts, into the namespace.
    pub(crate) fn enter(&self) {
        setns(&self.namespace, CloneFlags::CLONE_NEWNET).unwrap();
    }
}

/// Makes the TAP device of this thread's namespace.
fn plug() -> io::Result<File> {
    let cable = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")?;
    let mut request = request(DEVICE);
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    ask(cable.as_raw_fd(), libc::TUNSETIFF, &mut request)?;
    Ok(cable)
}

/// Gives the device an address and turns it on.
fn configure(device: &str, address: Ipv4Addr) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    let fd = socket.as_raw_fd();
    for (what, address) in
        [(libc::SIOCSIFADDR, address), (libc::SIOCSIFNETMASK, Ipv4Addr::new(255, 255, 255, 0))]
    {
        let mut request = request(device);
        let internet = libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: 0,
            sin_addr: libc::in_addr { s_addr: u32::from(address).to_be() },
            sin_zero: [0; 8],
        };
        // SAFETY: both are plain data of 16 bytes, and the kernel reads the one as the other.
        request.ifr_ifru.ifru_addr =
            unsafe { std::mem::transmute::<libc::sockaddr_in, libc::sockaddr>(internet) };
        ask(fd, what, &mut request)?;
    }
    let mut request = request(device);
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    ask(fd, libc::SIOCSIFFLAGS, &mut request)
}

/// An empty request about a device.
fn request(device: &str) -> libc::ifreq {
    // SAFETY: plain data, for which zeros are a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let name = CString::new(device).unwrap();
    for (to, from) in request.ifr_name.iter_mut().zip(name.as_bytes_with_nul()) {
        *to = (*from).cast_signed();
    }
    request
}

fn ask(fd: RawFd, what: c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    let request: *mut libc::ifreq = request;
    // SAFETY: all of the requests used here take a pointer to an `ifreq`, and this one is alive.
    let returned = unsafe { libc::ioctl(fd, what, request.cast::<c_void>()) };
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
