//! libbsm: what an audit token says (`<bsm/libbsm.h>`).
//!
//! Models: the eight words of `audit_token_t`, in the order that xnu's `bsd/kern/kern_credential.c` fills them.

use crate::symbols::exports;

exports! {
    "audit_token_to_asid" => word::<6>,
    "audit_token_to_auid" => word::<0>,
    "audit_token_to_egid" => word::<2>,
    "audit_token_to_euid" => word::<1>,
    "audit_token_to_pid" => word::<5>,
    "audit_token_to_pidversion" => word::<7>,
    "audit_token_to_rgid" => word::<4>,
    "audit_token_to_ruid" => word::<3>,
}

/// `audit_token_t`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct AuditToken(pub(crate) [u32; 8]);

impl AuditToken {
    pub(crate) fn pid(self) -> u32 {
        self.0[5]
    }

    pub(crate) fn pidversion(self) -> u32 {
        self.0[7]
    }
}

/// Passed by value: 32 bytes, on the stack (x86_64) or by reference (arm64), as C compilers of both systems do.
extern "C" fn word<const INDEX: usize>(token: AuditToken) -> u32 {
    token.0[INDEX]
}
