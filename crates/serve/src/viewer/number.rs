//! Numbers as readers write them.

/// `4025` as `4,025`.
pub(super) fn thousands(number: impl Into<i128>) -> String {
    let number = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A latency in milliseconds: `0.42 ms`, `12.3 ms`, `840 ms`, `1.25 s` or `3,700 s`.
pub(super) fn latency(milliseconds: f64) -> String {
    match milliseconds {
        ms if ms >= 1e15 => format!("{:.2e} s", ms / 1000.0),
        ms if ms >= 100_000.0 => {
            // Below 10^12.
            #[allow(clippy::cast_possible_truncation)]
            let seconds = (ms / 1000.0) as i64;
            format!("{} s", thousands(seconds))
        }
        ms if ms >= 1000.0 => format!("{:.2} s", ms / 1000.0),
        ms if ms >= 100.0 => format!("{ms:.0} ms"),
        ms if ms >= 1.0 => format!("{ms:.1} ms"),
        ms => format!("{ms:.2} ms"),
    }
}

/// A share of a whole: `12 %`, or `0.4 %` of few.
pub(super) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    // Shown with three digits at most.
    #[allow(clippy::cast_precision_loss)]
    let percent = part as f64 * 100.0 / whole as f64;
    if percent > 0.0 && percent < 10.0 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// How long ago `seconds` are: `40 s`, `12 min`, `3 h` or `9 d`.
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", thousands(seconds / 86_400)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_readers() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(-1_234_567), "-1,234,567");
        for (given, expected) in [
            (0.421, "0.42 ms"),
            (12.34, "12.3 ms"),
            (840.4, "840 ms"),
            (1250.0, "1.25 s"),
            (3_700_000.0, "3,700 s"),
            (1e300, "1.00e297 s"),
        ] {
            assert_eq!(latency(given), expected);
        }
        assert_eq!(
            (share(0, 0), share(1, 300), share(1, 4)),
            ("0 %".into(), "0.3 %".into(), "25 %".into())
        );
        let ages = [30, 600, 7_200, 200_000].map(age);
        assert_eq!(ages, ["30 s", "10 min", "2 h", "2 d"]);
    }
}
