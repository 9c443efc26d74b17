//! The modules of one crate and the imports between their files, read from source.
//!
//! This is not a compiler. It reads what `use` declarations and paths say: `crate::…`, `self::…`, `super::…`, paths
//! that begin with a child module or an imported name, and the same inside macro calls. A re-export counts as its
//! definition, so a file depends on where an item is defined, not on the `mod.rs` that re-exports it. Not seen: methods
//! of a type that no path names, and items that a macro generates.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Meta, UseTree};

use crate::cmd::Result;

/// The name under which a wildcard import is kept.
const WILDCARD: &str = "*";

/// `from` names an item that `to` defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Import {
    pub(super) from: PathBuf,
    pub(super) to: PathBuf,
    /// The first line of `from` that names it, and the path there.
    pub(super) line: usize,
    pub(super) path: String,
    /// `to` is the file of a module that contains `from`.
    pub(super) to_ancestor: bool,
}

/// All modules of a crate but its tests.
#[derive(Debug, Default)]
pub(super) struct Source {
    modules: Vec<Module>,
}

#[derive(Debug, Default)]
struct Module {
    file: PathBuf,
    parent: usize,
    children: BTreeMap<String, usize>,
    items: BTreeSet<String>,
    /// Local name and the path it stands for.
    imports: Vec<(String, Vec<String>)>,
    /// Paths with the line they are on.
    paths: Vec<(Vec<String>, usize)>,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Item(usize),
    Module(usize),
}

