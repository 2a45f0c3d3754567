//! Values that are written by name, from a list that the type has as `NAMES`.

use serde::{Deserialize, Deserializer, de};

use super::error::quoted;

/// Reading and schema of values that have names.
macro_rules! by_name {
    ($($kind:ident is $name:literal),*) => {$(
        impl<'de> serde::Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
                $crate::blueprint::named::named(source, Self::NAMES)
            }
        }

        impl schemars::JsonSchema for $kind {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let names: Vec<_> = Self::NAMES.iter().map(|(name, _)| *name).collect();
                schemars::json_schema!({"enum": names})
            }
        }
    )*};
}

pub(super) use by_name;

/// The value of the name that is written.
pub(super) fn named<'de, D: Deserializer<'de>, T: Copy>(
    source: D,
    names: &[(&str, T)],
) -> Result<T, D::Error> {
    let text = String::deserialize(source)?;
    let found = names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
        de::Error::custom(format!("{} is none of {}", quoted(&text), names.join(", ")))
    })
}
