//! Asks whether a publication would be allowed. EC2 answers that for each
//! action (`DryRun`); EBS direct cannot be asked, and that is said.

use serde::Serialize;
use serde_json::Value;

use super::{
    Plan,
    client::Client,
    ec2::{Copy, Ec2, Form, NewImage},
    failure::{Failure, Kind},
    policy::policy,
};

/// Names that exist nowhere.
const NO_SNAPSHOT: &str = "snap-00000000000000000";
const NO_IMAGE: &str = "ami-00000000000000000";

/// What would be allowed, and the policy that allows it.
#[derive(Debug, Serialize)]
pub struct DryRun {
    /// One entry for each action and region.
    pub checks: Vec<Check>,
    /// An IAM policy document for exactly this publication.
    pub policy: Value,
}

/// An action, and whether it would be allowed.
#[derive(Debug, Serialize)]
pub struct Check {
    /// "ec2:RegisterImage".
    pub action: String,
    /// Where.
    pub region: String,
    /// Whether.
    pub outcome: Outcome,
    /// What AWS says, where that is more than yes or no.
    pub why: String,
}

/// Whether an action would be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// AWS says yes.
    Allowed,
    /// AWS says no.
    Denied,
    /// It cannot be asked.
    Unchecked,
    /// It could not be asked now.
    Failed,
}

impl DryRun {
    /// Whether nothing speaks against it.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        let is_fine = |check: &Check| matches!(check.outcome, Outcome::Allowed | Outcome::Unchecked);
        self.checks.iter().all(is_fine)
    }
}

/// Asks for every action of the plan.
pub(super) fn ask(client: &Client, plan: &Plan<'_>) -> DryRun {
    let mut checks: Vec<Check> = ["StartSnapshot", "PutSnapshotBlock", "CompleteSnapshot"]
        .map(|action| unchecked(plan, &format!("ebs:{action}"), "EBS direct has no dry run"))
        .into();
    for (region, action, form) in questions(plan) {
        let answer = Ec2 { client, region }.dry_run(action, &form);
        let (outcome, why) = outcome(answer);
        checks.push(Check { action: format!("ec2:{action}"), region: region.to_owned(), outcome, why });
    }
    DryRun { checks, policy: policy(plan.wish, &plan.home) }
}

/// Where no credentials are, nothing can be asked.
pub(super) fn without_credentials(plan: &Plan<'_>, why: &str) -> DryRun {
    let check = |(region, action, _): (&str, &str, Form)| Check {
        action: format!("ec2:{action}"),
        region: region.to_owned(),
        outcome: Outcome::Failed,
        why: why.to_owned(),
    };
    let checks = questions(plan).into_iter().map(check).collect();
    DryRun { checks, policy: policy(plan.wish, &plan.home) }
}

fn unchecked(plan: &Plan<'_>, action: &str, why: &str) -> Check {
    let (action, region, why) = (action.to_owned(), plan.home.clone(), why.to_owned());
    Check { action, region, outcome: Outcome::Unchecked, why }
}

/// Each action with parameters that are complete, and name nothing that is there.
fn questions<'p>(plan: &'p Plan<'_>) -> Vec<(&'p str, &'static str, Form)> {
    let image = || Form::default().with("ImageId", NO_IMAGE);
    let snapshot = || Form::default().with("SnapshotId", NO_SNAPSHOT);
    let new = NewImage { snapshot: NO_SNAPSHOT, ..plan.image("") };
    let mut asked = vec![(plan.home.as_str(), "RegisterImage", new.form())];
    for region in plan.regions() {
        asked.push((region, "DescribeImages", Form::default().with("Owner.1", "self")));
        asked.push((region, "DescribeSnapshots", Form::default().with("Owner.1", "self")));
        asked.push((region, "DeregisterImage", image()));
        asked.push((region, "DeleteSnapshot", snapshot()));
        if region != plan.home {
            asked.push((region, "CopyImage", Copy { from: NO_IMAGE, ..plan.copy("", region) }.form()));
        }
        if let Some(account) = plan.wish.share_with.first() {
            let image = image().with("LaunchPermission.Add.1.UserId", account);
            let snapshot = snapshot()
                .with("Attribute", "createVolumePermission")
                .with("CreateVolumePermission.Add.1.UserId", account);
            asked.push((region, "ModifyImageAttribute", image));
            asked.push((region, "ModifySnapshotAttribute", snapshot));
        }
    }
    asked
}

fn outcome(answer: Result<(), Failure>) -> (Outcome, String) {
    let Err(failure) = answer else {
        return (Outcome::Failed, "the endpoint does not know DryRun and did it".to_owned());
    };
    let outcome = match failure.kind {
        _ if failure.code == "DryRunOperation" => return (Outcome::Allowed, String::new()),
        Kind::Denied => Outcome::Denied,
        Kind::Broken | Kind::Passing | Kind::Expired | Kind::Unknown => Outcome::Failed,
        // it stumbled over what the names do not name, which tells nothing of permissions
        Kind::Missing | Kind::Last => Outcome::Unchecked,
    };
    (outcome, failure.to_string())
}
