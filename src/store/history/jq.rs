//! jq expressions over documents. Expressions may come from anybody and can loop, recurse and build for ever, so each runs
//! in a thread of its own, and every step of it is counted (`jq_bounds`).

use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use jaq_core::data::JustLut;
use jaq_core::load::{Arena, File, Lexer, Loader, Parser, parse};
use jaq_core::{Compiler, Ctx, Vars};
use jaq_json::{Val, read};
use serde_json::value::RawValue;

use super::jq_bounds::{self, Exceeded, STACK, bounded, bounded_definition};

/// The longest expression.
const LONGEST_TEXT: usize = 4096;
/// The longest value that an expression may give.
const LONGEST_VALUE: usize = 4 * 1024 * 1024;
/// How long an answer is waited for. Steps are counted and end long before; a single one may be without end.
const PATIENCE: Duration = Duration::from_secs(5);
/// At most so many threads that nobody waits for any more may run.
const MOST_STRAYS: usize = 4;
static STRAYS: AtomicUsize = AtomicUsize::new(0);
/// What the expression is called, once it is compiled together with jq's own definitions.
const MAIN: &str = "gatherd_main";
/// What writes somewhere, as to the log of a daemon that is asked over HTTP: expressions do without.
const WRITING: [&str; 5] = ["stderr", "debug", "halt_error", "stderr_empty", "debug_empty"];

type Filter = jaq_core::Filter<JustLut<Val>>;

/// A jq expression, compiled, in a thread that ends with it. Without modules, and without the process's environment.
#[derive(Debug)]
pub struct Jq {
    documents: Sender<String>,
    answers: Receiver<Result<Option<String>, JqError>>,
    /// How long an answer is waited for.
    patience: Duration,
    /// Whether nobody waits for the thread any more.
    stray: Arc<AtomicBool>,
}

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JqError(String);

impl Jq {
    /// Compiles `text`.
    ///
    /// # Errors
    /// When it is not jq, or longer than 4,096 bytes, or when several run already that do not end.
    pub fn compile(text: &str) -> Result<Self, JqError> {
        if text.len() > LONGEST_TEXT {
            return Err(JqError(format!("it is longer than {LONGEST_TEXT} bytes")));
        }
        if STRAYS.load(Ordering::Relaxed) >= MOST_STRAYS {
            return Err(JqError("others still run that do not end; try again later".to_owned()));
        }
        let (documents, wanted) = channel();
        let (answer, answers) = channel();
        let stray = Arc::new(AtomicBool::new(false));
        let (text, is_stray) = (text.to_owned(), Arc::clone(&stray));
        let work = move || {
            answer_all(&text, &wanted, &answer);
            if is_stray.load(Ordering::Relaxed) {
                STRAYS.fetch_sub(1, Ordering::Relaxed);
            }
        };
        let spawned = thread::Builder::new().name("jq".to_owned()).stack_size(STACK).spawn(work);
        spawned.map_err(|error| JqError(format!("no thread for it: {error}")))?;
        let jq = Self { documents, answers, patience: PATIENCE, stray };
        jq.answer()?;
        Ok(jq)
    }

    /// The first output for `document`, as JSON text; `None` when there is no output.
    ///
    /// # Errors
    /// When the expression fails, takes longer than half a second, or builds what is too large. What cannot be stopped then
    /// (a search in a large text, by a pattern that makes it slow) is waited for a little longer, and never asked again.
    pub fn first(&self, document: &str) -> Result<Option<String>, JqError> {
        if self.stray.load(Ordering::Relaxed) {
            return Err(JqError("it took too long for a document before".to_owned()));
        }
        // A thread that is gone does not answer either.
        let _ = self.documents.send(document.to_owned());
        self.answer()
    }

    fn answer(&self) -> Result<Option<String>, JqError> {
        self.answers.recv_timeout(self.patience).unwrap_or_else(|error| match error {
            RecvTimeoutError::Disconnected => Err(JqError("its thread has ended".to_owned())),
            RecvTimeoutError::Timeout => {
                // Before the thread can end: it does so with this expression.
                self.stray.store(true, Ordering::Relaxed);
                STRAYS.fetch_add(1, Ordering::Relaxed);
                Err(JqError("it takes too long".to_owned()))
            }
        })
    }
}

/// Compiles `text`, answers whether it can be, and then for each document, until nobody asks any more.
fn answer_all(text: &str, documents: &Receiver<String>, answer: &Sender<Result<Option<String>, JqError>>) {
    let compiled = compile(text);
    // Whoever asked may be gone.
    let _ = answer.send(compiled.as_ref().map(|_| None).map_err(Clone::clone));
    for document in documents {
        let _ = answer.send(compiled.as_ref().map_err(Clone::clone).and_then(|filter| guarded(filter, &document)));
    }
}

