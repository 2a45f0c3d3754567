"""Reads from moto what was published: moto_reads.py URL REGION RESULT DISK."""
import json
import sys

import boto3

BLOCK = 524288
url, region, result, disk = sys.argv[1:]
told = json.loads(result)["images"][0]
ebs = boto3.client("ebs", region_name=region, endpoint_url=url)
ec2 = boto3.client("ec2", region_name=region, endpoint_url=url)

image = ec2.describe_images(ImageIds=[told["image"]])["Images"][0]
assert image["Name"] == "os 1.0" and image["State"] == "available", image
snapshot = ec2.describe_snapshots(SnapshotIds=[told["snapshot"]])["Snapshots"][0]
assert snapshot["State"] == "completed" and snapshot["VolumeSize"] == 1, snapshot

blocks = ebs.list_snapshot_blocks(SnapshotId=told["snapshot"])["Blocks"]
assert len(blocks) == 12, blocks
with open(disk, "rb") as file:
    for block in blocks:
        index = block["BlockIndex"]
        found = ebs.get_snapshot_block(SnapshotId=told["snapshot"], BlockIndex=index, BlockToken=block["BlockToken"])
        file.seek(index * BLOCK)
        assert found["BlockData"].read() == file.read(BLOCK).ljust(BLOCK, b"\0"), index
