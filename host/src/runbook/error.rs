//! Where something is wrong with a runbook or its lock file, and how it is shown.
//!
//! All problems that can be found in one reading are reported together. Start at [`RunbookErrors::render`].

use std::fmt;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::problem::Problem;
use super::source::{Place, Sources};

/// A problem and where it is.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct RunbookError {
    /// What is wrong.
    pub problem: Box<Problem>,
    /// Where; `None` for a problem of a whole file.
    pub place: Option<Place>,
}

impl RunbookError {
    /// A problem at a place.
    #[must_use]
    pub fn new(problem: Problem, place: Option<Place>) -> Self {
        Self {
            problem: Box::new(problem),
            place,
        }
    }

    /// The code, with a page in `docs/codes`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.problem.code()
    }

    /// The way out.
    #[must_use]
    pub fn help(&self) -> String {
        self.problem.help()
    }

    /// The message, with the reason of the operating system where there is one.
    fn title(&self) -> String {
        use std::error::Error as _;
        match self.problem.source() {
            Some(reason) => format!("{}: {reason}", self.problem),
            None => self.problem.to_string(),
        }
    }
}

/// All problems found in one reading. Never empty.
#[derive(Debug)]
pub struct RunbookErrors {
    /// The problems, in the order of the files.
    pub errors: Vec<RunbookError>,
    sources: Sources,
}

impl std::error::Error for RunbookErrors {}

impl fmt::Display for RunbookErrors {
    /// One line per problem: `FILE:LINE:COLUMN: CODE: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            if let Some(place) = &error.place {
                write!(
                    f,
                    "{}:{}:{}: ",
                    place.file.display(),
                    place.line,
                    place.column
                )?;
            }
            write!(f, "{}: {}", error.code(), error.title())?;
        }
        Ok(())
    }
}

impl RunbookErrors {
    /// Puts problems into the order of the files they were found in.
    pub(super) fn new(mut errors: Vec<RunbookError>, sources: Sources) -> Self {
        errors.sort_by_key(|error| {
            error
                .place
                .as_ref()
                .map(|place| (sources.order(place), place.span.start))
        });
        Self { errors, sources }
    }

    /// For people: each problem with the lines it is about and the way out, and a blank line between two.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let rendered: Vec<String> = self
            .errors
            .iter()
            .map(|error| renderer.render(&[self.group(error)]))
            .collect();
        rendered.join("\n\n")
    }

    fn group<'a>(&'a self, error: &'a RunbookError) -> Group<'a> {
        let title = Level::ERROR.primary_title(error.title()).id(error.code());
        let group = Group::with_title(title);
        let group = match &error.place {
            Some(place) if matches!(*error.problem, Problem::SecretInUrl) => {
                group.element(origin(place))
            }
            Some(place) => self.lines(group, place, error.problem.first()),
            None => group,
        };
        group.element(Level::HELP.message(error.help()))
    }

    /// The lines of `place`, and those of the first of two things.
    fn lines<'a>(
        &'a self,
        group: Group<'a>,
        place: &'a Place,
        first: Option<(&'a Place, &'static str)>,
    ) -> Group<'a> {
        let Some(text) = self.sources.text(place) else {
            return group.element(origin(place));
        };
        let primary = AnnotationKind::Primary.span(visible(&place.span, text));
        let snippet = snippet(place, text).annotation(primary);
        let Some((first, label)) = first else {
            return group.element(snippet);
        };
        let Some(first_text) = self.sources.text(first) else {
            return group.element(snippet);
        };
        let context = AnnotationKind::Context
            .span(visible(&first.span, first_text))
            .label(label);
        if first.file == place.file {
            group.element(snippet.annotation(context))
        } else {
            group
                .element(snippet)
                .element(self::snippet(first, first_text).annotation(context))
        }
    }
}

/// Where, without the lines themselves.
fn origin(place: &Place) -> Origin<'_> {
    Origin::path(place.file.display().to_string())
        .line(place.line)
        .char_column(place.column)
}

fn snippet<'a>(place: &Place, text: &'a str) -> Snippet<'a, Annotation<'a>> {
    Snippet::source(text).path(place.file.display().to_string())
}

/// The part of a span on its first line: a table's span may go on for a page.
fn visible(span: &std::ops::Range<usize>, text: &str) -> std::ops::Range<usize> {
    let length = text
        .get(span.clone())
        .and_then(|part| part.lines().next())
        .map_or(0, str::len);
    span.start..span.start + length
}
