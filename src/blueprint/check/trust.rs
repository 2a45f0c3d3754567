//! Certificates, and what configures the machine at its first boot.
//!
//! Sources: RFC 7468 for PEM, "Supported Platforms" of Ignition, "User data formats" of cloud-init.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{field, list};
use crate::blueprint::{
    boot::{Embedded, Ignition},
    error::{Fault, quoted},
    service::{CaCerts, CloudInit},
};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// What user data may begin with.
const USER_DATA: [&str; 3] = ["#", "Content-Type:", "MIME-Version:"];
/// What Ignition can fetch.
const SCHEMES: [&str; 7] = ["http://", "https://", "tftp://", "s3://", "arn:", "gs://", "data:"];

pub(super) fn certificates(cacerts: &CaCerts) -> Option<Fault> {
    list("pem_certs", &cacerts.pem_certs, certificate).map(|fault| fault.inside("cacerts"))
}

fn certificate(pem: &str) -> Option<String> {
    if pem.contains("PRIVATE KEY") {
        return Some("this holds a private key".to_owned());
    }
    let blocks: Vec<_> = pem_blocks(pem);
    if blocks.is_empty() {
        return Some(format!("no certificate in PEM: there is no {BEGIN}"));
    }
    blocks.into_iter().all(|block| block.is_some()).then_some(()).map_or_else(
        || Some("no certificate in PEM: its data is cut short, or is not base64".to_owned()),
        |()| None,
    )
}

/// A certificate alone: its text in PEM, and its DER.
pub(crate) struct Certificate {
    pub(crate) pem: String,
    pub(crate) der: Vec<u8>,
}

/// The certificates in a text, which has been checked.
pub(crate) fn each_certificate(pem: &str) -> Vec<Certificate> {
    let texts = pem.split(BEGIN).skip(1).map(|block| {
        let body = block.split_once(END).map_or(block, |(body, _)| body);
        format!("{BEGIN}{body}{END}\n")
    });
    let pairs = texts.zip(pem_blocks(pem));
    pairs.filter_map(|(pem, der)| Some(Certificate { pem, der: der? })).collect()
}

/// The DER of each certificate; `None` for what is none.
fn pem_blocks(pem: &str) -> Vec<Option<Vec<u8>>> {
    let der = |block: &str| {
        let (body, _) = block.split_once(END)?;
        let text: String = body.split_whitespace().collect();
        // X.690: a sequence with a length of two bytes, as every certificate is.
        STANDARD.decode(text).ok().filter(|der| {
            let len = der.get(2..4).map(|len| usize::from(len[0]) << 8 | usize::from(len[1]));
            der.starts_with(&[0x30, 0x82]) && len.map(|len| len + 4) == Some(der.len())
        })
    };
    pem.split(BEGIN).skip(1).map(der).collect()
}

pub(super) fn ignition(ignition: &Ignition) -> Option<Fault> {
    let (embedded, first_boot) = (&ignition.embedded, &ignition.firstboot);
    let config = embedded.config.as_deref().and_then(|_| match embedded.json() {
        Some(_) => None,
        None => Some(field("config", "neither JSON nor base64 of JSON").inside("embedded")),
    });
    let url = || {
        let url = first_boot.url.as_deref()?;
        let good = SCHEMES.iter().any(|scheme| url.starts_with(scheme))
            && url.chars().all(|c| c.is_ascii_graphic() && !"\"'`$\\".contains(c));
        (!good).then(|| {
            field("url", format!("{} is no address that Ignition fetches", quoted(url))).inside("firstboot")
        })
    };
    let both = || {
        let wishes = [embedded.config.is_some(), first_boot.url.is_some(), first_boot.empty == Some(true)];
        let many = wishes.into_iter().filter(|wish| *wish).count() > 1;
        many.then(|| Fault::new("`embedded`, `firstboot.url` and `firstboot.empty` exclude each other"))
    };
    config.or_else(url).or_else(both).map(|fault| fault.inside("ignition"))
}

impl Embedded {
    /// The configuration as JSON; `None` if it is none.
    #[must_use]
    pub fn json(&self) -> Option<String> {
        let is_json = |text: &str| serde_json::from_str::<serde_json::Map<_, _>>(text).is_ok();
        let text = self.config.as_deref()?.trim();
        let decoded = || String::from_utf8(STANDARD.decode(text).ok()?).ok();
        if is_json(text) { Some(text.to_owned()) } else { decoded().filter(|text| is_json(text)) }
    }
}

pub(super) fn cloud_init(cloud_init: &CloudInit) -> Option<Fault> {
    let user_data = cloud_init.user_data.as_deref()?;
    let known = USER_DATA.iter().any(|mark| user_data.starts_with(mark));
    let fault =
        || field("user_data", "cloud-init would not know what this is").hint("begin it with `#cloud-config`");
    (!known).then(|| fault().inside("cloud_init"))
}
