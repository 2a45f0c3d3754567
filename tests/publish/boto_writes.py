"""Writes a snapshot and an image to the stub as AWS's own library does: boto_writes.py URL REGION."""
import base64
import hashlib
import sys
import time

import boto3

url, region = sys.argv[1:]
ebs = boto3.client("ebs", region_name=region, endpoint_url=url)
ec2 = boto3.client("ec2", region_name=region, endpoint_url=url)


def checksum(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


tags = [{"Key": "a b", "Value": "c=d&e"}]
snapshot = ebs.start_snapshot(VolumeSize=1, ClientToken="token", Timeout=60, Tags=tags)["SnapshotId"]
whole = b""
for index in (2, 7):
    data = bytes([index]) * 524288
    whole += hashlib.sha256(data).digest()
    ebs.put_snapshot_block(
        SnapshotId=snapshot, BlockIndex=index, BlockData=data, DataLength=len(data), Progress=50,
        Checksum=checksum(data), ChecksumAlgorithm="SHA256",
    )
ebs.complete_snapshot(
    SnapshotId=snapshot, ChangedBlocksCount=2, Checksum=checksum(whole), ChecksumAlgorithm="SHA256",
    ChecksumAggregationMethod="LINEAR",
)
while ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["State"] != "completed":
    time.sleep(0.1)
disk = {"SnapshotId": snapshot, "VolumeType": "gp3", "VolumeSize": 1, "DeleteOnTermination": True}
image = ec2.register_image(
    Name="from boto3", Architecture="arm64", BootMode="uefi", VirtualizationType="hvm", EnaSupport=True,
    ImdsSupport="v2.0", RootDeviceName="/dev/xvda", TagSpecifications=[{"ResourceType": "image", "Tags": tags}],
    BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": disk}],
)["ImageId"]
ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": "123456789012"}]})
