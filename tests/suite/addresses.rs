//! An address of its own for every server of the suite.
//!
//! Linux answers on all of 127.0.0.0/8, so each server gets an address and can keep its port over a restart: no other
//! test can take it. It also makes two servers two hosts, which redirects and token realms depend on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A loopback address that no other server in this process uses.
pub fn fresh_ip() -> IpAddr {
    let count = NEXT.fetch_add(1, Ordering::Relaxed);
    let [.., high, low] = std::process::id().to_be_bytes();
    let [.., middle, last] = (count + 1).to_be_bytes();
    // Two runs of the suite side by side differ in their process ids.
    Ipv4Addr::new(127, 64 + (high ^ low) % 128, middle, last.clamp(1, 254)).into()
}

/// Ports of `ip` that are free now, all different. They come from the kernel, so that two runs that share an address
/// hardly ever meet.
pub fn free_ports<const COUNT: usize>(ip: IpAddr) -> [SocketAddr; COUNT] {
    // Held until all are chosen, or the same could come twice.
    let held: [_; COUNT] = std::array::from_fn(|_| TcpListener::bind((ip, 0)).expect("a free port"));
    held.each_ref().map(|listener| listener.local_addr().expect("an address"))
}
