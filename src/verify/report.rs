//! What was found on a disk.

use std::path::PathBuf;

use diskwright_formats::Fault;
use serde::Serialize;

/// More findings than this are counted only.
const FINDINGS_MAX: usize = 10_000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Unusual, and possibly meant.
    Warning,
    /// Broken: the disk is not what it says, or will not boot.
    Error,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The check that found it: "table", "filesystem", "ostree", "deployment", "verity", "selinux",
    /// "boot", "bootloader".
    pub check: &'static str,
    /// Where: a partition, and a path or structure in it.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

/// A partition.
#[derive(Clone, Debug, Serialize)]
pub struct Partition {
    /// From 1.
    pub number: usize,
    /// Name in the table.
    pub name: String,
    /// Type GUID.
    pub type_uuid: String,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// Name of the filesystem, if it is one known here.
    pub filesystem: Option<&'static str>,
    /// The filesystem's identifier.
    pub uuid: Option<String>,
    /// The filesystem's label.
    pub label: Option<String>,
    /// Files, directories and everything else with a name of its own.
    pub inodes: usize,
}

/// A deployment.
#[derive(Clone, Debug, Serialize)]
pub struct Deployment {
    /// Path on its filesystem.
    pub path: String,
    /// The stateroot it belongs to.
    pub stateroot: String,
    /// The commit it is a checkout of.
    pub commit: String,
    /// What it updates from.
    pub origin: Option<String>,
    /// `[composefs] enabled` of its prepare-root.conf.
    pub composefs: String,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyReport {
    /// The disk that was read.
    pub disk: PathBuf,
    /// Its format.
    pub format: &'static str,
    /// Its size in bytes, as a machine sees it.
    pub size: u64,
    /// Partitions in table order.
    pub partitions: Vec<Partition>,
    /// Objects of the repository.
    pub objects: usize,
    /// Bytes of their content, all of them hashed.
    pub object_bytes: u64,
    /// Refs of the repository.
    pub refs: usize,
    /// Deployments.
    pub deployments: Vec<Deployment>,
    /// What is wrong, in the order of the checks.
    pub findings: Vec<Finding>,
    /// How many findings are errors.
    pub errors: usize,
    /// How many are warnings.
    pub warnings: usize,
}

impl VerifyReport {
    pub(super) fn count(&mut self) {
        let of = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        (self.errors, self.warnings) = (of(Severity::Error), of(Severity::Warning));
    }
}

/// Findings being gathered.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    dropped: usize,
}

impl Findings {
    pub(super) fn error(&mut self, check: &'static str, place: impl Into<String>, what: impl Into<String>) {
        self.add(Finding { severity: Severity::Error, check, place: place.into(), what: what.into() });
    }

    pub(super) fn warning(&mut self, check: &'static str, place: impl Into<String>, what: impl Into<String>) {
        self.add(Finding { severity: Severity::Warning, check, place: place.into(), what: what.into() });
    }

    /// Faults of a reader, their places below `place`.
    pub(super) fn faults(&mut self, check: &'static str, place: &str, faults: &[Fault]) {
        for fault in faults {
            let place =
                if place.is_empty() { fault.place.clone() } else { format!("{place}: {}", fault.place) };
            let severity = if fault.is_error { Severity::Error } else { Severity::Warning };
            self.add(Finding { severity, check, place, what: fault.what.clone() });
        }
    }

    fn add(&mut self, finding: Finding) {
        if self.list.len() < FINDINGS_MAX {
            self.list.push(finding);
        } else {
            self.dropped += 1;
        }
    }

    pub(super) fn into_list(mut self) -> Vec<Finding> {
        if self.dropped > 0 {
            let what = format!("{} more findings are not shown", self.dropped);
            let place = "disk".to_owned();
            self.list.push(Finding { severity: Severity::Error, check: "table", place, what });
        }
        self.list
    }
}
