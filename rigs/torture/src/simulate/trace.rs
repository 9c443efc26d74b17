//! Parses strace output: calls with arguments and results.

use crate::outcome::{Result, failed};

/// The calls that change a disk or map descriptors to files. Unsupported calls are traced to be rejected.
pub(super) const CALLS: &str = "openat,open,creat,read,lseek,write,writev,pwrite64,pwritev,pwritev2,\
    fdatasync,fsync,sync_file_range,fallocate,copy_file_range,sendfile,splice,rename,renameat,\
    renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,ftruncate,truncate,mkdir,mkdirat,rmdir,\
    close,dup,dup2,dup3,fcntl";

/// One call. Start and end are line numbers: a call interrupted by another thread's is on two lines.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) result: i64,
}

impl Call {
    pub(super) fn argument(&self, number: usize) -> &str {
        self.arguments.get(number).map_or("", String::as_str)
    }

    /// A numeric argument.
    pub(super) fn number(&self, argument: usize) -> Result<i64> {
        Ok(self.argument(argument).parse()?)
    }

    /// A string argument, which strace writes as `\xHH`.
    pub(super) fn bytes(&self, argument: usize) -> Result<Vec<u8>> {
        let quoted = self.argument(argument);
        let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let Some(inner) = inner else { return failed(format!("not a string: {quoted:.80}")) };
        let digits = inner.split("\\x").skip(1);
        Ok(digits
            .map(|digits| u8::from_str_radix(digits, 16))
            .collect::<std::result::Result<_, _>>()?)
    }
}

/// The successful calls in order of their ends; `first` is the number of the first line.
pub(super) fn parse(log: &str, first: usize) -> Result<Vec<Call>> {
    let mut begun: Vec<(String, usize, String)> = Vec::new();
    let mut calls = Vec::new();
    for (number, line) in (first..).zip(log.lines()) {
        let Some((thread, text)) = line.split_once(' ') else { continue };
        let text = text.trim_start();
        // Thread exits, signals, and threads killed before strace knew their call.
        if text.starts_with("+++") || text.starts_with("---") || text.starts_with("???") {
            continue;
        }
        if let Some(start) = text.strip_suffix("<unfinished ...>") {
            begun.push((thread.to_owned(), number, start.trim_end().to_owned()));
            continue;
        }
        if let Some(rest) = text.strip_prefix("<... ") {
            let Some(at) = begun.iter().position(|(begun_by, ..)| begun_by == thread) else {
                return failed(format!("resumed without a start: {line:.80}"));
            };
            let (_, start, first_half) = begun.remove(at);
            let second_half = rest.split_once("resumed>").map_or("", |(_, half)| half);
            calls.extend(call(start, number, &format!("{first_half}{second_half}"))?);
        } else {
            calls.extend(call(number, number, text)?);
        }
    }
    Ok(calls)
}

fn call(start: usize, end: usize, text: &str) -> Result<Option<Call>> {
    let parts = text.split_once('(').zip(text.rsplit_once(" = "));
    let Some(((name, _), (before, result))) = parts else {
        return failed(format!("not a call: {text:.80}"));
    };
    let result = result.split(' ').next().unwrap_or_default();
    let result = match result.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16)?,
        None if result == "?" => return Ok(None),
        None => result.parse()?,
    };
    if result < 0 {
        return Ok(None);
    }
    let inner = &before[name.len() + 1..].trim_end();
    let inner = inner.strip_suffix(')').unwrap_or(inner);
    let arguments = inner.split(", ").map(str::to_owned).collect();
    Ok(Some(Call { start, end, name: name.to_owned(), arguments, result }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_calls_of_two_threads_are_separated() {
        let log = "7 write(3, \"\\x41\\x0a\", 2 <unfinished ...>\n\
                   8 fsync(4)   = -1 EIO (Input/output error)\n\
                   8 openat(AT_FDCWD, \"\\x2f\", O_RDONLY) = 5\n\
                   7 <... write resumed>)        = 2\n8 +++ exited with 0 +++\n";
        let calls = parse(log, 10).unwrap();
        assert_eq!(calls.len(), 2);
        assert_eq!((calls[0].name.as_str(), calls[0].result), ("openat", 5));
        assert_eq!((calls[1].start, calls[1].end), (10, 13));
        assert_eq!(calls[1].bytes(1).unwrap(), b"A\n");
    }
}
