//! The EC2 Query API, as much of it as an AMI needs. Parameters are a form,
//! answers XML.
//!
//! Source: "Amazon EC2 API Reference" (version 2016-11-15).

use std::fmt::Write;

use http::Method;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    client::{Call, Client},
    endpoint::Service,
    failure::{Failure, Kind},
    system::System,
};

const VERSION: &str = "2016-11-15";
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// What machines call their first disk.
const ROOT_DEVICE: &str = "/dev/xvda";

/// The service in one region.
pub(super) struct Ec2<'a> {
    pub(super) client: &'a Client,
    pub(super) region: &'a str,
}

/// The parameters of a request.
#[derive(Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }

    /// Tags of what the request makes.
    pub(super) fn tags(mut self, kinds: &[&str], tags: &[(String, String)]) -> Self {
        for (at, kind) in kinds.iter().enumerate() {
            let prefix = format!("TagSpecification.{}", at + 1);
            self = self.with(format!("{prefix}.ResourceType"), *kind);
            for (number, (key, value)) in tags.iter().enumerate() {
                let prefix = format!("{prefix}.Tag.{}", number + 1);
                self = self.with(format!("{prefix}.Key"), key).with(format!("{prefix}.Value"), value);
            }
        }
        self
    }

    fn encoded(&self, action: &str) -> String {
        let mut text = format!("Action={action}&Version={VERSION}");
        for (name, value) in &self.0 {
            let _ = write!(text, "&{}={}", encode(name), encode(value));
        }
        text
    }
}

fn encode(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// What a new AMI is.
pub(super) struct NewImage<'a> {
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) snapshot: &'a str,
    pub(super) gib: u64,
    pub(super) system: System,
    pub(super) tags: &'a [(String, String)],
}

impl NewImage<'_> {
    pub(super) fn form(&self) -> Form {
        let disk = "BlockDeviceMapping.1";
        let form = Form::default()
            .with("Name", self.name)
            .with("Description", self.description)
            .with("Architecture", self.system.architecture.name())
            .with("BootMode", self.system.boot_mode.name())
            .with("VirtualizationType", "hvm")
            .with("EnaSupport", "true")
            .with("SriovNetSupport", "simple")
            .with("ImdsSupport", "v2.0")
            .with("RootDeviceName", ROOT_DEVICE)
            .with(format!("{disk}.DeviceName"), ROOT_DEVICE)
            .with(format!("{disk}.Ebs.SnapshotId"), self.snapshot)
            .with(format!("{disk}.Ebs.VolumeSize"), self.gib.to_string())
            .with(format!("{disk}.Ebs.VolumeType"), "gp3")
            .with(format!("{disk}.Ebs.DeleteOnTermination"), "true");
        let form = if self.system.has_tpm() { form.with("TpmSupport", "v2.0") } else { form };
        form.tags(&["image"], self.tags)
    }
}

/// A copy of an AMI in another region.
pub(super) struct Copy<'a> {
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) from_region: &'a str,
    pub(super) from: &'a str,
    /// Two requests with the same token make one copy.
    pub(super) token: &'a str,
    pub(super) tags: &'a [(String, String)],
}

impl Copy<'_> {
    pub(super) fn form(&self) -> Form {
        Form::default()
            .with("Name", self.name)
            .with("Description", self.description)
            .with("SourceRegion", self.from_region)
            .with("SourceImageId", self.from)
            .with("ClientToken", self.token)
            .tags(&["image", "snapshot"], self.tags)
    }
}

/// What EC2 knows of a snapshot.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Snapshot {
    /// "pending", "completed" or "error".
    pub(super) status: String,
    #[serde(default)]
    pub(super) status_message: String,
}

/// What EC2 knows of an AMI.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Image {
    pub(super) image_id: String,
    /// "pending", "available", "failed" ...
    pub(super) image_state: String,
    #[serde(default)]
    block_device_mapping: Items<Mapping>,
    #[serde(default)]
    state_reason: Reason,
}

impl Image {
    pub(super) fn snapshots(&self) -> impl Iterator<Item = &str> {
        let ids = self.block_device_mapping.item.iter().filter_map(|mapping| mapping.ebs.as_ref());
        ids.map(|ebs| ebs.snapshot_id.as_str()).filter(|id| !id.is_empty())
    }

    pub(super) fn reason(&self) -> &str {
        &self.state_reason.message
    }
}

#[derive(Clone, Debug, Deserialize)]
struct Mapping {
    ebs: Option<Ebs>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ebs {
    #[serde(default)]
    snapshot_id: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Reason {
    #[serde(default)]
    message: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Items<T> {
    #[serde(default = "Vec::new")]
    item: Vec<T>,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self { item: Vec::new() }
    }
}

impl Ec2<'_> {
    pub(super) fn snapshot(&self, id: &str, may_appear: bool) -> Result<Option<Snapshot>, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Found {
            #[serde(default)]
            snapshot_set: Items<Snapshot>,
        }
        let form = Form::default().with("SnapshotId.1", id);
        let found = self.ask::<Found>("DescribeSnapshots", &form, may_appear);
        Ok(missing_is_none(found)?.and_then(|found| found.snapshot_set.item.into_iter().next()))
    }

