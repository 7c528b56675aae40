//! The listener on this Mac that the package's script connects to.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

/// How long a connection may take to say what it wants: it is our own script, or it is not waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// The most of a request that is read, in bytes.
const MAX_REQUEST: u64 = 4096;

/// Listens on the loopback address, on a port that the system chooses.
pub(super) struct Listener {
    listener: TcpListener,
    port: u16,
    /// What the script's request begins with.
    request: String,
}

impl Listener {
    pub(super) fn bind(nonce: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        Ok(Listener { listener, port, request: format!("GET /{nonce} ") })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Whether the script has connected. Others that did are sent away.
    pub(super) fn was_reached(&self) -> bool {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let _ = stream.set_nonblocking(false);
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let mut request = Vec::new();
            let mut part = [0; 1024];
            while !request.ends_with(b"\r\n\r\n") && (request.len() as u64) < MAX_REQUEST {
                match stream.read(&mut part) {
                    Ok(read) if read > 0 => request.extend(&part[..read]),
                    _ => break,
                }
            }
            if request.starts_with(self.request.as_bytes()) {
                let _ = stream.write_all(b"HTTP/1.0 204 No Content\r\n\r\n");
                return true;
            }
        }
        false
    }
}
