//! Inputs of a command: files, folders and patterns.

use std::io;
use std::path::{Path, PathBuf};

use crate::errors::Failure;
use crate::input::{cannot_read, is_stdin};

/// The files that `paths` name, in their order: of a folder, all files below it by name, without those whose name
/// begins with a dot. A path that does not exist may be a pattern.
pub(crate) fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        let failed = |error: io::Error| cannot_read(&path.display().to_string(), error);
        if is_stdin(path) || path.is_file() {
            files.push(path.clone());
        } else if path.is_dir() {
            let found = files.len();
            add_folder(path, &mut files).map_err(failed)?;
            if files.len() == found {
                return Err(Failure::new(format!("there are no files in {}", path.display())));
            }
        } else if !path.exists() && is_pattern(path) {
            add_matching(path, &mut files)?;
        } else {
            // A pipe, a device, or missing: opening it says so.
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn add_folder(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // Not through symbolic links to folders, which may lead back.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            add_folder(&entry.path(), files)?;
        } else if entry.path().is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.contains(['*', '?', '[']))
}

fn add_matching(pattern: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let text = pattern.display().to_string();
    let matching = glob::glob(&text)
        .map_err(|error| Failure::new(format!("{text} is no pattern")).caused_by(error))?;
    let found = files.len();
    for path in matching {
        let path = path.map_err(|error| Failure::new("cannot read a folder").caused_by(error))?;
        if path.is_file() {
            files.push(path);
        }
    }
    if files.len() == found {
        return Err(Failure::new(format!("no file matches {text}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_patterns_become_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("b/.hidden")).unwrap();
        for name in ["c.json", "a.json", "b/2.gz", "b/.x", "b/.hidden/y"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let names = |path: &str| {
            let files = expand(&[folder.path().join(path)])
                .map_err(|failure| failure.message().to_owned())?;
            let name =
                |file: PathBuf| file.strip_prefix(folder.path()).unwrap().display().to_string();
            Ok::<_, String>(files.into_iter().map(name).collect::<Vec<_>>())
        };
        assert_eq!(names("").unwrap(), ["a.json", "b/2.gz", "c.json"]);
        assert_eq!(names("*.json").unwrap(), ["a.json", "c.json"]);
        assert_eq!(names("missing").unwrap(), ["missing"]);
        assert!(names("*.csv").unwrap_err().contains("no file matches"));
        assert!(names("b/.hidden").is_ok_and(|files| files == ["b/.hidden/y"]));
    }
}
