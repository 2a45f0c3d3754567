//! Nodes to any serde type, with errors that know their field and place.
//!
//! Stricter than YAML is used to be: a number is never taken for a string, so
//! the three syntaxes mean the same. An empty value (`user:` with nothing
//! after it) is an absent option, an empty list or an empty table.

use std::fmt;

use serde::{
    de::{self, DeserializeSeed, Deserializer, Unexpected, Visitor, value::StrDeserializer},
    forward_to_deserialize_any,
};

use super::{
    error::Fault,
    node::{Key, Kind, Node},
};

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("expected {expected}, found {found}"))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("{found} is out of range, expected {expected}"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown_key(field, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the key `{field}` is missing"))
    }
}

/// A number without sign and fraction, in any of the ways that YAML and TOML have.
pub(super) fn whole(text: &str) -> Option<u64> {
    let radix = |prefix, radix| u64::from_str_radix(text.strip_prefix(prefix)?, radix).ok();
    let other = || radix("0x", 16).or_else(|| radix("0o", 8)).or_else(|| radix("0b", 2));
    text.parse().ok().or_else(other)
}

/// A node as serde's source.
#[derive(Clone, Copy)]
pub(super) struct Input<'de>(pub(super) &'de Node);

impl<'de> Input<'de> {
    /// The fault of a value of the wrong type.
    fn expected(self, what: &str) -> Fault {
        let node = self.0;
        let found = match &node.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a truth value",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Table(_) => "a table of keys",
        };
        let fault = Fault::new(format!("expected {what}, found {found}")).at(node.span);
        match node.kind {
            Kind::Bool(_) | Kind::Number(_) if what == "a string" => fault.hint("put it in quotes"),
            _ => fault,
        }
    }

    fn number<V: Visitor<'de>>(self, text: &str, visitor: V) -> Result<V::Value, Fault> {
        if let Some(value) = whole(text) {
            return visitor.visit_u64(value);
        }
        match text.parse() {
            Ok(value) => visitor.visit_i64(value),
            Err(_) => visitor.visit_f64(text.parse().unwrap_or(f64::INFINITY)),
        }
    }
}

impl<'de> Deserializer<'de> for Input<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let value = match &self.0.kind {
            Kind::Null => visitor.visit_unit(),
            Kind::Bool(value) => visitor.visit_bool(*value),
            Kind::Number(text) => self.number(text, visitor),
            Kind::Text(text) => visitor.visit_borrowed_str(text),
            Kind::List(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Kind::Table(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
        };
        value.map_err(|fault| fault.at(self.0.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.kind {
            Kind::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.kind {
            Kind::Text(_) => self.deserialize_any(visitor),
            _ => Err(self.expected("a string")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.kind {
            Kind::Bool(_) => self.deserialize_any(visitor),
            _ => Err(self.expected("true or false")),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_u32(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.kind {
            Kind::Number(_) => self.deserialize_any(visitor),
            _ => Err(self.expected("a number")),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.kind {
            Kind::Null => visitor.visit_seq(Items([].iter().enumerate())),
            Kind::List(_) => self.deserialize_any(visitor),
            _ => Err(self.expected("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.kind {
            Kind::Null => visitor
                .visit_map(Entries { entries: [].iter(), value: None })
                .map_err(|fault: Fault| fault.at(self.0.span)),
            Kind::Table(_) => self.deserialize_any(visitor),
            _ => Err(self.expected("a table of keys")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 f32 f64 char bytes byte_buf
        unit unit_struct tuple tuple_struct enum identifier ignored_any
    }
}

struct Items<'de>(std::iter::Enumerate<std::slice::Iter<'de, Node>>);

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some((index, node)) = self.0.next() else { return Ok(None) };
        seed.deserialize(Input(node)).map(Some).map_err(|fault| fault.inside(index))
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, (Key, Node)>,
    value: Option<&'de (Key, Node)>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.value = self.entries.next();
        let Some((key, _)) = self.value else { return Ok(None) };
        seed.deserialize(StrDeserializer::new(&key.name)).map(Some).map_err(|fault: Fault| fault.at(key.span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, node)) = self.value.take() else { return Err(Fault::new("a value without a key")) };
        seed.deserialize(Input(node)).map_err(|fault| fault.inside(key.name.as_str()))
    }
}
