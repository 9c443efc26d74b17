//! The replies to `add-checkpoint`.

use super::WitnessError;
use crate::http::Reply;

/// What a witness says to a checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Signature lines, not verified.
    Cosigned(String),
    /// It has cosigned this many leaves: the proof must start there.
    Conflict(u64),
    /// The tree is not an extension of what it has cosigned, or the proof is wrong.
    Inconsistent(String),
    /// Any other status.
    Refused,
}

/// Reads a reply. Only its form is checked.
pub(crate) fn answer(reply: &Reply) -> Result<Answer, WitnessError> {
    let invalid = |reason| WitnessError::InvalidReply { reason };
    let text = || str::from_utf8(&reply.body).map_err(|_| invalid("it is not UTF-8"));
    match reply.status {
        200 => {
            let lines = text()?;
            if lines.is_empty() || !lines.ends_with('\n') {
                return Err(invalid("it has no signature line"));
            }
            Ok(Answer::Cosigned(lines.to_owned()))
        }
        // A proxy may reply with 409 on its own.
        409 if reply.content_type.starts_with("text/x.tlog.size") => {
            let size = text()?.strip_suffix('\n').and_then(parse_size);
            size.map(Answer::Conflict).ok_or_else(|| invalid("it names no size"))
        }
        422 => {
            let text = String::from_utf8_lossy(&reply.body[..reply.body.len().min(200)]);
            let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
            Ok(Answer::Inconsistent(plain.collect::<String>().trim().to_owned()))
        }
        _ => Ok(Answer::Refused),
    }
}

/// A decimal number without leading zeros.
fn parse_size(text: &str) -> Option<u64> {
    let size: u64 = text.parse().ok()?;
    (size.to_string() == text).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, content_type: &str, body: &'static str) -> Reply {
        Reply { status, content_type: content_type.to_owned(), body: body.into() }
    }

    #[test]
    fn replies_are_read_by_status() {
        let size = "text/x.tlog.size";
        assert_eq!(answer(&reply(409, size, "17\n")).unwrap(), Answer::Conflict(17));
        assert_eq!(answer(&reply(409, "text/html", "17\n")).unwrap(), Answer::Refused);
        for body in ["17", "017\n", "+17\n", "\n", "", "18446744073709551616\n", "1\n2\n"] {
            assert!(answer(&reply(409, size, body)).is_err(), "{body:?}");
        }
        let lines = "— w AAAA\n";
        assert_eq!(answer(&reply(200, "", lines)).unwrap(), Answer::Cosigned(lines.to_owned()));
        for body in ["", "— w AAAA"] {
            assert!(answer(&reply(200, "", body)).is_err(), "{body:?}");
        }
        let text = Answer::Inconsistent("bad proof".to_owned());
        assert_eq!(answer(&reply(422, "", "bad\nproof\n")).unwrap(), text);
        for status in [301, 400, 403, 404, 429, 500] {
            assert_eq!(answer(&reply(status, size, "17\n")).unwrap(), Answer::Refused);
        }
    }
}
