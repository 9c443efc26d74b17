//! Which module of a crate may import which, and that no files import each other in a cycle.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::cmd::Result;
use crate::workspace::Workspace;
use source::{Import, Source};

/// The top-level modules of a crate, from the top down. A module imports from its own and from lower rows; those of one
/// row do not know each other. The root file may import all of them.
struct Layers {
    package: &'static str,
    rows: &'static [&'static [&'static str]],
}

const LAYERS: &[Layers] = &[
    Layers {
        package: "attestry-file",
        rows: &[
            &["evidence", "backup"],
            &["builder"],
            &["storage"],
            &["settings", "writer"],
            &["tree", "maintenance"],
            &["active_segment"],
            &["recovery", "reader"],
            &["quarantine"],
            &["erase"],
            &["observer", "segment"],
            &["fs"],
            &["durability", "callback"],
        ],
    },
    Layers {
        package: "attestry-s3",
        rows: &[
            &["builder"],
            &["storage", "connect"],
            &["delete"],
            &["read", "write", "scan", "objects"],
            &["client"],
            &["record", "listing"],
            &["bucket", "list_xml"],
            &["day_cache", "retry", "options", "response"],
            &["key", "key_lock", "error", "sequence", "task"],
        ],
    },
];

/// Every forbidden import of the workspace, one message each.
pub(crate) fn problems(workspace: &Workspace) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for package in &workspace.packages {
        for root in ["src/lib.rs", "src/main.rs"] {
            let root = package.folder().join(root);
            if !root.is_file() {
                continue;
            }
            let relative =
                |path: &Path| path.strip_prefix(&workspace.root).unwrap_or(path).to_path_buf();
            let imports = imports(&root, relative)?;
            problems.extend(cycles(&imports).iter().map(|cycle| shown(cycle)));
            if let Some(layers) = LAYERS.iter().find(|l| l.package == package.name) {
                problems.extend(upward(layers.rows, &relative(&root), &imports));
            }
        }
    }
    Ok(problems)
}

fn imports(root: &Path, relative: impl Fn(&Path) -> PathBuf) -> Result<Vec<Import>> {
    let imports = Source::read(root)?.imports().into_iter();
    let named = |import: Import| Import {
        from: relative(&import.from),
        to: relative(&import.to),
        ..import
    };
    Ok(imports.map(named).collect())
}

/// Imports from a module to one that is not below it.
fn upward(rows: &[&[&str]], root: &Path, imports: &[Import]) -> Vec<String> {
    let row_of = |module: &str| rows.iter().position(|row| row.contains(&module));
    let mut problems = Vec::new();
    let mut unknown = BTreeSet::new();
    for import in imports {
        let Some(from) = top_level(root, &import.from) else { continue };
        let Some(to) = top_level(root, &import.to) else {
            problems.push(format!("{}; items of the root file have no layer", line(import)));
            continue;
        };
        match (row_of(&from), row_of(&to)) {
            (Some(above), Some(below)) if above < below || from == to => {}
            (Some(_), Some(_)) => {
                problems.push(format!("{}; module {from} is not above {to}", line(import)));
            }
            (None, _) => drop(unknown.insert(from)),
            (_, None) => drop(unknown.insert(to)),
        }
    }
    let folder = root.parent().unwrap_or(root).display();
    problems.extend(unknown.into_iter().map(|module| {
        format!("module {module} of {folder} has no layer; give it one in xtask/src/modules.rs")
    }));
    problems
}

/// The top-level module that a file belongs to; none for the root file.
fn top_level(root: &Path, file: &Path) -> Option<String> {
    if file == root {
        return None;
    }
    let inside = file.strip_prefix(root.parent()?).ok()?;
    let first = Path::new(inside.components().next()?.as_os_str());
    Some(first.with_extension("").display().to_string())
}

fn line(import: &Import) -> String {
    let Import { from, to, line, path, .. } = import;
    format!("{}:{line} imports {path} of {}", from.display(), to.display())
}

