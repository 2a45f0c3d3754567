"""Publishes a snapshot of two blocks to the stub with one thing wrong: judge.py PORT WHAT."""
import base64
import datetime
import hashlib
import http.client
import json
import sys

import sigv4

PORT, WHAT = int(sys.argv[1]), sys.argv[2]
SECRET = "secret/of+the=stub"


def call(method, path, headers, body, unsigned=False):
    now = datetime.datetime.now(datetime.timezone.utc)
    if WHAT == "old date":
        now -= datetime.timedelta(hours=1)
    when = now.strftime("%Y%m%dT%H%M%SZ")
    payload = "UNSIGNED-PAYLOAD" if unsigned else hashlib.sha256(body).hexdigest()
    headers = headers | {"host": f"127.0.0.1:{PORT}", "x-amz-date": when, "x-amz-content-sha256": payload}
    names = sorted(headers)
    scope = f"{when[:8]}/eu-central-1/ebs/aws4_request"
    lines = [method, path, ""] + [f"{name}:{headers[name]}" for name in names] + ["", ";".join(names), payload]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    key = f"AWS4{SECRET}".encode()
    for part in (when[:8], "eu-central-1", "ebs", "aws4_request"):
        key = sigv4.sign(key, part)
    signature = sigv4.sign(key, "\n".join(["AWS4-HMAC-SHA256", when, scope, digest])).hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential=AKIDTEST00000000/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    if WHAT == "body after signing" and not unsigned:
        body += b" "
    if WHAT == "header after signing" and unsigned:
        headers["x-amz-progress"] = "99"
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        sys.exit(f"{answer.status} {answer.getheader('x-amzn-errortype')} {text.decode()}")
    return json.loads(text or b"{}")


def base(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def start(size):
    asked = {"VolumeSize": size, "ClientToken": f"token-{WHAT}".replace(" ", "-"), "Timeout": 60, "Tags": []}
    return call("POST", "/snapshots", {"content-type": "application/json"}, json.dumps(asked).encode())


def main():
    snapshot = start(1)["SnapshotId"]
    if WHAT == "token":
        start(2)
    blocks = {5: b"a" * 524288, 1: b"b" * 524288}
    for index, data in blocks.items():
        data = data[:-1] if WHAT == "short block" else bytes(524288) if WHAT == "zeros" else data
        headers = {
            "x-amz-data-length": str(len(data)), "x-amz-progress": "0", "x-amz-checksum-algorithm": "SHA256",
            "x-amz-checksum": base(b"x" if WHAT == "block checksum" else data),
        }
        call("PUT", f"/snapshots/{snapshot}/blocks/{index}", headers, data, unsigned=True)
    order = sorted(blocks, reverse=WHAT == "aggregate")
    whole = b"".join(hashlib.sha256(blocks[index]).digest() for index in order)
    headers = {
        "x-amz-changedblockscount": "3" if WHAT == "count" else "2", "x-amz-checksum": base(whole),
        "x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-aggregation-method": "LINEAR",
    }
    for _ in range(2 if WHAT == "complete twice" else 1):
        call("POST", f"/snapshots/completion/{snapshot}", headers, b"")


main()
