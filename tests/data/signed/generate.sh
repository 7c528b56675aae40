#!/usr/bin/env bash
# Signs small Mach-O programs with certificates made for this and thrown away: what tests/profile.rs reads.
#
#     bash tests/data/signed/generate.sh
#
# It needs openssl, Python 3, and rcodesign (apple-codesign 0.29) in PATH. Keys are made anew each time and not kept, so
# the files differ from run to run; what they say does not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
keys="$(mktemp -d)"
trap 'rm -rf "$keys"' EXIT

# certificate NAME SUBJECT ISSUER EXTENSIONS…: a key and a certificate for it; ISSUER is its own name for a root.
certificate() {
  local name="$1" subject="$2" issuer="$3" by=()
  shift 3
  openssl req -new -newkey rsa:2048 -nodes -keyout "$keys/$name.key" -out "$keys/$name.csr" -subj "$subject" 2> "$keys/log"
  printf '%s\n' "$@" > "$keys/$name.ext"
  if [ "$issuer" = "$name" ]; then
    by=(-signkey "$keys/$name.key")
  else
    by=(-CA "$keys/$issuer.pem" -CAkey "$keys/$issuer.key" -CAcreateserial)
  fi
  openssl x509 -req -in "$keys/$name.csr" "${by[@]}" -days 7300 -extfile "$keys/$name.ext" -out "$keys/$name.pem" 2> "$keys/log"
}

ca="basicConstraints=critical,CA:TRUE"
leaf="basicConstraints=critical,CA:FALSE"
use="extendedKeyUsage=critical,codeSigning"
usage="keyUsage=critical,digitalSignature"
# Apple's marks: of the intermediate for Developer IDs, and of a Developer ID Application.
intermediate="1.2.840.113635.100.6.2.6=ASN1:NULL"
application="1.2.840.113635.100.6.1.13=critical,ASN1:NULL"
certificate root "/CN=Stand-in for Apple Root CA/O=Vedette tests" root "$ca"
certificate intermediate "/CN=Stand-in for Developer ID/O=Vedette tests" root "$ca" "$intermediate"
for team in ABCDE12345 ZYXWV98765; do
  certificate "$team" "/UID=$team/CN=Developer ID Application: Vedette tests ($team)/OU=$team/O=Vedette tests/C=DE" \
    intermediate "$leaf" "$usage" "$use" "$application"
done
certificate self "/UID=ABCDE12345/CN=Developer ID Application: Vedette tests (ABCDE12345)/OU=ABCDE12345/O=Nobody/C=DE" \
  self "$leaf" "$usage" "$use" "$application"

# The smallest program that a signing tool takes: no code that would do anything.
python3 - "$keys" << 'PYTHON'
import struct, sys
def program(build):
    page = 4096
    segment = lambda name, vm, size, offset, length, prot, sections=b"": struct.pack(
        "<II16sQQQQIIII", 0x19, 72 + len(sections), name, vm, size, offset, length, prot, prot, len(sections) // 80, 0
    ) + sections
    text = struct.pack(
        "<16s16sQQIIIIIIII", b"__text", b"__TEXT", (1 << 32) + 1024, len(build), 1024, 2, 0, 0, 0x80000400, 0, 0, 0)
    commands = [
        segment(b"__PAGEZERO", 0, 1 << 32, 0, 0, 0),
        segment(b"__TEXT", 1 << 32, page, 0, page, 5, text),
        segment(b"__LINKEDIT", (1 << 32) + page, page, page, 16, 1),
        struct.pack("<IIQQ", 0x80000028, 24, 1024, 0),          # LC_MAIN
        struct.pack("<IIIIII", 0x32, 24, 1, 13 << 16, 13 << 16, 0),  # LC_BUILD_VERSION: macOS 13
    ]
    body = b"".join(commands)
    header = struct.pack("<IIIIIIII", 0xFEEDFACF, 0x0100000C, 0, 2, len(commands), len(body), 0x200085, 0)
    return (header + body).ljust(1024, b"\0") + build.ljust(page - 1024, b"\0") + b"\0" * 16
for name, build in ("one", b"\xc0\x03\x5f\xd6"), ("two", b"\x1f\x20\x03\xd5\xc0\x03\x5f\xd6"):
    open(f"{sys.argv[1]}/{name}", "wb").write(program(build))
PYTHON

# sign PROGRAM OUT IDENTIFIER TEAM [CERTIFICATE…]: the first certificate's key signs.
sign() {
  local program="$1" out="$2" identifier="$3" team="$4" arguments=()
  shift 4
  if [ $# -gt 0 ]; then
    # The tool takes the team from certificates of Apple's own only.
    arguments=(--team-name "$team" --pem-file "$keys/$1.key")
    for certificate in "$@"; do arguments+=(--pem-file "$keys/$certificate.pem"); done
  fi
  rcodesign sign --timestamp-url none --code-signature-flags runtime --binary-identifier "$identifier" \
    "${arguments[@]}" "$keys/$program" "$out" > "$keys/log" 2>&1 || { cat "$keys/log"; exit 1; }
  chmod 644 "$out"
}

sign one sensor dev.vedette.sensor ABCDE12345 ABCDE12345 intermediate root
sign two sensor-next-build dev.vedette.sensor ABCDE12345 ABCDE12345 intermediate root
sign one other-identifier dev.vedette.app ABCDE12345 ABCDE12345 intermediate root
sign one other-team dev.vedette.sensor ZYXWV98765 ZYXWV98765 intermediate root
sign one self-signed dev.vedette.sensor ABCDE12345 self
sign one adhoc dev.vedette.sensor ''
ls -l