    pub(super) fn image(&self, id: &str, may_appear: bool) -> Result<Option<Image>, Failure> {
        let form = Form::default().with("ImageId.1", id);
        self.images(&form, may_appear)
    }

    /// An AMI of this account by its name.
    pub(super) fn image_named(&self, name: &str) -> Result<Option<Image>, Failure> {
        let form = Form::default().with("Owner.1", "self").with("Filter.1.Name", "name");
        self.images(&form.with("Filter.1.Value.1", name), false)
    }

    fn images(&self, form: &Form, may_appear: bool) -> Result<Option<Image>, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Found {
            #[serde(default)]
            images_set: Items<Image>,
        }
        let found = self.ask::<Found>("DescribeImages", form, may_appear);
        Ok(missing_is_none(found)?.and_then(|found| found.images_set.item.into_iter().next()))
    }

    /// An AMI of a snapshot. That a lost answer is asked for again is told by the name being taken.
    pub(super) fn register(&self, image: &NewImage<'_>) -> Result<String, Failure> {
        let failure = match self.ask::<Made>("RegisterImage", &image.form(), true) {
            Ok(made) => return Ok(made.image_id),
            Err(failure) => failure,
        };
        if failure.code == "InvalidAMIName.Duplicate"
            && let Some(found) = self.image_named(image.name)?
            && found.snapshots().any(|snapshot| snapshot == image.snapshot)
        {
            return Ok(found.image_id);
        }
        Err(failure)
    }

    /// Copies an AMI into this region.
    pub(super) fn copy(&self, copy: &Copy<'_>) -> Result<String, Failure> {
        self.ask::<Made>("CopyImage", &copy.form(), true).map(|made| made.image_id)
    }

    pub(super) fn share_image(&self, id: &str, accounts: &[String]) -> Result<(), Failure> {
        let mut form = Form::default().with("ImageId", id);
        for (at, account) in accounts.iter().enumerate() {
            form = form.with(format!("LaunchPermission.Add.{}.UserId", at + 1), account);
        }
        self.tell("ModifyImageAttribute", &form)
    }

    pub(super) fn share_snapshot(&self, id: &str, accounts: &[String]) -> Result<(), Failure> {
        let mut form = Form::default().with("SnapshotId", id).with("Attribute", "createVolumePermission");
        for (at, account) in accounts.iter().enumerate() {
            form = form.with(format!("CreateVolumePermission.Add.{}.UserId", at + 1), account);
        }
        self.tell("ModifySnapshotAttribute", &form)
    }

    /// What is gone already counts as deleted.
    pub(super) fn delete_snapshot(&self, id: &str) -> Result<(), Failure> {
        gone_is_well(self.tell("DeleteSnapshot", &Form::default().with("SnapshotId", id)))
    }

    /// What is gone already counts as deregistered.
    pub(super) fn deregister(&self, id: &str) -> Result<(), Failure> {
        gone_is_well(self.tell("DeregisterImage", &Form::default().with("ImageId", id)))
    }

    /// Asks whether an action would be allowed; the code that says so or not.
    pub(super) fn dry_run(&self, action: &str, form: &Form) -> Result<(), Failure> {
        self.tell(action, &form.clone().with("DryRun", "true"))
    }

    fn tell(&self, action: &str, form: &Form) -> Result<(), Failure> {
        self.client.call(&self.call(action, form, false)).map(drop)
    }

    fn ask<T: DeserializeOwned>(&self, action: &str, form: &Form, may_appear: bool) -> Result<T, Failure> {
        let answer = self.client.call(&self.call(action, form, may_appear))?;
        let text = String::from_utf8_lossy(&answer.body);
        quick_xml::de::from_str(&text)
            .map_err(|error| Failure::last(action, format!("its answer cannot be read: {error}")))
    }

    fn call<'c>(&'c self, action: &'c str, form: &Form, may_appear: bool) -> Call<'c> {
        Call {
            action,
            service: Service::Ec2,
            region: self.region,
            method: Method::POST,
            path: "/".to_owned(),
            content_type: FORM,
            headers: Vec::new(),
            body: form.encoded(action).into(),
            signs_body: true,
            may_appear,
            spread: 0,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    image_id: String,
}

fn missing_is_none<T>(found: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match found {
        Err(failure) if failure.kind == Kind::Missing => Ok(None),
        found => found.map(Some),
    }
}

fn gone_is_well(done: Result<(), Failure>) -> Result<(), Failure> {
    missing_is_none(done).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded_as_queries() {
        let tags = [("a b".to_owned(), "ä&=".to_owned())];
        let form = Form::default().with("Name", "x/y").tags(&["image"], &tags);
        assert_eq!(
            form.encoded("CopyImage"),
            "Action=CopyImage&Version=2016-11-15&Name=x%2Fy&TagSpecification.1.ResourceType=image\
             &TagSpecification.1.Tag.1.Key=a%20b&TagSpecification.1.Tag.1.Value=%C3%A4%26%3D"
        );
    }
}
