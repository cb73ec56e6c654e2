//! The chapters of docs/audit.md, for programs that explain a code.

use plimsoll_records::FindingCode;

/// The page, which `.ci/audit-page` writes from the documentation of the audit's files.
const PAGE: &str = include_str!("../../../../docs/audit.md");

/// The chapter of `code` in docs/audit.md, as Markdown with its heading: what it finds, why that
/// matters, on what evidence, and what helps.
#[must_use]
pub fn explain(code: FindingCode) -> &'static str {
    let heading = format!("## {code}\n");
    // A test sees to it that every code has its chapter; a build without one shows the whole page.
    let from = PAGE.find(&heading).unwrap_or(0);
    let chapter = &PAGE[from..];
    chapter.find("\n\n## ").map_or(chapter, |end| &chapter[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_by_its_own_chapter() {
        for &code in FindingCode::ALL {
            let chapter = explain(code);
            assert!(chapter.starts_with(&format!("## {code}\n**What.**")), "{chapter}");
            assert_eq!(chapter.matches("## ").count(), 1, "{chapter}");
            let parts = ["**Why.**", "**Evidence.**", "**Remedy.**"].map(|part| chapter.find(part));
            assert!(parts.iter().all(Option::is_some) && parts.is_sorted(), "{code}: {parts:?}");
        }
    }
}
