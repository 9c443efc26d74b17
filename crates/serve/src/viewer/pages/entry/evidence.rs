//! What shows that an entry is what was recorded, and how to check that without this server.

use attestry::AuditEntry;
use maud::{Markup, html};

use crate::viewer::checks::{ContentCheck, LineCheck, Proven};
use crate::viewer::strings::entry as strings;
use crate::viewer::text::text;
use crate::viewer::url;

/// The verdicts in a sentence each, with a colour.
pub(super) fn verdicts(content: &ContentCheck, line: &LineCheck) -> Markup {
    let (content_class, content_text) = match content {
        ContentCheck::Matches => ("ok", strings::CONTENT_MATCHES),
        ContentCheck::NotStored => ("", strings::CONTENT_NOT_STORED),
        ContentCheck::Differs => ("bad", strings::CONTENT_DIFFERS),
        ContentCheck::Unknown(_) => ("warn", strings::CONTENT_UNKNOWN),
    };
    let (line_class, line_text) = match line {
        LineCheck::Proven(proven) => match proven.is_signed {
            Some(true) => ("ok", strings::LINE_PROVEN),
            Some(false) => ("bad", strings::SIGNATURE_BAD),
            None => ("ok", strings::LINE_PROVEN_UNSIGNED),
        },
        LineCheck::NotSigned => ("warn", strings::LINE_NOT_SIGNED),
        LineCheck::NotInTree => ("bad", strings::LINE_NOT_IN_TREE),
        LineCheck::Erased => ("warn", strings::LINE_ERASED),
        LineCheck::NotKept => ("", strings::LINE_NOT_KEPT),
        LineCheck::Failed(_) => ("bad", strings::LINE_FAILED),
    };
    html! {
        p.notice.(content_class) data-verdict="content" {
            (content_text)
            @if let ContentCheck::Unknown(reason) = content { " " (text(reason)) }
        }
        p.notice.(line_class) data-verdict="line" {
            (line_text)
            @if let LineCheck::Failed(reason) = line { " " (text(reason)) }
        }
    }
}

/// The sides of the content that are stored as they are, and match a hash without a key: a command can show that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain {
    pub(super) input: bool,
    pub(super) output: bool,
}

/// Leaf, checkpoint, files, and commands with the values of this entry.
pub(super) fn evidence(
    entry: &AuditEntry,
    line: &LineCheck,
    plain: Plain,
    may_read_content: bool,
) -> Markup {
    let address = url::entry(entry.id.as_str());
    let proven = match line {
        LineCheck::Proven(proven) => Some(proven),
        _ => None,
    };
    html! {
        section {
            h2 { (strings::EVIDENCE) }
            @if let Some(proven) = proven { (leaf(proven)) }
            div.actions {
                @if proven.is_some() {
                    a.button download="entry.tlog-proof" href={ (address) "/proof" } { (strings::PROOF_FILE) }
                }
                @if may_read_content {
                    a.button download="entry.json" href={ (address) "/line" } { (strings::LINE_FILE) }
                }
            }
            (commands(entry, plain, proven.is_some()))
        }
    }
}

fn leaf(proven: &Proven) -> Markup {
    html! {
        dl.facts {
            dt { (strings::LEAF) } dd { (proven.proof.index()) }
            @if let Some(checkpoint) = &proven.checkpoint {
                dt { (strings::CHECKPOINT) } dd { (strings::checkpoint(checkpoint.size())) }
                dt { (strings::ORIGIN) } dd { bdi { (text(checkpoint.origin())) } }
                dt { (strings::ROOT) } dd.mono { (checkpoint.root()) }
            }
        }
        details.panel.evidence {
            summary { (strings::CHECKPOINT_TEXT) }
            pre tabindex="0" { (text(proven.proof.checkpoint())) }
        }
    }
}

fn commands(entry: &AuditEntry, plain: Plain, is_proven: bool) -> Markup {
    let id = quoted(entry.id.as_str());
    html! {
        h3 { (strings::YOURSELF) }
        p { (strings::YOURSELF_HELP) }
        pre tabindex="0" {
            (strings::ON_THE_STORE) "\n"
            "attestry get --raw " (text(&id)) " > entry.json\n"
            @if is_proven {
                "attestry prove " (text(&id)) " > entry.tlog-proof\n\n"
                (strings::ANYWHERE) "\n"
                "attestry verify-proof entry.tlog-proof --public-key signing.key.pub entry.json\n"
            }
            @if plain.input || plain.output { "\n" (strings::CONTENT_COMMAND) "\n" }
            @if plain.input {
                "jq -j .input_content entry.json | sha256sum    # " (text(&entry.input_hash)) "\n"
            }
            @if plain.output {
                "jq -j .output_content entry.json | sha256sum   # " (text(&entry.output_hash)) "\n"
            }
        }
    }
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@".contains(&byte);
    if text.bytes().all(is_plain) && !text.starts_with('-') {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn ids_are_one_word_of_a_shell() {
        assert_eq!(quoted("order-4711"), "order-4711");
        assert_eq!(quoted("a b;rm"), "'a b;rm'");
        assert_eq!(quoted("it's $(x)"), "'it'\\''s $(x)'");
        assert_eq!(quoted("-rf"), "'-rf'");
    }
}
