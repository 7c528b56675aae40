//! Reading code signatures, by xnu's `osfmk/kern/cs_blobs.h`: independent of the program that signs.

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

const SUPER_BLOB: u32 = 0xfade_0cc0;
const CODE_DIRECTORY: u32 = 0xfade_0c02;
/// `CSSLOT_*`.
const SLOT_CODE_DIRECTORY: u32 = 0;
const SLOT_ALTERNATE: std::ops::Range<u32> = 0x1000..0x1005;
const SLOT_ENTITLEMENTS: u32 = 5;
const SLOT_CMS: u32 = 0x1_0000;
/// Each blob begins with its kind and length.
const BLOB_HEADER: usize = 8;
/// `CS_HASHTYPE_SHA256`.
const SHA256: u8 = 2;
/// `CS_RUNTIME`: the hardened runtime.
const RUNTIME: u32 = 0x1_0000;
/// `CS_ADHOC`: signed by nobody.
const AD_HOC: u32 = 0x2;

/// Special slots, whose hashes stand before those of the code (`CSSLOT_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Special {
    /// The bundle's Info.plist.
    InfoPlist = 1,
    /// The designated requirement and others.
    Requirements = 2,
    /// `_CodeSignature/CodeResources`.
    Resources = 3,
    /// Entitlements as a property list.
    Entitlements = 5,
    /// Entitlements in DER, which macOS 12 and later read.
    DerEntitlements = 7,
}

/// A Mach-O's signature.
pub(crate) struct CodeSignature<'a> {
    blobs: Vec<(u32, &'a [u8])>,
    directory: CodeDirectory<'a>,
}

impl<'a> CodeSignature<'a> {
    /// Reads a signature.
    ///
    /// # Errors
    /// If it is not well formed, or has no directory with SHA-256 hashes.
    pub(crate) fn parse(data: &'a [u8]) -> Result<Self> {
        if word(data, 0)? != SUPER_BLOB {
            bail!("the code signature is no super blob");
        }
        let count = word(data, 8)?;
        let mut blobs = Vec::new();
        for index in 0..count as usize {
            let kind = word(data, 12 + index * 8)?;
            let start = word(data, 16 + index * 8)? as usize;
            let length = word(data, start.saturating_add(4))? as usize;
            let end = start.checked_add(length).context("a blob of the signature is too long")?;
            blobs.push((kind, data.get(start..end).context("a blob lies outside of the signature")?));
        }
        let directories =
            blobs.iter().filter(|(kind, _)| *kind == SLOT_CODE_DIRECTORY || SLOT_ALTERNATE.contains(kind));
        for (_, blob) in directories {
            let directory = CodeDirectory::parse(blob)?;
            if directory.hash_type == SHA256 {
                return Ok(Self { directory, blobs });
            }
        }
        bail!("the signature has no code directory with SHA-256 hashes");
    }

    /// What is signed.
    pub(crate) fn directory(&self) -> &CodeDirectory<'a> {
        &self.directory
    }

    /// The entitlements, as a property list's text.
    pub(crate) fn entitlements(&self) -> Option<&'a [u8]> {
        self.blob(SLOT_ENTITLEMENTS).and_then(|blob| blob.get(BLOB_HEADER..))
    }

    /// The signature proper: a CMS message, detached, over the code directory. Empty where signed by nobody.
    pub(crate) fn cms(&self) -> Option<&'a [u8]> {
        self.blob(SLOT_CMS).and_then(|blob| blob.get(BLOB_HEADER..)).filter(|cms| !cms.is_empty())
    }

    /// Checks that the code is what was signed, and each blob that a special slot speaks of.
    ///
    /// # Errors
    /// With the first that differs.
    pub(crate) fn check_hashes(&self, code: &[u8]) -> Result<()> {
        self.directory.check_code(code)?;
        for special in [Special::Requirements, Special::Entitlements, Special::DerEntitlements] {
            let blob = self.blob(special as u32);
            if blob.map(digest).as_deref() != self.directory.special(special) {
                bail!("{special:?} of the signature are not what was signed");
            }
        }
        Ok(())
    }

    fn blob(&self, slot: u32) -> Option<&'a [u8]> {
        self.blobs.iter().find(|(kind, _)| *kind == slot).map(|(_, blob)| *blob)
    }
}

