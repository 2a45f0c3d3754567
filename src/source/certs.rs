//! Certificates of registries, found as containers-certs.d(5) says: the
//! first of these directories that exists, and of it every `*.crt`.
//!
//! ```text
//! ~/.config/containers/certs.d/HOST:PORT/
//! /etc/containers/certs.d/HOST:PORT/
//! /etc/docker/certs.d/HOST:PORT/
//! ```
//!
//! They are trusted besides the system's own (and those of `SSL_CERT_FILE`,
//! which the TLS library reads). Left out: client certificates.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::progress::Progress;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// PEM blocks, one certificate each, that a registry's certificate may be signed by.
pub(crate) fn find(host: &str, dir: Option<&Path>, progress: &dyn Progress) -> Result<Vec<String>> {
    let dir = match dir {
        Some(dir) => dir.to_path_buf(),
        None => match default_dirs(host).into_iter().find(|dir| dir.is_dir()) {
            Some(dir) => dir,
            None => return Ok(Vec::new()),
        },
    };
    in_dir(&dir, progress).with_context(|| format!("reading certificates in {}", dir.display()))
}

fn default_dirs(host: &str) -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config/containers/certs.d"));
    let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    home.into_iter().chain(system).map(|dir| dir.join(host)).collect()
}

fn in_dir(dir: &Path, progress: &dyn Progress) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir)?.collect::<std::io::Result<Vec<_>>>()?;
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => found.extend(blocks(&path)?),
            Some("cert") => {
                progress.note(&format!("client certificate {} is not used: not supported", path.display()));
            }
            _ => {}
        }
    }
    Ok(found)
}

fn blocks(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let starts = text.match_indices(BEGIN).map(|(at, _)| at);
    let block = |at: usize| text[at..].find(END).map(|len| text[at..at + len + END.len()].to_owned() + "\n");
    let found: Vec<_> = starts.filter_map(block).collect();
    ensure!(!found.is_empty(), "{} holds no PEM certificate", path.display());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_of_every_crt_file_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let block = format!("{BEGIN}\nAA==\n{END}\n");
        fs::write(dir.path().join("a.crt"), format!("text\n{block}{block}")).unwrap();
        fs::write(dir.path().join("b.txt"), &block).unwrap();
        assert_eq!(find("h", Some(dir.path()), &()).unwrap(), [block.clone(), block]);
        fs::write(dir.path().join("c.crt"), "nothing").unwrap();
        assert!(
            format!("{:#}", find("h", Some(dir.path()), &()).unwrap_err()).contains("c.crt holds no PEM")
        );
    }
}
