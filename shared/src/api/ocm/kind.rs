//! What every kind of this folder has in common: its `kube::Resource`, and a wire form that takes `null` for empty and
//! names its kind.

/// Defines one kind: the struct, its `kube::Resource` and its `Serialize` with `apiVersion` and `kind`.
///
/// Not kube's derive, because that makes `spec` mandatory on the wire, and some of these kinds have none.
macro_rules! kind {
    (@resource $kind:ident, $scope:ident, $group:literal, $version:literal, $plural:literal) => {
        impl ::kube::Resource for $kind {
            type DynamicType = ();
            type Scope = ::kube::core::$scope;

            fn kind((): &()) -> ::std::borrow::Cow<'_, str> {
                stringify!($kind).into()
            }

            fn group((): &()) -> ::std::borrow::Cow<'_, str> {
                $group.into()
            }

            fn version((): &()) -> ::std::borrow::Cow<'_, str> {
                $version.into()
            }

            fn plural((): &()) -> ::std::borrow::Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &mut self.metadata
            }
        }

        impl $kind {
            /// `apiVersion` of the kind, as written on the wire.
            pub const API_VERSION: &'static str = concat!($group, "/", $version);
            /// Name of the kind.
            pub const KIND: &'static str = stringify!($kind);
        }
    };
    (
        $(#[$doc:meta])*
        $kind:ident, $scope:ident, $group:literal, $version:literal, $plural:literal, spec: $spec:ty, status: $status:ty
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, ::serde::Deserialize)]
        pub struct $kind {
            /// Name, namespace, labels and so on.
            #[serde(default, deserialize_with = "crate::api::tolerant::nullable")]
            pub metadata: ::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
            /// What is wanted.
            #[serde(default, deserialize_with = "crate::api::tolerant::nullable")]
            pub spec: $spec,
            /// What its controller reported last.
            #[serde(default)]
            pub status: Option<$status>,
        }

        impl $kind {
            /// A new object of this name, without a namespace and without a status.
            #[must_use]
            pub fn new(name: &str, spec: $spec) -> Self {
                let metadata = ::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                    name: Some(name.to_owned()),
                    ..Default::default()
                };
                Self { metadata, spec, status: None }
            }
        }

        impl ::serde::Serialize for $kind {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use ::serde::ser::SerializeStruct as _;
                let mut out = serializer.serialize_struct(Self::KIND, 5)?;
                out.serialize_field("apiVersion", Self::API_VERSION)?;
                out.serialize_field("kind", Self::KIND)?;
                out.serialize_field("metadata", &self.metadata)?;
                out.serialize_field("spec", &self.spec)?;
                match &self.status {
                    Some(status) => out.serialize_field("status", status)?,
                    None => out.skip_field("status")?,
                }
                out.end()
            }
        }

        kind!(@resource $kind, $scope, $group, $version, $plural);
    };
    (
        $(#[$doc:meta])*
        $kind:ident, $scope:ident, $group:literal, $version:literal, $plural:literal, status: $status:ty
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, ::serde::Deserialize)]
        pub struct $kind {
            /// Name, namespace, labels and so on.
            #[serde(default, deserialize_with = "crate::api::tolerant::nullable")]
            pub metadata: ::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
            /// What its controller reported last.
            #[serde(default)]
            pub status: Option<$status>,
        }

        impl $kind {
            /// A new object of this name, without a namespace and without a status.
            #[must_use]
            pub fn new(name: &str) -> Self {
                let metadata = ::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                    name: Some(name.to_owned()),
                    ..Default::default()
                };
                Self { metadata, status: None }
            }
        }

        impl ::serde::Serialize for $kind {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use ::serde::ser::SerializeStruct as _;
                let mut out = serializer.serialize_struct(Self::KIND, 4)?;
                out.serialize_field("apiVersion", Self::API_VERSION)?;
                out.serialize_field("kind", Self::KIND)?;
                out.serialize_field("metadata", &self.metadata)?;
                match &self.status {
                    Some(status) => out.serialize_field("status", status)?,
                    None => out.skip_field("status")?,
                }
                out.end()
            }
        }

        kind!(@resource $kind, $scope, $group, $version, $plural);
    };
}
pub(super) use kind;