impl Source {
    /// Reads the crate whose root file is `root`, and every file its `mod` declarations lead to.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut source = Self::default();
        source.modules.push(Module { file: root.to_path_buf(), ..Module::default() });
        let folder = root.parent().unwrap_or(Path::new(""));
        source.read_file(0, folder)?;
        Ok(source)
    }

    /// The imports between files, one for each pair.
    pub(super) fn imports(&self) -> Vec<Import> {
        let mut imports: BTreeMap<(&Path, &Path), Import> = BTreeMap::new();
        for (number, module) in self.modules.iter().enumerate() {
            for (path, line) in &module.paths {
                let Some(to) = self.file_of(number, path).filter(|to| *to != module.file) else {
                    continue;
                };
                let first = imports.entry((&module.file, to)).or_insert_with(|| Import {
                    from: module.file.clone(),
                    to: to.to_path_buf(),
                    line: usize::MAX,
                    path: String::new(),
                    to_ancestor: self.ancestors(number).any(|ancestor| ancestor.file == to),
                });
                if *line < first.line {
                    (first.line, first.path) = (*line, path.join("::"));
                }
            }
        }
        imports.into_values().collect()
    }

    /// The modules that contain this one; the root contains itself here.
    fn ancestors(&self, module: usize) -> impl Iterator<Item = &Module> {
        let parent = |number: &usize| Some(self.modules[*number].parent);
        std::iter::successors(parent(&module), move |number| {
            parent(number).filter(|_| *number != 0)
        })
        .map(|number| &self.modules[number])
    }

    /// Where the item is defined that the path names; `None` for modules and items of other crates.
    fn file_of(&self, module: usize, path: &[String]) -> Option<&Path> {
        match self.resolve(module, path, 0)? {
            Target::Item(module) => Some(&self.modules[module].file),
            Target::Module(_) => None,
        }
    }

    fn resolve(&self, module: usize, path: &[String], depth: usize) -> Option<Target> {
        // Imports can refer to each other in a circle.
        if depth > 32 {
            return None;
        }
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.walk(0, rest, depth),
            "self" => self.walk(module, rest, depth),
            "super" => self.walk(self.modules[module].parent, rest, depth),
            name => {
                let here = &self.modules[module];
                if here.children.contains_key(name) || here.items.contains(name) {
                    return self.walk(module, path, depth);
                }
                self.through_imports(module, path, depth)
            }
        }
    }

    fn walk(&self, module: usize, path: &[String], depth: usize) -> Option<Target> {
        let Some((name, rest)) = path.split_first() else { return Some(Target::Module(module)) };
        let here = &self.modules[module];
        match name.as_str() {
            WILDCARD => return Some(Target::Item(module)),
            "self" => return self.walk(module, rest, depth),
            "super" => return self.walk(here.parent, rest, depth),
            _ => {}
        }
        match here.children.get(name) {
            // A function may have the name of a module.
            Some(child) if !rest.is_empty() || !here.items.contains(name) => {
                self.walk(*child, rest, depth)
            }
            _ if here.items.contains(name) => Some(Target::Item(module)),
            // What nothing declares, a macro may have.
            _ => self.through_imports(module, path, depth).or(Some(Target::Item(module))),
        }
    }

    /// Follows `use` declarations of the module.
    fn through_imports(&self, module: usize, path: &[String], depth: usize) -> Option<Target> {
        let (name, rest) = path.split_first()?;
        let imports = &self.modules[module].imports;
        if let Some((_, import)) = imports.iter().find(|(local, _)| local == name) {
            // `use name;` does not import itself.
            if import.first() == Some(name) && import.len() == 1 {
                return None;
            }
            let full: Vec<String> = import.iter().chain(rest).cloned().collect();
            return self.resolve(module, &full, depth + 1);
        }
        imports.iter().filter(|(local, _)| local == WILDCARD).find_map(|(_, import)| {
            let Target::Module(source) = self.resolve(module, import, depth + 1)? else {
                return None;
            };
            let declared = &self.modules[source];
            let known = declared.items.contains(name)
                || declared.children.contains_key(name)
                || declared.imports.iter().any(|(local, _)| local == name);
            known.then(|| self.walk(source, path, depth + 1)).flatten()
        })
    }

    /// Reads the file of a module; `folder` is where the files of its children lie.
    fn read_file(&mut self, module: usize, folder: &Path) -> Result {
        let file = self.modules[module].file.clone();
        let text = fs::read_to_string(&file)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let parsed = syn::parse_file(&text)
            .map_err(|error| format!("cannot parse {}: {error}", file.display()))?;
        self.read_items(module, folder, &parsed.items)
    }

    fn read_items(&mut self, module: usize, folder: &Path, items: &[Item]) -> Result {
        let mut found = Found::default();
        for item in items {
            match item {
                Item::Mod(child) => {
                    if is_test(&child.attrs) {
                        continue;
                    }
                    let name = child.ident.to_string();
                    let number = self.modules.len();
                    let file = self.modules[module].file.clone();
                    self.modules.push(Module { file, parent: module, ..Module::default() });
                    // Of two variants for a feature, the first counts.
                    self.modules[module].children.entry(name.clone()).or_insert(number);
                    if let Some((_, items)) = &child.content {
                        self.read_items(number, &folder.join(&name), items)?;
                    } else {
                        let declared_in = self.modules[module].file.clone();
                        self.modules[number].file = file_of_child(&declared_in, folder, child)?;
                        self.read_file(number, &folder.join(&name))?;
                    }
                }
                item => {
                    if let Some(name) = name_of(item).filter(|_| !is_test(attributes(item))) {
                        self.modules[module].items.insert(name);
                    }
                    found.visit_item(item);
                }
            }
        }
        // `use` brings in names; it depends on what it names as any other path does.
        let uses = found.uses.iter().map(|(_, path, line)| (path.clone(), *line));
        found.paths.extend(uses);
        let here = &mut self.modules[module];
        here.imports = found.uses.into_iter().map(|(name, path, _)| (name, path)).collect();
        // `use a::*` names the module for lookups, but depends on its file.
        for (name, path) in &mut here.imports {
            if name == WILDCARD {
                path.pop();
            }
        }
        here.paths = found.paths;
        Ok(())
    }
}

