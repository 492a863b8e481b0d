//! Questions at the run's own terminal: a person types go or no-go, and the rest of the run does not wait for it.
//!
//! Several questions may be open at once. Each gets a number; `go` answers the oldest, `2 no-go …` the second. Input is
//! read by a thread of its own, so a question that somebody answers from elsewhere is simply closed here.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::output::Screen;
use understudy::clock::BoxFuture;
use understudy::journal::record::{AnswerSource, Choice};
use understudy::name::{RoleName, StrategyName};
use understudy::report::units::one_line;
use understudy::run::gate::{AbortRequest, Answer, Asked, Gatekeeper, Question};

/// Longest line that is taken as an answer, in bytes: a long note, not a document.
const MAX_LINE_BYTES: usize = 4096;

/// How an answer is typed.
const USAGE: &str = "type `go` or `no-go`, then a note if you like; `by NAME` before the note says who you are, and a \
                     number in front answers that question";

/// Asks at the terminal.
pub(super) struct TerminalGate {
    desk: Arc<Mutex<Desk>>,
    screen: Screen,
}

/// The open questions.
#[derive(Default)]
struct Desk {
    next: u64,
    open: BTreeMap<u64, Open>,
}

struct Open {
    role: RoleName,
    title: String,
    alternatives: Vec<StrategyName>,
    answer: oneshot::Sender<Answer>,
}

impl TerminalGate {
    /// Asks on `screen` and reads answers from `input`, as given by `person` where they do not say who they are.
    pub(super) fn new(
        input: Box<dyn BufRead + Send>,
        screen: Screen,
        person: String,
    ) -> std::io::Result<Self> {
        let desk = Arc::new(Mutex::new(Desk::default()));
        let (shared, shown) = (Arc::clone(&desk), screen.clone());
        std::thread::Builder::new()
            .name("terminal".to_owned())
            .spawn(move || read(input, &shared, &person, |text| shown.say(text)))?;
        Ok(Self { desk, screen })
    }

    fn ask(&self, question: &Question) -> OnDesk {
        let (answer, receiver) = oneshot::channel();
        let mut desk = lock(&self.desk);
        desk.next += 1;
        let number = desk.next;
        let open = Open {
            role: question.rule.role.clone(),
            title: one_line(&question.title),
            alternatives: question.alternatives.clone(),
            answer,
        };
        let switches: String = open
            .alternatives
            .iter()
            .map(|other| format!("; `switch {other}` lets {other} take over"))
            .collect();
        let text = format!(
            "[{number}] {} is asked: {}\n    {USAGE}{switches}",
            open.role, open.title
        );
        desk.open.insert(number, open);
        drop(desk);
        self.screen.say(&text);
        OnDesk {
            number,
            receiver: Some(receiver),
            desk: Arc::clone(&self.desk),
        }
    }
}

impl Gatekeeper for TerminalGate {
    fn answer<'a>(&'a self, question: &'a Question, _asked: Asked) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let mut asked = self.ask(question);
            if let Some(receiver) = asked.receiver.take()
                && let Ok(answer) = receiver.await
            {
                return answer;
            }
            // The terminal is gone; the mailbox and the gate's own default are not.
            std::future::pending().await
        })
    }

    fn abort(&self) -> BoxFuture<'_, AbortRequest> {
        Box::pin(std::future::pending())
    }
}

/// A question on the desk; dropped, it is taken off.
struct OnDesk {
    number: u64,
    receiver: Option<oneshot::Receiver<Answer>>,
    desk: Arc<Mutex<Desk>>,
}

impl Drop for OnDesk {
    fn drop(&mut self) {
        drop(lock(&self.desk).open.remove(&self.number));
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads lines until there are no more.
fn read(input: Box<dyn BufRead + Send>, desk: &Mutex<Desk>, person: &str, say: impl Fn(&str)) {
    for line in input.lines() {
        let Ok(line) = line else { return };
        if line.len() > MAX_LINE_BYTES {
            say(&format!(
                "that was too long for an answer: at most {MAX_LINE_BYTES} bytes"
            ));
        } else if !line.trim().is_empty() {
            say(&hand_in(&line, desk, person));
        }
    }
}

/// Gives an answer to its question; answers what the person is told.
fn hand_in(line: &str, desk: &Mutex<Desk>, person: &str) -> String {
    let mut desk = lock(desk);
    let Some(&oldest) = desk.open.keys().next() else {
        return "nothing is asked now".to_owned();
    };
    let Some(typed) = Typed::parse(line) else {
        return USAGE.to_owned();
    };
    let number = typed.number.unwrap_or(oldest);
    let Some(open) = desk.open.remove(&number) else {
        let numbers: Vec<String> = desk.open.keys().map(ToString::to_string).collect();
        return format!("no question {number} is open; open: {}", numbers.join(", "));
    };
    if let Choice::Switch(to) = &typed.choice
        && !open.alternatives.contains(to)
    {
        desk.open.insert(number, open);
        return format!("[{number}] does not offer a switch to `{to}`");
    }
    let by = typed.by.unwrap_or(person).to_owned();
    let said = format!(
        "[{number}] {} by {by} as {}: {}",
        typed.choice, open.role, open.title
    );
    let answer = Answer {
        choice: typed.choice,
        by,
        role: open.role,
        note: typed.note.to_owned(),
        source: AnswerSource::Terminal,
    };
    match open.answer.send(answer) {
        Ok(()) => said,
        Err(_) => format!("[{number}] was answered from elsewhere"),
    }
}

/// `[NUMBER] go|no-go|switch STRATEGY [by NAME] [NOTE]`.
#[derive(Debug, PartialEq, Eq)]
struct Typed<'a> {
    number: Option<u64>,
    choice: Choice,
    by: Option<&'a str>,
    note: &'a str,
}

impl<'a> Typed<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (first, rest) = word(line);
        let (number, answer, rest) = match first.parse() {
            Ok(number) => {
                let (answer, rest) = word(rest);
                (Some(number), answer, rest)
            }
            Err(_) => (None, first, rest),
        };
        let (choice, rest) = match answer.to_ascii_lowercase().as_str() {
            "go" => (Choice::Go, rest),
            "no-go" | "nogo" => (Choice::NoGo, rest),
            "switch" => {
                let (to, rest) = word(rest);
                (Choice::Switch(to.parse().ok()?), rest)
            }
            _ => return None,
        };
        let (by, note) = match word(rest) {
            ("by", rest) => {
                let (name, note) = word(rest);
                (Some(name).filter(|name| !name.is_empty()), note)
            }
            _ => (None, rest.trim()),
        };
        Some(Self {
            number,
            choice,
            by,
            note,
        })
    }
}

