//! Free ports. Several labs may run at once, so a port is only ever proposed by trying it.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

/// Below the range from which Linux takes the ports of outgoing connections (32768 upwards), so that no client of
/// the lab can take a port between its choice and its use.
const FIRST: u16 = 20_000;
/// Number of ports from [`FIRST`].
const COUNT: u16 = 12_000;

/// How many ports this process has gone through.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that is free for TCP and UDP on every one of these addresses.
///
/// # Errors
/// Where no port of the range is free.
pub fn free_port(addresses: &[IpAddr]) -> Result<u16> {
    let process = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap_or(0);
    for _ in 0..COUNT {
        // 97 is prime to the size of the range: neighbouring process ids start far apart.
        let turn = u32::from(NEXT.fetch_add(1, Ordering::Relaxed)) + u32::from(process) * 97;
        let port = FIRST + u16::try_from(turn % u32::from(COUNT)).unwrap_or(0);
        if addresses
            .iter()
            .all(|address| is_free(SocketAddr::new(*address, port)))
        {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {}", FIRST + COUNT)
}

/// An address with a port that is free there.
///
/// # Errors
/// Where no port of the range is free.
pub fn address(of: IpAddr) -> Result<SocketAddr> {
    Ok(SocketAddr::new(of, free_port(&[of])?))
}

fn is_free(address: SocketAddr) -> bool {
    TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
}
