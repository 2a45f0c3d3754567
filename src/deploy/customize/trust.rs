//! Certificate authorities, and FIPS mode, in the places where distributions keep them.
//!
//! `update-ca-trust` and `update-ca-certificates` are not run. The certificates are put where these
//! look for them, so that they are still there after the next run, and at the end of the bundles
//! in PEM, which programs read.

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use super::place::Root;

/// Where the certificates of an administrator go, and the bundles made of them.
const STORES: &[(&str, &str, &[&str])] = &[
    (
        "/etc/pki/ca-trust/source/anchors",
        "pem",
        &["/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/pki/tls/certs/ca-bundle.crt"],
    ),
    ("/usr/local/share/ca-certificates", "crt", &["/etc/ssl/certs/ca-certificates.crt"]),
];
/// What shows that a store is the image's.
const MARKS: [&str; 2] = ["/etc/pki/ca-trust", "/etc/ssl/certs"];
const POLICIES: &str = "/usr/share/crypto-policies";

pub(super) fn certificates(root: &mut Root<'_>, certificates: &[String]) -> Result<()> {
    if certificates.is_empty() {
        return Ok(());
    }
    let mut store = None;
    for (mark, found) in MARKS.into_iter().zip(STORES) {
        if store.is_none() && root.find(mark)?.is_some() {
            store = Some(found);
        }
    }
    let (anchors, extension, bundles) =
        store.context("the image has no certificate store; install ca-certificates in the Containerfile")?;
    for pem in certificates {
        let text = format!("{}\n", pem.trim());
        let id: String = Sha256::digest(&text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        root.write_text(&format!("{anchors}/blueprint-{id}.{extension}"), 0o644, text)?;
    }
    let Some(bundle) = existing(root, bundles)? else { return Ok(()) };
    let mut text = root.config(bundle)?.unwrap_or_default();
    for pem in certificates {
        text += &format!("{}\n", pem.trim());
    }
    root.write_text(bundle, 0o644, text)
}

/// The first that is a file; a link to another one of them counts as that.
fn existing(root: &Root<'_>, bundles: &[&'static str]) -> Result<Option<&'static str>> {
    for bundle in bundles {
        if root.find(bundle)?.is_some() {
            return Ok(Some(bundle));
        }
    }
    Ok(None)
}

/// The policy FIPS, as `update-crypto-policies --set FIPS` leaves it; the kernel's argument is the
/// blueprint's.
pub(super) fn fips(root: &mut Root<'_>) -> Result<()> {
    let files = root.names(&format!("{POLICIES}/FIPS"))?;
    ensure!(
        !files.is_empty(),
        "the image has no policy FIPS ({POLICIES}/FIPS); install crypto-policies and dracut-fips in the Containerfile"
    );
    for path in ["/etc/crypto-policies/config", "/etc/crypto-policies/state/current"] {
        root.write_text(path, 0o644, "FIPS\n".to_owned())?;
    }
    for file in files {
        let Some(name) = file.strip_suffix(".txt") else { continue };
        let target = format!("{POLICIES}/FIPS/{file}");
        root.symlink_over("/etc/crypto-policies/back-ends", &format!("{name}.config"), &target)?;
    }
    Ok(())
}
