//! `customizations.timezone` and `locale`.

use schemars::JsonSchema;
use serde::Deserialize;

/// Time zone and time servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timezone {
    /// Name in the time zone database: `Europe/Vienna`.
    pub timezone: Option<String>,
    /// Time servers, in place of those of the image.
    pub ntpservers: Vec<String>,
}

/// Language and keyboard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Locale {
    /// Locales; the first becomes LANG, all of them LANGUAGE.
    pub languages: Vec<String>,
    /// Keymap of the console.
    pub keyboard: Option<String>,
}