/// The part of a signature that is signed: names and hashes.
pub(crate) struct CodeDirectory<'a> {
    /// The blob as it stands, which the CMS message is over.
    pub(crate) data: &'a [u8],
    /// The identifier, for a bundle its id.
    pub(crate) identifier: String,
    /// The team, where the certificate names one.
    pub(crate) team: Option<String>,
    flags: u32,
    hashes: usize,
    special_slots: usize,
    code_slots: usize,
    code_limit: usize,
    hash_type: u8,
    page_size: usize,
}

impl<'a> CodeDirectory<'a> {
    fn parse(data: &'a [u8]) -> Result<Self> {
        if word(data, 0)? != CODE_DIRECTORY {
            bail!("a code directory of the signature is none");
        }
        let byte = |offset: usize| data.get(offset).copied().context("the code directory is too short");
        let version = word(data, 8)?;
        let team = match version >= 0x2_0200 {
            true => word(data, 48)? as usize,
            false => 0,
        };
        if byte(36)? != 32 && byte(37)? == SHA256 {
            bail!("the code directory's hashes are not of 32 bytes");
        }
        Ok(Self {
            data,
            identifier: text(data, word(data, 20)? as usize)?,
            team: if team == 0 { None } else { Some(text(data, team)?) },
            flags: word(data, 12)?,
            hashes: word(data, 16)? as usize,
            special_slots: word(data, 24)? as usize,
            code_slots: word(data, 28)? as usize,
            code_limit: word(data, 32)? as usize,
            hash_type: byte(37)?,
            page_size: 1_usize.checked_shl(u32::from(byte(39)?)).context("the pages are too large")?,
        })
    }

    /// Whether the hardened runtime is asked for.
    pub(crate) fn hardened_runtime(&self) -> bool {
        self.flags & RUNTIME != 0
    }

    /// Whether nobody's identity signed.
    pub(crate) fn ad_hoc(&self) -> bool {
        self.flags & AD_HOC != 0
    }

    /// The SHA-256 of a special slot; `None` where there is none, or all of it is zero, which says the same.
    pub(crate) fn special(&self, special: Special) -> Option<&'a [u8]> {
        let slot = special as usize;
        if slot > self.special_slots {
            return None;
        }
        let start = self.hashes.checked_sub(32 * slot)?;
        self.data.get(start..start + 32).filter(|hash| hash.iter().any(|byte| *byte != 0))
    }

    fn check_code(&self, code: &[u8]) -> Result<()> {
        let code = code.get(..self.code_limit).context("the signature is for a longer file")?;
        let pages: Vec<&[u8]> = code.chunks(self.page_size).collect();
        if pages.len() != self.code_slots {
            bail!("the signature is for {} pages of code, and there are {}", self.code_slots, pages.len());
        }
        for (index, page) in pages.iter().enumerate() {
            let start = self.hashes.saturating_add(32 * index);
            if self.data.get(start..start.saturating_add(32)) != Some(&digest(page)[..]) {
                bail!("page {index} of the code is not what was signed");
            }
        }
        Ok(())
    }
}

/// SHA-256.
pub(crate) fn digest(data: &[u8]) -> Vec<u8> {
    Sha256::digest(data).to_vec()
}

fn word(data: &[u8], offset: usize) -> Result<u32> {
    let bytes = offset.checked_add(4).and_then(|end| data.get(offset..end));
    let bytes = bytes.context("the code signature ends too early")?;
    Ok(u32::from_be_bytes(bytes.try_into().expect("4 bytes")))
}

fn text(data: &[u8], offset: usize) -> Result<String> {
    let rest = data.get(offset..).context("a name lies outside of the code directory")?;
    let end = rest.iter().position(|byte| *byte == 0).context("a name of the code directory has no end")?;
    Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
}
