#!/usr/bin/env python3
"""Reads a flat package with nothing but Python's own modules: read_package.py PKG

A second opinion on what `cargo xtask verify-pkg` reads: xar by its format (header, table of contents, heap), cpio by
POSIX's old format, property lists by plistlib. Prints a line for each file of the archive, `xar PATH SIZE`, and for each
entry of the payload, `cpio PATH MODE UID:GID SHA256`. Ends with an error where something is not as the format has it.
"""

import gzip
import hashlib
import plistlib
import struct
import sys
import xml.etree.ElementTree as xml
import zlib


def xar(data: bytes) -> dict[str, bytes]:
    """The files of a xar archive, their checksums looked at."""
    magic, size, version, compressed, plain, checksum = struct.unpack(">4sHHQQI", data[:28])
    assert (magic, size, version, checksum) == (b"xar!", 28, 1, 1), "header"
    packed = data[size : size + compressed]
    text = zlib.decompress(packed)
    assert len(text) == plain, "length of the table of contents"
    heap = data[size + compressed :]
    toc = xml.fromstring(text).find("toc")
    at = int(toc.findtext("checksum/offset"))
    assert heap[at : at + 20] == hashlib.sha1(packed).digest(), "checksum of the table of contents"

    files: dict[str, bytes] = {}

    def visit(element: xml.Element, folder: str) -> None:
        for file in element.findall("file"):
            path = folder + file.findtext("name")
            part = file.find("data")
            if part is not None:
                start, length = int(part.findtext("offset")), int(part.findtext("length"))
                archived = heap[start : start + length]
                assert hashlib.sha1(archived).hexdigest() == part.findtext("archived-checksum"), path
                packed = part.find("encoding").get("style") == "application/x-gzip"
                content = zlib.decompress(archived) if packed else archived
                assert hashlib.sha1(content).hexdigest() == part.findtext("extracted-checksum"), path
                assert len(content) == int(part.findtext("size")), path
                files[path] = content
            visit(file, path + "/")

    visit(toc, "")
    return files


def cpio(data: bytes):
    """The entries of a cpio archive: path, mode, owner, content."""
    at = 0
    while True:
        header = data[at : at + 76]
        assert header[:6] == b"070707", "cpio's magic"
        mode, uid, gid = (int(header[start : start + 6], 8) for start in (18, 24, 30))
        name, size = int(header[59:65], 8), int(header[65:76], 8)
        path = data[at + 76 : at + 76 + name - 1].decode()
        start = at + 76 + name
        if path == "TRAILER!!!":
            return
        yield path, mode, f"{uid}:{gid}", data[start : start + size]
        at = start + size


def main() -> None:
    with open(sys.argv[1], "rb") as package:
        files = xar(package.read())
    for path, content in sorted(files.items()):
        print("xar", path, len(content))
    assert files["Vedette.pkg/Bom"].startswith(b"BOMStore"), "bill of materials"
    for path in ("Distribution", "Vedette.pkg/PackageInfo"):
        xml.fromstring(files[path])
    for path, mode, owner, content in cpio(gzip.decompress(files["Vedette.pkg/Payload"])):
        if path.endswith((".plist", "/CodeResources")):
            plistlib.loads(content)
        print("cpio", path.replace(" ", "\\ "), f"{mode:o}", owner, hashlib.sha256(content).hexdigest())


main()