/// A given path is relative to the folder of the file that declares the module.
fn file_of_child(declared_in: &Path, folder: &Path, child: &syn::ItemMod) -> Result<PathBuf> {
    let name = child.ident.to_string();
    let given = child.attrs.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("path") => match &meta.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    let candidates = match given {
        Some(path) => vec![declared_in.with_file_name(path)],
        None => vec![folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")],
    };
    let found = candidates.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| format!("no file for module {name} in {}", folder.display()).into())
}

/// The `use` declarations and paths of a module's items, nested modules excepted.
#[derive(Debug, Default)]
struct Found {
    uses: Vec<(String, Vec<String>, usize)>,
    paths: Vec<(Vec<String>, usize)>,
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_use(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        // One segment is a local name, or one that a `use` brought in.
        if segments.len() > 1 && path.leading_colon.is_none() {
            self.paths.push((segments, path.segments[0].ident.span().start().line));
        }
        visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {
        // `pub(in crate::a)` is no import.
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.add_tokens(call.tokens.clone());
    }
}

impl Found {
    fn add_use(&mut self, tree: &UseTree, prefix: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.add_use(&path.tree, prefix);
                prefix.pop();
            }
            UseTree::Name(name) if name.ident == "self" => {
                let local = prefix.last().cloned().unwrap_or_default();
                self.uses.push((local, prefix.clone(), name.ident.span().start().line));
            }
            UseTree::Name(name) => {
                let local = name.ident.to_string();
                self.add_name(local, &name.ident, prefix);
            }
            UseTree::Rename(rename) => {
                self.add_name(rename.rename.to_string(), &rename.ident, prefix);
            }
            UseTree::Glob(glob) => {
                let path = prefix.iter().cloned().chain([WILDCARD.to_owned()]).collect();
                self.uses.push((WILDCARD.to_owned(), path, glob.star_token.spans[0].start().line));
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.add_use(tree, prefix));
            }
        }
    }

    fn add_name(&mut self, local: String, name: &syn::Ident, prefix: &[String]) {
        let path = prefix.iter().cloned().chain([name.to_string()]).collect();
        self.uses.push((local, path, name.span().start().line));
    }

    /// Paths in the arguments of a macro: names with `::` between them.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        let mut line = 0;
        let mut end = |path: &mut Vec<String>, line| {
            if path.len() > 1 {
                self.paths.push((std::mem::take(path), line));
            }
            path.clear();
        };
        let mut groups = Vec::new();
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        end(&mut path, line);
                        line = name.span().start().line;
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    end(&mut path, line);
                    colons = 0;
                    groups.push(group.stream());
                }
                _ => {
                    end(&mut path, line);
                    colons = 0;
                }
            }
        }
        end(&mut path, line);
        groups.into_iter().for_each(|group| self.add_tokens(group));
    }
}

/// Whether the attributes exclude it from what users compile: `#[cfg(test)]`, `#[cfg(fuzzing)]` and the like.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            list.parse_args::<Meta>().is_ok_and(|predicate| holds(&predicate) == Some(false))
        }
        meta => meta.path().is_ident("test"),
    })
}

/// Whether a `cfg` predicate holds in what users compile; `None` where features or the platform decide.
fn holds(predicate: &Meta) -> Option<bool> {
    let Meta::List(list) = predicate else {
        let test =
            ["test", "fuzzing", "shuttle"].iter().any(|name| predicate.path().is_ident(name));
        return test.then_some(false);
    };
    let separated = syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated;
    let parts = list.parse_args_with(separated).ok()?;
    let mut parts = parts.iter().map(holds);
    if list.path.is_ident("not") {
        parts.next()?.map(|holds| !holds)
    } else if list.path.is_ident("all") {
        let parts: Vec<_> = parts.collect();
        if parts.contains(&Some(false)) {
            Some(false)
        } else {
            parts.into_iter().collect::<Option<Vec<_>>>().map(|_| true)
        }
    } else {
        let parts: Vec<_> = parts.collect();
        if parts.contains(&Some(true)) {
            Some(true)
        } else {
            parts.into_iter().collect::<Option<Vec<_>>>().map(|_| false)
        }
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}
