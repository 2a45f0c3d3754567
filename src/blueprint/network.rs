//! `customizations.firewall` and `sshd`.

use std::{borrow::Cow, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

/// Rules of firewalld, in its default zone where nothing else is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Firewall {
    /// Ports to open: `8080:tcp`, `9000-9100:udp`, `https:tcp`.
    pub ports: Vec<String>,
    /// Services to allow and to forbid.
    pub services: FirewallServices,
    /// Sources of zones.
    pub zones: Vec<Zone>,
}

/// Services by the names that firewalld gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FirewallServices {
    /// Allowed.
    pub enabled: Vec<String>,
    /// No longer allowed.
    pub disabled: Vec<String>,
}

/// Sources of one zone of firewalld.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// Name of the zone.
    pub name: String,
    /// Addresses and networks that belong to it.
    #[serde(default)]
    pub sources: Vec<String>,
}

/// Settings of the SSH server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sshd {
    /// Whether passwords are asked for.
    pub password_authentication: Option<bool>,
    /// Seconds between signs of life asked of a client.
    pub client_alive_interval: Option<u32>,
    /// Whether root may log in.
    pub permit_root_login: Option<RootLogin>,
    /// Whether other questions are asked of who logs in.
    pub kbd_interactive_authentication: Option<bool>,
}

/// Value of `PermitRootLogin` in sshd_config(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootLogin(pub &'static str);

impl RootLogin {
    const ALL: [&str; 5] = ["yes", "no", "prohibit-password", "without-password", "forced-commands-only"];
}

impl<'de> Deserialize<'de> for RootLogin {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = RootLogin;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "true, false or one of {}", RootLogin::ALL.join(", "))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<RootLogin, E> {
                Ok(RootLogin(if value { "yes" } else { "no" }))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RootLogin, E> {
                let known = RootLogin::ALL.into_iter().find(|known| *known == text).map(RootLogin);
                known.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        source.deserialize_any(Read)
    }
}

impl JsonSchema for RootLogin {
    fn schema_name() -> Cow<'static, str> {
        "RootLogin".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let values = [true.into(), false.into()].into_iter();
        let values: Vec<serde_json::Value> = values.chain(Self::ALL.map(Into::into)).collect();
        schemars::json_schema!({"enum": values})
    }
}
