"""Layers with every rule of OCI's layer.md in them, in an OCI layout that umoci can read.

Usage: layers.py DIRECTORY; makes 1.tar, 2.tar ... and layout/ with the tag "v1".
"""
import hashlib, io, json, os, sys, tarfile

top = sys.argv[1]
T = 1_600_000_000
layers = []


class Layer:
    def __init__(self, form=tarfile.PAX_FORMAT):
        self.path = f"{top}/{len(layers) + 1}.tar"
        self.tar = tarfile.open(self.path, "w", format=form, errors="surrogateescape")
        self.time = T + 1000 * len(layers)
        layers.append(self)

    def add(self, name, kind, mode, content=b"", link="", uid=0, gid=0, dev=(0, 0), **pax):
        member = tarfile.TarInfo(name)
        self.time += 1
        member.type, member.mode, member.uid, member.gid = kind, mode, uid, gid
        member.mtime, member.size, member.linkname = self.time + 0.25, len(content), link
        member.devmajor, member.devminor = dev
        member.pax_headers = {f"SCHILY.xattr.{key.replace('_', '.', 1)}": value for key, value in pax.items()}
        self.tar.addfile(member, io.BytesIO(content))
        return self

    def dir(self, name, mode=0o755, **more): return self.add(name, tarfile.DIRTYPE, mode, **more)
    def file(self, name, content, mode=0o644, **more): return self.add(name, tarfile.REGTYPE, mode, content.encode(), **more)
    def link(self, name, target, **more): return self.add(name, tarfile.SYMTYPE, 0o777, link=target, **more)
    def hard(self, name, target): return self.add(name, tarfile.LNKTYPE, 0o644, link=target)
    def gone(self, path): return self.file(os.path.join(os.path.dirname(path), ".wh." + os.path.basename(path)), "", 0)
    def opaque(self, path): return self.file(f"{path}/.wh..wh..opq", "", 0)


low = Layer()
low.dir("./").dir("usr/").dir("usr/bin/").dir("usr/lib/").dir("etc/", user_where="low")
low.file("usr/bin/a", "a").hard("usr/bin/b", "usr/bin/a").hard("usr/lib/c", "usr/bin/a")
low.file("usr/bin/setuid", "s", 0o4711, uid=7, gid=8, user_text="kept")
low.add("usr/lib/null", tarfile.CHRTYPE, 0o666, dev=(1, 3)).add("usr/lib/pipe", tarfile.FIFOTYPE, 0o600)
for name in ("gone", "back", "kept", "to-directory", "to-link", "to-device"):
    low.file(f"etc/{name}", name)
for name in ("removed", "emptied", "emptied-later", "refilled", "to-file", "to-symlink", "changed", "whited-and-back"):
    low.dir(f"dirs/{name}/" if name != "removed" else "dirs/removed/").file(f"dirs/{name}/file", name)
    low.dir(f"dirs/{name}/sub/").file(f"dirs/{name}/sub/deep", name)
low.dir("real/").file("real/target", "target").link("alias", "real").link("dangling", "/nowhere/at/all")
low.dir("trap/").file("trap/dotfile", "old").dir("home/").file("home/dotfile", "must stay")
low.dir("sticky/", 0o1777, uid=3, gid=4)

mid = Layer(tarfile.GNU_FORMAT)
mid.gone("etc/gone")                                         # plain
mid.gone("etc/back").file("etc/back", "again", 0o600)        # whiteout, then the same name
mid.file("dirs/whited-and-back/new", "new")                  # a new name below what is removed in the same layer
mid.gone("dirs/removed")
mid.opaque("dirs/emptied").file("dirs/emptied/new", "new")   # opaque before its siblings
mid.file("dirs/emptied-later/new", "new").opaque("dirs/emptied-later")  # and after them
mid.dir("dirs/refilled/", 0o700).opaque("dirs/refilled").dir("dirs/refilled/sub/").file("dirs/refilled/sub/other", "o")
mid.file("dirs/to-file", "now a file").link("dirs/to-symlink", "changed")
mid.dir("dirs/changed/", 0o2770, uid=11, gid=12)
mid.dir("etc/to-directory/").file("etc/to-directory/inside", "inside")
mid.link("etc/to-link", "kept").add("etc/to-device", tarfile.BLKTYPE, 0o640, dev=(8, 17))
mid.file("usr/bin/a", "replaced")                            # one name of three; the others keep the old content
mid.hard("usr/bin/d", "usr/bin/b").hard("etc/e", "usr/lib/c")  # into the lower layer
mid.gone("nothing/there").gone("etc/never-was")
mid.gone("trap/dotfile").gone("trap")                        # both the directory and something in it

top_layer = Layer()
top_layer.link("trap", "home").gone("etc/kept")
top_layer.dir("./", 0o755).dir("etc/", 0o750, user_where="top", user_more="m")
top_layer.dir("new/").link("new/way", "deep/../other").dir("new/deep/").dir("new/other/")
top_layer.file("new/way/through", "through a link of the same layer").hard("new/again", "new/way/through")
top_layer.file("new/twice", "first").file("new/twice", "second", 0o600)
top_layer.file("new/kind", "first").dir("new/kind/").file("new/kind/inside", "inside")
top_layer.dir("new/other-kind/").file("new/other-kind/inside", "inside").file("new/other-kind", "a file at last")
top_layer.hard("new/self", "usr/bin/setuid")
top_layer.file("implicit/parents/of/this", "x")
top_layer.dir("sticky/", 0o1777, uid=3, gid=4)
top_layer.file("usr/lib/" + "n" * 200 + "/" + "m" * 200, "long names")

for layer in layers:
    layer.tar.close()

layout = f"{top}/layout"
os.makedirs(f"{layout}/blobs/sha256")


def blob(data, kind):
    digest = hashlib.sha256(data).hexdigest()
    with open(f"{layout}/blobs/sha256/{digest}", "wb") as out:
        out.write(data)
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": "sha256:" + digest, "size": len(data)}


blobs = [blob(open(layer.path, "rb").read(), "layer.v1.tar") for layer in layers]
config = {"architecture": "amd64", "os": "linux", "config": {}, "history": [{"created_by": "x"} for _ in layers],
          "rootfs": {"type": "layers", "diff_ids": [b["digest"] for b in blobs]}}
config = blob(json.dumps(config).encode(), "config.v1+json")
manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": blobs}
manifest = blob(json.dumps(manifest).encode(), "manifest.v1+json")
manifest["annotations"] = {"org.opencontainers.image.ref.name": "v1"}
json.dump({"schemaVersion": 2, "manifests": [manifest]}, open(f"{layout}/index.json", "w"))
open(f"{layout}/oci-layout", "w").write('{"imageLayoutVersion":"1.0.0"}')
