//! Inputs and outputs that are JSON values: their canonical text, so that the hash of a conversation does
//! not depend on spacing, key order or the API that it came from.

use attestry::metadata;
use serde_json::Value;

use super::{exact, messages};

/// The canonical text (RFC 8785) of the JSON value `json`, and what it is: a value of `attestry.content`.
/// The error says what is wrong, without naming the field.
pub(crate) fn canonical(json: &str) -> Result<(String, &'static str), String> {
    let value = exact::parse(json)?;
    let (value, kind) = match messages::convert(&value) {
        Some(messages) => (messages, metadata::CONTENT_MESSAGES_V1),
        None => (value, metadata::CONTENT_JSON),
    };
    Ok((to_canonical(&value)?, kind))
}

fn to_canonical(value: &Value) -> Result<String, String> {
    serde_json_canonicalizer::to_string(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical_of(json: &str) -> String {
        to_canonical(&serde_json::from_str(json).unwrap()).unwrap()
    }

    // RFC 8785, sections 3.2.2 to 3.2.4 and appendix B.
    #[test]
    fn canonical_form_matches_the_vectors_of_rfc_8785() {
        let example = r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#;
        assert_eq!(
            canonical_of(example),
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
        );
        let keys = r#"{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh",
            "1": "One", "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control",
            "\u00f6": "Latin Small Letter O With Diaeresis"}"#;
        assert_eq!(
            canonical_of(keys),
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"ö\":\"Latin Small Letter O With \
             Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With \
             Dagesh\"}"
        );
        for (bits, text) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            let number = Value::from(f64::from_bits(bits));
            assert_eq!(to_canonical(&number).unwrap(), text, "{bits:x}");
        }
    }

    #[test]
    fn values_that_would_change_are_refused() {
        assert_eq!(canonical(r#"[9007199254740992, "9007199254740993"]"#).unwrap().1, "json");
        for json in ["[9007199254740993]", "{\"a\":-9007199254740993}", "[99999999999999999999]"] {
            assert!(canonical(json).unwrap_err().contains("53 bits"), "{json}");
        }
        assert!(canonical(r#"{"a":1,"a":2}"#).unwrap_err().contains("`a` occurs twice"));
    }
}