/// Runs `filter`; a panic, by which its bounds are kept as well, is an error.
fn guarded(filter: &Filter, document: &str) -> Result<Option<String>, JqError> {
    jq_bounds::begin();
    catch_unwind(AssertUnwindSafe(|| first(filter, document))).unwrap_or_else(|panic| {
        Err(JqError(panic.downcast_ref::<Exceeded>().map_or("it failed by a defect", |exceeded| exceeded.0).to_owned()))
    })
}

fn first(filter: &Filter, document: &str) -> Result<Option<String>, JqError> {
    jq_bounds::check_digits(document.as_bytes());
    let input = read::parse_single(document.as_bytes()).map_err(|error| JqError(error.to_string()))?;
    let ctx = Ctx::<JustLut<Val>>::new(&filter.lut, Vars::new([]));
    let Some(output) = filter.id.run((ctx, input)).next() else { return Ok(None) };
    let output = output.map_err(|error| match error.get_err() {
        Ok(error) => short(&error),
        Err(_) => JqError("it halts".to_owned()),
    })?;
    let mut text = Bounded { text: String::new(), longest: LONGEST_VALUE };
    write!(text, "{output}").map_err(|_| JqError(format!("its value is longer than {LONGEST_VALUE} bytes")))?;
    // jq knows values that JSON does not, such as nan.
    match serde_json::from_str::<&RawValue>(&text.text) {
        Ok(_) => Ok(Some(text.text)),
        Err(_) => Err(JqError("its value is not JSON".to_owned())),
    }
}

fn short(error: &impl fmt::Display) -> JqError {
    let mut text = Bounded { text: String::new(), longest: 200 };
    let cut = write!(text, "{error}").is_err();
    JqError(text.text + if cut { "…" } else { "" })
}

/// A text that takes no more than so many bytes.
struct Bounded {
    text: String,
    longest: usize,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let left = self.longest - self.text.len();
        self.text.push_str(&more[..more.floor_char_boundary(left)]);
        if more.len() > left { Err(fmt::Error) } else { Ok(()) }
    }
}

fn compile(text: &str) -> Result<Filter, JqError> {
    let mut body = bounded(term(text)?);
    if let parse::Term::Id = body {
        // A definition has to be more than a name for its input.
        body = parse::Term::Path(Box::new(parse::Term::Id), jaq_core::path::Path(Vec::new()));
    }
    let main = parse::Def { name: MAIN, args: Vec::new(), body };
    let library = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let library = library.filter(|definition| !WRITING.contains(&definition.name));
    let library: Vec<parse::Def<&'static str>> = jq_bounds::pairwise().chain(library.map(bounded_definition)).collect();
    let mut definitions: Vec<parse::Def<&str>> = library;
    definitions.push(main);
    let loader = Loader::new(definitions);
    let arena = Arena::default();
    let modules = loader.load(&arena, File { code: MAIN, path: () });
    let modules = modules.map_err(|_| JqError("it cannot be loaded".to_owned()))?;
    let functions = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let functions = functions.filter(|(name, ..)| !WRITING.contains(name));
    let compiled = Compiler::default().with_funs(jq_bounds::functions(functions)).compile(modules);
    compiled.map_err(|errors| {
        let mut unknown = errors.into_iter().flat_map(|(_, errors)| errors);
        let unknown = unknown.next().map(|(name, what)| format!("there is no {} {name}", what.as_str()));
        JqError(unknown.unwrap_or_else(|| "it cannot be compiled".to_owned()))
    })
}