/// A shortest cycle through each group of files that depend on each other. A file may use items of the modules that
/// contain it: a folder's `mod.rs` and its files are one unit.
fn cycles(imports: &[Import]) -> Vec<Vec<&Import>> {
    let mut by_file: BTreeMap<&Path, Vec<&Import>> = BTreeMap::new();
    for import in imports.iter().filter(|import| !import.to_ancestor) {
        by_file.entry(&import.from).or_default().push(import);
    }
    let mut cycles: Vec<Vec<&Import>> = Vec::new();
    let mut covered: BTreeSet<&Path> = BTreeSet::new();
    for start in by_file.keys() {
        if covered.contains(start) {
            continue;
        }
        if let Some(cycle) = shortest_cycle(start, &by_file) {
            covered.extend(cycle.iter().map(|import| import.from.as_path()));
            cycles.push(cycle);
        }
    }
    cycles
}

/// Breadth first from `start` back to it.
fn shortest_cycle<'a>(
    start: &Path,
    by_file: &BTreeMap<&'a Path, Vec<&'a Import>>,
) -> Option<Vec<&'a Import>> {
    let mut reached: BTreeMap<&Path, &Import> = BTreeMap::new();
    let mut next = vec![start];
    while !next.is_empty() {
        let mut further = Vec::new();
        for file in next {
            for import in by_file.get(file).into_iter().flatten() {
                if reached.contains_key(import.to.as_path()) {
                    continue;
                }
                reached.insert(&import.to, import);
                further.push(import.to.as_path());
            }
        }
        if let Some(last) = reached.get(start) {
            let mut cycle = vec![*last];
            while cycle[cycle.len() - 1].from != start {
                cycle.push(reached[cycle[cycle.len() - 1].from.as_path()]);
            }
            cycle.reverse();
            return Some(cycle);
        }
        next = further;
    }
    None
}

