//! `customizations.services`, `cacerts` and `cloud_init`.

use schemars::JsonSchema;
use serde::Deserialize;

/// Units of systemd, with or without `.service`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Services {
    /// Started at boot.
    pub enabled: Vec<String>,
    /// Not started at boot.
    pub disabled: Vec<String>,
    /// Never started.
    pub masked: Vec<String>,
}

/// Certificate authorities to trust.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CaCerts {
    /// Certificates, in PEM.
    pub pem_certs: Vec<String>,
}

/// cloud-init's seed: what it reads in place of a cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CloudInit {
    /// The user data, beginning with `#cloud-config` or another mark.
    pub user_data: Option<String>,
    /// The metadata, in YAML.
    pub meta_data: Option<String>,
    /// The network configuration, in YAML.
    pub network_config: Option<String>,
}
