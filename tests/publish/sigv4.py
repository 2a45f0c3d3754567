"""Checks AWS Signature Version 4, written from its specification and nothing else."""
import datetime
import hashlib
import hmac
import urllib.parse


class Refused(Exception):
    """A request that is not what it should be: HTTP status, code, message."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def refuse(code, message, status=403):
    raise Refused(status, code, message)


def quote(text):
    return urllib.parse.quote(text, safe="-_.~")


def canonical_query(query):
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
    return "&".join(f"{quote(key)}={quote(value)}" for key, value in sorted(pairs))


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def verify(method, target, headers, body, keys, service, unsigned_body):
    """The access key and the region of a request; refuses one that is not signed right.

    `headers` has lower-case names, `keys` maps access keys to (secret, session token or None).
    """
    algorithm, _, rest = headers.get("authorization", "").partition(" ")
    if algorithm != "AWS4-HMAC-SHA256":
        refuse("MissingAuthenticationToken", f"authorization by {algorithm!r}")
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    access, date, region, scope_service, end = parts["Credential"].split("/")
    when = headers.get("x-amz-date", "")
    if access not in keys:
        refuse("UnrecognizedClientException", f"no access key {access}")
    if end != "aws4_request" or scope_service != service or not when.startswith(date):
        refuse("SignatureDoesNotMatch", f"scope {parts['Credential']} for {service}")
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    if abs(now - datetime.datetime.strptime(when, "%Y%m%dT%H%M%SZ")) > datetime.timedelta(minutes=5):
        refuse("RequestExpired", f"signed at {when}")
    signed = parts["SignedHeaders"].split(";")
    must = {"host"} | {name for name in headers if name.startswith("x-amz-")}
    if signed != sorted(signed) or not must <= set(signed):
        refuse("SignatureDoesNotMatch", f"signed headers {signed}, not all of {sorted(must)}")
    secret, token = keys[access]
    if headers.get("x-amz-security-token") != token:
        refuse("UnrecognizedClientException", "the session token is another one")
    right = hashlib.sha256(body).hexdigest()
    payload = headers.get("x-amz-content-sha256", right)
    allowed = {right, "UNSIGNED-PAYLOAD"} if unsigned_body else {right}
    if payload not in allowed:
        refuse("SignatureDoesNotMatch", f"payload hash {payload}")
    path, _, query = target.partition("?")
    lines = [method, quote_path(path), canonical_query(query)]
    lines += [f"{name}:{' '.join(headers[name].split())}" for name in signed]
    request = "\n".join([*lines, "", ";".join(signed), payload])
    scope = f"{date}/{region}/{service}/aws4_request"
    text = "\n".join([algorithm, when, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = sign(key, part)
    if not hmac.compare_digest(sign(key, text).hex(), parts["Signature"]):
        refuse("SignatureDoesNotMatch", "the signature is wrong")
    return access, region


def quote_path(path):
    return "/".join(quote(part) for part in path.split("/"))
