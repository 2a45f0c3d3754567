"""Encapsulates an ostree commit as rpm-ostree's tools do, and derives a layer from it.

Usage: chunked.py DIRECTORY COMMIT; reads DIRECTORY/repo (bare) and DIRECTORY/source, makes DIRECTORY/layout.

    layer 1     the commit, its directories; as empty directories the tree itself
    layer 2, 3  objects of files: attributes, link to the attributes, file; names of the tree as hard links
    layer 4     derived: a whiteout, a directory's mode, changed and new files
"""
import hashlib, io, json, os, stat, sys, tarfile

top, base = sys.argv[1:]
repo, source = f"{top}/repo", f"{top}/source"
OBJECTS = "sysroot/ostree/repo/objects"


def frame(body, ends):
    width = next(w for w in (1, 2, 4) if len(body) + w * len(ends) < 256 ** w)
    return body + b"".join(end.to_bytes(width, "little") for end in ends)


def attributes(path):
    """a(ayay)"""
    body, ends = b"", []
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        key = name.encode() + b"\0"
        body += frame(key + os.getxattr(path, name, follow_symlinks=False), [len(key)])
        ends.append(len(body))
    return frame(body, ends) if ends else b""


class Layer:
    def __init__(self):
        self.out, self.seen = io.BytesIO(), set()
        self.tar = tarfile.open(fileobj=self.out, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name, kind, mode, content=b"", link="", uid=0, gid=0):
        member = tarfile.TarInfo(name)
        member.type, member.mode, member.uid, member.gid = kind, mode, uid, gid
        member.size, member.linkname = len(content), link
        self.tar.addfile(member, io.BytesIO(content))

    def file_object(self, checksum):
        place = f"{OBJECTS}/{checksum[:2]}/{checksum[2:]}.file"
        path = f"{repo}/objects/{checksum[:2]}/{checksum[2:]}.file"
        meta, xattrs = os.lstat(path), attributes(path)
        name = hashlib.sha256(xattrs).hexdigest()
        of_xattrs = f"{OBJECTS}/{name[:2]}/{name[2:]}.file-xattrs"
        if name not in self.seen:
            self.add(of_xattrs, tarfile.REGTYPE, 0o644, xattrs)
            self.seen.add(name)
        self.add(place + "-xattrs-link", tarfile.LNKTYPE, 0o644, link=of_xattrs)
        self.inode(place, path, meta)
        return place

    def inode(self, name, path, meta):
        owner = {"uid": meta.st_uid, "gid": meta.st_gid}
        if stat.S_ISLNK(meta.st_mode):
            self.add(name, tarfile.SYMTYPE, 0o777, link=os.readlink(path), **owner)
        else:
            self.add(name, tarfile.REGTYPE, stat.S_IMODE(meta.st_mode), open(path, "rb").read(), **owner)

    def close(self):
        self.tar.close()
        return self.out.getvalue()


def shown(path):
    """Where a container shows a path of the commit."""
    return path.replace("usr/etc", "etc", 1) if path.split("/")[:2] == ["usr", "etc"] else path


first = Layer()
for depth in range(1, 5):
    first.add("/".join(OBJECTS.split("/")[:depth]), tarfile.DIRTYPE, 0o755)
first.add("sysroot/ostree/repo/config", tarfile.REGTYPE, 0o644, b"[core]\nrepo_version=1\nmode=bare-split-xattrs\n")
first.add(OBJECTS, tarfile.DIRTYPE, 0o755)
files = []
for prefix in sorted(os.listdir(f"{repo}/objects")):
    for name in sorted(os.listdir(f"{repo}/objects/{prefix}")):
        if name.endswith(".file"):
            files.append(prefix + name[:-5])
        else:
            content = open(f"{repo}/objects/{prefix}/{name}", "rb").read()
            first.add(f"{OBJECTS}/{prefix}/{name}", tarfile.REGTYPE, 0o644, content)

names = {}
inode_key = lambda meta, path: (stat.S_IFMT(meta.st_mode), os.readlink(path) if stat.S_ISLNK(meta.st_mode) else open(path, "rb").read(),
                                meta.st_mode, meta.st_uid, meta.st_gid, attributes(path))
for here, dirs, others in os.walk(source):
    relative = os.path.relpath(here, source)
    if relative != ".":
        meta = os.lstat(here)
        first.add(shown(relative), tarfile.DIRTYPE, stat.S_IMODE(meta.st_mode), uid=meta.st_uid, gid=meta.st_gid)
    for name in others + [name for name in dirs if os.path.islink(f"{here}/{name}")]:
        path = f"{here}/{name}"
        names.setdefault(inode_key(os.lstat(path), path), []).append(os.path.relpath(path, source))

chunks = [Layer(), Layer()]
for number, checksum in enumerate(files):
    layer = chunks[number % 2]
    place = layer.file_object(checksum)
    path = f"{repo}/objects/{checksum[:2]}/{checksum[2:]}.file"
    meta = os.lstat(path)
    for name in names.pop(inode_key(meta, path)):
        # Links and empty files are not hard links, as in the real tool.
        if stat.S_ISLNK(meta.st_mode) or meta.st_size == 0:
            layer.inode(shown(name), path, meta)
        else:
            layer.add(shown(name), tarfile.LNKTYPE, 0o644, link=place)
assert not names, names

derived = Layer()
derived.add("usr/share/.wh.gone", tarfile.REGTYPE, 0)
derived.add("usr/share/.wh.one-gone", tarfile.REGTYPE, 0)
derived.add("usr/share/changed", tarfile.DIRTYPE, 0o700)
derived.add("etc/app/derived", tarfile.REGTYPE, 0o644, b"derived\n")
derived.add("usr/bin/tool-again", tarfile.REGTYPE, 0o755, b"new\n")

layout = f"{top}/layout"
os.makedirs(f"{layout}/blobs/sha256")


def blob(data, kind):
    digest = hashlib.sha256(data).hexdigest()
    open(f"{layout}/blobs/sha256/{digest}", "wb").write(data)
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": "sha256:" + digest, "size": len(data)}


layers = [blob(layer.close(), "layer.v1.tar") for layer in [first, *chunks, derived]]
labels = {"containers.bootc": "1", "ostree.bootable": "true", "ostree.commit": base, "ostree.final-diffid": layers[2]["digest"]}
config = {"architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z", "config": {"Labels": labels},
          "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}}
config = blob(json.dumps(config).encode(), "config.v1+json")
manifest = blob(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
                            "layers": layers}).encode(), "manifest.v1+json")
json.dump({"schemaVersion": 2, "manifests": [manifest]}, open(f"{layout}/index.json", "w"))
open(f"{layout}/oci-layout", "w").write('{"imageLayoutVersion":"1.0.0"}')
