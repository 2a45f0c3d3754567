//! Certificate authorities, and FIPS mode, in the places where distributions keep them.
//!
//! `update-ca-trust` and `update-ca-certificates` are not run. The certificates are put where these
//! look for them, so that they are still there after the next run; at the end of the bundles
//! in PEM, which programs read; and in the directory of hash links, if the image has one, by which OpenSSL
//! finds them (openssl-rehash(1)). Left out: bundles for Java, EDK II and OpenSSL's own form of trust.

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use super::{place::Root, subject_hash::subject_hash};
use crate::blueprint::{Certificate, each_certificate};

/// Where a distribution keeps certificates.
struct Store {
    /// What shows that it is the image's.
    mark: &'static str,
    /// Where those of an administrator go, and how their names end.
    anchors: &'static str,
    extension: &'static str,
    /// Bundles made of them: the first that is a file counts.
    bundles: &'static [&'static str],
    /// Where links by hash are.
    hashed: &'static str,
    /// Whether the links are beside copies, instead of links to the anchors.
    copies: bool,
}

/// Fedora's and Debian's.
const STORES: [Store; 2] = [
    Store {
        mark: "/etc/pki/ca-trust",
        anchors: "/etc/pki/ca-trust/source/anchors",
        extension: "pem",
        bundles: &["/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/pki/tls/certs/ca-bundle.crt"],
        hashed: "/etc/pki/ca-trust/extracted/pem/directory-hash",
        copies: true,
    },
    Store {
        mark: "/etc/ssl/certs",
        anchors: "/usr/local/share/ca-certificates",
        extension: "crt",
        bundles: &["/etc/ssl/certs/ca-certificates.crt"],
        hashed: "/etc/ssl/certs",
        copies: false,
    },
];
const POLICIES: &str = "/usr/share/crypto-policies";

pub(super) fn certificates(root: &mut Root<'_>, texts: &[String]) -> Result<()> {
    let certificates: Vec<_> = texts.iter().flat_map(|text| each_certificate(text)).collect();
    if certificates.is_empty() {
        return Ok(());
    }
    let store = store(root)?;
    for certificate in &certificates {
        store.add(root, certificate)?;
    }
    let Some(bundle) = existing(root, store.bundles)? else { return Ok(()) };
    let mut text = root.config(bundle)?.unwrap_or_default();
    text.extend(certificates.iter().map(|certificate| certificate.pem.as_str()));
    root.write_text(bundle, 0o644, text)
}

fn store(root: &Root<'_>) -> Result<&'static Store> {
    for store in &STORES {
        if root.find(store.mark)?.is_some() {
            return Ok(store);
        }
    }
    anyhow::bail!("the image has no certificate store; install ca-certificates in the Containerfile")
}

impl Store {
    /// Puts it among the anchors, and where it is found by its hash.
    fn add(&self, root: &mut Root<'_>, Certificate { pem, der }: &Certificate) -> Result<()> {
        let id: String = Sha256::digest(pem).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let anchor = format!("{}/blueprint-{id}.{}", self.anchors, self.extension);
        root.write_text(&anchor, 0o644, pem.clone())?;
        let Some(hash) =
            subject_hash(der).filter(|_| root.find(self.hashed).is_ok_and(|node| node.is_some()))
        else {
            return Ok(());
        };
        let name = format!("blueprint-{id}.pem");
        if self.copies {
            root.write_text(&format!("{}/{name}", self.hashed), 0o644, pem.clone())?;
        } else {
            root.symlink(self.hashed, &name, &anchor)?;
        }
        let names = root.names(self.hashed)?;
        let mut links = (0..).map(|number: u32| format!("{hash:08x}.{number}"));
        let free = links.find(|link| !names.contains(link)).context("no number is free")?;
        root.symlink(self.hashed, &free, &name)
    }
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
