#!/usr/bin/env python3
"""Packs the layer tars of DIR (argument 1) into an OCI image layout there, and removes them.

Arguments 2 to 4: architecture, version and creation time (seconds). Layers: gzip, zstd and plain.
"""
import datetime, hashlib, json, os, subprocess, sys

OCI = "application/vnd.oci.image."
PACKERS = (("+gzip", ["gzip", "-n", "-6"]), ("+zstd", ["zstd", "-q", "-9", "-T1"]), ("", ["cat"]))


def sha256(path):
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def blob(root, path, media):
    digest, size = sha256(path), os.path.getsize(path)
    os.rename(path, f"{root}/blobs/sha256/{digest[7:]}")
    return {"mediaType": OCI + media, "digest": digest, "size": size}


def save(path, value):
    with open(path, "w") as file:
        json.dump(value, file, sort_keys=True, separators=(",", ":"))
    return path


def layer(root, name, suffix, packer):
    with open(f"{root}/{name}") as tar, open(f"{root}/packed", "wb") as packed:
        subprocess.run(packer, stdin=tar, stdout=packed, check=True)
    diff_id = sha256(f"{root}/{name}")
    os.unlink(f"{root}/{name}")
    return diff_id, blob(root, f"{root}/packed", "layer.v1.tar" + suffix)


def main(root, architecture, version, epoch):
    os.makedirs(root + "/blobs/sha256")
    tars = sorted(name for name in os.listdir(root) if name.endswith(".tar"))
    layers = [layer(root, name, *packer) for name, packer in zip(tars, PACKERS, strict=True)]
    created = datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    labels = {"containers.bootc": "1", "ostree.bootable": "1", "org.opencontainers.image.version": version}
    config = save(root + "/config", {
        "architecture": architecture, "os": "linux", "created": created, "config": {"Labels": labels, "Cmd": ["/sbin/init"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id for diff_id, _ in layers]},
        "history": [{"created": created, "created_by": "scripts/demo-image " + name} for name in tars]})
    manifest = save(root + "/manifest", {
        "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": blob(root, config, "config.v1+json"),
        "layers": [descriptor for _, descriptor in layers],
        "annotations": {"org.opencontainers.image.created": created, "org.opencontainers.image.version": version}})
    entry = blob(root, manifest, "manifest.v1+json") | {
        "platform": {"architecture": architecture, "os": "linux"}, "annotations": {"org.opencontainers.image.ref.name": "latest"}}
    save(root + "/index.json", {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": [entry]})
    save(root + "/oci-layout", {"imageLayoutVersion": "1.0.0"})


main(*sys.argv[1:])
