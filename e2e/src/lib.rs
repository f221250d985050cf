//! The scenarios, each stating its outcome in bytes and objects; and the benchmark.
//!
//! What lives here is shared by the scenarios: starting a world, and reading what it has come to.
//!
//! | module | what |
//! |---|---|
//! | [`start`] | worlds, and applications that are protected in them |
//! | [`objects`] | the facts of objects, on the hub and on a cluster |
//! | [`bytes`] | the content of volumes, and the keys of the stores |
//! | [`real`] | real clusters, Open Cluster Management and S3, on loopback |
//! | [`ground`] | those as what a world stands on |
//! | [`suite`] | the scenarios on them |
//! | [`accept`] | the scenarios on clusters that belong to somebody else |
//! | [`mod@bench`] | the benchmark, in the sandbox and elsewhere |

pub mod accept;
pub mod bench;
pub mod bytes;
pub mod ground;
pub mod objects;
pub mod real;
pub mod start;
pub mod suite;

/// A test in the sandbox's world, in virtual time, for each scenario of a list: `module { name, name = "why not real" }`.
#[macro_export]
macro_rules! embedded_tests {
    ($suite:ident: $($module:ident { $($name:ident $(= $why:literal)?),* $(,)? })*) => {
        mod embedded {
            $(mod $module {
                $(
                    #[tokio::test(start_paused = true)]
                    async fn $name() -> anyhow::Result<()> {
                        super::super::$suite::$module::$name().await
                    }
                )*
            })*
        }
    };
}

/// The same list as [`suite::Scenario`]s for real clusters.
#[macro_export]
macro_rules! real_scenarios {
    ($suite:ident: $($module:ident { $($name:ident $(= $why:literal)?),* $(,)? })*) => {
        vec![$($(
            $crate::suite::Scenario {
                name: concat!(stringify!($suite), "::", stringify!($module), "::", stringify!($name)),
                body: || Box::pin($suite::$module::$name()),
                not_real: None$(.or(Some($why)))?,
                core: false,
            },
        )*)*]
    };
}
