//! The xar archive: its checksums, its signatures.

use super::found;
use super::package::Package;
use crate::pkg::names::THROW_AWAY_TEAM;
use anyhow::{Context, Result, bail};
use apple_xar::reader::XarReader;
use apple_xar::table_of_contents::SignatureStyle;
use cryptographic_message_syntax::SignedData;
use std::io::Cursor;
use x509_certificate::CapturedX509Certificate;

/// SHA-256 of "Apple Root CA", <https://www.apple.com/certificateauthority/>.
const APPLE_ROOT: &str = "b0b1730ecbc7ff4505142c49f1295e6eda6bcaed7e2c68c5be91b5a11001f024";

/// Header, the checksum of the table of contents, and that of each file.
pub(super) fn integrity(package: &Package) -> Vec<String> {
    found(check_integrity(package))
}

/// The signatures over the checksum of the table of contents, and the chain of certificates.
pub(super) fn signature(package: &Package) -> Vec<String> {
    found(check_signature(package))
}

fn check_integrity(package: &Package) -> Result<()> {
    let mut xar = XarReader::new(Cursor::new(&package.archive))?;
    let header = xar.header();
    // `struct xar_header` of xar's format: 28 bytes, version 1.
    if header.size != 28 || header.version != 1 {
        bail!("the header is of {} bytes and version {}, not 28 and 1", header.size, header.version);
    }
    if !xar.verify_table_of_contents_checksum()? {
        bail!("the checksum of the table of contents is another");
    }
    for (path, file) in xar.files()? {
        let Some(data) = &file.data else { continue };
        let (mut archived, mut extracted) = (Vec::new(), Vec::new());
        xar.write_file_data_heap_from_file(&file, &mut archived)?;
        xar.write_file_data_decoded_from_file(&file, &mut extracted)
            .with_context(|| format!("{path} cannot be read"))?;
        for (what, checksum, bytes) in [
            ("archived", &data.archived_checksum, archived),
            ("extracted", &data.extracted_checksum, extracted),
        ] {
            let digest = checksum.style.digest_data(&bytes)?;
            if crate::pkg::payload::hexadecimal(&digest) != checksum.checksum {
                bail!("the {what} checksum of {path} is another");
            }
        }
    }
    Ok(())
}

fn check_signature(package: &Package) -> Result<()> {
    let mut xar = XarReader::new(Cursor::new(&package.archive))?;
    let (_, certificates) = xar.rsa_signature()?.context("the package is not signed")?;
    if !xar.verify_rsa_checksum_signature().context("the signature is not that of this package")? {
        bail!("the package is not signed");
    }
    check_chain(&certificates, package.names.team())?;

    let cms =
        xar.table_of_contents().find_signature(SignatureStyle::Cms).context("there is no CMS signature")?;
    let (start, size) = (xar.heap_start_offset().checked_add(cms.offset), cms.size);
    let range = start.and_then(|start| {
        Some(usize::try_from(start).ok()?..usize::try_from(start.checked_add(size)?).ok()?)
    });
    let cms = range
        .and_then(|range| package.archive.get(range))
        .context("the CMS signature lies outside of the file")?;
    let signed = SignedData::parse_ber(cms).context("the CMS signature is broken")?;
    let checksum = xar.checksum()?.1;
    check_cms(&signed, &checksum, package)
}

/// Whether a CMS message signs `content`, and with a time stamp where an identity is more than a throw-away one.
///
/// # Errors
/// With what does not hold.
pub(super) fn check_cms(signed: &SignedData, content: &[u8], package: &Package) -> Result<()> {
    let mut signers = 0;
    for signer in signed.signers() {
        signer.verify_signature_with_signed_data(signed).context("the CMS signature does not hold")?;
        signer
            .verify_message_digest_with_content(content)
            .context("the CMS signature is for something else")?;
        signers += 1;
    }
    if signers == 0 {
        bail!("the CMS signature has no signer");
    }
    let certificates: Vec<CapturedX509Certificate> = signed.certificates().cloned().collect();
    if throw_away(package) {
        return Ok(());
    }
    let leaf = certificates.iter().find(|certificate| is_of(certificate, package.names.team()));
    leaf.context("no certificate of the CMS signature is the team's").map(drop)
}

/// Whether nobody's identity signed: such a package is for tests.
pub(super) fn throw_away(package: &Package) -> bool {
    package.names.team() == THROW_AWAY_TEAM || signer_is_self_signed(package).unwrap_or(false)
}

fn signer_is_self_signed(package: &Package) -> Result<bool> {
    let mut xar = XarReader::new(Cursor::new(&package.archive))?;
    let (_, certificates) = xar.rsa_signature()?.context("not signed")?;
    Ok(certificates.first().is_some_and(|leaf| leaf.subject_is_issuer()))
}

/// The leaf is the team's, each certificate signed by the next, the last Apple's root, all in time. A throw-away identity
/// signs itself, and must be alone.
fn check_chain(certificates: &[CapturedX509Certificate], team: &str) -> Result<()> {
    let leaf = certificates.first().context("the signature comes without a certificate")?;
    if !is_of(leaf, team) {
        bail!("the package is not signed by team {team}, which signed the app");
    }
    for certificate in certificates {
        if !certificate.time_constraints_valid(None) {
            let name = certificate.subject_common_name().unwrap_or_default();
            bail!("the certificate {name} is not valid today");
        }
    }
    for pair in certificates.windows(2) {
        pair[0].verify_signed_by_certificate(&pair[1]).context("the chain of certificates does not hold")?;
    }
    let last = certificates.last().expect("there is a first");
    if certificates.len() == 1 && last.subject_is_issuer() {
        return last.verify_signed_by_certificate(last).context("the throw-away certificate does not hold");
    }
    let fingerprint = crate::pkg::payload::hexadecimal(last.sha256_fingerprint()?.as_ref());
    if fingerprint != APPLE_ROOT {
        bail!("the chain of certificates does not end at Apple Root CA");
    }
    Ok(())
}

/// Whether a certificate is a team's: Apple puts the team's id into the subject's organisational unit.
fn is_of(certificate: &CapturedX509Certificate, team: &str) -> bool {
    let units = certificate.subject_name().iter_organizational_unit();
    units.filter_map(|unit| unit.to_string().ok()).any(|unit| unit == team)
}
