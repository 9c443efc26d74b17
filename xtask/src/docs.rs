//! What can be checked about the pages: the tests and files they name exist, tables stay readable, and every dependency
//! has its reason.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cmd::Result;
use crate::workspace::{Package, Workspace, rust_files};

/// The pages whose names are checked, apart from all of `docs/`.
const PAGES: &[&str] = &["README.md", "CONTRIBUTING.md", "SECURITY.md", "RELEASING.md"];

/// The page with the reason for each dependency.
const DEPENDENCIES: &str = "docs/dependencies.md";

/// The page whose rows must be short, and how short.
const GUARANTEES: &str = "docs/guarantees.md";
const MAX_ROW: usize = 300;

/// Fails on the first kind of problem below, and names all of that run.
pub(crate) fn run(workspace: &Workspace) -> Result {
    let mut problems = Vec::new();
    let mut names = 0;
    for page in pages(&workspace.root)? {
        let text = fs::read_to_string(workspace.path(&page))
            .map_err(|error| format!("cannot read {page}: {error}"))?;
        let (known, unknown) = check_names(&workspace.root, &page, &text);
        names += known;
        problems.extend(unknown);
        if page == GUARANTEES {
            problems.extend(long_rows(&page, &text));
        }
        if page == DEPENDENCIES {
            let missing = undocumented(&workspace.packages, &text);
            problems.extend(missing.iter().map(|name| format!("{page}: no reason for {name}")));
        }
    }
    if !problems.is_empty() {
        return Err(
            format!("{}\n\nTo repeat:\n\n    cargo xtask ci docs", problems.join("\n")).into()
        );
    }
    println!("  {names} tests and files named in the pages exist");
    Ok(())
}

fn pages(root: &Path) -> Result<Vec<String>> {
    let mut pages: Vec<String> = PAGES
        .iter()
        .filter(|page| root.join(page).is_file())
        .map(|page| (*page).to_owned())
        .collect();
    for file in fs::read_dir(root.join("docs"))? {
        let name = file?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            pages.push(format!("docs/{name}"));
        }
    }
    pages.sort_unstable();
    Ok(pages)
}

/// How many names the page has that exist, and a message for each that does not.
fn check_names(root: &Path, page: &str, text: &str) -> (usize, Vec<String>) {
    let mut known = 0;
    let mut unknown = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let parts: Vec<&str> = line.split('`').collect();
        for (code, after) in parts.iter().zip(&parts[1..]).skip(1).step_by(2) {
            // An example in the documentation of the item.
            let is_example = after.trim_start().starts_with("(doc)");
            match exists(root, code, is_example) {
                Some(true) => known += 1,
                Some(false) => {
                    let hint = moved(root, code)
                        .map_or_else(String::new, |to| format!("; did it become {to}?"));
                    unknown.push(format!("{page}:{}: there is no {code}{hint}", number + 1));
                }
                None => {}
            }
        }
    }
    (known, unknown)
}

/// Whether the test or file exists that this piece of code names; `None` when it names neither.
fn exists(root: &Path, code: &str, is_example: bool) -> Option<bool> {
    let crates = root.join("crates");
    let parts: Vec<&str> = code.split("::").collect();
    if let [package, path @ .., name] = parts.as_slice() {
        let is_name = |part: &&str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let folder = crates.join(package);
        let is_test = parts.iter().all(is_name) && folder.is_dir();
        return is_test.then(|| test_exists(&folder, path, name, is_example));
    }
    let (first, rest) = code.split_once('/')?;
    if !code.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c)) {
        return None;
    }
    if ["crates", "docs", "rigs", "samples", "xtask"].contains(&first) {
        return Some(root.join(code).exists());
    }
    let (second, _) = rest.split_once('/')?;
    let is_file = ["src", "tests", "examples", "benches"].contains(&second);
    (is_file && crates.join(first).is_dir()).then(|| crates.join(code).exists())
}

/// `crate::file::module::test`: the modules are folders, files, or modules within a file. `crate::file` is a whole file
/// of tests.
fn test_exists(folder: &Path, path: &[&str], name: &str, is_example: bool) -> bool {
    if path.is_empty() {
        let mut tests = roots(folder).into_iter().skip(1);
        return tests.any(|tests| tests.join(name).with_extension("rs").is_file());
    }
    (1..=path.len()).any(|depth| {
        let (file, inner) = path.split_at(depth);
        let texts =
            candidates(folder, file).into_iter().filter_map(|file| fs::read_to_string(file).ok());
        texts.into_iter().any(|text| {
            let words = ["fn ", "mod ", "struct ", "enum ", "trait "];
            inner.iter().all(|module| has_word(&text, &format!("mod {module}")))
                && (is_example && has_word(&text, name)
                    || words.iter().any(|word| has_word(&text, &format!("{word}{name}"))))
        })
    })
}