/// The first word, and what comes after it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace)
        .map_or((text, ""), |(word, rest)| (word, rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use understudy::journal::record::GateKind;
    use understudy::runbook::types::Gate;

    fn question(gate: &str) -> Question {
        Question {
            gate: gate.to_owned(),
            step: "replica/flip".parse().unwrap(),
            kind: GateKind::Before,
            tries: 0,
            rule: Gate {
                role: "dns-lead".parse().unwrap(),
                quorum: 1,
                timeout_ms: None,
                default: None,
            },
            title: format!("Flip {gate}?"),
            detail: String::new(),
            alternatives: Vec::new(),
            no_way_back: false,
        }
    }

    fn gate() -> TerminalGate {
        TerminalGate {
            desk: Arc::default(),
            screen: Screen::default(),
        }
    }

    #[test]
    fn an_answer_has_a_word_and_may_have_more() {
        let typed = |line| Typed::parse(line).map(|t| (t.number, t.choice, t.by, t.note));
        assert_eq!(typed("go"), Some((None, Choice::Go, None, "")));
        assert_eq!(
            typed("2 no-go by sam  the cache is cold"),
            Some((Some(2), Choice::NoGo, Some("sam"), "the cache is cold"))
        );
        assert_eq!(
            typed("GO 3 of 4 ready"),
            Some((None, Choice::Go, None, "3 of 4 ready"))
        );
        let switch = Choice::Switch("restore".parse().unwrap());
        assert_eq!(
            typed("switch restore by sam it hangs"),
            Some((None, switch, Some("sam"), "it hangs"))
        );
        for unclear in ["yes", "3", "", "going", "switch"] {
            assert_eq!(typed(unclear), None, "{unclear}");
        }
    }

    #[tokio::test]
    async fn the_oldest_question_is_answered_unless_another_is_named() {
        let gate = gate();
        let mut first = gate.ask(&question("a"));
        let mut second = gate.ask(&question("b"));
        assert!(hand_in("2 no-go by kim later", &gate.desk, "sam").contains("no-go by kim"));
        let answer = second.receiver.take().unwrap().await.unwrap();
        assert_eq!(
            (answer.choice, answer.by.as_str(), answer.note.as_str()),
            (Choice::NoGo, "kim", "later")
        );
        assert_eq!(
            hand_in("7 go", &gate.desk, "sam"),
            "no question 7 is open; open: 1"
        );
        assert_eq!(hand_in("perhaps", &gate.desk, "sam"), USAGE);
        let refused = hand_in("switch restore", &gate.desk, "sam");
        assert_eq!(refused, "[1] does not offer a switch to `restore`");
        hand_in("go", &gate.desk, "sam");
        let answer = first.receiver.take().unwrap().await.unwrap();
        assert_eq!(
            (answer.choice, answer.by.as_str(), answer.source),
            (Choice::Go, "sam", AnswerSource::Terminal)
        );
        assert_eq!(hand_in("go", &gate.desk, "sam"), "nothing is asked now");
    }

    #[test]
    fn a_question_answered_from_elsewhere_leaves_the_desk() {
        let gate = gate();
        let asked = gate.ask(&question("a"));
        drop(asked);
        assert_eq!(hand_in("go", &gate.desk, "sam"), "nothing is asked now");
    }

    #[tokio::test]
    async fn lines_that_are_typed_reach_the_question() {
        let (desk, heard) = (
            Arc::new(Mutex::new(Desk::default())),
            Mutex::new(Vec::new()),
        );
        let gate = TerminalGate {
            desk: Arc::clone(&desk),
            screen: Screen::default(),
        };
        let mut asked = gate.ask(&question("a"));
        let input =
            std::io::Cursor::new(format!("\nhm\n{}\ngo ok\n", "x".repeat(MAX_LINE_BYTES + 1)));
        read(Box::new(input), &desk, "sam", |text| {
            heard.lock().unwrap().push(text.to_owned())
        });
        assert_eq!(asked.receiver.take().unwrap().await.unwrap().note, "ok");
        let heard = heard.lock().unwrap();
        assert_eq!(heard[0], USAGE);
        assert!(
            heard[1].contains("too long") && heard[2].contains("go by sam"),
            "{heard:?}"
        );
    }
}
