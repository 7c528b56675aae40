//! A kernel control (sys/kern_control.h): a socket to a part of the kernel, found by its name.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SysControlAddr, connect, recv, send,
    setsockopt, socket, sockopt,
};

/// How many bytes the kernel may keep for this socket: as many of these as it gives.
const ROOM: [usize; 3] = [4 << 20, 1 << 20, 256 << 10];

/// An open kernel control of datagrams.
#[derive(Debug)]
pub(super) struct KernelControl(OwnedFd);

/// What a read has brought.
pub(super) enum Received {
    /// A datagram of so many bytes.
    Datagram(usize),
    /// Nothing is there.
    Nothing,
    /// The kernel had no room for something.
    Lost,
}

impl KernelControl {
    /// Opens the control of a name.
    ///
    /// # Errors
    /// The kernel has none of that name, or does not let this process have it.
    pub(super) fn open(name: &str) -> io::Result<Self> {
        let control =
            socket(AddressFamily::System, SockType::Datagram, SockFlag::empty(), SockProtocol::KextControl)?;
        fcntl(&control, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        let address = SysControlAddr::from_name(control.as_raw_fd(), name, 0)?;
        connect(control.as_raw_fd(), &address)?;
        // With less room more is lost, and counted.
        let _ = ROOM.iter().any(|bytes| setsockopt(&control, sockopt::RcvBuf, bytes).is_ok());
        Ok(KernelControl(control))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// The kernel does not take it.
    pub(super) fn send(&self, request: &[u8]) -> io::Result<()> {
        send(self.0.as_raw_fd(), request, MsgFlags::empty())?;
        Ok(())
    }

    /// Waits until something is there, or for `milliseconds`.
    pub(super) fn wait(&self, milliseconds: u16) {
        let mut files = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        // Of an error the next read says more.
        let _ = poll(&mut files, PollTimeout::from(milliseconds));
    }

    /// Reads a datagram, without waiting for one.
    ///
    /// # Errors
    /// The control no longer works.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        match recv(self.0.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the kernel has closed it")),
            Ok(length) => Ok(Received::Datagram(length)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Received::Nothing),
            Err(Errno::ENOBUFS) => Ok(Received::Lost),
            Err(error) => Err(error.into()),
        }
    }
}
