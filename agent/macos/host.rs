//! What the Mac is called, and which macOS it runs.

use std::ffi::CStr;
use std::sync::Arc;
use std::time::Duration;

use eql::Scalar;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::unistd::gethostname;

use super::sysctl;
use crate::event::Host;
use crate::network::gate::System;

/// How long the system may take to say which Mac this is.
const WAIT: Duration = Duration::from_secs(5);

/// The most addresses of a kind that are kept.
const MAX_ADDRESSES: usize = 64;

/// Returns `host.*`. `host.id` is the hardware's UUID, the same over restarts and installations of macOS.
pub(super) fn describe() -> Host {
    let text = |name: &CStr| sysctl::text(name).map(Arc::from);
    let version = text(c"kern.osproductversion");
    let (ip, mac) = addresses();
    Host {
        id: uuid().unwrap_or_default(),
        name: gethostname().ok().map(|name| name.to_string_lossy().into()),
        architecture: architecture(),
        os_full: version.as_ref().map(|version| format!("macOS {version}").into()),
        os_version: version,
        os_kernel: text(c"kern.osrelease"),
        ip,
        mac,
        os_recorded: false,
    }
}

/// Returns the version of macOS: major, minor, patch.
pub(super) fn os_version() -> Option<(u64, u64, u64)> {
    let text = sysctl::text(c"kern.osproductversion")?;
    let mut numbers = text.split('.').map(str::parse);
    let major = numbers.next()?.ok()?;
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    Some((major, next(), next()))
}

/// Returns what decides which network source may be tried; empty where the system does not say.
pub(super) fn system() -> System {
    let text = |name: &CStr| sysctl::text(name).unwrap_or_default();
    System {
        version: text(c"kern.osproductversion"),
        darwin: text(c"kern.osrelease"),
        build: text(c"kern.osversion"),
    }
}

fn uuid() -> Option<Arc<str>> {
    let mut id = [0u8; 16];
    let wait = libc::timespec { tv_sec: WAIT.as_secs() as libc::time_t, tv_nsec: 0 };
    // SAFETY: `id` has room for the 16 bytes of a `uuid_t`, and `wait` is a time.
    let result = unsafe { libc::gethostuuid(id.as_mut_ptr(), &raw const wait) };
    if result != 0 || id == [0; 16] {
        return None;
    }
    let text = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let [a, b, c, d, e] = [&id[..4], &id[4..6], &id[6..8], &id[8..10], &id[10..]].map(text);
    Some(format!("{a}-{b}-{c}-{d}-{e}").into())
}

/// `hw.machine` is `x86_64` for an Intel program on Apple silicon too.
fn architecture() -> Option<Arc<str>> {
    match sysctl::number(c"sysctl.proc_translated") {
        Some(1) => Some("arm64".into()),
        _ => sysctl::text(c"hw.machine").map(Arc::from),
    }
}

/// Returns `host.ip` and `host.mac`, of all interfaces but the loopback. MAC addresses are written as RFC 7042 has it.
fn addresses() -> (Box<[Scalar]>, Box<[Scalar]>) {
    let (mut ip, mut mac) = (Vec::new(), Vec::new());
    for interface in getifaddrs().into_iter().flatten() {
        if interface.flags.contains(InterfaceFlags::IFF_LOOPBACK) {
            continue;
        }
        let Some(address) = interface.address else { continue };
        let (list, text) = if let Some(v4) = address.as_sockaddr_in() {
            (&mut ip, v4.ip().to_string())
        } else if let Some(v6) = address.as_sockaddr_in6() {
            (&mut ip, v6.ip().to_string())
        } else if let Some(bytes) = address.as_link_addr().and_then(|link| link.addr()) {
            let bytes = bytes.map(|byte| format!("{byte:02X}"));
            (&mut mac, bytes.join("-"))
        } else {
            continue;
        };
        let text = Scalar::from(&*text);
        if list.len() < MAX_ADDRESSES && !list.contains(&text) {
            list.push(text);
        }
    }
    (ip.into(), mac.into())
}
