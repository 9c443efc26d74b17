//! Policy files of C2SP tlog-policy.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use thiserror::Error;

use crate::quorum::{Group, Member, Quorum};
use crate::{InvalidKey, InvalidPolicy, LogKey, Policy, WitnessKey};

/// A trust policy in the format C2SP tlog-policy: the keys of logs, witnesses, and how many of which groups of
/// them must have cosigned a checkpoint.
///
/// Each line is a definition; names are defined before they are used. Lines that begin with `#` are comments.
///
/// ```text
/// log     <key> [<url>]
/// witness <name> <key> [<url>]
/// group   <name> <number, any or all> <member>...
/// quorum  <name of a witness or group, or none>
/// ```
///
/// Of witness keys, only those of `cosignature/v1` (Ed25519) are supported.
///
/// ```
/// use attestry_evidence::{PolicyFile, SigningKey};
///
/// let key = SigningKey::generate("example.com/audit")?;
/// let file: PolicyFile = format!(
///     "log {}\n\
///      witness remora remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2\n\
///      quorum remora\n",
///     key.public()
/// )
/// .parse()?;
/// assert_eq!(file.logs(), [key.public()]);
/// let policy = file.policy(file.logs()[0].clone())?;
/// assert!(policy.open(key.sign(0, attestry_evidence::Hash::EMPTY_TREE)).is_err(), "the witness is missing");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile {
    logs: Vec<LogKey>,
    witnesses: Vec<NamedWitness>,
    quorum: Quorum,
}

/// A witness of a [`PolicyFile`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedWitness {
    /// Its name in the file.
    pub name: String,
    /// Its key.
    pub key: WitnessKey,
    /// Where it is asked to cosign, if the file says so.
    pub url: Option<String>,
}

/// Why a text is not a policy file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidPolicyFile {
    /// The line has another form than its keyword demands, or an unknown keyword.
    #[error("line {line} is not a definition of a log, witness, group or quorum")]
    Malformed {
        /// The line, counted from 1.
        line: usize,
    },
    /// The line has a control character.
    #[error("line {line} has a control character")]
    Control {
        /// The line.
        line: usize,
    },
    /// The key in the line cannot be used.
    #[error("line {line} has no usable key")]
    Key {
        /// The line.
        line: usize,
        /// What is wrong with it.
        source: InvalidKey,
    },
    /// A name is defined twice, a key occurs twice, or a member is in two groups.
    #[error("line {line} repeats {what}")]
    Twice {
        /// The line.
        line: usize,
        /// What it repeats.
        what: String,
    },
    /// A name is not defined before it is used, or reserved.
    #[error("line {line} has the name {name:?}, which is not defined before it, or is reserved")]
    Name {
        /// The line.
        line: usize,
        /// The name.
        name: String,
    },
    /// The threshold of a group is not between 1 and the number of its members.
    #[error("line {line} demands {threshold} of {members} members")]
    Threshold {
        /// The line.
        line: usize,
        /// What is demanded.
        threshold: String,
        /// The number of members.
        members: usize,
    },
    /// There is no quorum.
    #[error("the policy has no line with a quorum")]
    NoQuorum,
}

/// No witness or group has this name; as a quorum, no cosignature is required.
const NONE: &str = "none";

impl PolicyFile {
    /// The keys of logs.
    #[must_use]
    pub fn logs(&self) -> &[LogKey] {
        &self.logs
    }

    /// The witnesses.
    #[must_use]
    pub fn witnesses(&self) -> &[NamedWitness] {
        &self.witnesses
    }

    /// Whether the witnesses for which `has_cosigned` is true are the quorum, or more.
    pub fn is_quorum(&self, has_cosigned: impl Fn(&NamedWitness) -> bool) -> bool {
        self.quorum.is_satisfied(|index| has_cosigned(&self.witnesses[index]))
    }

    /// Requires the quorum of witnesses for the log with this key.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicy`] if the key is that of a witness, too.
    pub fn policy(&self, log: LogKey) -> Result<Policy, InvalidPolicy> {
        self.require(Policy::new(log))
    }

    /// Requires the quorum of witnesses in addition to the signatures that `policy` requires, instead of its
    /// witnesses.
    ///
    /// # Errors
    ///
    /// As [`policy`](Self::policy).
    pub fn require(&self, policy: Policy) -> Result<Policy, InvalidPolicy> {
        let keys = self.witnesses.iter().map(|witness| witness.key.clone()).collect();
        policy.with_quorum(keys, self.quorum.clone())
    }
}

#[derive(Default)]
struct Parser {
    logs: Vec<LogKey>,
    witnesses: Vec<NamedWitness>,
    quorum: Option<Quorum>,
    groups: Vec<Group>,
    names: HashMap<String, Member>,
    members: HashSet<String>,
}

impl FromStr for PolicyFile {
    type Err = InvalidPolicyFile;

    fn from_str(text: &str) -> Result<Self, InvalidPolicyFile> {
        let mut parser = Parser::default();
        for (number, line) in text.split('\n').enumerate() {
            parser.line(number + 1, line)?;
        }
        let Parser { logs, witnesses, quorum, groups, .. } = parser;
        let quorum = quorum.ok_or(InvalidPolicyFile::NoQuorum)?;
        Ok(Self { logs, witnesses, quorum: Quorum { groups, ..quorum } })
    }
}

