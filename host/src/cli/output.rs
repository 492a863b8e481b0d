//! Where the program writes: data to stdout, everything for people to stderr.
//!
//! Colour is only for terminals and never carries meaning alone. While a live display is on the terminal, lines for
//! people go above it ([`Output::attach`]).

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;
use indicatif::ProgressBar;
use serde::Serialize;

use super::environment::Environment;
use super::error::{CommandError, Kind};
use understudy::report::units::one_line;

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What a colour stands for, beside the words that say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Needs a look.
    Warn,
    /// Went wrong.
    Bad,
    /// Less important.
    Soft,
}

impl Tone {
    /// The SGR parameter (ECMA-48) of the tone.
    fn sgr(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "1;31",
            Self::Soft => "2",
        }
    }
}

/// Lines for people: above a live display where there is one. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Screen(Arc<Mutex<Option<ProgressBar>>>);

impl Screen {
    /// Says a line, or several.
    pub(crate) fn say(&self, text: &str) {
        let live = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*live {
            Some(bar) if !bar.is_finished() => bar.println(text),
            // Nobody is left to be told when stderr is gone.
            _ => drop(writeln!(std::io::stderr().lock(), "{text}")),
        }
    }

    /// From here on lines go above this display.
    pub(crate) fn attach(&self, bar: ProgressBar) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
    }
}

/// Where a command writes to.
pub(crate) struct Output {
    format: Format,
    colour_out: bool,
    colour_err: bool,
    screen: Screen,
}

impl Output {
    /// As the command line and the environment want it.
    pub(crate) fn new(format: Format, environment: &Environment) -> Self {
        let colour = !environment.no_color;
        Self {
            format,
            colour_out: colour && environment.stdout_is_terminal && format == Format::Text,
            colour_err: colour && environment.stderr_is_terminal,
            screen: Screen::default(),
        }
    }

    /// How data is wanted.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Lines for people, to be handed on.
    pub(crate) fn screen(&self) -> &Screen {
        &self.screen
    }

    /// Says something to people, on stderr.
    pub(crate) fn say(&self, text: &str) {
        self.screen.say(text);
    }

    /// Whether stderr takes colour.
    pub(crate) fn colour_on_stderr(&self) -> bool {
        self.colour_err
    }

    /// A word in colour, where stdout takes it.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        paint(self.colour_out, tone, text)
    }

    /// A word in colour, where stderr takes it.
    pub(crate) fn paint_on_stderr(&self, tone: Tone, text: &str) -> String {
        paint(self.colour_err, tone, text)
    }

    /// Writes data to stdout. A reader that has gone away is no error.
    ///
    /// # Errors
    /// What the system says, for example that the disk is full.
    pub(crate) fn data(&self, text: &str) -> Result<(), CommandError> {
        let mut stdout = std::io::stdout().lock();
        match stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
        {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(CommandError::new(
                Kind::Invalid,
                format!("cannot write to stdout: {error}"),
            )),
            _ => Ok(()),
        }
    }

    /// Writes data to stdout as JSON, one document with a line break at its end.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), CommandError> {
        self.data(&format!("{}\n", serde_json::to_string_pretty(value)?))
    }
}

fn paint(colour: bool, tone: Tone, text: &str) -> String {
    if colour {
        format!("\u{1b}[{}m{text}\u{1b}[0m", tone.sgr())
    } else {
        text.to_owned()
    }
}

/// A table for people: columns as wide as they need, the last one as long as it is.
pub(crate) struct Table {
    rows: Vec<Vec<(String, Option<Tone>)>>,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        let heading = |name: &&str| ((*name).to_owned(), Some(Tone::Soft));
        Self {
            rows: vec![headings.iter().map(heading).collect()],
        }
    }

    /// Adds a row. Text of others is made safe for a terminal.
    pub(crate) fn row<const N: usize>(&mut self, cells: [(&str, Option<Tone>); N]) {
        let cell = |(text, tone): (&str, Option<Tone>)| (one_line(text), tone);
        self.rows.push(cells.into_iter().map(cell).collect());
    }

    /// The table as text.
    pub(crate) fn render(&self, output: &Output) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|(text, _)| text.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, tone), width) in row.iter().zip(&widths) {
                let shown = tone.map_or_else(|| cell.clone(), |tone| output.paint(tone, cell));
                let padding = " ".repeat(width.saturating_sub(cell.chars().count()) + 2);
                // Writing to a string cannot fail.
                write!(line, "{shown}{padding}").ok();
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(terminal: bool, no_color: bool) -> Output {
        let environment = Environment {
            stdout_is_terminal: terminal,
            no_color,
            ..Environment::default()
        };
        Output::new(Format::Text, &environment)
    }

    #[test]
    fn colour_is_for_terminals_that_want_it() {
        assert_eq!(
            output(true, false).paint(Tone::Bad, "no"),
            "\u{1b}[1;31mno\u{1b}[0m"
        );
        assert_eq!(output(true, true).paint(Tone::Bad, "no"), "no");
        assert_eq!(output(false, false).paint(Tone::Bad, "no"), "no");
    }

    #[test]
    fn a_table_is_aligned_and_safe() {
        let mut table = Table::new(&["RUN", "STATE"]);
        table.row([("a", None), ("x\u{1b}[2J", Some(Tone::Warn))]);
        table.row([("longer", None), ("done", None)]);
        assert_eq!(
            table.render(&output(false, false)),
            "RUN     STATE\na       x\u{fffd}[2J\nlonger  done\n"
        );
    }
}
