#!/usr/bin/env python3
"""Splits the tar of a whole root (stdin) into DIR/{0-base,1-kernel,2-derived}.tar.

The third layer holds every kind of change a layer can make to the ones below it."""
import io, sys, tarfile

EMPTY = ("boot/", "dev/", "proc/", "run/", "sys/", "tmp/", "var/cache/", "var/log/", "var/tmp/", "var/lib/apt/")
KERNEL = "usr/lib/modules/"
CAP_NET_RAW = "\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"  # VFS_CAP_REVISION_2, effective, permitted = 1 << 13
ACL_USER_7 = "\2\0\0\0" "\1\0\6\0\udcff\udcff\udcff\udcff" "\2\0\4\0\7\0\0\0" \
    "\4\0\4\0\udcff\udcff\udcff\udcff" "\x10\0\4\0\udcff\udcff\udcff\udcff" "\x20\0\4\0\udcff\udcff\udcff\udcff"


def split(source, base, kernel):
    for member in source:
        member.name = name = member.name.removeprefix("./").rstrip("/")
        if name.startswith(EMPTY):
            continue
        member.pax_headers = {key: value for key, value in member.pax_headers.items() if key.startswith("SCHILY.xattr.")}
        member.uname = member.gname = ""
        layer = kernel if name.startswith(KERNEL) else base
        layer.addfile(member, source.extractfile(member) if member.isreg() else None)


def derive(tar, mtime):
    def add(name, data="", mode=0o644, kind=tarfile.REGTYPE, link="", uid=0, gid=0, **xattrs):
        member = tarfile.TarInfo("usr/share/demo/" + name if name else "usr/share/demo")
        member.mode, member.type, member.linkname, member.mtime = mode, kind, link, mtime
        member.uid, member.gid, member.size = uid, gid, len(data)
        member.pax_headers = {"SCHILY.xattr." + key.replace("__", "."): value for key, value in xattrs.items()}
        tar.addfile(member, io.BytesIO(data.encode()))

    add("", mode=0o755, kind=tarfile.DIRTYPE)
    add("added", "derived: added\n")
    add("replaced", kind=tarfile.SYMTYPE, link="added", mode=0o777)
    for gone in ("deleted", "deleted-dir"):
        add(".wh." + gone, mode=0)
    add("opaque", mode=0o755, kind=tarfile.DIRTYPE)
    add("opaque/.wh..wh..opq", mode=0)
    add("opaque/new", "derived: opaque/new\n")
    add("hardlink", kind=tarfile.LNKTYPE, link="usr/share/demo/added")
    add("capability", "derived: capability\n", 0o755, security__capability=CAP_NET_RAW)
    add("xattr", "derived: xattr\n", user__demo="value")
    add("acl", "derived: acl\n", system__posix_acl_access=ACL_USER_7)
    add("setuid", "derived: setuid\n", 0o4755, uid=1, gid=65534)
    add("unreadable", "derived: unreadable\n", 0)
    add("empty")
    add("n" * 200 + "-\u00e9", "derived: a name of more than 100 bytes, not ASCII\n")


def main(directory, mtime):
    layers = [tarfile.open(f"{directory}/{name}.tar", "w", format=tarfile.PAX_FORMAT)
              for name in ("0-base", "1-kernel", "2-derived")]
    split(tarfile.open(fileobj=sys.stdin.buffer, mode="r|"), *layers[:2])
    derive(layers[2], mtime)
    for layer in layers:
        layer.close()


main(sys.argv[1], int(sys.argv[2]))
