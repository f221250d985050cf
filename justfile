# Every gate that CI runs, by name.

# Run all gates.
check: fmt lint test doc deny generated

fmt:
    cargo fmt --all -- --check

lint:
    cargo clippy --workspace --all-targets -- -D warnings

test:
    cargo test --workspace

doc:
    RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --workspace --no-deps

deny:
    cargo deny check

# Everything that is generated is fresh.
generated:
    cargo run -q -p kaedama-shared --bin crdgen -- --check

# Write everything that is generated.
generate:
    cargo run -q -p kaedama-shared --bin crdgen

# Protect, fail over, fail back and relocate an application on an embedded world.
demo *arguments:
    cargo run -- demo {{arguments}}

# How fast, and with how many requests.
bench *arguments:
    cargo run --release -p kaedama-e2e --bin bench -- {{arguments}}

# Property tests on cases that nobody has tried yet.
explore cases="2000":
    PROPTEST_RNG_SEED=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ') PROPTEST_CASES={{cases}} cargo test --workspace --lib
