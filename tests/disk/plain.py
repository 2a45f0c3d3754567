"""Copies an OCI layout of one image with its layers uncompressed: umoci reads no zstd. Usage: plain.py FROM TO"""
import hashlib, json, os, subprocess, sys

source, to = sys.argv[1:]
os.makedirs(f"{to}/blobs/sha256")
read = lambda digest: open(f"{source}/blobs/{digest.replace(':', '/')}", "rb").read()


def unpacked(data):
    program = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}.get(data[:2])
    return subprocess.run([program, "-dc"], input=data, check=True, capture_output=True).stdout if program else data


def store(data, descriptor):
    digest = hashlib.sha256(data).hexdigest()
    open(f"{to}/blobs/sha256/{digest}", "wb").write(data)
    return {"mediaType": descriptor["mediaType"].split("+gzip")[0].split("+zstd")[0],
            "digest": "sha256:" + digest, "size": len(data)}


entry = json.load(open(f"{source}/index.json"))["manifests"][0]
manifest = json.loads(read(entry["digest"]))
kinds = {"config": "application/vnd.oci.image.config.v1+json"}
manifest["config"] = {**store(read(manifest["config"]["digest"]), manifest["config"]), "mediaType": kinds["config"]}
manifest["layers"] = [store(unpacked(read(layer["digest"])), layer) for layer in manifest["layers"]]
entry = {**store(json.dumps(manifest).encode(), entry), "mediaType": "application/vnd.oci.image.manifest.v1+json"}
entry["annotations"] = {"org.opencontainers.image.ref.name": "plain"}
json.dump({"schemaVersion": 2, "manifests": [entry]}, open(f"{to}/index.json", "w"))
open(f"{to}/oci-layout", "w").write('{"imageLayoutVersion":"1.0.0"}')
