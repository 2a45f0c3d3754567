"""What EBS direct and EC2 do with snapshots and images, stricter than AWS is."""
import base64
import hashlib
import itertools
import json
import os
import re

from sigv4 import refuse

BLOCK = 512 * 1024
GIB = 1 << 30


def digest(data):
    return hashlib.sha256(data).digest()


class Cloud:
    """Snapshots and images of all regions. The caller holds a lock."""

    def __init__(self, directory, config):
        self.directory, self.config = directory, config
        self.snapshots, self.images, self.tokens = {}, {}, {}
        self.numbers = itertools.count(1)

    def new_id(self, kind):
        return f"{kind}-{next(self.numbers):017x}"

    def path(self, snapshot):
        return os.path.join(self.directory, f"{snapshot}.raw")

    def polls(self):
        return self.config.get("polls", 1)

    # EBS direct

    def start_snapshot(self, region, body):
        asked = json.loads(body)
        strange = set(asked) - {"VolumeSize", "ClientToken", "Description", "Timeout", "Tags"}
        if strange or not 1 <= asked["VolumeSize"] <= 65536 or not 10 <= asked["Timeout"] <= 4320:
            refuse("ValidationException", f"{sorted(strange)} or a size out of range", 400)
        if not re.fullmatch(r"\S{1,255}", asked["ClientToken"]):
            refuse("ValidationException", "ClientToken", 400)
        before = self.tokens.setdefault(("ebs", region, asked["ClientToken"]), [asked, None])
        if before[0] != asked:
            refuse("ConflictException", "the token was used with other parameters", 409)
        if before[1] is None:
            before[1] = self.new_id("snap")
            self.snapshots[before[1]] = {
                "region": region, "state": "pending", "gib": asked["VolumeSize"], "sealed": False,
                "digests": {}, "puts": 0, "polls": 0, "tags": asked["Tags"], "shared": [],
            }
            with open(self.path(before[1]), "wb") as file:
                file.truncate(asked["VolumeSize"] * GIB)
        return {"SnapshotId": before[1], "BlockSize": BLOCK, "VolumeSize": asked["VolumeSize"], "Status": "pending"}

    def pending(self, region, snapshot):
        found = self.snapshots.get(snapshot)
        if found is None or found["region"] != region:
            refuse("ResourceNotFoundException", f"no snapshot {snapshot}", 404)
        if found["state"] != "pending" or found["sealed"]:
            refuse("ValidationException", f"snapshot {snapshot} is not pending", 400)
        return found

    def put_block(self, region, snapshot, index, headers, body):
        found = self.pending(region, snapshot)
        if found["puts"] < self.config.get("invisible_puts", 0):
            found["puts"] += 1
            refuse("ResourceNotFoundException", "not visible yet", 404)
        if headers.get("x-amz-data-length") != str(BLOCK) or len(body) != BLOCK:
            refuse("ValidationException", f"a block of {len(body)} bytes", 400)
        if headers.get("x-amz-checksum-algorithm") != "SHA256":
            refuse("ValidationException", "checksum algorithm", 400)
        if not 0 <= int(headers.get("x-amz-progress", "-1")) <= 100:
            refuse("ValidationException", "progress", 400)
        if headers.get("x-amz-checksum") != base64.b64encode(digest(body)).decode():
            refuse("ValidationException", "the checksum is not the block's", 400)
        if index * BLOCK >= found["gib"] * GIB:
            refuse("ValidationException", "block index", 400)
        if not any(body):
            refuse("ValidationException", "a block of zeros need not be sent", 400)
        found["puts"] += 1
        found["digests"][index] = digest(body)
        with open(self.path(snapshot), "r+b") as file:
            file.seek(index * BLOCK)
            file.write(body)
        return headers["x-amz-checksum"]

    def complete(self, region, snapshot, headers):
        found = self.pending(region, snapshot)
        if headers.get("x-amz-changedblockscount") != str(len(found["digests"])):
            refuse("ValidationException", "ChangedBlocksCount", 400)
        whole = digest(b"".join(found["digests"][index] for index in sorted(found["digests"])))
        right = {
            "x-amz-checksum": base64.b64encode(whole).decode(),
            "x-amz-checksum-algorithm": "SHA256",
            "x-amz-checksum-aggregation-method": "LINEAR",
        }
        for name, value in right.items():
            if headers.get(name) != value:
                refuse("ValidationException", f"{name} is not {value}", 400)
        found.update(sealed=True, polls=self.polls())
        return {"Status": "pending"}

    # EC2

    def settle(self, thing, done):
        """Each look brings what is under way nearer to its end."""
        if thing["state"] == "pending" and thing.get("sealed", True):
            thing["polls"] -= 1
            if thing["polls"] < 0:
                thing["state"] = done

    def find(self, kind, region, identifier):
        things, code = {
            "snapshot": (self.snapshots, "InvalidSnapshot.NotFound"),
            "image": (self.images, "InvalidAMIID.NotFound"),
        }[kind]
        found = things.get(identifier)
        if found is None or found["region"] != region:
            refuse(code, f"no {kind} {identifier} in {region}", 400)
        return found

    def describe_snapshots(self, region, form):
        found = self.find("snapshot", region, form["SnapshotId.1"])
        self.settle(found, "completed")
        fields = f"<snapshotId>{form['SnapshotId.1']}</snapshotId><status>{found['state']}</status><progress>50%</progress>"
        return f"<snapshotSet><item>{fields}</item></snapshotSet>"

    def describe_images(self, region, form):
        if "ImageId.1" in form:
            found = {form["ImageId.1"]: self.find("image", region, form["ImageId.1"])}
        else:
            if form["Owner.1"] != "self" or form["Filter.1.Name"] != "name":
                refuse("InvalidParameterValue", "filter", 400)
            named = lambda image: image["region"] == region and image["name"] == form["Filter.1.Value.1"]
            found = {key: image for key, image in self.images.items() if named(image)}
        items = ""
        for key, image in found.items():
            self.settle(image, "available")
            disk = f"<item><deviceName>/dev/xvda</deviceName><ebs><snapshotId>{image['snapshot']}</snapshotId></ebs></item>"
            items += f"<item><imageId>{key}</imageId><imageState>{image['state']}</imageState>"
            items += f"<blockDeviceMapping>{disk}</blockDeviceMapping></item>"
        return f"<imagesSet>{items}</imagesSet>"

    def add_image(self, region, form, snapshot):
        if any((image["region"], image["name"]) == (region, form["Name"]) for image in self.images.values()):
            refuse("InvalidAMIName.Duplicate", f"AMI name {form['Name']} is in use", 400)
        key = self.new_id("ami")
        self.images[key] = {
            "region": region, "name": form["Name"], "snapshot": snapshot, "state": "pending",
            "polls": self.polls(), "form": form, "shared": [],
        }
        return key

    def register_image(self, region, form):
        snapshot = form["BlockDeviceMapping.1.Ebs.SnapshotId"]
        found = self.find("snapshot", region, snapshot)
        right = {
            "VirtualizationType": "hvm", "EnaSupport": "true", "ImdsSupport": "v2.0",
            "BlockDeviceMapping.1.Ebs.VolumeType": "gp3", "BlockDeviceMapping.1.Ebs.VolumeSize": str(found["gib"]),
            "BlockDeviceMapping.1.DeviceName": form["RootDeviceName"],
        }
        for name, value in right.items():
            if form.get(name) != value:
                refuse("InvalidParameterValue", f"{name} is {form.get(name)}, not {value}", 400)
        if found["state"] != "completed":
            refuse("InvalidSnapshot.NotCompleted", f"{snapshot} is {found['state']}", 400)
        modes = {"x86_64": ("uefi", "uefi-preferred", "legacy-bios"), "arm64": ("uefi",)}[form["Architecture"]]
        if form["BootMode"] not in modes:
            refuse("InvalidParameterCombination", f"{form['Architecture']} and {form['BootMode']}", 400)
        return f"<imageId>{self.add_image(region, form, snapshot)}</imageId>"

    def copy_image(self, region, form):
        source = self.find("image", form["SourceRegion"], form["SourceImageId"])
        if source["state"] != "available" or not 1 <= len(form["ClientToken"]) <= 64:
            refuse("InvalidRequest", "the source is not available, or a long token", 400)
        before = self.tokens.setdefault(("copy", region, form["ClientToken"]), [form, None])
        if before[1] is None:
            snapshot = self.new_id("snap")
            self.snapshots[snapshot] = {
                "region": region, "state": "completed", "gib": self.snapshots[source["snapshot"]]["gib"],
                "sealed": True, "digests": {}, "puts": 0, "polls": 0, "tags": [], "shared": [],
            }
            before[1] = self.add_image(region, form, snapshot)
        return f"<imageId>{before[1]}</imageId>"

    def accounts(self, form, prefix):
        accounts = [value for name, value in form.items() if name.startswith(prefix)]
        if not accounts or not all(re.fullmatch(r"\d{12}", account) for account in accounts):
            refuse("InvalidParameterValue", "accounts", 400)
        return accounts

    def modify_image_attribute(self, region, form):
        self.find("image", region, form["ImageId"])["shared"] += self.accounts(form, "LaunchPermission.Add.")
        return "<return>true</return>"

    def modify_snapshot_attribute(self, region, form):
        if form["Attribute"] != "createVolumePermission":
            refuse("InvalidParameterValue", "Attribute", 400)
        found = self.find("snapshot", region, form["SnapshotId"])
        found["shared"] += self.accounts(form, "CreateVolumePermission.Add.")
        return "<return>true</return>"

    def deregister_image(self, region, form):
        self.find("image", region, form["ImageId"])
        del self.images[form["ImageId"]]
        return "<return>true</return>"

    def delete_snapshot(self, region, form):
        self.find("snapshot", region, form["SnapshotId"])
        if any(image["snapshot"] == form["SnapshotId"] for image in self.images.values()):
            refuse("InvalidSnapshot.InUse", "an image uses it", 400)
        del self.snapshots[form["SnapshotId"]]
        return "<return>true</return>"

    def state(self):
        snapshots = {
            key: {**value, "digests": None, "blocks": sorted(value["digests"])}
            for key, value in self.snapshots.items()
        }
        return {"snapshots": snapshots, "images": self.images}
