//! The EBS direct APIs: a snapshot is started, filled block by block, and completed.
//!
//! Source: "EBS direct APIs", API reference (version 2019-11-02).

use base64::{Engine, engine::general_purpose::STANDARD};
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{
    blocks::Block,
    client::{Answer, Call, Client},
    endpoint::Service,
    failure::Failure,
};

/// Minutes without a block after which AWS gives a snapshot up by itself.
const TIMEOUT_MINUTES: u32 = 360;
const JSON: &str = "application/json";

/// The service in one region.
pub(super) struct Ebs<'a> {
    pub(super) client: &'a Client,
    pub(super) region: &'a str,
}

/// What a snapshot begins as.
pub(super) struct Start<'a> {
    pub(super) gib: u64,
    /// Two requests with the same token start one snapshot.
    pub(super) token: &'a str,
    pub(super) description: &'a str,
    pub(super) tags: &'a [(String, String)],
}

/// A snapshot that was started, now or by an earlier request with the same token. The size of its blocks
/// is told too, but only one is defined, and every block says its own.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Started {
    pub(super) snapshot_id: String,
    /// "pending", or "completed" where the earlier request's run came so far.
    #[serde(default)]
    pub(super) status: String,
}

impl Ebs<'_> {
    pub(super) fn start(&self, start: &Start<'_>) -> Result<Started, Failure> {
        let action = "StartSnapshot";
        let tag = |(key, value): &(String, String)| json!({"Key": key, "Value": value});
        let body = json!({
            "VolumeSize": start.gib,
            "ClientToken": start.token,
            "Description": start.description,
            "Timeout": TIMEOUT_MINUTES,
            "Tags": start.tags.iter().map(tag).collect::<Vec<_>>(),
        });
        let path = "/snapshots".to_owned();
        let body = body.to_string().into();
        let answer = self.client.call(&Call { content_type: JSON, body, ..self.post(action, path) })?;
        let started = serde_json::from_slice::<Started>(&answer.body);
        started.map_err(|error| Failure::last(action, format!("its answer: {error}")))
    }

    /// Writes a block; a block that is there already is overwritten.
    pub(super) fn put(
        &self,
        snapshot: &str,
        block: &Block,
        bytes: Vec<u8>,
        percent: u64,
    ) -> Result<(), Failure> {
        let checksum = STANDARD.encode(block.digest);
        let call = Call {
            action: "PutSnapshotBlock",
            service: Service::Ebs,
            region: self.region,
            method: Method::PUT,
            path: format!("/snapshots/{snapshot}/blocks/{}", block.index),
            content_type: "application/octet-stream",
            headers: vec![
                ("x-amz-data-length", bytes.len().to_string()),
                ("x-amz-progress", percent.to_string()),
                ("x-amz-checksum", checksum.clone()),
                ("x-amz-checksum-algorithm", "SHA256".to_owned()),
            ],
            body: bytes.into(),
            signs_body: false,
            may_appear: true,
            spread: block.index,
        };
        let answer = self.client.call(&call)?;
        let stored = answer.header("x-amz-checksum").unwrap_or(&checksum);
        if stored == checksum {
            return Ok(());
        }
        let message = format!("block {} was stored with checksum {stored}, not {checksum}", block.index);
        Err(Failure::last("PutSnapshotBlock", message))
    }

    /// Seals a snapshot of so many blocks, whose digests have this digest.
    pub(super) fn complete(&self, snapshot: &str, count: usize, aggregate: &[u8]) -> Result<(), Failure> {
        let path = format!("/snapshots/completion/{snapshot}");
        let headers = vec![
            ("x-amz-changedblockscount", count.to_string()),
            ("x-amz-checksum", STANDARD.encode(aggregate)),
            ("x-amz-checksum-algorithm", "SHA256".to_owned()),
            ("x-amz-checksum-aggregation-method", "LINEAR".to_owned()),
        ];
        self.client.call(&Call { headers, ..self.post("CompleteSnapshot", path) }).map(|_: Answer| ())
    }

    fn post<'c>(&'c self, action: &'c str, path: String) -> Call<'c> {
        Call {
            action,
            service: Service::Ebs,
            region: self.region,
            method: Method::POST,
            path,
            content_type: "",
            headers: Vec::new(),
            body: bytes::Bytes::new(),
            signs_body: true,
            may_appear: false,
            spread: 0,
        }
    }
}
