//! Listening sockets: one a thread, all on one address, connections spread over them by the kernel.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

const BACKLOG: i32 = 4096;
/// A caller that is silent for this long is asked by TCP whether it is still there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// A caller that takes nothing for this long, though there is something for it, is gone.
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(300);

/// Opens `count` sockets on one address. With port 0 the first picks the port.
///
/// # Errors
/// If the address is in use, also by another process that would share it, or can't be bound.
pub(crate) fn open(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // Sharing a port is for our own threads: alone, a bind tells whether somebody else has it.
    drop(bind(address, Share::No)?);
    let first = bind(address, Share::Yes)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    while listeners.len() < count {
        listeners.push(bind(address, Share::Yes)?);
    }
    Ok(listeners)
}

#[derive(Clone, Copy, PartialEq)]
enum Share {
    Yes,
    No,
}

fn bind(address: SocketAddr, share: Share) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share == Share::Yes)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if share == Share::Yes {
        inherited_by_connections(&socket)?;
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

/// What Linux hands on from a listening socket to the connections it accepts.
fn inherited_by_connections(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER))?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIMEOUT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_listeners_share_the_port_the_first_one_got() {
        let listeners = open("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let ports: Vec<u16> = listeners
            .iter()
            .map(|l| l.local_addr().unwrap().port())
            .collect();
        assert_eq!(ports.len(), 3);
        assert!(
            ports.iter().all(|port| *port == ports[0] && *port != 0),
            "{ports:?}"
        );
    }

    #[test]
    fn an_address_in_use_is_an_error_though_it_could_be_shared() {
        let listeners = open("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let again = open(listeners[0].local_addr().unwrap(), 1);
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
