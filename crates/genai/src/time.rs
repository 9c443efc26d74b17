//! Times as numbers: seconds, milliseconds, microseconds or nanoseconds since 1970.

use attestry_core::Timestamp;
use serde_json::Value;

/// A time as text, or as a number of any unit.
pub(crate) fn from_value(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok().or_else(|| timestamp_from_number(text)),
        Value::Number(number) => timestamp_from_number(&number.to_string()),
        _ => None,
    }
}

/// The time that the JSON number `text` means. Its size tells the unit: seconds up to the year 5138, of
/// which the same digits in a smaller unit are a time before 1973. `None` if it is no number or out of range.
///
/// ```
/// use attestry_genai::timestamp_from_number;
///
/// let time = timestamp_from_number("1769591700123").map(|time| time.to_string());
/// assert_eq!(time.as_deref(), Some("2026-01-28T09:15:00.123000"));
/// ```
#[must_use]
pub fn timestamp_from_number(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (text, ""),
    };
    let digits_only = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let Some(value) = whole.parse::<i64>().ok().filter(|_| digits_only) else {
        return from_float(text.parse().ok()?);
    };
    // Microseconds of one unit, as a power of ten.
    let digits: i32 = match value.unsigned_abs() {
        0..100_000_000_000 => 6,
        100_000_000_000..100_000_000_000_000 => 3,
        100_000_000_000_000..100_000_000_000_000_000 => 0,
        _ => -3,
    };
    let scale = 10_i64.pow(digits.unsigned_abs());
    if digits <= 0 {
        return Timestamp::from_unix_micros(value.div_euclid(scale)).ok();
    }
    let width = digits.unsigned_abs() as usize;
    let fraction: i64 = format!("{fraction:0<width$}").get(..width)?.parse().ok()?;
    let signed = if text.starts_with('-') { -fraction } else { fraction };
    Timestamp::from_unix_micros(value.checked_mul(scale)?.checked_add(signed)?).ok()
}

/// For numbers with an exponent.
fn from_float(value: f64) -> Option<Timestamp> {
    let micros = match value.abs() {
        0.0..1e11 => value * 1e6,
        1e11..1e14 => value * 1e3,
        1e14..1e17 => value,
        1e17..9e18 => value / 1e3,
        _ => return None,
    };
    Timestamp::from_unix_micros(micros.round() as i64).ok()
}

#[cfg(test)]
mod tests {
    use super::timestamp_from_number;

    #[test]
    fn units_are_told_by_size() {
        for text in [
            "1769591700.123",
            "1769591700123",
            "1769591700123.0",
            "1769591700123000",
            "1769591700123000000",
            "1.769591700123e9",
            "1.769591700123E12",
        ] {
            let time = timestamp_from_number(text).map(|time| time.to_string());
            assert_eq!(time.as_deref(), Some("2026-01-28T09:15:00.123000"), "{text}");
        }
        let time = |text| timestamp_from_number(text).map(|time| time.to_string());
        assert_eq!(time("1769591700").as_deref(), Some("2026-01-28T09:15:00"));
        assert_eq!(time("1769591700.1234567").as_deref(), Some("2026-01-28T09:15:00.123456"));
        assert_eq!(time("-0.5").as_deref(), Some("1969-12-31T23:59:59.500000"));
        assert_eq!(time("0").as_deref(), Some("1970-01-01T00:00:00"));
        for text in ["1e300", "99999999999999999999", "-", "1e999"] {
            assert_eq!(timestamp_from_number(text), None, "{text}");
        }
    }
}