fn term(text: &str) -> Result<parse::Term<&str>, JqError> {
    let tokens = Lexer::new(text).lex().map_err(|errors| {
        let at = errors.first().map(|(expected, at)| format!("{} expected at {at:?}", expected.as_str()));
        JqError(at.unwrap_or_default())
    })?;
    Parser::new(&tokens).parse(Parser::term).map_err(|errors| {
        let wrong = errors.first().map(|(expected, found)| {
            let found = found.map_or_else(|| "the end".to_owned(), |token| format!("{:?}", token.0));
            format!("{} expected instead of {found}", expected.as_str())
        });
        JqError(wrong.unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str =
        r#"{"users":[{"name":"a","n":1},{"name":"b","n":2.50}],"big":12345678901234567890.10,"k":null}"#;

    fn first_of(text: &str) -> Result<Option<String>, JqError> {
        Jq::compile(text)?.first(DOCUMENT)
    }

    #[test]
    fn the_first_output_is_the_value() {
        for (text, expected) in [
            (".", DOCUMENT),
            (".users[1].n", "2.50"),
            (".big", "12345678901234567890.10"),
            (".users | map(.n) | add", "3.5"),
            (".users[] | select(.name == \"b\") | .name", "\"b\""),
            ("[.users[].n] | length * 2", "4"),
            (".users |= map(.n) | .users", "[1,2.50]"),
            (".k, 1", "null"),
            ("def twice(f): f | f; 3 | twice(. * .)", "81"),
            ("reduce range(1000) as $i (0; . + $i)", "499500"),
            ("[limit(3; repeat(1))]", "[1,1,1]"),
            ("\"x\" * 3", "\"xxx\""),
            (".users[0].n *= 5 | .users[0].n", "5"),
            ("to_entries | map(.key) | join(\",\")", "\"users,big,k\""),
            ("[.. | numbers] | length", "3"),
            ("env | length", "0"),
            ("try error(\"x\") catch .", "\"x\""),
            ("[1, [2]] | tojson | fromjson | .[1]", "[2]"),
            ("[path(..)] | length", "10"),
            ("last(range(5000))", "4999"),
            ("first(.users[] | .name | test(\"b\"))", "false"),
        ] {
            assert_eq!(first_of(text), Ok(Some(expected.to_owned())), "{text}");
        }
        assert_eq!(first_of("empty"), Ok(None));
        assert_eq!(first_of(".users[5:][]"), Ok(None));
    }

    #[test]
    fn what_is_not_jq_or_fails_says_why() {
        for text in ["", ".[", "a b", ".users[", "nosuch", "$x", "import \"a\" as a; 1", "if"] {
            assert!(Jq::compile(text).is_err(), "{text:?}");
        }
        for text in ["stderr", ". | stderr", "debug", "debug(\"x\")", "halt_error", "stderr_empty", "debug_empty"] {
            assert!(Jq::compile(text).is_err(), "{text} would write to the log");
        }
        assert_eq!(Jq::compile("nosuch(1)").map(|_| ()), Err(JqError("there is no filter nosuch".to_owned())));
        for text in [".users.name", "error", "nan", "halt", ".users * {}", "input"] {
            assert!(first_of(text).is_err(), "{text}: {:?}", first_of(text));
        }
    }

    #[test]
    fn what_compares_pair_by_pair_is_as_in_jq_while_its_pairs_are_few() {
        for (text, expected) in [
            (".users | contains([{name: \"b\"}])", "true"),
            (".users | contains([{name: \"c\"}])", "false"),
            ("[\"foobar\"] | inside([\"x\", \"foobarbaz\"])", "true"),
            ("\"abcb\" | indices(\"b\")", "[1,3]"),
            ("[1, 2, 1, 2] | indices([1, 2]), index(9)", "[0,2]"),
            ("[contains({big: 1}, {k: null})]", "[false,true]"),
        ] {
            assert_eq!(first_of(text), Ok(Some(expected.to_owned())), "{text}");
        }
        for text in
            ["[range(60000)] as $x | [range(60000)] | inside($x)", "(\"a\" * 9000000) | indices(\"a\" * 1000000)"]
        {
            assert_eq!(first_of(text), Err(JqError("it takes too long".to_owned())), "{text}");
        }
    }

    #[test]
    fn a_step_that_cannot_be_stopped_is_left_alone_and_so_are_all_later_documents() {
        // Each match looks to the end of the text for a better one.
        let slow = "(\"a\" * 20000) | [scan(\".*[^a]|a\")] | length";
        let text = format!("if .stop then ({slow}) else 1 end");
        let jq = Jq { patience: Duration::from_millis(10), ..Jq::compile(&text).expect("jq") };
        assert_eq!(jq.first(r#"{"stop":true}"#), Err(JqError("it takes too long".to_owned())));
        assert_eq!(jq.first("{}"), Err(JqError("it took too long for a document before".to_owned())));
    }

    #[test]
    fn an_expression_without_end_is_stopped_and_the_next_document_is_answered() {
        for text in [
            "def f: f; f",
            "def f: 1 + f; f",
            "def f: [f]; f",
            "def f: try f catch f; f",
            "last(repeat(1))",
            "[range(1e15)]",
            "last(range(0; 1; 0))",
            "[repeat(\"x\" * 1000)]",
            "reduce range(100) as $i (\"x\"; . + .)",
            "reduce range(100) as $i ([1]; . + .)",
            "reduce range(1e9) as $i (0; [.])",
            "reduce range(100) as $i (.; [., .]) | tojson",
            "\"x\" * 1e12",
            ".users[0].name *= 1e12",
            "[range(10)] | [{a: .[], b: .[], c: .[], d: .[], e: .[], f: .[], g: .[], h: .[], i: .[], j: empty}]",
            "def r: [range(30)] | {a: .[], b: .[], c: .[], d: .[], e: .[], f: (.[] | empty)}; r",
            "\"[\" * 100000 | fromjson",
            "\"9\" * 4000000 | tonumber",
            "reduce range(30) as $i (3; . * .)",
            "[recurse(.)]",
            "[limit(1e12; repeat(.))]",
            "until(false; .)",
            "[[range(1000)] | combinations(9)]",
            "label $out | foreach repeat(1) as $i (0; . + $i; if . < 0 then ., break $out else empty end)",
        ] {
            let jq = Jq::compile(&format!("if .stop then ({text}) else 1 end")).expect("jq");
            assert!(jq.first(r#"{"stop":true}"#).is_err(), "{text}");
            assert_eq!(jq.first("{}"), Ok(Some("1".to_owned())), "{text}");
        }
    }
}
