"""Encapsulates an ostree commit as rpm-ostree's tools do, with one layer derived from it if there is one.

Usage: chunked.py DIRECTORY COMMIT; reads DIRECTORY/repo (bare) and DIRECTORY/derived.tar, makes DIRECTORY/layout.

    layer 1     the commit, its directories; as empty directories the tree itself
    layer 2, 3  objects of files: attributes, link to the attributes, file; names of the tree as hard links
    layer 4     derived.tar
"""
import hashlib, json, os, stat, subprocess, sys, tarfile

top, base = sys.argv[1:]
repo, layout = f"{top}/repo", f"{top}/layout"
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
    def __init__(self, number):
        self.path, self.seen = f"{top}/layer-{number}.tar", set()
        self.tar = tarfile.open(self.path, "w", format=tarfile.PAX_FORMAT)

    def add(self, name, kind, mode, link="", uid=0, gid=0, path=None):
        member = tarfile.TarInfo(name)
        member.type, member.mode, member.uid, member.gid, member.linkname = kind, mode, uid, gid, link
        member.size = os.path.getsize(path) if path else 0
        self.tar.addfile(member, open(path, "rb") if path else None)

    def text(self, name, content):
        with open(f"{top}/text", "wb") as file:
            file.write(content)
        self.add(name, tarfile.REGTYPE, 0o644, path=f"{top}/text")

    def file_object(self, checksum):
        place = f"{OBJECTS}/{checksum[:2]}/{checksum[2:]}.file"
        xattrs = attributes(stored(checksum))
        name = hashlib.sha256(xattrs).hexdigest()
        of_xattrs = f"{OBJECTS}/{name[:2]}/{name[2:]}.file-xattrs"
        if name not in self.seen:
            self.text(of_xattrs, xattrs)
            self.seen.add(name)
        self.add(place + "-xattrs-link", tarfile.LNKTYPE, 0o644, link=of_xattrs)
        self.inode(place, checksum)
        return place

    def inode(self, name, checksum):
        path = stored(checksum)
        meta = os.lstat(path)
        owner = {"uid": meta.st_uid, "gid": meta.st_gid}
        if stat.S_ISLNK(meta.st_mode):
            self.add(name, tarfile.SYMTYPE, 0o777, link=os.readlink(path), **owner)
        else:
            self.add(name, tarfile.REGTYPE, stat.S_IMODE(meta.st_mode), path=path, **owner)


def stored(checksum):
    return f"{repo}/objects/{checksum[:2]}/{checksum[2:]}.file"


def tree():
    """Directories (path, mode, uid, gid) of the commit, and paths by checksum of what else is in it."""
    directories, names = [], {}
    command = ["ostree", f"--repo={repo}", "ls", "-R", "-C", base]
    for line in subprocess.run(command, check=True, capture_output=True).stdout.decode().splitlines():
        mode, uid, gid, _, checksum, rest = line.split(None, 5)
        if mode[0] == "d":
            directories.append((shown(rest.split(" ", 1)[1]), int(mode[1:], 8), int(uid), int(gid)))
        else:
            names.setdefault(checksum, []).append(shown(rest.split(" -> ")[0]))
    return directories, names


def shown(path):
    """Where a container shows a path of the commit."""
    path = path.removeprefix("/")
    return path.replace("usr/etc", "etc", 1) if path.split("/")[:2] == ["usr", "etc"] else path


def blob(path, kind):
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = os.path.getsize(path)
    os.rename(path, f"{layout}/blobs/sha256/{digest}")
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": "sha256:" + digest, "size": size}


def save(name, value):
    with open(f"{layout}/{name}", "w") as file:
        json.dump(value, file)
    return f"{layout}/{name}"


first, *chunks = layers = [Layer(number) for number in range(3)]
for depth in range(1, 5):
    first.add("/".join(OBJECTS.split("/")[:depth]), tarfile.DIRTYPE, 0o755)
first.text("sysroot/ostree/repo/config", b"[core]\nrepo_version=1\nmode=bare-split-xattrs\n")
first.add(OBJECTS, tarfile.DIRTYPE, 0o755)
for prefix in sorted(os.listdir(f"{repo}/objects")):
    for name in sorted(os.listdir(f"{repo}/objects/{prefix}")):
        if not name.endswith(".file"):
            first.add(f"{OBJECTS}/{prefix}/{name}", tarfile.REGTYPE, 0o644, path=f"{repo}/objects/{prefix}/{name}")
directories, names = tree()
for path, mode, uid, gid in directories:
    if path:
        first.add(path, tarfile.DIRTYPE, mode, uid=uid, gid=gid)
for number, (checksum, paths) in enumerate(sorted(names.items())):
    layer = chunks[number % 2]
    place, meta = layer.file_object(checksum), os.lstat(stored(checksum))
    for path in paths:
        # Links and empty files are not hard links, as in the real tool.
        if stat.S_ISLNK(meta.st_mode) or meta.st_size == 0:
            layer.inode(path, checksum)
        else:
            layer.add(path, tarfile.LNKTYPE, 0o644, link=place)

os.makedirs(f"{layout}/blobs/sha256")
for layer in layers:
    layer.tar.close()
paths = [*(layer.path for layer in layers), f"{top}/derived.tar"]
descriptors = [blob(path, "layer.v1.tar") for path in paths if os.path.exists(path)]
labels = {"containers.bootc": "1", "ostree.bootable": "true", "ostree.commit": base, "ostree.final-diffid": descriptors[2]["digest"]}
config = save("config", {
    "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z", "config": {"Labels": labels},
    "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in descriptors]}})
manifest = save("manifest", {
    "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": blob(config, "config.v1+json"), "layers": descriptors})
save("index.json", {"schemaVersion": 2, "manifests": [blob(manifest, "manifest.v1+json")]})
save("oci-layout", {"imageLayoutVersion": "1.0.0"})