fn shown(cycle: &[&Import]) -> String {
    let mut text = format!("{} files import each other in a cycle:", cycle.len());
    for import in cycle {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {}", line(import));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The imports of a crate with these files below `src/`, shown as `from -> to`.
    fn crate_of(files: &[(&str, &str)]) -> Vec<Import> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join("src").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let relative = |path: &Path| path.strip_prefix(folder.path()).unwrap().to_path_buf();
        imports(&folder.path().join("src/lib.rs"), relative).unwrap()
    }

    fn rust_files(folder: &Path) -> Vec<PathBuf> {
        let paths = fs::read_dir(folder).unwrap().map(|item| item.unwrap().path());
        let files =
            paths.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] });
        files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
    }

    fn edges(files: &[(&str, &str)]) -> Vec<String> {
        let shown = |path: &Path| path.strip_prefix("src").unwrap().display().to_string();
        let edge = |import: &Import| format!("{} -> {}", shown(&import.from), shown(&import.to));
        crate_of(files).iter().map(edge).collect()
    }

    #[test]
    fn reexports_lead_to_the_defining_file() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use b::Deep;"),
            ("a.rs", "use crate::b::Deep; use crate::Deep as Again; fn f() -> b::Deep {}"),
            ("b/mod.rs", "mod c; pub(crate) use c::*; pub(crate) struct Own;"),
            ("b/c.rs", "pub(crate) struct Deep;"),
        ];
        assert_eq!(edges(&files), ["a.rs -> b/c.rs", "b/mod.rs -> b/c.rs", "lib.rs -> b/c.rs"]);
    }

    #[test]
    fn every_form_of_a_path_is_an_import() {
        for code in [
            "use crate::b::f;",
            "use super::b::f;",
            "use crate::{b::{self, f as g}};",
            "use crate::b; fn a() { b::f() }",
            "fn a() { crate::b::f(); }",
            "fn a() { use crate::b as x; x::f(); }",
            "fn a() { println!(\"{}\", crate::b::f()); }",
            "fn a() { assert!(x(1, &[super::b::f()])); }",
            "type A = Vec<crate::b::f>;",
        ] {
            let files = [("lib.rs", "mod a; mod b;"), ("a.rs", code), ("b.rs", "pub fn f() {}")];
            assert_eq!(edges(&files), ["a.rs -> b.rs"], "{code}");
        }
    }

    #[test]
    fn tests_and_modules_alone_are_no_imports() {
        for code in [
            "use crate::b;",
            "#[cfg(test)] mod tests { use crate::b::f; }",
            "#[cfg(any(test, fuzzing))] mod tests { use crate::b::f; }",
            "#[cfg(test)] use crate::b::f;",
            "#[cfg(all(test, feature = \"x\"))] fn a() { crate::b::f() }",
            "impl A { #[cfg(test)] fn a() { crate::b::f() } }",
            "use std::b::f;",
            "pub(in crate::b) fn g() {}",
        ] {
            let files = [("lib.rs", "mod a; mod b;"), ("a.rs", code), ("b.rs", "pub fn f() {}")];
            assert_eq!(edges(&files), [""; 0], "{code}");
        }
        let feature = "#[cfg(any(feature = \"x\", not(test)))] use crate::b::f;";
        let files = [("lib.rs", "mod a; mod b;"), ("a.rs", feature), ("b.rs", "pub fn f() {}")];
        assert_eq!(edges(&files), ["a.rs -> b.rs"]);
    }

    #[test]
    fn a_cycle_is_shown_with_files_lines_and_paths() {
        let imports = crate_of(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "\nuse crate::b::B;\npub struct A;"),
            ("b.rs", "use crate::c::C;\npub struct B;"),
            ("c.rs", "pub struct C; fn f(_: crate::a::A) {}"),
        ]);
        let cycles: Vec<String> = cycles(&imports).iter().map(|cycle| shown(cycle)).collect();
        assert_eq!(
            cycles,
            ["3 files import each other in a cycle:\n  \
              src/a.rs:2 imports crate::b::B of src/b.rs\n  \
              src/b.rs:1 imports crate::c::C of src/c.rs\n  \
              src/c.rs:1 imports crate::a::A of src/a.rs"]
        );
    }

    #[test]
    fn a_folder_and_its_files_are_one_unit() {
        let imports = crate_of(&[
            ("lib.rs", "mod a; pub struct Root;"),
            ("a/mod.rs", "mod b; use b::B; pub struct A;"),
            ("a/b.rs", "use super::A; use crate::Root; pub struct B;"),
        ]);
        assert_eq!(imports.len(), 3);
        assert!(cycles(&imports).is_empty(), "{imports:?}");
    }

    #[test]
    fn upward_sideways_and_unknown_modules_are_named() {
        let files = [
            ("lib.rs", "mod top; mod left; mod right; mod new; fn f() { left::f() }"),
            ("top.rs", "use crate::left::f; pub fn t() {}"),
            ("left/mod.rs", "mod inner; pub fn f() { inner::g() }"),
            ("left/inner.rs", "use crate::right::f; pub fn g() {}"),
            ("right.rs", "use crate::top::t; pub fn f() {}"),
            ("new.rs", "use crate::top::t;"),
        ];
        let rows: &[&[&str]] = &[&["top"], &["left", "right"]];
        assert_eq!(
            upward(rows, Path::new("src/lib.rs"), &crate_of(&files)),
            [
                "src/left/inner.rs:1 imports crate::right::f of src/right.rs; module left is not above right",
                "src/right.rs:1 imports crate::top::t of src/top.rs; module right is not above top",
                "module new of src has no layer; give it one in xtask/src/modules.rs",
            ]
        );
    }

    #[test]
    fn a_back_edge_planted_in_the_file_crate_is_named() {
        let real = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/file/src"));
        let folder = tempfile::tempdir().unwrap();
        let mut last_line = 0;
        for file in rust_files(real) {
            let copy = folder.path().join("src").join(file.strip_prefix(real).unwrap());
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            let mut text = fs::read_to_string(&file).unwrap();
            if file.ends_with("src/durability.rs") {
                text.push_str("use crate::storage::FileStorage;\n");
                last_line = text.lines().count();
            }
            fs::write(copy, text).unwrap();
        }
        let relative = |path: &Path| path.strip_prefix(folder.path()).unwrap().to_path_buf();
        let imports = imports(&folder.path().join("src/lib.rs"), relative).unwrap();
        let planted = format!(
            "src/durability.rs:{last_line} imports crate::storage::FileStorage of src/storage.rs"
        );
        let found = upward(LAYERS[0].rows, Path::new("src/lib.rs"), &imports);
        assert_eq!(found, [format!("{planted}; module durability is not above storage")]);
        let cycles: Vec<String> = cycles(&imports).iter().map(|cycle| shown(cycle)).collect();
        assert!(cycles.iter().any(|cycle| cycle.contains(&planted)), "{cycles:?}");
    }
}