impl Parser {
    fn line(&mut self, line: usize, text: &str) -> Result<(), InvalidPolicyFile> {
        if text.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
            return Err(InvalidPolicyFile::Control { line });
        }
        let items: Vec<&str> = text.split([' ', '\t']).filter(|item| !item.is_empty()).collect();
        match items[..] {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", key] | ["log", key, _] => self.log(line, key),
            ["witness", name, key] => self.witness(line, name, key, None),
            ["witness", name, key, url] => self.witness(line, name, key, Some(url)),
            ["group", name, threshold, ref members @ ..] if !members.is_empty() => {
                self.group(line, name, threshold, members)
            }
            ["quorum", name] => self.quorum(line, name),
            _ => Err(InvalidPolicyFile::Malformed { line }),
        }
    }

    fn log(&mut self, line: usize, key: &str) -> Result<(), InvalidPolicyFile> {
        let key: LogKey = key.parse().map_err(|source| InvalidPolicyFile::Key { line, source })?;
        if self.logs.iter().any(|known| known.bytes() == key.bytes()) {
            return Err(InvalidPolicyFile::Twice {
                line,
                what: format!("the key of {}", key.name()),
            });
        }
        self.logs.push(key);
        Ok(())
    }

    fn witness(
        &mut self,
        line: usize,
        name: &str,
        key: &str,
        url: Option<&str>,
    ) -> Result<(), InvalidPolicyFile> {
        let key: WitnessKey =
            key.parse().map_err(|source| InvalidPolicyFile::Key { line, source })?;
        if self.witnesses.iter().any(|known| known.key.bytes() == key.bytes()) {
            return Err(InvalidPolicyFile::Twice {
                line,
                what: format!("the key of {}", key.name()),
            });
        }
        self.define(line, name, Member::Witness(self.witnesses.len()))?;
        let (name, url) = (name.to_owned(), url.map(str::to_owned));
        self.witnesses.push(NamedWitness { name, key, url });
        Ok(())
    }

    fn group(
        &mut self,
        line: usize,
        name: &str,
        threshold: &str,
        members: &[&str],
    ) -> Result<(), InvalidPolicyFile> {
        let count = members.len();
        let is_number = threshold.bytes().all(|byte| byte.is_ascii_digit());
        let number = match threshold {
            "any" => Some(1),
            "all" => Some(count),
            number => number.parse().ok().filter(|_| is_number),
        };
        let number = number.filter(|number| (1..=count).contains(number)).ok_or_else(|| {
            let threshold = threshold.to_owned();
            InvalidPolicyFile::Threshold { line, threshold, members: count }
        })?;
        let mut found = Vec::with_capacity(count);
        for &member in members {
            found.push(self.member(line, member)?);
            if !self.members.insert(member.to_owned()) {
                return Err(InvalidPolicyFile::Twice {
                    line,
                    what: format!("the member {member}"),
                });
            }
        }
        self.define(line, name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { threshold: number, members: found });
        Ok(())
    }

    fn quorum(&mut self, line: usize, name: &str) -> Result<(), InvalidPolicyFile> {
        let root = if name == NONE { None } else { Some(self.member(line, name)?) };
        if self.quorum.is_some() {
            return Err(InvalidPolicyFile::Twice { line, what: "the quorum".to_owned() });
        }
        self.quorum = Some(Quorum { groups: Vec::new(), root });
        Ok(())
    }

    fn member(&self, line: usize, name: &str) -> Result<Member, InvalidPolicyFile> {
        let unknown = || InvalidPolicyFile::Name { line, name: name.to_owned() };
        self.names.get(name).copied().ok_or_else(unknown)
    }

    fn define(&mut self, line: usize, name: &str, member: Member) -> Result<(), InvalidPolicyFile> {
        if name == NONE {
            return Err(InvalidPolicyFile::Name { line, name: name.to_owned() });
        }
        if self.names.insert(name.to_owned(), member).is_some() {
            return Err(InvalidPolicyFile::Twice { line, what: format!("the name {name}") });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::key::Public;

    fn witness(seed: u8) -> String {
        let key = SigningKey::from_bytes(&[seed; 32]).verifying_key();
        Public::new(&format!("w{seed}.example"), 4, key).unwrap().to_string()
    }

    fn log(seed: u8) -> String {
        crate::SigningKey::from_seed("example.com/audit", &[seed; 32]).unwrap().public().to_string()
    }

    fn parse(lines: &[&str]) -> Result<PolicyFile, InvalidPolicyFile> {
        let mut text = lines.join("\n");
        for seed in 1..6 {
            text = text.replace(&format!("$w{seed}"), &witness(seed));
            text = text.replace(&format!("$log{seed}"), &log(seed));
        }
        text.parse()
    }

    const WITNESSES: [&str; 4] =
        ["witness a $w1", "witness b $w2 https://b/", "witness\tc  $w3", "witness d $w4"];

    fn with_witnesses(lines: &[&str]) -> Result<PolicyFile, InvalidPolicyFile> {
        parse(&[&WITNESSES, lines].concat())
    }

    #[test]
    fn quorum_is_what_the_groups_demand() {
        // The sets of witnesses that are enough, as letters; all others are not.
        for (lines, least, enough) in [
            (&["quorum none"][..], 0, "- a b c d ab ac ad bc bd cd abc abd acd bcd abcd"),
            (&["quorum c"], 1, "c ac bc cd abc acd bcd abcd"),
            (&["group g 3 a b c d", "quorum g"], 3, "abc abd acd bcd abcd"),
            (
                &["group x any a b", "group y all c d", "group g all x y", "quorum g"],
                3,
                "acd bcd abcd",
            ),
            (
                &["group x 2 a b", "group g any x c", "quorum g"],
                1,
                "c ac bc cd abc acd bcd abcd ab abd",
            ),
        ] {
            let file = with_witnesses(lines).unwrap();
            assert_eq!(file.quorum.least(), least, "{lines:?}");
            let enough: HashSet<&str> = enough.split(' ').collect();
            for set in 0..16_usize {
                let text: String = "abcd"
                    .chars()
                    .enumerate()
                    .filter(|(at, _)| set >> at & 1 == 1)
                    .map(|(_, c)| c)
                    .collect();
                let text = if text.is_empty() { "-" } else { &text };
                let found = file.quorum.is_satisfied(|index| set >> index & 1 == 1);
                assert_eq!(found, enough.contains(text), "{lines:?}: {text}");
            }
        }
        let file = with_witnesses(&[
            "log $log1 https://log/",
            "# a comment $",
            "",
            "log $log2",
            "quorum a",
        ])
        .unwrap();
        assert_eq!((file.logs().len(), file.witnesses().len()), (2, 4));
        assert_eq!(file.witnesses()[1].url.as_deref(), Some("https://b/"));
        assert_eq!(file.witnesses()[2].name, "c");
    }

    #[test]
    fn files_are_parsed_strictly() {
        use InvalidPolicyFile as Invalid;
        let is = |found: Result<PolicyFile, Invalid>, expected: fn(&Invalid) -> bool| {
            let error = found.unwrap_err();
            assert!(expected(&error), "{error:?}");
        };
        is(parse(&[]), |error| *error == Invalid::NoQuorum);
        for line in [
            "unknown a",
            "log",
            "log $log1 url more",
            "witness a",
            "witness a $w5 url more",
            "group g 1",
            "quorum",
            "quorum a b",
            "Quorum a",
            "quorum a # comment",
        ] {
            is(with_witnesses(&[line, "quorum a"]), |error| {
                *error == Invalid::Malformed { line: 5 }
            });
        }
        for line in ["quorum a\r", "# \u{7}", "# \u{7f}"] {
            is(with_witnesses(&[line]), |error| *error == Invalid::Control { line: 5 });
        }
        for line in ["log $w5", "witness e $log1", "witness e x", "log example.com+1+x"] {
            is(with_witnesses(&[line, "quorum a"]), |error| {
                matches!(error, Invalid::Key { line: 5, .. })
            });
        }
        for lines in [
            ["quorum a", "quorum a"],
            ["witness a $w5", "quorum a"],
            ["witness e $w1", "quorum a"],
            ["group a 1 b", "quorum a"],
            ["group g 1 b b", "quorum g"],
        ] {
            is(with_witnesses(&lines), |error| matches!(error, Invalid::Twice { .. }));
        }
        is(with_witnesses(&["group g 1 a", "group h 1 a", "quorum h"]), |error| {
            matches!(error, Invalid::Twice { line: 6, .. })
        });
        is(parse(&["log $log1", "log $log1", "quorum none"]), |error| {
            matches!(error, Invalid::Twice { line: 2, .. })
        });
        for line in ["quorum x", "group g 1 x", "group g 1 g", "group none 1 a", "witness none $w5"]
        {
            is(with_witnesses(&[line, "quorum a"]), |error| {
                matches!(error, Invalid::Name { line: 5, .. })
            });
        }
        for threshold in ["0", "3", "-1", "+1", "1.0", "some", "99999999999999999999999"] {
            let line = format!("group g {threshold} a b");
            is(with_witnesses(&[&line, "quorum g"]), |error| {
                matches!(error, Invalid::Threshold { line: 5, .. })
            });
        }
    }

    /// A chain of groups is not evaluated by recursion.
    #[test]
    fn deep_groups_are_evaluated() {
        let mut lines = vec!["witness a $w1".to_owned(), "group g0 1 a".to_owned()];
        lines.extend((1..50_000).map(|n| format!("group g{n} all g{}", n - 1)));
        lines.push("quorum g49999".to_owned());
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let text = lines.join("\n").replace("$w1", &witness(1));
        let file: PolicyFile = text.parse().unwrap();
        assert!(file.quorum.is_satisfied(|_| true) && !file.quorum.is_satisfied(|_| false));
        assert_eq!(file.quorum.least(), 1);
    }
}
