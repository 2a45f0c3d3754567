#!/usr/bin/env python3
"""EBS direct, EC2, the token service and a container's credentials, on loopback.

stub.py CONFIG DIRECTORY prints its port. Snapshots are files in DIRECTORY. GET /_state tells what is there and
what was asked. CONFIG is JSON, all of it optional:

  keys          {access key: [secret, session token or null]}
  expire        {access key: requests after which it has expired}
  faults        [{"action": "PutSnapshotBlock", "at": [2, 5], "do": "throttle" | "500" | "drop" | "lose"}]
                ("drop" closes the connection instead of doing it, "lose" after doing it)
  deny          ["RegisterImage"]        actions that are not allowed
  fail          {"RegisterImage": "InvalidParameterValue"}
  polls         looks at a snapshot or an image before it is ready
  invisible_puts, put_ms
  container     access keys that the container's role has, each given out once
  machine, role, web_identity    access key of the machine's role, of AssumeRole, of a web identity
"""
import collections
import http.server
import json
import re
import sys
import threading
import time
import urllib.parse

from cloud import Cloud
from sigv4 import Refused, refuse, verify

PARAMETERS = {
    "DescribeSnapshots": r"SnapshotId\.1|Owner\.1",
    "DescribeImages": r"ImageId\.1|Owner\.1|Filter\.1\.(Name|Value\.1)",
    "RegisterImage": r"Name|Description|Architecture|BootMode|TpmSupport|VirtualizationType|EnaSupport"
    r"|SriovNetSupport|ImdsSupport|RootDeviceName|BlockDeviceMapping\.1\..*|TagSpecification\..*",
    "CopyImage": r"Name|Description|SourceRegion|SourceImageId|ClientToken|TagSpecification\..*",
    "ModifyImageAttribute": r"ImageId|LaunchPermission\.Add\.\d+\.UserId",
    "ModifySnapshotAttribute": r"SnapshotId|Attribute|CreateVolumePermission\.Add\.\d+\.UserId",
    "DeregisterImage": r"ImageId",
    "DeleteSnapshot": r"SnapshotId",
}
ROLE = "arn:aws:iam::123456789012:role/ci"
METADATA_PATH = "/latest/meta-data/iam/security-credentials/"
BLOCK_PATH = re.compile(r"/snapshots/(snap-[0-9a-f]+)/blocks/(\d+)")
DONE_PATH = re.compile(r"/snapshots/completion/(snap-[0-9a-f]+)")


