use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Option<i64> {
    text.parse::<GoDuration>().ok().map(GoDuration::as_nanos)
}

#[test]
fn go_durations_are_read() {
    for (text, nanoseconds) in [
        ("0", 0),
        ("5m0s", 300_000_000_000),
        ("1h30m0s", 5_400_000_000_000),
        ("2m43.123456s", 163_123_456_000),
        ("-1.5h", -5_400_000_000_000),
        ("+5s", 5_000_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("3us", 3_000),
        ("3\u{b5}s", 3_000),
        ("3\u{3bc}s", 3_000),
        ("1ms2ns", 1_000_002),
        ("39h9m14.425s", 140_954_425_000_000),
        ("0.3333333333333333333h", 1_200_000_000_000),
        ("0.100000000000000000000h", 360_000_000_000),
        ("0.9223372036854775807h", 3_320_413_933_267),
        ("9223372036854775807ns", i64::MAX),
        ("-9223372036854775808ns", i64::MIN),
        ("2562047h47m16.854775807s", i64::MAX),
    ] {
        assert_eq!(parsed(text), Some(nanoseconds), "{text}");
    }
}

#[test]
fn what_is_no_go_duration_is_refused() {
    for text in [
        "",
        "3",
        "-",
        "s",
        ".",
        "-.",
        ".s",
        "+.s",
        "1d",
        "5 m",
        "m5",
        "1x",
        "9223372036854775808ns",
        "9223372036854775807h",
        "1\u{fc}",
    ] {
        assert_eq!(parsed(text), None, "{text}");
    }
}

#[test]
fn durations_are_written_as_go_writes_them() {
    for (nanoseconds, text) in [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1\u{b5}s"),
        (2_200_000, "2.2ms"),
        (3_300_000_000, "3.3s"),
        (300_000_000_000, "5m0s"),
        (245_001_000_000, "4m5.001s"),
        (3_600_000_000_000, "1h0m0s"),
        (18_367_001_000_000, "5h6m7.001s"),
        (-90_000_000_000, "-1m30s"),
        (i64::MAX, "2562047h47m16.854775807s"),
        (i64::MIN, "-2562047h47m16.854775808s"),
    ] {
        assert_eq!(GoDuration::from_nanos(nanoseconds).to_string(), text);
    }
}

#[test]
fn scheduling_intervals_are_seconds() {
    for (text, seconds) in [("", 0), ("0m", 0), ("5m", 300), ("2h", 7_200), ("1d", 86_400), ("1h30m", 5_400)] {
        assert_eq!(parse_scheduling_interval(text), Ok(seconds), "{text}");
    }
    for text in ["d", "-1d", "+1d", "-5m", "5", "1w", "999999999999999999999d", "18446744073709551615d"] {
        assert!(parse_scheduling_interval(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn every_duration_is_read_back(nanoseconds: i64) {
        let written = GoDuration::from_nanos(nanoseconds).to_string();
        prop_assert_eq!(parsed(&written), Some(nanoseconds), "{}", written);
    }

    #[test]
    fn small_durations_are_read_back(nanoseconds in -10_000_000_000_i64..10_000_000_000) {
        let written = GoDuration::from_nanos(nanoseconds).to_string();
        prop_assert_eq!(parsed(&written), Some(nanoseconds), "{}", written);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[-+]?[0-9.]{0,24}([nuµm]?s|m|h)?[0-9.a-zµ]{0,12}") {
        if let Some(nanoseconds) = parsed(&text) {
            let written = GoDuration::from_nanos(nanoseconds).to_string();
            prop_assert_eq!(parsed(&written), Some(nanoseconds));
        }
    }

    #[test]
    fn scheduling_intervals_of_the_schema_are_read(number in 0_u64..100_000, unit in "[mhd]") {
        let scale = match unit.as_str() { "m" => 60, "h" => 3_600, _ => 86_400 };
        prop_assert_eq!(parse_scheduling_interval(&format!("{number}{unit}")), Ok(number * scale));
    }
}
