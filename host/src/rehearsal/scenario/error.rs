//! Why a scenario is refused, and how that is shown: with the lines it is about.

use std::fmt;
use std::ops::Range as Span;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// A scenario that cannot be used. Every case carries the place in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// The text is no scenario.
    #[error("[RH0001] the scenario cannot be read: {message}")]
    Unreadable {
        /// In the parser's words.
        message: String,
        /// Where, in bytes.
        span: Option<Span<usize>>,
    },
    /// A name is used and nowhere declared.
    #[error("[RH0002] there is no {kind} `{name}`; known: {known}")]
    UnknownName {
        /// For example `site`.
        kind: &'static str,
        /// The name.
        name: String,
        /// Names that would have been understood.
        known: String,
        /// Where, in bytes.
        span: Option<Span<usize>>,
    },
    /// A value that cannot be: a share above 1, a fault that hits no call, an expectation that can never hold.
    #[error("[RH0003] this can never be: {problem}")]
    Impossible {
        /// What is wrong with it, and what to write instead.
        problem: String,
        /// Where, in bytes.
        span: Option<Span<usize>>,
    },
}

impl ScenarioError {
    /// Its code, for `understudy explain`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "RH0001",
            Self::UnknownName { .. } => "RH0002",
            Self::Impossible { .. } => "RH0003",
        }
    }

    /// Where in the file, in bytes; `None` where it is about the file as a whole.
    #[must_use]
    pub fn span(&self) -> Option<Span<usize>> {
        match self {
            Self::Unreadable { span, .. }
            | Self::UnknownName { span, .. }
            | Self::Impossible { span, .. } => span.clone(),
        }
    }

    /// The message without its code, which is shown beside it.
    fn title(&self) -> String {
        let message = self.to_string();
        let code = format!("[{}] ", self.code());
        message
            .strip_prefix(&code)
            .map(str::to_owned)
            .unwrap_or(message)
    }
}

/// A refused scenario with its text: what is shown to people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refused {
    /// The file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// Why it is refused.
    pub error: ScenarioError,
}

impl fmt::Display for Refused {
    /// `FILE:LINE:COLUMN: CODE: message`, the column in characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        let span = self.error.span();
        if let Some(before) = span.and_then(|span| self.text.get(..span.start)) {
            let line = before.matches('\n').count() + 1;
            let begun = before.rsplit('\n').next().unwrap_or_default();
            write!(f, "{line}:{}:", begun.chars().count() + 1)?;
        }
        write!(f, " {}: {}", self.error.code(), self.error.title())
    }
}

impl Refused {
    /// For people: the problem with the lines it is about.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let title = Level::ERROR
            .primary_title(self.error.title())
            .id(self.error.code());
        let snippet = Snippet::source(&self.text).path(self.path.display().to_string());
        let place = self.error.span().map(|span| first_line(&self.text, span));
        let snippet = match place {
            Some(span) => snippet.annotation(AnnotationKind::Primary.span(span)),
            None => return renderer.render(&[annotate_snippets::Group::with_title(title)]),
        };
        renderer.render(&[title.element(snippet)])
    }
}

/// The part of a span on its first line: a table's span may go on for a page.
fn first_line(text: &str, span: Span<usize>) -> Span<usize> {
    let part = text.get(span.clone()).and_then(|part| part.lines().next());
    span.start..span.start + part.map_or(0, str::len)
}
