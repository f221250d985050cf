//! A string enum that keeps the values it does not know.
//!
//! One unknown enum value would otherwise fail the whole object, and with it a watch. The CRD schema may still be
//! closed: `(closed)` lists the known values in the schema, `(string)` leaves the schema a plain string.

macro_rules! open_enum {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident ($mode:ident) {
            $( $(#[$variant_meta:meta])* $variant:ident => $text:literal ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $vis enum $name {
            $( $(#[$variant_meta])* $variant, )+
            /// A value that this version does not know, kept as it was read.
            Other(String),
        }

        impl $name {
            /// The known values as they stand on the wire, in declaration order.
            pub const KNOWN: &'static [&'static str] = &[$($text),+];

            /// The value as it stands on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $( Self::$variant => $text, )+
                    Self::Other(text) => text,
                }
            }

            /// True for the empty string, which means that nothing was ever written.
            #[must_use]
            pub fn is_unset(&self) -> bool {
                self.as_str().is_empty()
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $( $text => Self::$variant, )+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::from(text.as_str())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <Option<String> as serde::Deserialize>::deserialize(deserializer)?;
                Ok(Self::from(text.unwrap_or_default()))
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::api::open_enum::$mode(Self::KNOWN)
            }
        }
    };
}

pub(crate) use open_enum;

/// The schema of an enum whose values the API server checks.
pub(crate) fn closed(known: &[&str]) -> schemars::Schema {
    let values: Vec<&&str> = known.iter().filter(|value| !value.is_empty()).collect();
    schemars::json_schema!({ "type": "string", "enum": values })
}

/// The schema of an enum that the API server takes as any string.
pub(crate) fn string(_known: &[&str]) -> schemars::Schema {
    schemars::json_schema!({ "type": "string" })
}
