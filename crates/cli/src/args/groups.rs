//! Groups of commands in the help of the program. clap lists subcommands under one heading only.

use std::fmt::Write;

use clap::Command;
use clap::builder::StyledStr;

/// Headings and their commands, in the order of the help.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Record", &["log", "import"]),
    ("Find", &["list", "get", "show", "search", "count", "stats", "export"]),
    ("Maintain", &["check", "reconcile", "delete", "cleanup", "compact", "backup", "quarantine"]),
    (
        "Prove",
        &[
            "checkpoint",
            "anchors",
            "verify",
            "erasures",
            "prove",
            "verify-proof",
            "compare",
            "tree",
        ],
    ),
    #[cfg(feature = "serve")]
    ("Serve", &["serve", "view", "access", "token"]),
    #[cfg(not(feature = "serve"))]
    ("Serve", &[]),
    ("Other commands", &["key", "completions", "help"]),
];

/// Lists the commands of `program` in groups.
pub(super) fn grouped(mut program: Command) -> Command {
    let header = *program.get_styles().get_header();
    let literal = *program.get_styles().get_literal();
    // Adds `help`.
    program.build();
    let width = program.get_subcommands().map(|command| command.get_name().len()).max();
    let width = width.unwrap_or_default();
    // Writing to a String does not fail.
    let mut list = StyledStr::new();
    for (heading, names) in GROUPS.iter().filter(|(_, names)| !names.is_empty()) {
        let _ = writeln!(list, "\n{header}{heading}:{header:#}");
        for name in *names {
            let about = program.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(|about| about.ansi().to_string()).unwrap_or_default();
            let _ = writeln!(list, "  {literal}{name:width$}{literal:#}  {about}");
        }
    }
    let _ = write!(list, "\n{header}Options:{header:#}");
    program.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{}\n{{options}}{{after-help}}",
        list.ansi()
    ))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::GROUPS;
    use crate::args::Cli;

    #[test]
    fn every_command_is_in_one_group() {
        let mut program = Cli::command();
        program.build();
        let mut commands: Vec<_> = program.get_subcommands().map(clap::Command::get_name).collect();
        let mut grouped: Vec<_> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        commands.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(grouped, commands);
    }
}
