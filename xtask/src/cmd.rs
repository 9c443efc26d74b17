//! Runs other programs: prints the command line and the time; a failure is an error with the command to repeat it.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Result of each task; the error is a message for the terminal.
pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// A program to run, its arguments and changes to the environment.
#[derive(Debug, Clone)]
pub(crate) struct Cmd {
    program: OsString,
    name: String,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, Option<OsString>)>,
    folder: Option<PathBuf>,
}

/// The result of a program.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Exit status; `None` after a signal.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Cmd {
    /// A program on the PATH, or at a path.
    pub(crate) fn new(program: impl Into<OsString>) -> Self {
        let program = program.into();
        Self {
            name: program.to_string_lossy().into_owned(),
            program,
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: None,
        }
    }

    /// The cargo that runs this program.
    pub(crate) fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).named("cargo")
    }

    /// Prints the program under this name instead of its path.
    pub(crate) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Adds one argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds several arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name, Some(value.as_ref().to_owned())));
        self
    }

    /// Removes an environment variable.
    pub(crate) fn without_env(mut self, name: &'static str) -> Self {
        self.environment.push((name, None));
        self
    }

    /// Sets the working folder.
    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_path_buf());
        self
    }

    /// Prints the command, runs it on this terminal, and prints the time.
    pub(crate) fn run(&self) -> Result {
        self.run_as(&self.to_string())
    }

    /// Like [`run`](Self::run), printed as `shown`.
    pub(crate) fn run_as(&self, shown: &str) -> Result {
        println!("$ {shown}");
        let start = Instant::now();
        let status = self.command().status().map_err(|error| self.cannot_start(&error))?;
        if !status.success() {
            return Err(self.failed(status).into());
        }
        println!("  took {}", seconds(start.elapsed()));
        Ok(())
    }

    /// Like [`run_as`](Self::run_as), but returns standard output.
    pub(crate) fn run_reading(&self, shown: &str) -> Result<String> {
        println!("$ {shown}");
        let start = Instant::now();
        let output = self
            .command()
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| self.cannot_start(&error))?;
        if !output.status.success() {
            return Err(self.failed(output.status).into());
        }
        println!("  took {}", seconds(start.elapsed()));
        self.text(output.stdout)
    }

    /// Runs it silently and returns output and status.
    pub(crate) fn finish(&self) -> Result<Finished> {
        let output = self
            .command()
            .stdin(Stdio::null())
            .output()
            .map_err(|error| self.cannot_start(&error))?;
        Ok(Finished {
            code: output.status.code(),
            stdout: self.text(output.stdout)?,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs it silently and returns standard output; a failure is an error.
    pub(crate) fn read(&self) -> Result<String> {
        let finished = self.finish()?;
        match finished.code {
            Some(0) => Ok(finished.stdout),
            _ => Err(format!("{}; to repeat:\n\n    {self}", finished.summary()).into()),
        }
    }

    /// Starts it with piped input and output.
    pub(crate) fn start(&self) -> Result<Child> {
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(command.spawn().map_err(|error| self.cannot_start(&error))?)
    }

    /// Starts it with piped errors.
    pub(crate) fn start_reading_errors(&self) -> Result<Child> {
        let mut command = self.command();
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        Ok(command.spawn().map_err(|error| self.cannot_start(&error))?)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }

    fn failed(&self, status: ExitStatus) -> String {
        format!("failed ({status}); to repeat:\n\n    {self}")
    }

    fn text(&self, bytes: Vec<u8>) -> Result<String> {
        String::from_utf8(bytes).map_err(|_| format!("`{self}` printed invalid UTF-8").into())
    }

    fn cannot_start(&self, error: &std::io::Error) -> String {
        format!("cannot start {}: {error}; is it installed?", self.name)
    }
}

impl Finished {
    /// The exit status and the end of standard error.
    pub(crate) fn summary(&self) -> String {
        let lines: Vec<&str> = self.stderr.lines().collect();
        let tail = lines[lines.len().saturating_sub(12)..].join("\n");
        match self.code {
            Some(code) => format!("exit status {code}\n{tail}"),
            None => format!("ended by a signal\n{tail}"),
        }
    }
}

/// The command line for a shell.
impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.environment {
            if let Some(value) = value {
                write!(f, "{name}={} ", quoted(value))?;
            }
        }
        f.write_str(&quoted(OsStr::new(&self.name)))?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {}", quoted(argument)))
    }
}

fn quoted(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_./,:=@+%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A duration in seconds.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_quoted_for_a_shell() {
        let cmd = Cmd::new("some/folder/tool")
            .named("tool")
            .args(["--flag=1", "two words", "it's", ""])
            .env("FLAGS", "-D warnings")
            .without_env("SECRET");
        assert_eq!(cmd.to_string(), r"FLAGS='-D warnings' tool --flag=1 'two words' 'it'\''s' ''");
    }

    #[test]
    fn failures_name_the_command() {
        let missing = Cmd::new("attestry-no-such-program").read().unwrap_err().to_string();
        assert!(missing.contains("is it installed?"), "{missing}");
        let failing = Cmd::cargo().arg("--no-such-flag").read().unwrap_err().to_string();
        assert!(failing.contains("cargo --no-such-flag"), "{failing}");
    }
}
