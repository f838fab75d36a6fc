//! The rules of the tree, as a test: arrows, the core's manifest, links of ARCHITECTURE.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// The modules of the gateway from top to bottom. A module may use those in the rows below
/// its own, and nothing beside or above.
const ROWS: [(&[&str], &str); 15] = [
    (&["cli"], "the command line"),
    (&["demo"], "what only the demo has"),
    (&["app"], "composition: builds the world and injects it"),
    (&["routes", "admin"], "which URL goes where"),
    (&["endpoint", "proxy"], "the reasons to be called"),
    (&["vault"], "what MCP servers get of a caller"),
    (
        &["office", "flow_list", "flow_report"],
        "what the endpoints share",
    ),
    (&["uses"], "what becomes of an access"),
    (&["providers", "direct"], "which identity provider is meant"),
    (
        &[
            "provider",
            "service",
            "flows",
            "earlier",
            "audit",
            "document_cache",
            "key_cache",
            "client",
            "entra",
        ],
        "facts to fetch",
    ),
    (
        &["managed_identity", "token_endpoint"],
        "what platform and others give",
    ),
    (&["keys", "fetch"], "tools that use tools"),
    (
        &["store", "http", "page", "signature"],
        "tools: know nothing of who calls",
    ),
    (
        &[
            "catalogue",
            "config",
            "pulse",
            "revocation",
            "world",
            "telemetry",
            "trust",
        ],
        "know nothing of the others",
    ),
    (
        &["provider_credential"],
        "what the configuration is read into",
    ),
];

/// What the core must never depend on: its promise is that it does no I/O.
const NOT_IN_CORE: [&str; 8] = [
    "tokio",
    "hyper",
    "axum",
    "reqwest",
    "rusqlite",
    "rustls",
    "rand",
    "futures-util",
];

/// A sentence for each broken rule.
pub(crate) fn broken(root: &Path) -> Result<Vec<String>> {
    let mut out = Vec::new();
    arrows(root, &mut out)?;
    core_manifest(root, &mut out)?;
    links(root, &mut out)?;
    crate::rules::broken(root, &mut out)?;
    crate::errors::broken(root, &mut out)?;
    Ok(out)
}

fn row_of(module: &str) -> Option<usize> {
    ROWS.iter()
        .position(|(modules, _)| modules.contains(&module))
}

fn arrows(root: &Path, out: &mut Vec<String>) -> Result<()> {
    let source = root.join("gateway/src");
    for file in rust_files(&source)? {
        let inside = file.strip_prefix(&source)?;
        let module = inside
            .iter()
            .next()
            .and_then(|first| first.to_str())
            .map(|first| first.trim_end_matches(".rs"))
            .unwrap_or_default()
            .to_owned();
        if matches!(module.as_str(), "main" | "lib") {
            continue;
        }
        let Some(from) = row_of(&module) else {
            out.push(format!(
                "{}: the module `{module}` is in no row of xtask/src/tidy.rs; give it one",
                file.display()
            ));
            continue;
        };
        let text = fs::read_to_string(&file)?;
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for used in used_modules(code) {
            let Some(to) = row_of(&used) else { continue };
            if used != module && to <= from {
                out.push(format!(
                    "{}: `{module}` ({}) uses `{used}` ({}), which is not below it",
                    file.display(),
                    ROWS[from].1,
                    ROWS[to].1,
                ));
            }
        }
    }
    Ok(())
}

/// The top modules that `crate::…` paths name, also inside `use crate::{…}`.
fn used_modules(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0usize;
            let mut word = String::new();
            let mut first = true;
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => first = true,
                    c if depth == 0 && first && (c.is_alphanumeric() || c == '_') => word.push(c),
                    _ if depth == 0 && first && !word.is_empty() => {
                        found.push(std::mem::take(&mut word));
                        first = false;
                    }
                    _ => {}
                }
            }
            if !word.is_empty() {
                found.push(word);
            }
        } else {
            let word: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            found.push(word);
        }
    }
    found.sort();
    found.dedup();
    found
}

fn core_manifest(root: &Path, out: &mut Vec<String>) -> Result<()> {
    let manifest = fs::read_to_string(root.join("core/Cargo.toml")).context("core/Cargo.toml")?;
    for line in manifest.lines() {
        let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
        if NOT_IN_CORE.contains(&name) {
            out.push(format!(
                "core/Cargo.toml: the core does no I/O, so it must not depend on `{name}`"
            ));
        }
    }
    Ok(())
}

/// Links such as `[…](core/src/uri.rs#admits)` must lead to a file that has such a function.
fn links(root: &Path, out: &mut Vec<String>) -> Result<()> {
    let page = root.join("ARCHITECTURE.md");
    let text = fs::read_to_string(&page).context("ARCHITECTURE.md")?;
    for (at, _) in text.match_indices("](") {
        let target = text[at + 2..].split(')').next().unwrap_or_default();
        if target.contains("://") {
            continue;
        }
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let file = root.join(path);
        if !file.exists() {
            out.push(format!("ARCHITECTURE.md links {path}, which is not there"));
            continue;
        }
        if !anchor.is_empty() {
            let source = fs::read_to_string(&file)?;
            let there = source.contains(&format!("fn {anchor}("))
                || source.contains(&format!("fn {anchor}<"));
            if !there {
                out.push(format!(
                    "ARCHITECTURE.md links {path}#{anchor}: no such function"
                ));
            }
        }
    }
    Ok(())
}

pub(crate) fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            out.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
    out.sort();
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_inside_groups_are_found() {
        let code = "use crate::{\n    config::{Idp, IdpKind},\n    fetch::{self, FetchError},\n    world::World,\n};\nlet x = crate::store::open();";
        assert_eq!(used_modules(code), ["config", "fetch", "store", "world"]);
    }
}