/// Whether the text has this, and not as the beginning of a longer name.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(start, found)| {
        let next = text[start + found.len()..].chars().next();
        next.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    })
}

/// Where the crate now has the only test of that name.
fn moved(root: &Path, code: &str) -> Option<String> {
    let (package, rest) = code.split_once("::")?;
    let (_, name) = rest.rsplit_once("::")?;
    let declaration = format!("fn {name}");
    let mut found = Vec::new();
    for kind in ["src", "tests"] {
        let folder = root.join("crates").join(package).join(kind);
        let mut files = Vec::new();
        rust_files(&folder, &mut files).ok()?;
        files.retain(|file| {
            fs::read_to_string(file).is_ok_and(|text| has_word(&text, &declaration))
        });
        found.extend(files.iter().filter_map(|file| {
            let file = file.strip_prefix(&folder).ok()?;
            Some(file.strip_prefix(package).unwrap_or(file).to_path_buf())
        }));
    }
    let [file] = found.as_slice() else { return None };
    let module = file.with_extension("").display().to_string().replace('/', "::");
    Some(format!("{package}::{}::{name}", module.trim_end_matches("::mod")))
}

/// Where the modules of a crate and of its tests begin. Some crates have most of their tests in one program, which is
/// called as the crate.
fn roots(folder: &Path) -> Vec<PathBuf> {
    let tests = folder.join("tests");
    let program = folder.file_name().map(|name| tests.join(name));
    [folder.join("src"), tests].into_iter().chain(program).collect()
}

/// The files that can hold the module `path` of a crate or of its tests.
fn candidates(folder: &Path, path: &[&str]) -> Vec<PathBuf> {
    let inside = path.iter().collect::<PathBuf>();
    roots(folder)
        .iter()
        .map(|root| root.join(&inside))
        .flat_map(|module| {
            [module.with_extension("rs"), module.join("mod.rs"), module.join("main.rs")]
        })
        .collect()
}

/// The rows of tables that are too long to read.
fn long_rows(page: &str, text: &str) -> Vec<String> {
    let rows = text.lines().enumerate().filter(|(_, line)| line.starts_with('|'));
    rows.map(|(number, line)| (number + 1, line.chars().count()))
        .filter(|(_, length)| *length > MAX_ROW)
        .map(|(number, length)| {
            format!("{page}:{number}: a row of {length} characters, over {MAX_ROW}")
        })
        .collect()
}

/// The dependencies on other projects' crates that the page does not name.
fn undocumented<'a>(packages: &'a [Package], page: &str) -> Vec<&'a str> {
    let mut names: Vec<&str> = packages
        .iter()
        .flat_map(|package| &package.dependencies)
        .map(|dependency| dependency.name.as_str())
        .filter(|name| packages.iter().all(|package| package.name != *name))
        .filter(|name| !page.contains(&format!("`{name}`")))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workspace::packages;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
    }

    #[test]
    fn unknown_tests_and_files_are_named_with_page_and_line() {
        let text = "a\n| `file::conformance`, `core::no_such_file::test` | `crates/none.rs` |\n`file::conformance::none`";
        let (known, unknown) = check_names(root(), "docs/a.md", text);
        assert_eq!(known, 1);
        assert_eq!(
            unknown,
            [
                "docs/a.md:2: there is no core::no_such_file::test",
                "docs/a.md:2: there is no crates/none.rs",
                "docs/a.md:3: there is no file::conformance::none",
            ]
        );
    }

    #[test]
    fn a_prefix_of_a_test_name_is_not_the_test() {
        assert!(has_word("fn one() {}", "fn one"));
        assert!(!has_word("fn one_more() {}", "fn one"));
    }

    #[test]
    fn other_code_is_not_checked() {
        for code in [
            "S3Storage",
            "cargo xtask ci",
            "std::fs::File",
            "a/b",
            "crates/<crate>/tests/<file>.rs",
        ] {
            assert_eq!(exists(root(), code, false), None, "{code}");
        }
        assert_eq!(exists(root(), "core/src/lib.rs", false), Some(true));
        assert_eq!(exists(root(), "core/src/none.rs", false), Some(false));
    }

    #[test]
    fn long_rows_are_named() {
        let text = format!("| short |\n| {} |\n{}", "x".repeat(300), "x".repeat(400));
        assert_eq!(long_rows("p", &text), ["p:2: a row of 304 characters, over 300"]);
    }

    #[test]
    fn undocumented_dependencies_are_named() {
        let uses = json!([{"name": "serde"}, {"name": "subtle"}, {"name": "attestry-core"}]);
        let packages = packages(&json!({"packages": [
            {"name": "attestry-core", "features": {}, "dependencies": uses},
            {"name": "attestry-file", "features": {}, "dependencies": uses},
        ]}))
        .unwrap();
        assert_eq!(undocumented(&packages, "| `serde` | for lines |"), ["subtle"]);
    }
}