class Stub(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, config, directory):
        super().__init__(("127.0.0.1", 0), Handler)
        self.config, self.cloud, self.lock = config, Cloud(directory, config), threading.Lock()
        self.counts, self.used, self.refused, self.proxied = collections.Counter(), collections.Counter(), [], 0

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that was killed
            super().handle_error(request, client_address)

    def fault(self, action):
        number = self.counts[action]
        for fault in self.config.get("faults", []):
            if fault["action"] == action and number in fault["at"]:
                return fault["do"]
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        with server.lock:
            if self.path == "/_state":
                told = {"counts": server.counts, "refused": server.refused, "proxied": server.proxied}
                return self.answer(200, json.dumps(told | server.cloud.state()))
            if self.path == "/credentials" and self.headers.get("Authorization") == "container-token":
                key = server.config["container"].pop(0)
                server.counts["credentials"] += 1
                secret, token = server.config["keys"][key]
                given = {"AccessKeyId": key, "SecretAccessKey": secret, "Token": token}
                return self.answer(200, json.dumps(given | {"Expiration": "2099-01-01T00:00:00Z"}))
        if self.path.startswith(METADATA_PATH) and self.headers.get("x-aws-ec2-metadata-token") == "metadata-token":
            return self.machine_role(self.path.removeprefix(METADATA_PATH))
        if self.path.startswith("/?Action=AssumeRole&"):
            return self.assume_role_signed()
        return self.answer(404, "{}")

    def do_PUT(self):
        if self.path == "/latest/api/token" and self.headers.get("x-aws-ec2-metadata-token-ttl-seconds"):
            return self.answer(200, "metadata-token")
        return self.serve()

    def do_POST(self):
        self.serve()

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        target = self.path
        if target.startswith("http://"):  # as a proxy is asked
            self.server.proxied += 1
            target = "/" + target.split("/", 3)[3]
        form = dict(urllib.parse.parse_qsl(body.decode("latin-1"), keep_blank_values=True)) if target == "/" else {}
        if form.get("Action") == "AssumeRoleWithWebIdentity":
            return self.assume_role(form)
        service = "ec2" if target == "/" else "ebs"
        action = self.action(target, form)
        with self.server.lock:
            self.server.counts[action] += 1
            fault = self.server.fault(action)
        if fault == "drop":
            return self.drop()
        try:
            status, extra, text = self.act(service, action, target, form, headers, body, fault)
        except Refused as error:
            with self.server.lock:
                self.server.refused.append(f"{action}: {error.code}: {error.message}")
            status, extra, text = self.error(service, error)
        return self.drop() if fault == "lose" else self.answer(status, text, extra)

    def action(self, target, form):
        if target == "/":
            return form.get("Action", "")
        if BLOCK_PATH.fullmatch(target):
            return "PutSnapshotBlock"
        return "CompleteSnapshot" if DONE_PATH.fullmatch(target) else "StartSnapshot"

    def act(self, service, action, target, form, headers, body, fault):
        server, config = self.server, self.server.config
        if fault == "throttle":
            refuse("RequestLimitExceeded" if service == "ec2" else "RequestThrottledException", "slow down", 503 if service == "ec2" else 400)
        if fault == "500":
            return 500, {}, "<html>not a word of XML or JSON"
        access, region = verify(self.command, target, headers, body, config["keys"], service, action == "PutSnapshotBlock")
        with server.lock:
            server.used[access] += 1
            if server.used[access] > config.get("expire", {}).get(access, 1 << 30):
                refuse("ExpiredTokenException" if service == "ebs" else "RequestExpired", "the token has expired", 400)
        if action in config.get("deny", []):
            refuse("UnauthorizedOperation" if service == "ec2" else "AccessDeniedException", "You are not authorized to perform this operation.")
        if service == "ebs":
            return self.ebs(action, target, region, headers, body)
        return 200, {"Content-Type": "text/xml"}, self.ec2(action, region, form)

    def ebs(self, action, target, region, headers, body):
        cloud = self.server.cloud
        if action == "PutSnapshotBlock":
            time.sleep(self.server.config.get("put_ms", 0) / 1000)
            snapshot, index = BLOCK_PATH.fullmatch(target).groups()
            with self.server.lock:
                checksum = cloud.put_block(region, snapshot, int(index), headers, body)
            return 201, {"x-amz-Checksum": checksum, "x-amz-Checksum-Algorithm": "SHA256"}, ""
        with self.server.lock:
            if action == "CompleteSnapshot":
                return 202, {}, json.dumps(cloud.complete(region, DONE_PATH.fullmatch(target)[1], headers))
            if target != "/snapshots" or headers.get("content-type") != "application/json":
                refuse("ValidationException", target, 400)
            return 201, {}, json.dumps(cloud.start_snapshot(region, body))

    def ec2(self, action, region, form):
        if action not in PARAMETERS or form.pop("Version", "") != "2016-11-15":
            refuse("InvalidAction", f"{action} of another version", 400)
        del form["Action"]
        is_dry = form.pop("DryRun", "false") == "true"
        strange = [name for name in form if not re.fullmatch(PARAMETERS[action], name)]
        if strange:
            refuse("UnknownParameter", f"{action}: {strange}", 400)
        if is_dry:
            refuse("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
        if action in self.server.config.get("fail", {}):
            refuse(self.server.config["fail"][action], "as the test asked", 400)
        method = re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower()
        with self.server.lock:
            inner = getattr(self.server.cloud, method)(region, form)
        return f'<?xml version="1.0"?><{action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>x</requestId>{inner}</{action}Response>'

    def machine_role(self, name):
        if name != "role":
            return self.answer(200, "role")
        key = self.server.config["machine"]
        secret, token = self.server.config["keys"][key]
        self.server.counts["credentials"] += 1
        given = {"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z", "AccessKeyId": key}
        given |= {"SecretAccessKey": secret, "Token": token, "Expiration": "2099-01-01T00:00:00Z"}
        return self.answer(200, json.dumps(given))

    def assume_role(self, form):
        if form["WebIdentityToken"] != "web-token" or form["RoleArn"] != ROLE:
            return self.answer(403, "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>")
        return self.role_credentials("AssumeRoleWithWebIdentity", self.server.config["web_identity"])

    def assume_role_signed(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            access, _ = verify("GET", self.path, headers, b"", self.server.config["keys"], "sts", False)
        except Refused as error:
            return self.answer(error.status, f"<ErrorResponse><Error><Code>{error.code}</Code></Error></ErrorResponse>")
        asked = dict(urllib.parse.parse_qsl(self.path[2:]))
        if access != "AKIDTEST00000000" or asked["RoleArn"] != ROLE or asked.get("ExternalId") != "outside":
            return self.answer(403, "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>")
        return self.role_credentials("AssumeRole", self.server.config["role"])

    def role_credentials(self, name, key):
        secret, token = self.server.config["keys"][key]
        self.server.counts["credentials"] += 1
        fields = f"<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken>"
        fields += "<Expiration>2099-01-01T00:00:00Z</Expiration>"
        return self.answer(200, f"<{name}Response><{name}Result><Credentials>{fields}</Credentials></{name}Result></{name}Response>")

    def error(self, service, error):
        if service == "ebs":
            return error.status, {"x-amzn-ErrorType": f"{error.code}:http://internal/"}, json.dumps({"Message": error.message})
        text = f"<Code>{error.code}</Code><Message>{error.message}</Message>"
        return error.status, {}, f"<Response><Errors><Error>{text}</Error></Errors><RequestID>x</RequestID></Response>"

    def drop(self):
        self.close_connection = True
        self.connection.close()

    def answer(self, status, text, extra=()):
        data = text.encode()
        self.send_response(status)
        for name, value in dict(extra).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        stub = Stub(json.load(file), sys.argv[2])
    print(stub.server_address[1], flush=True)
    stub.serve_forever()


if __name__ == "__main__":
    main()
