//! The processes that ran before the first message came.

use std::borrow::Cow;

use super::message::{self, hexadecimal};
use super::{process, sysctl};
use crate::observation::Image;
use crate::procargs;

/// The kernel's bound on a process's arguments and environment together, in bytes: `ARG_MAX`, and the path.
const MAX_ARGUMENTS: usize = (1 << 20) + 4096;

/// `CS_PLATFORM_BINARY` of xnu's osfmk/kern/cs_blobs.h.
const CS_PLATFORM_BINARY: u32 = 0x0400_0000;

/// A process that runs.
pub(super) struct Listed {
    pub(super) image: Image<'static>,
    /// Its arguments, if they are those of this very image.
    pub(super) args: Option<Vec<Cow<'static, str>>>,
}

/// Lists the processes that run, parents before their children. A process that ends meanwhile is left out.
pub(super) fn list() -> Vec<Listed> {
    let mut buffer = vec![0; MAX_ARGUMENTS];
    let mut listed: Vec<Listed> =
        process::all().into_iter().filter_map(|pid| describe(pid, &mut buffer)).collect();
    // A parent is older than its child, or as old, and then has the lower pid but for once in 99,999 times.
    listed.sort_by_key(|listed| (listed.image.start, listed.image.token.pid));
    listed
}

fn describe(pid: u32, buffer: &mut [u8]) -> Option<Listed> {
    let token = process::token(pid)?;
    let info = process::info(pid)?;
    let executable = process::path(pid)?;
    let args = arguments(pid, buffer);
    let signing_id = process::signing_id(&token);
    let team_id = process::team_id(&token);
    let cdhash = process::cdhash(&token).map(|hash| hexadecimal(&hash));
    // Last: it fails if the process has meanwhile exec'd or ended, and the above may be of two images.
    let flags = process::signing_flags(&token)?;
    let start = info.pbi_start_tvsec.saturating_mul(1_000_000).saturating_add(info.pbi_start_tvusec);
    let image = Image {
        token: message::token(&token),
        ppid: Some(info.pbi_ppid),
        group_id: Some(info.pbi_pgid),
        codesigning_flags: flags,
        is_platform_binary: flags & CS_PLATFORM_BINARY != 0,
        cdhash: cdhash.map(Cow::Owned),
        signing_id: signing_id.map(Cow::Owned),
        team_id: team_id.map(Cow::Owned),
        executable: executable.into(),
        start: i64::try_from(start).ok().map(|start| start.saturating_mul(1_000)),
        ..Image::default()
    };
    Some(Listed { image, args })
}

fn arguments(pid: u32, buffer: &mut [u8]) -> Option<Vec<Cow<'static, str>>> {
    let args = procargs::parse(sysctl::process_arguments(pid, buffer)?)?.args?;
    Some(args.into_iter().map(|arg| Cow::Owned(String::from_utf8_lossy(arg).into_owned())).collect())
}
