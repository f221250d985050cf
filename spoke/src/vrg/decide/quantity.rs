//! Sizes as Kubernetes writes them.

/// The number of bytes that a quantity such as `10Gi` or `1.5G` stands for; rounded down. `None` for anything else.
#[must_use]
pub fn bytes(text: &str) -> Option<u128> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let scale: u128 = match unit {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "P" => 1_000_000_000_000_000,
        "E" => 1_000_000_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "Pi" => 1 << 50,
        "Ei" => 1 << 60,
        "m" => return Some(whole.parse::<u128>().ok()? / 1000),
        exponent => {
            let exponent: u32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            10_u128.checked_pow(exponent)?
        }
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part = match fraction {
        "" => 0,
        digits => {
            let divisor = 10_u128.checked_pow(u32::try_from(digits.len()).ok()?)?;
            scale.checked_mul(digits.parse().ok()?)? / divisor
        }
    };
    whole.checked_mul(scale)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_compared_by_what_they_mean() {
        assert_eq!(bytes("1Gi"), Some(1 << 30));
        assert_eq!(bytes("1024Mi"), bytes("1Gi"));
        assert_eq!(bytes("1.5k"), Some(1500));
        assert_eq!(bytes("2e3"), Some(2000));
        assert_eq!(bytes("5368709120"), bytes("5Gi"));
        for text in ["", "Gi", "ten", "1Xi", "1.x"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
